# SPDX-License-Identifier: Apache-2.0
"""WASI preview 1: commands, what they find around them, and how they end."""

import json
import pathlib
import re

import pytest

import wasm_compilers
import wasm_modules

FOLDER = pathlib.Path(__file__).parent / "wasi"


def command(module, **spec):
    return {"runtime": "wasm", "moduleBase64": wasm_modules.text_form(module), **spec}


def from_text(text, **spec):
    return command(wasm_modules.from_text(text), **spec)


GROUPS = re.findall(r'\{"(\w+)", \1\}', (FOLDER / "check.c").read_text())


@pytest.mark.parametrize("group", GROUPS)
def test_wasi_surroundings(deploy, group):
    spec = command(
        wasm_compilers.from_c(FOLDER / "check.c"),
        command=["check", group, "two words", ""],
        env=[{"name": "LEVEL", "value": "debug"}, {"name": "CE_TAG", "value": "of the function"}],
    )
    called = deploy(**spec)
    for _ in range(3):
        answer = called.server.send(
            called.path + "a%20b?x=1&y",
            {
                "ce-specversion": "1.0",
                "ce-id": "7",
                "ce-type": "test.type",
                "ce-source": "/test",
                "ce-tag": "of the event",
                "Authorization": "secret",
            },
            b'{"a":1}',
        )
        if group == "descriptors":
            assert (answer.status, answer.body) == (200, b"by two\nby two\n"), answer
        else:
            assert answer.status == 200 and answer.body.endswith(b"good\n"), answer
            assert answer.body in (b"good\n", b"together\ngood\n")


ENDS = {
    "exit": (500, "exit", "exit code 3: first line\nwhat went wrong"),
    "silent": (500, "exit", "exit code 255"),
    "trap": (500, "trap", "unreachable executed"),
    "abort": (500, "trap", "unreachable executed"),
    "bounds": (500, "trap", "out of bounds memory access"),
    "loop": (504, "time", "300 ms"),
    "sleep": (504, "time", "300 ms"),
    "output": (500, "output", "more bytes than the limit of 10000"),
    "errors": (504, "time", "300 ms"),
    "memory": (500, "trap", "unreachable executed"),
}


@pytest.mark.parametrize("how", ENDS)
def test_wasi_bad_ends(shared, deploy, how):
    status, kind, message = ENDS[how]
    called = deploy(
        **command(wasm_compilers.from_c(FOLDER / "ends.c"), command=["ends", how]),
        limits={"timeout": "PT0.3S", "memory": "16Mi", "responseBytes": "10k"},
    )
    for _ in range(2):
        answer = called.event()
        error = answer.json()["error"]
        assert (answer.status, error["kind"]) == (status, kind), answer
        assert message in error["message"] and error["event"] == "1"
        assert called.http("POST", "?g", body=b"").body == b"good\n"
    assert shared.http.get("/health/readiness").status == 200


def test_wasi_log(deploy):
    called = deploy(**command(wasm_compilers.from_c(FOLDER / "ends.c"), command=["ends", "exit"]))
    called.event()
    log = called.wait_logs("exit code 3")
    assert "info [1] first line\n" in log and "info [1] what went wrong\n" in log
    assert "error [1] the program ended with exit code 3" in log


def say(text):
    """A command that writes the text."""
    data = text.encode()
    escaped = "".join(f"\\{byte:02x}" for byte in data)
    return f"""(module
        (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\{len(data) & 255:02x}\\{len(data) >> 8:02x}\\00\\00")
        (data (i32.const 16) "{escaped}")
        (func (export "_start") i32.const 1 i32.const 0 i32.const 1 i32.const 8 call $w drop))"""


REPLIES = [
    ("", 204, None, b""),
    ("text\n", 200, "text/plain; charset=utf-8", b"text\n"),
    ('{"a":1}', 200, "application/json", b'{"a":1}'),
    ("Content-Type: text/html\n\n<p>", 200, "text/html", b"<p>"),
    ("Status: 404 Not Found\n\nno", 404, "text/plain; charset=utf-8", b"no"),
    ("ce-type: t\nContent-Type: a/b\n\nx", 200, "a/b", b"x"),
    ('{"specversion":"1.0","type":"t","data":{"b":2}}', 200, "application/json", b'{"b":2}'),
    ("Content-Type: a/b\nContent-Length: 9\nX: \x01\n\n", 200, "text/plain; charset=utf-8", None),
]


@pytest.mark.parametrize("index", range(len(REPLIES)))
def test_wasi_replies(deploy, index):
    text, status, kind, body = REPLIES[index]
    answer = deploy(**from_text(say(text))).event()
    assert answer.status == status and answer.headers.get("content-type") == kind, answer
    assert answer.body == (text.encode() if body is None else body)
    if '"specversion"' in text or text.startswith("ce-"):
        assert answer.headers["ce-type"] == "t" and answer.headers["ce-id"]
        assert answer.headers["ce-source"].startswith("/functions/")


def test_wasi_reply_that_is_no_event(deploy):
    answer = deploy(**from_text(say('{"specversion":"1.0"}'))).event()
    assert answer.status == 500 and "type is missing" in answer.json()["error"]["message"]


# Each of preview 1's functions, and AssemblyScript's, with the signature that it has.
def import_all():
    types = {"i": "i32", "I": "i64", "f": "f32", "F": "f64"}
    source = (wasm_compilers.ROOT / "src" / "function" / "module_imports.c").read_text()
    rows = re.findall(r'    (WASI|ENV)\((\w+), "(\w*):(\w*)"\)', source)
    imports, calls = "", ""
    for number, (kind, name, parameters, results) in enumerate(rows):
        module = "wasi_snapshot_preview1" if kind == "WASI" else "env"
        given = " ".join(types[c] for c in parameters)
        taken = " ".join(types[c] for c in results)
        imports += (
            f'(import "{module}" "{name}" (func $f{number} (param {given}) (result {taken})))\n'
        )
        if name in ("proc_exit", "abort"):
            continue
        values = " ".join(f"{types[c]}.const {-1 if c in 'iI' else 1}" for c in parameters)
        calls += f"{values} call $f{number} {'drop' if results else ''}\n"
    return len(rows), imports, calls


def test_wasi_has_all_functions(deploy):
    count, imports, calls = import_all()
    assert count == 46 + 3
    leave = re.search(r'"proc_exit" \(func (\$f\d+)', imports).group(1)
    text = f"""(module {imports} (memory (export "memory") 1)
        (func (export "_start") {calls} i32.const 9 call {leave}))"""
    answer = deploy(**from_text(text)).event()
    assert "exit code 9" in answer.json()["error"]["message"], answer


@pytest.mark.parametrize(
    "module, name, words",
    [
        ("wasi_unstable", "fd_write", "preview 1"),
        ("wasi:cli/run@0.2.0", "run", "not for components"),
        ("wasi_snapshot_preview1", "thread_spawn", "of WASI there is preview 1"),
        ("wasi_snapshot_preview1", "fd_close", "with the signature :, but it is i:i"),
        ("env", "emscripten_notify", "bring all it needs"),
    ],
)
def test_wasi_imports_that_are_not_given(deploy, module, name, words):
    text = f'(module (import "{module}" "{name}" (func)) (func (export "_start")))'
    assert words in deploy(**from_text(text), wait=False).wait_failure()


def test_wasi_export_is_chosen(deploy):
    both = '(module (func (export "_start")) (func (export "x") (result i32) i32.const 1))'
    assert deploy(**from_text(both)).event().status == 204
    spec = from_text(both, function="x")
    assert deploy(name="g", **spec).event().json() == 1
    neither = '(module (func (export "x") (result i32) i32.const 1))'
    assert "handle" in deploy(name="h", **from_text(neither), wait=False).wait_failure()
    mapped = deploy(name="j", **from_text(both, arguments="[]"), wait=False).wait_failure()
    assert "standard input" in mapped
    wrong = '(module (func (export "_start") (param i32)))'
    assert "signature i:" in deploy(name="i", **from_text(wrong), wait=False).wait_failure()


REACTOR = """(module (memory (export "memory") 1) (global $ready (mut i32) (i32.const 0))
    (func (export "_initialize") {body} global.get $ready i32.const 1 i32.add global.set $ready)
    (func (export "f") (result i32) global.get $ready i32.const 1 i32.add global.set $ready global.get $ready))"""


def test_wasi_reactor_is_initialised_before_the_snapshot(deploy):
    spec = from_text(REACTOR.format(body=""), function="f")
    called = deploy(**spec)
    assert [called.event().json() for _ in range(3)] == [2, 2, 2]
    called = deploy(name="g", isolation="instance", **spec)
    assert [called.event().json() for _ in range(3)] == [2, 3, 4]


@pytest.mark.parametrize("body, word", [("unreachable", "unreachable"), ("(loop br 0)", "time")])
def test_wasi_reactor_that_cannot_be_initialised(deploy, body, word):
    spec = from_text(REACTOR.format(body=body), function="f", limits={"timeout": "PT0.3S"})
    assert word in deploy(**spec, wait=False).wait_failure()


def test_wasi_command_is_fresh_under_any_isolation(deploy):
    spec = command(
        wasm_compilers.from_c(FOLDER / "check.c"), command=["check", "fresh"], isolation="instance"
    )
    called = deploy(**spec)
    assert [called.event().body for _ in range(3)] == [b"good\n"] * 3
