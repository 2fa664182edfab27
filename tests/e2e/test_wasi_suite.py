# SPDX-License-Identifier: Apache-2.0
"""The public test suite of WASI preview 1 (github.com/WebAssembly/wasi-testsuite), as far as it needs no files.
It is in no package registry, so its compiled tests (branch prod/testsuite-base) come from a folder:
    SLUICE_WASI_TESTSUITE=FOLDER
What those tests look at is covered by test_wasi.py, too."""

import json
import os
import pathlib

import pytest

import wasm_modules

FOLDER = os.environ.get("SLUICE_WASI_TESTSUITE")

# They count the variables of the environment, in which an event has its attributes.
OTHER_ENVIRONMENT = {
    "environ_get-multiple-variables",
    "environ_sizes_get-multiple-variables",
    "environ_sizes_get-no-variables",
}


def cases():
    for path in (
        sorted(pathlib.Path(FOLDER).glob("tests/*/testsuite/wasm32-wasip1/*.wasm"))
        if FOLDER
        else ()
    ):
        manifest = path.with_suffix(".json")
        wanted = json.loads(manifest.read_text()) if manifest.exists() else {}
        if not {"root", "dirs"} & set(wanted) and path.stem not in OTHER_ENVIRONMENT:
            yield pytest.param(path, wanted, id=f"{path.parts[-4]}-{path.stem}")


@pytest.mark.skipif(not FOLDER, reason="SLUICE_WASI_TESTSUITE names no folder with wasi-testsuite")
@pytest.mark.parametrize("path, wanted", list(cases()))
def test_wasi_suite(deploy, path, wanted):
    called = deploy(
        runtime="wasm",
        moduleBase64=wasm_modules.text_form(path.read_bytes()),
        command=[path.name, *wanted.get("args", [])],
        env=[{"name": n, "value": v} for n, v in wanted.get("env", {}).items()],
    )
    answer = called.http("GET")
    code = wanted.get("exit_code", 0)
    if code == 0:
        assert answer.status in (200, 204), answer
        assert answer.body.decode().startswith(wanted.get("stdout", ""))
    else:
        assert f"exit code {code}" in answer.json()["error"]["message"]
