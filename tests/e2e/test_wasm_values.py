# SPDX-License-Identifier: Apache-2.0
"""What goes into exported functions and comes out of them: numbers of each type, several results, texts
and bytes through memory, with and without JavaScript in between."""

import json
import pathlib

import pytest

import wasm_compilers
import wasm_modules

SOURCE = pathlib.Path(__file__).parent / "wasi" / "bytes.c"


def spec_of(module, function, **spec):
    text = wasm_modules.text_form(module)
    return {"runtime": "wasm", "moduleBase64": text, "function": function, **spec}


def from_text(text, function="f", **spec):
    return spec_of(wasm_modules.from_text(text), function, **spec)


def from_c(function, **spec):
    return spec_of(wasm_compilers.from_c(SOURCE, "-mexec-model=reactor"), function, **spec)


NUMBERS = """(module (func (export "f") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 3 local.get 2 local.get 1 local.get 0))"""


@pytest.mark.parametrize(
    "given, taken",
    [
        ("[-1, -2n, 0.5, 0.25]", ["0.25", "0.5", "-2", "-1"]),
        (
            "['7', 9223372036854775807n, 1e30, -0]",
            ["0", "1.0000000150474662e+30", "9223372036854775807", "7"],
        ),
        ("[4294967295, 5, -Infinity, Infinity]", ["Infinity", "-Infinity", "5", "-1"]),
        ("[2147483648, -1, NaN, NaN]", ["NaN", "NaN", "-1", "-2147483648"]),
    ],
)
def test_wasm_numbers_of_all_types(deploy, given, taken):
    called = deploy(**from_text(NUMBERS, arguments=given, response="result.map(String)"))
    assert called.event().json() == taken


def test_wasm_results_have_types(deploy):
    response = "({ types: meta.types, kinds: result.map(r => typeof r) })"
    called = deploy(**from_text(NUMBERS, arguments="[1, 2, 3, 4]", response=response))
    assert called.event().json() == {
        "types": ["f64", "f32", "i64", "i32"],
        "kinds": ["number", "number", "bigint", "number"],
    }


EVENT = {"specversion": "1.0", "id": "1", "type": "test.type", "source": "/test"}


@pytest.mark.parametrize("isolation", ["event", "instance"])
def test_wasm_handle_needs_no_javascript(deploy, isolation):
    """The event goes in as JSON; what comes out is an event, too."""
    called = deploy(**from_c("handle", isolation=isolation))
    for n in range(3):
        answer = called.event(b'{"n":%d}' % n)
        assert answer.status == 200 and answer.headers["ce-type"] == "test.type", answer
        assert answer.json() == {"n": n}
    assert called.http("POST", body=b"plain").body == b"plain"
    empty = called.http("GET")
    assert (empty.status, empty.body) == (204, b"")
    assert "handled 5 bytes" in called.wait_logs("handled 5 bytes")


def test_wasm_handle_is_found(deploy):
    spec = from_c("handle")
    del spec["function"]
    assert deploy(**spec).http("POST", body=b"hello").body == b"hello"


RESULTS = [
    ("text", b"hi \xe2\x82\xac", 200, "text/plain; charset=utf-8"),
    ("bytes", b"\xff\0", 200, "application/octet-stream"),
    ("json", b"[1,2]", 200, "application/json"),
    ("json", b"{", 500, None),
    ("event", b'{"specversion":"1.0","type":"t","data":{"x":1}}', 200, "application/json"),
    ("event", b"no event", 500, None),
    ("text", b"", 204, None),
]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("kind, body, status, content_type", RESULTS)
def test_wasm_results_as_said(deploy, mapped, kind, body, status, content_type):
    spec = from_c("handle", result=kind)
    if mapped:
        spec["arguments"] = (
            "(event, context) => [new Uint8Array(context.cloudevent ? [] : (event ?? []))]"
        )
    called = deploy(**spec)
    answer = called.http("POST", body=body, headers={"Content-Type": "application/octet-stream"})
    assert answer.status == status, answer
    if status == 200:
        assert (
            answer.headers["content-type"]
            .replace(" ", "")
            .startswith(content_type.replace(" ", ""))
        )
        if kind == "event":
            assert answer.headers["ce-type"] == "t" and answer.json() == {"x": 1}
            assert answer.headers["ce-source"] == f"/functions/{called.place}/f"
        elif kind == "json":
            assert answer.json() == json.loads(body)
        else:
            assert answer.body == body


@pytest.mark.parametrize("isolation", ["event", "instance"])
def test_wasm_texts_with_mappings(deploy, isolation):
    spec = from_c(
        "join",
        arguments="[event.data.a, event.data.n, event.data.b]",
        response="result => ({ joined: result })",
        result="text",
        isolation=isolation,
    )
    called = deploy(**spec)
    rows = [("x", 3, "y"), ("", -1, ""), ("ä€😀", 2, {"k": [1]}), ("z" * 100, 0, "w" * 90)]
    for a, n, b in rows:
        shown = b if isinstance(b, str) else json.dumps(b, separators=(",", ":"))
        answer = called.event(json.dumps({"a": a, "n": n, "b": b}).encode())
        assert answer.json() == {"joined": f"{a}|{n}|{shown}"}, answer


def test_wasm_response_without_arguments(deploy):
    """The export gets the whole input, as it would without JavaScript."""
    spec = from_c("handle", result="event", response="r => ({ type: r.type, data: r.data })")
    called = deploy(**spec)
    assert called.event(b'{"a":1}').json() == {"type": "test.type", "data": {"a": 1}}
    called = deploy(name="g", **from_c("handle", result="text", response="r => r.toUpperCase()"))
    assert called.http("POST", body=b"body", headers={"Content-Type": "text/plain"}).body == b"BODY"


def test_wasm_bytes_with_mapping(deploy):
    spec = from_c("sum", arguments="[new Uint8Array([1, 2, 250])]", response="({ r: result })")
    assert deploy(**spec).event().json() == {"r": 253}


def test_wasm_a_failed_call_leaves_no_arguments(deploy):
    spec = from_c(
        "join",
        arguments="event => event.data.bad ? ['secret', 'no number', 'x'] : ['a', 1, 'b']",
        result="text",
    )
    called = deploy(**spec)
    for _ in range(2):
        assert called.event(b'{"bad":1}').status == 500
        assert called.event(b'{"bad":0}').body == b"a|1|b"


def test_wasm_memory_is_freed_in_a_shared_instance(deploy):
    """What 200 calls take, with and without JavaScript, would not fit into it."""
    texts = "[context.rawBody, 1, 'x']"
    specs = [from_c("handle"), from_c("join", arguments=texts, result="text")]
    body = b"x" * 65536
    for name, spec in zip("fg", specs):
        called = deploy(name=name, **spec, isolation="instance", limits={"memory": "4Mi"})
        for _ in range(200):
            answer = called.http("POST", body=body, headers={"Content-Type": "text/plain"})
            assert answer.status == 200 and answer.body.startswith(b"xxxx"), answer


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("mapped", [False, True])
def test_wasm_results_outside_of_memory(deploy, which, mapped):
    spec = from_c("wild", result="bytes")
    if mapped:
        spec["arguments"] = f"['{which}']"
    called = deploy(**spec)
    answer = called.http("POST", body=str(which).encode())
    assert answer.status == 500 and b"out of bounds" in answer.body, answer


def test_wasm_result_that_is_too_large(deploy):
    called = deploy(**from_c("big", result="bytes"), limits={"responseBytes": "1k"})
    answer = called.http("POST", body=b"x")
    assert answer.status == 500 and answer.json()["error"]["kind"] == "output", answer


ALLOCATORS = {
    "sluice_alloc": "(param i32) (result i32)",
    "malloc": "(param i32) (result i32)",
    "alloc": "(param i32) (result i32)",
    "allocate": "(param i32) (result i32)",
    "cabi_realloc": "(param i32 i32 i32 i32) (result i32)",
    "__new": "(param i32 i32) (result i32)",
}


def allocating(name, signature, body="i32.const 4096"):
    return f"""(module (memory (export "memory") 1) (func (export "{name}") {signature} {body})
        (func (export "f") (param i32 i32) (result i32 i32) local.get 0 local.get 1))"""


@pytest.mark.parametrize("name", ALLOCATORS)
def test_wasm_allocators(deploy, name):
    called = deploy(**from_text(allocating(name, ALLOCATORS[name])))
    assert called.http("POST", body=b"hello").body == b"hello"


@pytest.mark.parametrize(
    "body, word",
    [
        ("i32.const 0", "gives no memory"),
        ("i32.const -4", "gives no memory"),
        ("i32.const 65535", "gives no memory"),
        ("unreachable", "unreachable"),
        ("(loop br 0) i32.const 0", "time limit"),
    ],
)
def test_wasm_allocators_that_lie(deploy, body, word):
    text = allocating("malloc", ALLOCATORS["malloc"], body)
    called = deploy(**from_text(text), limits={"timeout": "PT0.3S"})
    for _ in range(2):
        answer = called.http("POST", body=b"hello")
        assert answer.status >= 500 and word in answer.body.decode(), answer


def test_wasm_without_allocator(deploy):
    text = allocating("other", ALLOCATORS["malloc"])
    assert "sluice_alloc" in deploy(**from_text(text), wait=False).wait_failure()
    called = deploy(name="g", **from_text(text, arguments="['text']", result="text"))
    answer = called.event()
    assert answer.status == 500 and "sluice_alloc" in answer.body.decode()


def test_wasm_result_kind_needs_address_and_length(deploy):
    text = '(module (func (export "f") (result i32) i32.const 1))'
    refused = deploy(**from_text(text, result="text"), wait=False).wait_failure()
    assert "address << 32 | length" in refused
