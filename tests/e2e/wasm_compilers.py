# SPDX-License-Identifier: Apache-2.0
"""Modules from source, with the compilers that scripts/setup test installs."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLANG = "clang-14"


RUST_TARGET = "wasm32-wasi"  # Debian's; newer ones call it wasm32-wasip1
SCRIPT_COMPILER = ROOT / "build" / "test-npm" / "node_modules" / "assemblyscript" / "bin" / "asc.js"


def from_rust(path, target):
    command = ["/usr/bin/rustc", "--edition", "2021", "--target", RUST_TARGET, "-O"]
    command += ["-C", "strip=symbols", "-C", "linker=rust-lld", "-o", target, path]
    subprocess.run(command, check=True)


def from_script(path, target):
    command = ["node", SCRIPT_COMPILER, path.name, "-O", "--exportRuntime", "-o", target]
    subprocess.run(command, cwd=path.parent, check=True)


def go_compiler():
    """A Go that knows wasip1, since 1.21, or None."""
    program = shutil.which("go")
    if program is None:
        return None
    version = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True).stdout
    found = re.match(r"go1\.(\d+)", version)
    return program if found and int(found.group(1)) >= 21 else None


def from_go(folder, target):
    command = [go_compiler(), "build", "-ldflags=-s -w", "-o", target]
    environment = {**os.environ, "GOOS": "wasip1", "GOARCH": "wasm", "GOFLAGS": "-mod=mod"}
    subprocess.run(command, cwd=folder, env=environment, check=True)


@functools.lru_cache
def from_c(path, *flags):
    """A WASI command, or with -mexec-model=reactor a reactor."""
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, "m.wasm")
        command = [CLANG, "--target=wasm32-wasi", "-O2", "-s", *flags, "-o", target, path]
        subprocess.run(command, check=True)
        return target.read_bytes()
