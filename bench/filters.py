# SPDX-License-Identifier: Apache-2.0
"""What filters cost: an expression by itself, and events where many triggers want others."""

import contextlib
import statistics
import subprocess

import ours
from harness import BODY, BenchError, cpu_seconds, event_headers, interleave
from results import Result
from sink import Sink

NAMESPACE = ours.resource('Namespace', 'bench')
BROKER = ours.resource('Broker', 'default')
RATE = 3000


def exact(i):
    return {'filter': {'attributes': {'type': f'bench.{i}.made'}}}


# One filter of each kind; each is for the events of one number.
DIALECTS = [
    exact,
    lambda i: {'filters': [{'prefix': {'type': f'bench.{i}.'}}]},
    lambda i: {'filters': [{'suffix': {'type': f'.{i}.made'}}]},
    lambda i: {'filters': [{'exact': {'type': f'bench.{i}.made', 'source': '/bench'}}]},
    lambda i: {'filters': [{'any': [{'exact': {'type': f'bench.{i}.made'}},
                                    {'prefix': {'type': f'bench.{i}.lost'}}]}]},
    lambda i: {'filters': [{'all': [{'prefix': {'type': 'bench.'}},
                                    {'suffix': {'type': f'.{i}.made'}},
                                    {'not': {'exact': {'source': '/other'}}}]}]},
    lambda i: {'filters': [{'not': {'not': {'exact': {'type': f'bench.{i}.made'}}}}]},
    lambda i: {'filters': [{'cesql': f"type = 'bench.{i}.made' AND LENGTH(source) > 2"}]},
    lambda i: {'filters': [{'cesql': f"source LIKE '/b%' AND type IN ('bench.{i}.made', 'x')"}]},
    lambda i: {'filters': [{'sql': f"type LIKE 'bench.{i}.m%' AND EXISTS source"}]},
]


def mixed(i):
    return DIALECTS[i % len(DIALECTS)](i)


def triggers_with(filter_of):
    """CPU time of the broker process per event taken and delivered to the one trigger that matches,
    at the same fixed rate."""
    event = dict(header=event_headers(kind='bench.0.made'), body=BODY, path='/bench/default')

    def set_up(bench, stack, count):
        sluice = stack.enter_context(ours.serve(bench))
        sink = stack.enter_context(Sink(bench))
        sluice.apply(NAMESPACE, BROKER)
        made = [ours.resource('Trigger', f't{i}', broker='default',
                              subscriber={'uri': f'http://{sink.address}/'}, **filter_of(i))
                for i in range(count)]
        for each in made:
            sluice.create(each)
        sluice.wait_ready(made[0])
        sluice.wait_ready(made[-1])
        return lambda: cost(bench, sluice, sink)

    def cost(bench, sluice, sink):
        sink.reset()
        before = cpu_seconds(sluice.process.pid)
        sent = bench.load(sluice.address, connections=16, rate=RATE, duration=bench.seconds,
                          **event)['good']
        sink.wait_for(sent)
        return (cpu_seconds(sluice.process.pid) - before) / sent * 1e6

    def measure(bench, name):
        with contextlib.ExitStack() as stack:
            few, many = set_up(bench, stack, 10), set_up(bench, stack, 10000)
            few(), many()
            mine, other, values = interleave(bench, many, few)
        yield Result(name, 'µs CPU/event', mine, 'sluice with 10 triggers', other,
                     {'rounds_ours': values[0], 'rounds_peer': values[1], 'rate': RATE})
    return measure


def expression(bench, name):
    """Evaluations a second of an expression with five terms, on one core."""
    program = bench.target('bench/filters')
    rates = []
    for _ in range(bench.rounds):
        done = subprocess.run([program, 'cesql', str(min(1.0, bench.seconds))],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f'{program.name} said: {done.stdout}{done.stderr}')
        rates.append(float(done.stdout))
    yield Result(name, 'evaluations/s', statistics.median(rates), None, None,
                 {'rounds_ours': rates})


ROWS = [
    ('triggers', triggers_with(exact)),
    ('mixed-filters', triggers_with(mixed)),
    ('cesql', expression),
]
