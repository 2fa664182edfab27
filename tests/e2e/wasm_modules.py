# SPDX-License-Identifier: Apache-2.0
"""WebAssembly modules for the tests: good ones from text (wat2wasm), hostile ones byte by byte, since
no assembler would write them."""

import base64
import pathlib
import subprocess
import tempfile

MAGIC = b"\0asm\1\0\0\0"
I32, I64 = 0x7F, 0x7E
TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA = range(1, 12)

ADD = '(module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))'


def from_text(text):
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "m.wat"), pathlib.Path(folder, "m.wasm")
        source.write_text(text)
        subprocess.run(["wat2wasm", str(source), "-o", str(target)], check=True)
        return target.read_bytes()


def text_form(module):
    return base64.b64encode(module).decode()


def number(value):
    """Unsigned LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def vector(items):
    return number(len(items)) + b"".join(items)


def section(id, body):
    return bytes([id]) + number(len(body)) + body


def name(value):
    value = value if isinstance(value, bytes) else value.encode()
    return number(len(value)) + value


def binary_add(exports=("add",), imports=(), extra=b"", body=b"\0\x20\0\x20\1\x6a\x0b"):
    """add(i32, i32) → i32, exported under any names, with any (module, field) function imports."""
    module = MAGIC
    module += section(TYPE, vector([b"\x60" + vector([b"\x7f", b"\x7f"]) + vector([b"\x7f"])]))
    if imports:
        module += section(IMPORT, vector([name(m) + name(f) + b"\0\0" for m, f in imports]))
    module += section(FUNCTION, vector([b"\0"]))
    module += section(EXPORT, vector([name(n) + b"\0" + number(len(imports)) for n in exports]))
    module += section(CODE, vector([number(len(body)) + body]))
    return module + extra
