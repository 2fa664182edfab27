# SPDX-License-Identifier: Apache-2.0
"""What is measured: one function per row of the table, each a generator of results."""

import json
import os
import re
import statistics
import subprocess
import time

import chain
import deliver
import filters
import idle
import images
import kernels
import ours
import peers
from harness import (BODY, BenchError, Process, event_headers, interleave, pss_kib, tree_cpu_seconds)
from results import Result

# The same file for sluice and for faas-js-runtime: read the event, work on it, reply with an event.
HANDLER = '''\
module.exports = (context, event) => context
  .cloudEventResponse({ received: event.data.msg, length: event.data.msg.length })
  .type('bench.reply')
  .source('/bench/function')
  .response();
'''


NAMESPACE = ours.resource('Namespace', 'bench')
BROKER = ours.resource('Broker', 'default')


class Rates:
    """Runs the generator again and again; remembers what was not as it should be."""

    def __init__(self, bench, connections, **options):
        self.bench = bench
        self.options = dict(connections=connections, warmup=bench.warmup, duration=bench.seconds,
                            **options)
        self.trouble = {}
        self.p99_ms = {}
        self.cpu_us = {}

    def per_second(self, name, process, address, **more):
        before = tree_cpu_seconds(process.pid)
        report = self.bench.load(address, **{**self.options, **more})
        bad = report['answers'] - report['good'] + sum(report['errors'].values())
        if bad:
            self.trouble[name] = f'{bad} of {report["answers"]} answers were bad: ' \
                f'{report["status"]} {report["errors"]}'
        cpu = tree_cpu_seconds(process.pid) - before
        self.cpu_us.setdefault(name, []).append(cpu / report['answered_in_all'] * 1e6)
        self.p99_ms.setdefault(name, []).append(report['latency_us']['p99'] / 1000)
        time.sleep(0.2)  # what the last run left to do in the background ends
        return report['good_per_second']

    def details(self, values):
        details = {'rounds_ours': values[0], 'rounds_peer': values[1],
                   'p99_ms': medians(self.p99_ms), 'cpu_us': medians(self.cpu_us)}
        return {**details, 'trouble': self.trouble} if self.trouble else details


def medians(values):
    return {name: round(statistics.median(of), 3) for name, of in values.items()}


# ---- durable ingest ----

def ingest(connections, peer_name):
    def measure(bench, name):
        start_peer = {'nginx': peers.nginx, 'redis': peers.redis}[peer_name]
        event = dict(header=event_headers(), body=BODY)
        rates = Rates(bench, connections)
        theirs = event if peer_name == 'nginx' else dict(mode='redis', body=BODY)
        with start_peer(bench) as peer, ours.serve(bench) as sluice:
            sluice.apply(NAMESPACE, BROKER)
            ours_at = (sluice.process, sluice.address)
            mine, other, values = interleave(
                bench,
                lambda: rates.per_second('ours', *ours_at, path='/bench/default', **event),
                lambda: rates.per_second('peer', *peer, path='/bench/default', **theirs))
        title = {'nginx': 'nginx return 202', 'redis': 'Redis XADD, appendfsync always'}[peer_name]
        yield Result(name, 'events/s', mine, title, other, rates.details(values))
    return measure


# ---- functions ----

# A process for each core, as `sluice serve` would have; faas-js-runtime has no such mode.
PROCESSES = os.cpu_count() or 1


def js_function(isolation):
    def measure(bench, name):
        node = peers.NodePeer()
        rates = Rates(bench, 64, header=event_headers(), body=BODY)
        with node.serve(bench, HANDLER) as peer:
            peers.first_reply(*peer)
            with ours.serve_function(bench, HANDLER, isolation, PROCESSES) as server, \
                    ours.serve_function(bench, HANDLER, isolation) as single:
                mine, other, values = interleave(
                    bench, lambda: rates.per_second('ours', *server),
                    lambda: rates.per_second('peer', *peer))
                one = [rates.per_second('ours', *single) for _ in range(bench.rounds)]
        yield Result(name, 'calls/s', mine, node.name, other, rates.details(values))
        yield Result(name + '-single', 'calls/s', statistics.median(one), node.name, other,
                     rates.details((one, [])))
        yield from through_broker(bench, name, isolation, node.name, other)
    return measure


CALL_LINE = re.compile(r'^reply\s+(event|instance)\s+([\d.]+) us', re.MULTILINE)


def fresh_instance(bench, name):
    """One call inside the worker, without HTTP, whose instance is put back to its snapshot after it,
    against one in an instance that is kept."""
    program = bench.target('tests/unit/worker/worker-bench-call')
    module = bench.target('tests/unit/worker/guest-module.so')
    times = {'event': [], 'instance': []}
    for _ in range(bench.rounds):
        done = subprocess.run([program, module, 'reply'], capture_output=True, text=True)
        found = dict(CALL_LINE.findall(done.stdout))
        if set(found) != set(times):
            raise BenchError(f'{program.name} said: {done.stdout}{done.stderr}')
        for isolation, value in found.items():
            times[isolation].append(float(value))
    yield Result(name, 'µs/call', statistics.median(times['event']), 'warm instance',
                 statistics.median(times['instance']),
                 {'rounds_ours': times['event'], 'rounds_peer': times['instance']})


def through_broker(bench, name, isolation, peer_name, peer):
    rates = Rates(bench, 64, header=event_headers(), body=BODY, path='/functions/bench/js/')
    with ours.serve(bench) as sluice:
        sluice.apply(NAMESPACE, ours.function('js', HANDLER, isolation))
        runs = [rates.per_second('ours', sluice.process, sluice.address)
                for _ in range(bench.rounds)]
    yield Result(name + '-broker', 'calls/s', statistics.median(runs), peer_name, peer,
                 rates.details((runs, [])))


def first_reply(bench, name):
    """From the start of the command `sluice apply` (or of node) to the end of the first answer."""
    node = peers.NodePeer()
    with ours.serve(bench) as sluice:
        sluice.apply(NAMESPACE)
        names = iter(range(1000))

        def mine():
            made = ours.function(f'first-{next(names)}', HANDLER, 'event')
            file = sluice.process.log.parent / 'function.json'
            file.write_text(json.dumps(made))
            start = time.monotonic()
            with Process([sluice.program, 'apply', '--server', f'http://{sluice.address}',
                          '-f', file], file.parent):
                path = f'/functions/bench/{made["metadata"]["name"]}/'
                return (peers.first_reply(sluice.process, sluice.address, path) - start) * 1000

        def other():
            start = time.monotonic()
            with node.serve(bench, HANDLER) as (process, address):
                return (peers.first_reply(process, address) - start) * 1000

        mine_ms, other_ms, values = interleave(bench, mine, other, rounds=max(bench.rounds, 5))
    yield Result(name, 'ms', mine_ms, node.name, other_ms,
                 {'rounds_ours': values[0], 'rounds_peer': values[1]})


# ---- memory ----

def memory(bench, name):
    """After each has answered: serve, zygote and the demo's two functions; node with one."""
    node = peers.NodePeer()
    with node.serve(bench, HANDLER) as (process, address):
        peers.first_reply(process, address)
        time.sleep(1)
        other = pss_kib(process.pid) / 1024
    with ours.serve(bench) as sluice:
        chain.apply(bench, sluice)
        chain.send(bench, sluice, count=1, connections=1)
        chain.wait_completed(sluice, 1)
        time.sleep(1)
        mine = pss_kib(sluice.process.pid) / 1024
    yield Result(name, 'MiB PSS', mine, node.name + ', one function', other)


ROWS = [
    ('ingest-64-nginx', ingest(64, 'nginx')),
    ('ingest-64-redis', ingest(64, 'redis')),
    ('ingest-1-redis', ingest(1, 'redis')),
    ('ingest-256-redis', ingest(256, 'redis')),
    ('js-instance', js_function('instance')),
    ('js-event', js_function('event')),
    ('js-fresh-instance', fresh_instance),
    ('first-reply', first_reply),
    ('memory', memory),
    ('cold-start', idle.cold_start),
    ('memory-idle', idle.memory),
    ('chain', chain.measure),
    *filters.ROWS,
    ('cpu-wasm', kernels.measure),
    ('image-wasm', images.size_of('wasm')),
    ('image-js', images.size_of('js')),
    *deliver.ROWS,
]
