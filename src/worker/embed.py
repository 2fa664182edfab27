#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins text files into one C array: embed.py OUTPUT SYMBOL FILE..."""
import sys

output, symbol, *files = sys.argv[1:]
data = b"".join(open(name, "rb").read() for name in files)
with open(output, "w", encoding="ascii") as out:
    out.write("#include <stddef.h>\n")
    out.write(f"extern const char {symbol}[];\nextern const size_t {symbol}_len;\n")
    out.write(f"const char {symbol}[] = {{\n")
    for at in range(0, len(data), 24):
        out.write("".join(f"{byte}," for byte in data[at:at + 24]) + "\n")
    out.write(f"0}};\nconst size_t {symbol}_len = {len(data)};\n")
