# SPDX-License-Identifier: Apache-2.0
"""The demo's whole chain, examples/knative-faas: an event into the log, the JavaScript function,
its reply into the log, the WebAssembly function."""

import datetime
import json
import re
import shutil
import subprocess
import time
import urllib.request

import ours
from harness import ROOT, BenchError, event_headers
from results import Result

EXAMPLE = ROOT / 'examples' / 'knative-faas'
NAMESPACE = 'js-example-service'
PATH = f'/{NAMESPACE}/default'
DELIVERIES_PER_EVENT = 2

LATENCY_RESPONSE = ("(result, event, meta, context) => "
                    "context.cloudEventResponse({ returned: result })"
                    ".id(event.id).type('bench.end').source('/bench/wasm').response()")


def seed_event(ident):
    return dict(path=PATH, body='{"msg":"Message to js-example-service"}',
                header=event_headers('dev.nodeshift.samples.js-example',
                                     'dev.nodeshift.samples/js-example-source', ident, '0.3'))


def apply(bench, sluice, folder=EXAMPLE):
    done = subprocess.run([bench.build / 'sluice', 'apply', '--server', f'http://{sluice.address}',
                           '-f', folder, '--wait'], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f'sluice apply: {done.stderr.strip()[-500:]}')


def send(bench, sluice, connections=64, **options):
    return bench.load(sluice.address, connections=connections, **options,
                      **seed_event('{id}-{sent}'))


def completed(sluice):
    if sluice.metric('sluice_dead_letters_total'):
        raise BenchError('deliveries were given up; see the server\'s log')
    return sluice.metric('sluice_deliveries_done_total') / DELIVERIES_PER_EVENT


def wait_completed(sluice, count, seconds=60):
    end = time.monotonic() + seconds
    while (done := completed(sluice)) < count:
        if time.monotonic() > end:
            raise BenchError(f'{done:.0f} of {count} events came through in {seconds} s')
        time.sleep(0.01)


def throughput(bench, sluice, count):
    """Events per second from the first request until the last event went through the chain."""
    before = completed(sluice)
    start = time.monotonic()
    sent = send(bench, sluice, count=count)['good']
    wait_completed(sluice, before + sent)
    return sent / (time.monotonic() - start)


def latency_example(bench):
    """The example with what makes delays visible: the functions hand the event's id on, the second
    one's result is an event too, which ends up in the log."""
    folder = bench.make_folder('chain') / 'example'
    shutil.copytree(EXAMPLE, folder)
    edit(folder / 'js-function.yaml', r"\.type\('dev\.nodeshift\.samples\.fromjs'\)",
         ".type('dev.nodeshift.samples.fromjs').id(context.cloudevent.id)")
    edit(folder / 'wasm-function.yaml', r'response: .*', 'response: >\n    ' + LATENCY_RESPONSE)
    return folder


def edit(path, pattern, replacement):
    text, count = re.subn(pattern, lambda _: replacement, path.read_text())
    if count != 1:
        raise BenchError(f'{path} has {pattern} {count} times')
    path.write_text(text)


def chain_delays(sluice, first):
    """Milliseconds from when each event was due to be sent until the reply of the last function was
    on disk: its id says the one (on the monotonic clock), the log the other."""
    offset = time.time_ns() - time.monotonic_ns()
    address = f'http://{sluice.address}/-/events?from={first}&follow=false'
    with urllib.request.urlopen(address, timeout=60) as stream:
        for line in stream:
            entry = json.loads(line)
            if entry['event']['type'] != 'bench.end':
                continue
            due = int(entry['event']['id'].rpartition('-')[2]) + offset
            stored = datetime.datetime.fromisoformat(entry['time'].replace('Z', '+00:00'))
            yield stored.timestamp() * 1000 - due / 1e6


def measure(bench, name):
    with ours.serve(bench) as sluice:
        apply(bench, sluice)
        rate = throughput(bench, sluice, 2000)  # a first idea, and the warm-up
        runs = sorted(throughput(bench, sluice, max(500, int(rate * bench.seconds)))
                      for _ in range(bench.rounds))
        rate = runs[len(runs) // 2]
    yield Result(name, 'events/s', rate, details={'rounds_ours': runs})
    with ours.serve(bench) as sluice:
        apply(bench, sluice, latency_example(bench))
        send(bench, sluice, rate=rate / 2, duration=1)
        time.sleep(1)
        first = int(sluice.metric('sluice_store_synced_position')) + 1
        before = completed(sluice)
        sent = send(bench, sluice, rate=rate / 2, duration=max(bench.seconds, 2))['good']
        wait_completed(sluice, before + sent)
        delays = sorted(chain_delays(sluice, first))
    if len(delays) < sent:
        raise BenchError(f'{len(delays)} of {sent} events are at their end')
    details = {'rate': round(rate / 2), 'mean_ms': sum(delays) / len(delays)}
    for percent in 50, 99:
        value = delays[len(delays) * percent // 100]
        yield Result(f'{name}-p{percent}', 'ms', value, details=details)
