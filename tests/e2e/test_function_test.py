# SPDX-License-Identifier: Apache-2.0
"""`sluice function test`: cases against a function in its runtime, without a broker."""

import json
import shutil

import pytest
import yaml

from command import run
from daemon import ROOT
from projects import NODE_MODULES, new, packages_of

TEMPLATES = sorted(path.parent.name for path in (ROOT / "runtimes").glob("*/template"))

ECHO = """
exports.handle = (context, event) => {
  console.log(`method ${context.method}`);
  if (context.query.fail) throw new Error('as asked');
  if (context.cloudevent) return {type: event.type, extra: event.extra, data: event.data};
  return {method: context.method, name: context.headers['x-name'], sent: typeof context.body};
};
"""


def check(folder, *arguments, cwd=None, timeout=30, **env):
    words = ["function", "test", str(folder), *arguments]
    return run(*words, cwd=cwd, env=env, timeout=timeout)


@pytest.fixture
def echo(tmp_path):
    (tmp_path / "index.js").write_text(ECHO)

    def test(*cases, arguments=()):
        (tmp_path / "cases.yaml").write_text(yaml.safe_dump({"cases": list(cases)}))
        result = check("index.js", "--cases", "cases.yaml", "-o", "json", *arguments, cwd=tmp_path)
        try:
            return result, {one["name"]: one for one in json.loads(result.stdout)}
        except ValueError:
            return result, {}

    return test


def node_that_has_its_packages(folder):
    """The node runtime with faas-js-runtime beside it, so that nothing is fetched: test_runtimes.py shows
    that npm does."""
    runtime = folder / "runtimes" / "node"
    shutil.copytree(ROOT / "runtimes" / "node", runtime)
    described = yaml.safe_load((runtime / "runtime.yaml").read_text())
    del described["prepare"]
    (runtime / "runtime.yaml").write_text(yaml.safe_dump(described))
    for package in packages_of("faas-js-runtime"):
        shutil.copytree(NODE_MODULES / package, runtime / "node_modules" / package)
    return runtime.parent


@pytest.mark.parametrize("runtime", TEMPLATES)
def test_the_cases_of_each_template_pass(tmp_path, runtime):
    folder = new(tmp_path, runtime)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    if runtime == "node":
        env["SLUICE_RUNTIMES"] = str(node_that_has_its_packages(tmp_path))
    result = check(folder, timeout=60, **env)
    assert result.returncode == 0, result.stdout + result.stderr
    passed, failed = result.stdout.splitlines()[-1].split(", ")
    assert int(passed.split()[0]) >= 2 and failed == "0 failed"


def test_what_differs_is_told(tmp_path):
    folder = new(tmp_path)
    cases = (folder / "tests" / "greeting.yaml").read_text()
    cases = cases.replace("Hello, Ada", "Hello, Eve").replace("ce-type: com", "ce-type: org")
    (folder / "tests" / "greeting.yaml").write_text(cases.replace("a greeting for", "no sign of"))
    result = check(folder)
    assert result.returncode == 1
    for line in (
        "ce-type: expected org.example.greeted, got com.example.greeted",
        'log: no line with "no sign of Grace"',
        "it printed: a greeting for Grace",
        'data: expected {"text":"Hello, Eve!"}, got {"text":"Hello, Ada!"}',
        "1 passed, 2 failed",
    ):
        assert line in result.stdout.splitlines(), result.stdout
    chosen = check(folder, "--case", "nobody")
    assert chosen.returncode == 0 and "1 passed, 0 failed" in chosen.stdout
    result = check(folder, SLUICE_WORKER="/nonexistent/worker")
    assert result.returncode == 1 and "cannot run /nonexistent/worker" in result.stderr
    result = check(folder, "--case", "no such case")
    assert result.returncode == 1 and "no case has this text" in result.stderr


def test_forms_of_cases(echo):
    result, seen = echo(
        {
            "name": "event",
            "event": {"type": "t", "extra": "ü %", "data": [1]},
            "expect": {"data": {"type": "t", "extra": "ü %", "data": [1]}, "log": ["method POST"]},
        },
        {
            "name": "request",
            "request": {"method": "PUT", "path": "/a?b=c", "headers": {"X-Name": "n"}},
            "expect": {"status": 200, "data": {"method": "PUT", "name": "n", "sent": "undefined"}},
        },
        {
            "name": "fails as expected",
            "request": {"path": "/?fail=1"},
            "expect": {"status": 500, "bodyContains": "as asked"},
        },
        {"name": "success is expected", "request": {"path": "/?fail=1"}},
        {"name": "the whole body", "request": {}, "expect": {"body": "no"}},
    )
    assert result.returncode == 1
    assert [name for name, one in seen.items() if one["passed"]] == [
        "event",
        "request",
        "fails as expected",
    ]
    assert "expected success, got 500" in seen["success is expected"]["complaints"]
    assert "as asked" in seen["success is expected"]["complaints"]
    assert seen["event"]["log"] == ["method POST"]


@pytest.mark.parametrize(
    "case, words",
    [
        ({"request": {}}, ["name"]),
        ({"name": "x"}, ["event or a request"]),
        ({"name": "x", "event": {}, "request": {}}, ["either"]),
        ({"name": "x", "request": {}, "expct": {}}, ["expct"]),
        ({"name": "x", "request": {}, "expect": {"stauts": 1}}, ["expect.stauts"]),
        ({"name": "x", "request": {}, "expect": {"status": "200"}}, ["expect.status", "number"]),
        ({"name": "x", "request": {}, "expect": {"log": [1]}}, ["expect.log", "texts"]),
        ("text", ["object"]),
    ],
)
def test_cases_that_are_wrong(echo, case, words):
    result, _ = echo({"name": "fine", "request": {}}, case)
    assert result.returncode == 1
    assert "cases.yaml:" in result.stderr and "cases[1]" in result.stderr
    assert all(word in result.stderr for word in words), result.stderr


def test_what_cannot_be_tested(tmp_path):
    folder = new(tmp_path)
    (folder / "index.js").write_text("nonsense(")
    result = check(folder)
    assert result.returncode == 1 and "index.js:1:" in result.stderr
    (folder / "index.js").write_text("module.exports = () => 1")
    for file in (folder / "tests").iterdir():
        file.unlink()
    assert "has no cases" in check(folder).stderr
    (folder / "tests").rmdir()
    result = check(folder)
    assert result.returncode == 1 and "--cases" in result.stderr

