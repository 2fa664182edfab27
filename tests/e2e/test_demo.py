# SPDX-License-Identifier: Apache-2.0
"""scripts/demo, as make demo runs it once everything is built: each thing that seed 001 shows, in its
order, and nothing left running."""

import os
import re
import subprocess
import time

import pytest

import daemon
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
    before = processes.identified(processes.children(os.getpid()))
    start = time.monotonic()
    result = subprocess.run(
        [str(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SLUICE_BIN": str(BINARY)},
    )
    result.took = time.monotonic() - start
    others = processes.identified(processes.children(os.getpid())) - before
    result.left = [processes.command(pid) for pid, _ in processes.wait_gone(others, 5)]
    return result


def test_it_ends_well_and_in_time(demo, make_daemon):
    """Within seconds; what a function takes to become ready says how slow the machine is."""
    assert demo.returncode == 0, demo.stdout + demo.stderr
    start = time.monotonic()
    server = make_daemon().start()
    server.apply(daemon.namespace("n"), daemon.function("f", "n", "module.exports = () => 'x';"))
    server.wait_ready_condition("Function", "f", "n")
    reference = time.monotonic() - start
    assert demo.took < 5 + 20 * reference, f"{demo.took:.1f} s, a function {reference:.2f} s"


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
