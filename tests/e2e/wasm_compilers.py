# SPDX-License-Identifier: Apache-2.0
"""Modules from source, with the compilers that scripts/setup test installs."""

import functools
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLANG = "clang-14"


@functools.lru_cache
def from_c(path, *flags):
    """A WASI command, or with -mexec-model=reactor a reactor."""
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, "m.wasm")
        command = [CLANG, "--target=wasm32-wasi", "-O2", "-s", *flags, "-o", target, path]
        subprocess.run(command, check=True)
        return target.read_bytes()
