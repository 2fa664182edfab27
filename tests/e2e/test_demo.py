# SPDX-License-Identifier: Apache-2.0
"""scripts/demo, as make demo runs it once everything is built: each thing that seed 001 shows, in its
order, and nothing left running."""

import os
import re
import subprocess
import time

import pytest

import processes
from daemon import BINARY, ROOT

SCRIPT = ROOT / "scripts" / "demo"

# What must be shown, in this order.
SHOWN = [
    r"536808d3-88be-4077-9d7a-a3f162705f79",
    r"dev\.nodeshift\.samples\.js-example",
    r"simple example\. context:",
    r"__ow_method",
    r"cloudevent",
    r"Message to js-example-service",
    r"dev\.nodeshift\.samples\.fromjs",
    r"module: \S*add\.wasm, function: add, returned 18: i32",
]


@pytest.fixture(scope="module")
def demo():
    before = set(processes.children(os.getpid()))
    start = time.monotonic()
    result = subprocess.run(
        [str(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SLUICE_BIN": str(BINARY)},
    )
    result.took = time.monotonic() - start
    time.sleep(0.5)
    processes.reap_orphans(())
    result.left = [
        processes.command(p)
        for p in set(processes.children(os.getpid())) - before
        if processes.alive(p)
    ]
    return result


def test_it_ends_well_and_in_time(demo):
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.took < 10


def test_it_shows_each_step_in_order(demo):
    position = 0
    for pattern in SHOWN:
        found = re.compile(pattern).search(demo.stdout, position)
        assert (
            found
        ), f"{pattern!r} is not shown after:\n{demo.stdout[:position]}\n--- rest:\n{demo.stdout[position:]}"
        position = found.start()


def test_it_shows_times(demo):
    assert len(re.findall(r"\d+(\.\d+)? ?(µs|us|ms|s)\b", demo.stdout)) >= 3


def test_it_is_plain_when_piped(demo):
    assert "\x1b" not in demo.stdout + demo.stderr


def test_it_leaves_nothing(demo):
    assert demo.left == []
