#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Translates WebAssembly to C and gives the result our own accessors of memory (linear_memory.h):
translate.py WASM2C ACCESSORS NAME INPUT OUTPUT."""

import pathlib
import subprocess
import sys

wasm2c, accessors, name, source, target = sys.argv[1:]
subprocess.run([wasm2c, "-n", name, source, "-o", target], check=True)
replaced = pathlib.Path(accessors).read_text()
text = pathlib.Path(target).read_text()
if text.count(replaced) != 1:
    pathlib.Path(target).unlink()
    sys.exit(f"{wasm2c} does not write what {accessors} has: is it wabt 1.0.32?")
pathlib.Path(target).write_text(text.replace(replaced, '#include "linear_memory.h"\n'))
