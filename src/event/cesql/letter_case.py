#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes which letters have which other case, as C: letter_case.py OUTPUT.

Each row is a run of letters, `step` apart, whose other case is `delta` away. Letters whose other case
is more than one letter, and ASCII, are left out.
"""
import sys


def rows(other_case):
    found = []
    for code in range(0x80, 0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        other = other_case(chr(code))
        if len(other) != 1 or ord(other) == code:
            continue
        delta = ord(other) - code
        if found:
            first, last, step, run_delta = found[-1]
            if run_delta == delta and (code - last == step or (first == last and code - last == 2)):
                found[-1] = (first, code, code - last, delta)
                continue
        found.append((code, code, 1, delta))
    return found


def main():
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write("/* Made by letter_case.py. */\n")
        for name, other_case in (("lower", str.lower), ("upper", str.upper)):
            out.write(f"static const struct case_run to_{name}[] = {{\n")
            for first, last, step, delta in rows(other_case):
                out.write(f"    {{0x{first:x}, 0x{last:x}, {step}, {delta}}},\n")
            out.write("};\n")


main()
