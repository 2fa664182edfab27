# SPDX-License-Identifier: Apache-2.0
"""The functions of examples/wasm, built with their languages' compilers and deployed as their READMEs
say."""

import os
import shutil
import subprocess

import pytest

import wasm_compilers

EXAMPLES = wasm_compilers.ROOT / "examples" / "wasm"


@pytest.fixture
def example(shared, place, tmp_path):
    """Applies a copy of the example's manifest beside the module that build() makes."""
    from called import Called

    def make(language, source, module, build, name, timeout=60):
        folder = tmp_path / language
        shutil.copytree(EXAMPLES / language, folder)
        build(folder / source if source else folder, folder / module)
        shared.cli("apply", "-n", place, "-f", str(folder / "function.yaml"))
        shared.wait_ready_condition("Function", name, place, timeout)
        return Called(shared, place, name)

    return make


def build_c(source, target):
    flags = "--target=wasm32-wasi -O2 -s -mexec-model=reactor".split()
    subprocess.run([wasm_compilers.CLANG, *flags, "-o", target, source], check=True)


def test_example_in_c(example):
    called = example("c", "slug.c", "slug.wasm", build_c, "slug")
    for title, slug in [("Hello, World!", "hello-world"), ("", ""), ("  A  b ", "a-b")]:
        answer = called.event(b'{"title":"%s"}' % title.encode())
        assert answer.headers["ce-type"] == "slug.made" and answer.json() == {"slug": slug}


def test_example_in_rust(example):
    called = example("rust", "words.rs", "words.wasm", wasm_compilers.from_rust, "words")
    answer = called.event(b'"One, two, TWO\\nthree"')
    assert answer.headers["ce-type"] == "words.counted", answer
    assert answer.json() == {"two": 2, "one": 1, "three": 1}
    assert called.http("POST", body=b"x").status == 400
    answer = called.event(b"7")
    assert answer.status == 500 and "no text as its data" in answer.json()["error"]["message"]


def test_example_in_assemblyscript(example):
    called = example(
        "assemblyscript", "greet.ts", "greet.wasm", wasm_compilers.from_script, "greet"
    )
    for name in ("Ann", "J\u00fcrgen \U0001f600"):
        answer = called.event(('{"name":"%s"}' % name).encode())
        assert answer.headers["ce-type"] == "greeting", answer
        assert answer.json() == {"text": f"Hello, {name}!"}
    assert "greeting Ann" in called.wait_logs("greeting Ann")
    answer = called.event(b"{}")
    assert answer.status == 500 and answer.json()["error"]["kind"] == "trap"
    assert "abort: the event has no name (greet.ts:" in called.wait_logs("abort:")


@pytest.mark.slow
def test_example_in_go(example):
    if wasm_compilers.go_compiler() is None:
        pytest.skip("there is no Go 1.21 or newer, which Debian 12 has not: install one to test it")
    if not os.environ.get("SLUICE_TEST_GO"):
        pytest.skip("compiling Go's runtime takes two minutes: set SLUICE_TEST_GO=1 to test it")
    called = example("go", None, "sum.wasm", wasm_compilers.from_go, "sum", timeout=600)
    for _ in range(2):
        answer = called.event(b'{"a":1,"b":2.5,"c":"x"}')
        assert answer.headers["ce-type"] == "sum" and answer.json() == {"sum": 3.5}, answer
    assert "event 1 of type test.type" in called.wait_logs("event 1 of type")
