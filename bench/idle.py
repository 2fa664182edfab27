# SPDX-License-Identifier: Apache-2.0
"""Functions that nobody calls: what they cost, and how soon they answer when somebody does."""

import os
import subprocess
import time

import ours
import peers
from harness import (BODY, BenchError, descendants, event_headers, header_dict, interleave,
                     pss_kib, request)
from results import Result

HELLO = 'module.exports = (context, event) => ({ received: event.data, number: %d });\n'
NAMESPACE = ours.resource('Namespace', 'bench')
DEPLOYED = 1000


def hello(number):
    return ours.function(f'idle-{number}', HELLO % number, 'event', scale={'idle': 'PT0.1S'})


def wait_idle(sluice, functions, seconds=300):
    """All are ready, and no worker is left."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if sluice.metric('sluice_functions_ready') == functions \
                and sluice.metric('sluice_workers') == 0:
            return
        time.sleep(0.02)
    raise BenchError(f'{functions} functions are not idle after {seconds} s')


def cold_start(bench, name):
    """From the request to the answer of a function without a worker; node from start to end."""
    node = peers.NodePeer()
    headers = header_dict(event_headers(ident='cold'))
    with ours.serve(bench) as sluice:
        sluice.apply(NAMESPACE, hello(0))

        def mine():
            wait_idle(sluice, 1)
            start = time.monotonic()
            status, _ = request(sluice.address, 'POST', '/functions/bench/idle-0/', BODY, headers)
            took = time.monotonic() - start
            if status != 200:
                raise BenchError(f'the idle function answered {status}')
            return took * 1000

        def other():
            start = time.monotonic()
            subprocess.run([node.node, '-e', '0'], check=True)
            return (time.monotonic() - start) * 1000

        mine_ms, other_ms, values = interleave(bench, mine, other, rounds=max(bench.rounds, 9))
    yield Result(name, 'ms', mine_ms, 'node -e 0', other_ms,
                 {'rounds_ours': values[0], 'rounds_peer': values[1]})


def shared_memory_kib(pid):
    """Memory files that a process holds open without having them mapped."""
    total = 0
    for each in os.listdir(f'/proc/{pid}/fd'):
        try:
            if '/memfd:' in os.readlink(f'/proc/{pid}/fd/{each}'):
                total += os.stat(f'/proc/{pid}/fd/{each}').st_blocks / 2
        except FileNotFoundError:
            pass
    return total


def memory(bench, name):
    """What is added by that many functions that were deployed, and that nobody calls."""
    def used():
        files = sum(shared_memory_kib(pid) for pid in descendants(sluice.process.pid))
        return (pss_kib(sluice.process.pid) + files) / 1024

    with ours.serve(bench) as sluice:
        sluice.apply(NAMESPACE, hello(DEPLOYED))
        wait_idle(sluice, 1)
        before = used()
        for number in range(DEPLOYED):
            sluice.create(hello(number))
        wait_idle(sluice, 1 + DEPLOYED)
        after = used()
    yield Result(name, 'MiB PSS', after - before, None, None, {'before': before, 'after': after})
