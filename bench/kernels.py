# SPDX-License-Identifier: Apache-2.0
"""The row cpu-wasm: kernel.c as a function in the sandbox, and as a program of the machine's own."""

import base64
import resource
import subprocess

import ours
from harness import ROOT, BenchError, cpu_seconds, descendants, find_program, interleave
from results import Result

ROUNDS = 10


def module(folder):
    target = folder / 'kernel.wasm'
    command = [find_program('clang-14', 'clang'), '--target=wasm32-wasi', '-O2', '-s',
               '-mexec-model=reactor', '-o', target, ROOT / 'bench' / 'kernel.c']
    subprocess.run(command, check=True)
    return base64.b64encode(target.read_bytes()).decode()


def native_ms(program):
    """CPU time of one run, and its checksum."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([program, str(ROUNDS)], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000, \
        done.stdout.strip()


def measure(bench, name):
    program = bench.target('bench/sluice-kernel')
    with ours.serve(bench) as sluice:
        sluice.apply(ours.resource('Namespace', 'bench'), ours.resource(
            'Function', 'kernel', runtime='wasm', function='kernel',
            moduleBase64=module(bench.make_folder('kernel')),
            arguments=f'[{ROUNDS}]', response='String(result >>> 0)'))

        def call():
            status, body = sluice.call('GET', '/functions/bench/kernel/')
            if status != 200:
                raise BenchError(f'the kernel answered {status}: {body[:300]}')
            return body.decode()

        checksum = call()  # its worker is there, and its memory
        if checksum != native_ms(program)[1]:
            raise BenchError('the two kernels differ in their result')
        workers = [pid for pid in descendants(sluice.process.pid) if pid != sluice.process.pid]

        def mine():
            before = sum(map(cpu_seconds, workers))
            call()
            return (sum(map(cpu_seconds, workers)) - before) * 1000

        ours_ms, native, values = interleave(bench, mine, lambda: native_ms(program)[0],
                                             rounds=max(bench.rounds, 5))
    yield Result(name, 'ms CPU', ours_ms, 'the same C, gcc -O2', native,
                 {'rounds_ours': values[0], 'rounds_peer': values[1]})
