# SPDX-License-Identifier: Apache-2.0
"""WebAssembly functions: values in and out, limits, and module bytes that are hostile."""

import json
import pathlib
import subprocess
import sys

import pytest

import daemon
import waiting
import wasm_modules
from wire import binary_event


def wasm(code, function="add", arguments="event => [event.data.a, event.data.b]", **spec):
    return {
        "runtime": "wasm",
        "moduleBase64": wasm_modules.text_form(code),
        "function": function,
        "arguments": arguments,
        **spec,
    }


def test_wasm_add(deploy):
    response = "(result, event, meta) => `module: ${meta.module}, function: ${meta.function}, returned ${result}: ${meta.types[0]}`"
    called = deploy(
        **wasm(wasm_modules.from_text(wasm_modules.ADD), response=response, module="add.wasm")
    )
    answer = called.event(b'{"a":4,"b":14}')
    assert answer.status == 200
    assert b"add.wasm, function: add, returned 18: i32" in answer.body


def test_wasm_expressions(deploy):
    spec = wasm(
        wasm_modules.from_text(wasm_modules.ADD),
        arguments="[event.data.a, 1]",
        response="({ sum: result })",
    )
    assert deploy(**spec).event(b'{"a":4}').json() == {"sum": 5}


def test_wasm_types(deploy):
    text = """(module (func (export "f") (param i32 i64 f32 f64) (result f64)
        local.get 0 f64.convert_i32_s local.get 1 f64.convert_i64_s f64.add
        local.get 2 f64.promote_f32 f64.add local.get 3 f64.add))"""
    spec = wasm(wasm_modules.from_text(text), "f", "[1, 2n, 0.5, 0.25]", response="({ r: result })")
    assert deploy(**spec).event().json() == {"r": 3.75}


FLOATS = [
    ("f64.min", "-0.0", "0.0", "-0"),
    ("f64.max", "nan", "1", "NaN"),
    ("f64.copysign", "1.5", "-2", "-1.5"),
    ("f64.nearest f64.add", "0.5", "2.5", "2.5"),
    ("f64.trunc f64.add", "1", "-2.7", "-1"),
    ("f64.ceil f64.sub", "1", "1.2", "-1"),
    ("f64.floor f64.sqrt f64.add", "1", "9.9", "4"),
    ("i32.trunc_sat_f64_s f64.convert_i32_s f64.add", "0", "1e300", "2147483647"),
    ("f32.demote_f64 f32.nearest f32.abs f64.promote_f32 f64.add", "0", "-3.5", "4"),
    ("i64.reinterpret_f64 i64.clz f64.convert_i64_u f64.add", "0", "1", "2"),
]


@pytest.mark.parametrize("code, a, b, result", FLOATS)
def test_wasm_floats(deploy, code, a, b, result):
    """Each operation that the translation leaves to the C library or to the compiler."""
    text = f'(module (func (export "f") (result f64) f64.const {a} f64.const {b} {code}))'
    shown = "({ r: Object.is(result, -0) ? '-0' : String(result) })"
    called = deploy(**wasm(wasm_modules.from_text(text), "f", "[]", response=shown))
    assert called.event().json() == {"r": result}


def test_wasm_float_to_integer_traps(deploy):
    text = '(module (func (export "f") (param f32) (result i32) local.get 0 i32.trunc_f32_s))'
    spec = wasm(wasm_modules.from_text(text), "f", "[event.data]", response="({ r: result })")
    called = deploy(**spec)
    assert called.event(b"-1.9").json() == {"r": -1}
    assert called.event(b"1e20").status >= 500


def test_wasm_big_integers(deploy):
    text = '(module (func (export "f") (param i64) (result i64) local.get 0 i64.const 1 i64.add))'
    spec = wasm(
        wasm_modules.from_text(text), "f", "[9007199254740993n]", response="({ r: String(result) })"
    )
    assert deploy(**spec).event().json() == {"r": "9007199254740994"}


WASM_MISBEHAVIOUR = {
    "unreachable": "unreachable",
    "divide": "i32.const 1 i32.const 0 i32.div_s drop",
    "bounds": "i32.const -4 i32.load drop",
    "loop": "(loop br 0)",
    "recursion": "local.get 0 call 0 drop",
    "grow": "(loop i32.const 100 memory.grow drop br 0)",
    "signature": "i32.const 0 call_indirect (type 1)",
    "fill": "i32.const 0 i32.const 7 i32.const 65536 memory.fill (loop br 0)",
}


@pytest.mark.parametrize("kind", WASM_MISBEHAVIOUR)
def test_wasm_misbehaviour_ends_one_call(shared, deploy, kind):
    text = f"""(module (type (func (param i32) (result i32))) (type (func (param i64)))
        (memory 1) (table 1 funcref)
        (func (export "f") (type 0) local.get 0 i32.eqz if i32.const 7 return end
        {WASM_MISBEHAVIOUR[kind] if kind != "signature" else "i64.const 1 i32.const 0 call_indirect (type 1)"}
        i32.const 0))"""
    spec = wasm(wasm_modules.from_text(text), "f", "[event.data.n]", response="({ r: result })")
    called = deploy(**spec, limits={"timeout": "PT0.3S", "memory": "32Mi"})
    for _ in range(3):
        answer = called.event(b'{"n":1}')
        assert answer.status >= 500, answer
        assert called.event(b'{"n":0}').json() == {"r": 7}
    assert shared.http.get("/health/readiness").status == 200


# What is written, how, and as what it is read: at an odd address, as a 64-bit number.
WORD = 0x8877665544332211
ACCESSES = [
    ("i64.store", "i64.load", WORD - 2**64),
    ("i64.store", "i32.load i64.extend_i32_s", 0x44332211),
    ("i64.store", "i32.load8_s offset=7 i64.extend_i32_s", 0x88 - 2**8),
    ("i64.store", "i32.load8_u offset=7 i64.extend_i32_s", 0x88),
    ("i64.store", "i64.load8_s offset=7", 0x88 - 2**8),
    ("i64.store", "i64.load8_u offset=7", 0x88),
    ("i64.store", "i32.load16_s offset=6 i64.extend_i32_s", 0x8877 - 2**16),
    ("i64.store", "i32.load16_u offset=6 i64.extend_i32_s", 0x8877),
    ("i64.store", "i64.load16_s offset=6", 0x8877 - 2**16),
    ("i64.store", "i64.load16_u offset=6", 0x8877),
    ("i64.store", "i64.load32_s offset=4", 0x88776655 - 2**32),
    ("i64.store", "i64.load32_u offset=4", 0x88776655),
    ("i64.store", "f64.load i64.reinterpret_f64", WORD - 2**64),
    ("i64.store", "f32.load i32.reinterpret_f32 i64.extend_i32_u", 0x44332211),
    ("f64.reinterpret_i64 f64.store", "i64.load", WORD - 2**64),
    ("i32.wrap_i64 f32.reinterpret_i32 f32.store", "i64.load", 0x44332211),
    ("i64.store32", "i64.load", 0x44332211),
    ("i64.store16", "i64.load", 0x2211),
    ("i64.store8", "i64.load", 0x11),
    ("i32.wrap_i64 i32.store", "i64.load", 0x44332211),
    ("i32.wrap_i64 i32.store16", "i64.load", 0x2211),
    ("i32.wrap_i64 i32.store8", "i64.load", 0x11),
]


def test_wasm_loads_and_stores(deploy):
    cases = "".join(
        f"""(if (i32.eq (local.get 0) (i32.const {n})) (then
            i32.const 65521 i64.const {WORD} {store} i32.const 65521 {load} return))"""
        for n, (store, load, _) in enumerate(ACCESSES)
    )
    text = f'(module (memory 1) (func (export "f") (param i32) (result i64) {cases} i64.const 0))'
    spec = wasm(
        wasm_modules.from_text(text), "f", "[event.data]", response="({ r: String(result) })"
    )
    called = deploy(**spec)
    for n, (store, load, value) in enumerate(ACCESSES):
        assert called.event(str(n).encode()).json() == {"r": str(value)}, (store, load)


# The address comes as the argument or is a constant, and a sum may need more than 32 bits.
OUTSIDE = {
    "unused": ("local.get 0 i32.load drop", [65533, 65536, 0x7FFFFFFF, -0x80000000, -1]),
    "far": ("local.get 0 i64.load offset=0xffffffff drop", [0, 1, -9, -1]),
    "far-store": ("local.get 0 i64.const 1 i64.store offset=0xffffffff", [0, 1, -9, -1]),
    "high-offset": ("local.get 0 i32.load offset=0x80000000 drop", [0, -0x80000000, -4]),
    "store": ("local.get 0 i32.const 1 i32.store", [65533, 65536, -1]),
    "store8": ("local.get 0 i32.const 1 i32.store8", [65536, -1]),
    "constant": ("i32.const -8 i32.load drop", [0]),
    "constant-2g": ("i32.const 0x80000000 i32.load drop", [0]),
    "constant-store": ("i32.const -8 i32.const 1 i32.store", [0]),
    "constant-far": ("i32.const -1 i64.load offset=0xffffffff drop", [0]),
    "constant-far-store": ("i32.const -1 i64.const 1 i64.store offset=0xffffffff", [0]),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_wasm_access_outside_of_memory(deploy, kind):
    code, addresses = OUTSIDE[kind]
    text = f"""(module (memory 1) (func (export "f") (param i32 i32) (result i32)
        local.get 1 if {code} end i32.const 7))"""
    spec = wasm(
        wasm_modules.from_text(text),
        "f",
        "[event.data.at, event.data.go]",
        response="({ r: result })",
    )
    called = deploy(**spec)
    for at in addresses:
        answer = called.event(b'{"at":%d,"go":1}' % at)
        assert answer.status == 500 and b"out of bounds memory access" in answer.body, (at, answer)
        assert called.event(b'{"at":%d,"go":0}' % at).json() == {"r": 7}


def test_wasm_edges_of_memory(deploy):
    """The first word, the last byte, and both of what has been grown."""
    text = """(module (memory 1) (func (export "f") (result i64)
        i32.const 0 i32.const 0 i32.load i32.const 1 i32.add i32.store
        i32.const 65535 i32.const 2 i32.store8
        i32.const 1 memory.grow drop
        i32.const 65536 i32.const 3 i32.store8
        i32.const 131071 i32.const 4 i32.store8
        i32.const 65532 i64.load i32.const 131068 i64.load32_u i64.add
        i32.const 0 i64.load32_u i64.add))"""
    spec = wasm(wasm_modules.from_text(text), "f", "[]", response="({ r: String(result) })")
    called = deploy(**spec)
    for _ in range(3):
        assert called.event().json() == {"r": str((2 << 24) + (3 << 32) + (4 << 24) + 1)}


def test_wasm_start_function_and_data_use_memory(deploy):
    text = """(module (memory 1) (data (i32.const 100) "\\05")
        (func $s i32.const 200 i32.const 100 i32.load8_u i32.const 1 i32.add i32.store) (start $s)
        (func (export "f") (result i32) i32.const 200 i32.load))"""
    spec = wasm(wasm_modules.from_text(text), "f", "[]", response="({ r: result })")
    assert deploy(**spec).event().json() == {"r": 6}


def test_wasm_bulk_operations_and_accesses_see_each_other(deploy):
    text = """(module (memory 1) (func (export "f") (param i32) (result i32)
        i32.const 16 i32.const 0x01010101 i32.store
        i32.const 17 i32.const 2 i32.const 2 memory.fill
        i32.const 32 i32.const 16 i32.const 4 memory.copy
        i32.const 35 i32.const 3 i32.store8
        local.get 0 i32.eqz i32.const 9 i32.const 4 memory.fill
        local.get 0 i32.eqz i32.load i32.const 0x09090909 i32.sub
        i32.const 32 i32.load i32.add))"""
    spec = wasm(wasm_modules.from_text(text), "f", "[event.data]", response="({ r: result })")
    called = deploy(**spec)
    for data in (b"0", b"1"):
        assert called.event(data).json() == {"r": 0x03020201}


def test_wasm_memory_is_fresh_for_each_event(deploy):
    text = """(module (memory 1) (global $g (mut i32) (i32.const 0))
        (func (export "f") (result i32)
        global.get $g i32.const 1 i32.add global.set $g
        i32.const 60000 i32.const 60000 i32.load i32.const 1 i32.add i32.store
        i32.const 60000 i32.load i32.const 10 i32.mul global.get $g i32.add memory.size i32.const 100 i32.mul i32.add
        i32.const 1 memory.grow drop))"""
    spec = wasm(wasm_modules.from_text(text), "f", "[]", response="({ r: result })")
    called = deploy(**spec)
    assert [called.event().json()["r"] for _ in range(5)] == [111] * 5


@pytest.mark.parametrize("isolation", ["event", "instance"])
def test_wasm_writes_all_over_its_memory(deploy, isolation):
    """More pages than a sort of the C library's sorts without asking the kernel for memory."""
    text = """(module (memory 64) (func (export "f") (result i32) (local i32 i32)
        (loop
            local.get 1 local.get 0 i32.load i32.add local.set 1
            local.get 0 i32.const 7 i32.store
            local.get 0 i32.const 4096 i32.add local.tee 0 i32.const 4194304 i32.lt_u br_if 0)
        local.get 1))"""
    spec = wasm(wasm_modules.from_text(text), "f", "[]", response="({ r: result })")
    called = deploy(**spec, isolation=isolation)
    left = 0 if isolation == "event" else 7 * 1024
    assert [called.event().json()["r"] for _ in range(3)] == [0, left, left]


def test_wasm_start_function_that_never_ends(deploy):
    text = '(module (func $s (loop br 0)) (start $s) (func (export "add") (param i32 i32) (result i32) i32.const 0))'
    spec = wasm(wasm_modules.from_text(text))
    called = deploy(**spec, wait=False, limits={"timeout": "PT0.5S"})
    waiting.until(lambda: called.event(b'{"a":1,"b":2}').status >= 500, 30)


GOOD = wasm_modules.binary_add()
SIMD = """(module (func (export "add") (param i32 i32) (result i32)
    local.get 0 i32x4.splat local.get 1 i32x4.splat i32x4.add i32x4.extract_lane 0))"""


def hostile_modules():
    cut = [GOOD[:n] for n in (0, 1, 4, 7, 8, 9, 15, len(GOOD) - 1)]
    yield from ((f"cut-{len(module)}", module, "") for module in cut)
    yield "text", b"hello, this is no module", "webassembly"
    yield "elf", b"\x7fELF" + b"\0" * 100, "webassembly"
    yield "wat", wasm_modules.ADD.encode(), "webassembly"
    yield "version", b"\0asm\2\0\0\0", "version"
    yield "zeros", b"\0" * 1000, ""
    yield "import", wasm_modules.binary_add(imports=[("env", "system")]), "env"
    yield "simd", wasm_modules.from_text(SIMD), "simd"
    yield "trailing", GOOD + b"\0\0\0", ""
    yield "section-order", GOOD + GOOD[8:], ""
    yield "huge-count", wasm_modules.MAGIC + wasm_modules.section(1, b"\xff\xff\xff\xff\x0f"), ""
    yield "huge-section", wasm_modules.MAGIC + b"\1\xff\xff\xff\xff\x0f", ""
    yield "overlong-number", wasm_modules.MAGIC + b"\1\x80\x80\x80\x80\x80\x80\x80\0", ""
    yield "invalid-utf8-name", wasm_modules.binary_add(exports=[b"\xff\xfe"]), ""
    yield "bad-body", wasm_modules.binary_add(body=b"\0\x6a\x0b"), ""
    yield "memory64", wasm_modules.MAGIC + wasm_modules.section(5, b"\1\4\1"), ""
    yield "huge-memory", wasm_modules.from_text(
        '(module (memory 65536) (func (export "add") (param i32 i32) (result i32) i32.const 0))'
    ), "memory"
    yield "no-export", wasm_modules.from_text('(module (func (export "other")))'), "add"


@pytest.mark.parametrize(
    "module, word", [pytest.param(m, w, id=i) for i, m, w in hostile_modules()]
)
def test_hostile_modules_are_refused(shared, deploy, place, module, word):
    spec = wasm(module)
    answer = shared.create(daemon.function("f", place, **spec))
    if answer.status == 201:
        text = deploy(**spec, wait=False).wait_failure()
    else:
        assert answer.status in (400, 422), answer
        text = answer.body.decode()
    assert word.lower() in text.lower(), text
    assert len(text) < 8192, "the message is for people"


NASTY = [
    "*/ #error injected /*",
    '*/ __attribute__((constructor)) static void p(void) { extern int system(const char*); system("touch @"); } /*',
    'a"); system("touch @"); ("',
    "line\nbreak",
    "line\r\n#include </etc/passwd>\n",
    "nul\0byte",
    "??/\n",
    "\\\n",
    "//",
    "%s%n%n%n",
    "$(touch @)",
    "`touch @`",
    "'; touch @; '",
    "../../../../tmp/x",
    "a" * 5000,
    "€\u202e",
    "main",
    "w2c_f",
    "",
]


@pytest.mark.parametrize("index", range(len(NASTY)))
def test_names_that_try_to_become_code(shared, deploy, tmp_path, index):
    """As an export, as an import, as a custom section, as a debug name."""
    mark = tmp_path / "mark"
    name = NASTY[index].replace("@", str(mark))
    custom = wasm_modules.section(0, wasm_modules.name(name) + name.encode())
    debug = wasm_modules.section(
        0,
        wasm_modules.name("name")
        + b"\1"
        + wasm_modules.number(len(wasm_modules.vector([b"\0" + wasm_modules.name(name)])))
        + wasm_modules.vector([b"\0" + wasm_modules.name(name)]),
    )
    module = wasm_modules.binary_add(exports=["add", name], extra=custom + debug)
    called = deploy(**wasm(module, response="({ r: result })"), wait=False)
    found = shared.wait_condition(
        "Function",
        "f",
        called.place,
        lambda f: daemon.condition(f).get("status") in ("True", "False"),
        60,
    )
    if daemon.condition(found)["status"] == "True":
        assert called.event(b'{"a":1,"b":2}').json() == {"r": 3}
    assert not mark.exists(), "a name was run"
    refused = deploy(name="g", **wasm(wasm_modules.binary_add(imports=[(name, name)])), wait=False)
    refused.wait_failure()
    assert not mark.exists(), "a name was run"


def test_translator_with_other_output_is_refused(tmp_path):
    """Code whose accessors of memory could not be replaced is never loaded."""
    programs, cache = tmp_path / "programs", tmp_path / "cache"
    programs.mkdir()
    cache.mkdir()
    (programs / "wasm2c").symlink_to("/usr/bin/true")
    builder = pathlib.Path(daemon.BINARY).with_name("sluice-builder")
    path = f"{programs}:/usr/bin:/bin"
    done = subprocess.run(
        [builder, "--cache", cache], input=GOOD, env={"PATH": path}, capture_output=True
    )
    answer = json.loads(done.stdout)
    assert done.returncode == 1 and not answer["ok"] and answer["reason"] == "BuildFailed"
    assert "1.0.32" in answer["message"]
    assert not list(cache.glob("*.so"))


def test_quickjs_from_a_translator_with_other_output_is_refused(tmp_path):
    """When sluice is built."""
    folder = daemon.ROOT / "src" / "worker"
    source, target = tmp_path / "m.wasm", tmp_path / "m.c"
    source.write_bytes(GOOD)
    accessors = tmp_path / "accessors.txt"
    text = (folder / "wasm2c_accessors.txt").read_text()
    for expected, status in ((text, 0), (text.replace("mem->data", "mem->bytes"), 1)):
        accessors.write_text(expected)
        command = [sys.executable, folder / "translate.py", "wasm2c", accessors, "m"]
        done = subprocess.run([*command, source, target], capture_output=True, text=True)
        assert done.returncode == status, done
        assert target.exists() == (status == 0)
    assert "1.0.32" in done.stderr


def test_compiled_modules_are_cached(server, tmp_path):
    """By content: the second function with the same module, and a restart, compile nothing."""
    server.apply(daemon.namespace("n"))
    module = wasm_modules.from_text(wasm_modules.ADD)
    server.apply(daemon.function("a", "n", **wasm(module, response="({ r: result })")))
    server.wait_ready_condition("Function", "a", "n")
    compiled = {path: path.stat().st_ino for path in server.data_dir.rglob("*.so")}
    assert len(compiled) == 1
    server.apply(daemon.function("b", "n", **wasm(module, response="({ r: result })")))
    server.wait_ready_condition("Function", "b", "n")
    server.stop()
    server.restart()
    for name in "ab":
        server.wait_ready_condition("Function", name, "n")
        assert server.send(f"/functions/n/{name}/", binary_event(), b'{"a":1,"b":2}').json() == {
            "r": 3
        }
    assert compiled == {path: path.stat().st_ino for path in server.data_dir.rglob("*.so")}
