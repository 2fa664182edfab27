# SPDX-License-Identifier: Apache-2.0
"""`sluice function new`: what it writes, and what it leaves alone."""

import pathlib
import shutil
import subprocess

import pytest
import yaml

from command import run
from daemon import ROOT

RUNTIMES = sorted(path.parent.name for path in (ROOT / "runtimes").glob("*/template"))


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_project_of_each_runtime(tmp_path, runtime):
    result = run("function", "new", "--runtime", runtime, "projects/greeter", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "projects" / "greeter"
    for name in files(folder):
        text = (folder / name).read_bytes()
        assert b"{{name}}" not in text, name
        assert name in result.stdout
    manifest = yaml.safe_load((folder / "function.yaml").read_text())
    assert manifest["kind"] == "Function" and manifest["metadata"]["name"] == "greeter"
    assert manifest["spec"]["runtime"] == runtime
    assert "README.md" in files(folder)
    assert list((folder / "tests").iterdir()), "no cases"
    assert "sluice function run projects/greeter" in result.stdout


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "greeter").mkdir()
    (tmp_path / "greeter" / "mine.txt").write_text("precious")
    result = run("function", "new", "greeter", cwd=tmp_path)
    assert result.returncode == 1 and "is there already" in result.stderr
    assert files(tmp_path / "greeter") == ["mine.txt"]
    (tmp_path / "file").write_text("a file")
    assert run("function", "new", "file", cwd=tmp_path).returncode == 1
    # a folder without anything in it is as good as none
    (tmp_path / "empty").mkdir()
    assert run("function", "new", "./empty/", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["wants NAME"]),
        (["Greeter"], ["Greeter", "a to z"]),
        (["a" * 64], ["63"]),
        (["-r", "cobol", "x"], ["cobol", "js", "wasm"]),
        (["-r", "../js", "x"], ["../js"]),
    ],
)
def test_misuse(tmp_path, arguments, words):
    result = run("function", "new", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert all(word in result.stderr for word in words), result.stderr
    assert files(tmp_path) == []


def test_no_folder_of_runtimes(tmp_path):
    result = run("function", "new", "x", cwd=tmp_path, env={"SLUICE_RUNTIMES": "/nonexistent"})
    assert result.returncode == 2 and "/nonexistent: No such file" in result.stderr
    assert files(tmp_path) == []


def test_a_group_lists_its_commands():
    for arguments in (["function", "--help"], ["help", "function"]):
        result = run(*arguments)
        assert result.returncode == 0 and "function new" in result.stdout
    assert run("function").returncode == 2
    result = run("function", "nwe")
    assert result.returncode == 2 and "sluice function new" in result.stderr


def test_the_module_of_the_wasm_template_is_that_of_its_source(tmp_path):
    folder = ROOT / "runtimes" / "wasm" / "template"
    for name in ("Makefile", "function.c"):
        shutil.copy(folder / name, tmp_path)
    subprocess.run(["make", "-s", "CLANG=clang-14"], cwd=tmp_path, check=True, timeout=60)
    built = pathlib.Path(tmp_path / "function.wasm").read_bytes()
    assert built == (folder / "function.wasm").read_bytes()
