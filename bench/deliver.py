# SPDX-License-Identifier: Apache-2.0
"""From the first request to the last durable finish: events in, each delivered to one subscriber
that does nothing, against message brokers that do the same; and what a backlog and a full log
change about it."""

import contextlib
import json
import subprocess
import time

import ours
import peers
from harness import BODY, BenchError, event_headers, interleave, pss_kib
from results import Result
from sink import Sink

NAMESPACE = ours.resource('Namespace', 'bench')
BROKER = ours.resource('Broker', 'default')
WINDOW = 64
BACKLOG = 1_000_000
FILLER = '{"msg":"' + 'x' * 180 + '"}'  # with its attributes about 300 bytes in the log


def trigger(sink):
    return ours.trigger('sink', 'bench.event', {'uri': f'http://{sink.address}/'})


def send(bench, sluice, count, body=BODY):
    return bench.load(sluice.address, connections=WINDOW, count=count, path='/bench/default',
                      header=event_headers(), body=body)['good']


def finished(sluice):
    if sluice.metric('sluice_dead_letters_total'):
        raise BenchError('deliveries were given up; see the server\'s log')
    return sluice.metric('sluice_deliveries_done_total')


def wait_finished(sluice, count, seconds=300):
    end = time.monotonic() + seconds
    while (done := finished(sluice)) < count:
        if time.monotonic() > end:
            raise BenchError(f'{done:.0f} of {count} deliveries ended in {seconds} s')
        time.sleep(0.005)


def throughput(bench, sluice, count):
    before = finished(sluice)
    start = time.monotonic()
    sent = send(bench, sluice, count)
    wait_finished(sluice, before + sent)
    return sent / (time.monotonic() - start)


@contextlib.contextmanager
def subscribed(bench):
    """A broker whose one trigger hands each event to a subscriber that answers 202."""
    with ours.serve(bench) as sluice, Sink(bench) as sink:
        sluice.apply(NAMESPACE, BROKER, trigger(sink))
        yield sluice


def queue_rate(bench, program, address, count):
    """Events per second of a peer, by its own program (queue_*.c)."""
    host, port = address.split(':')
    done = subprocess.run([program, host, port, str(count), str(WINDOW), BODY],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f'{program.name}: {done.stderr.strip()}')
    report = json.loads(done.stdout)
    return report['events'] / report['seconds']


def against(start_peer, title, program):
    def measure(bench, name):
        binary = bench.target(f'bench/{program}')
        with start_peer(bench) as (_, address), subscribed(bench) as sluice:
            count = int(throughput(bench, sluice, 5000) * bench.seconds)
            peer_count = int(queue_rate(bench, binary, address, 5000) * bench.seconds)
            mine, other, values = interleave(
                bench, lambda: throughput(bench, sluice, count),
                lambda: queue_rate(bench, binary, address, peer_count))
        yield Result(name, 'events/s', mine, title, other,
                     {'rounds_ours': values[0], 'rounds_peer': values[1]})
    return measure


# ---- a backlog ----

def backlog(bench, name):
    """1,000,000 events that wait when their trigger is made, against an empty log that is given
    events: the rates at which the subscriber's deliveries end."""
    with subscribed(bench) as sluice:
        throughput(bench, sluice, 5000)
        fresh = sorted(throughput(bench, sluice, 100_000) for _ in range(bench.rounds))
    with ours.serve(bench) as sluice, Sink(bench) as sink:
        sluice.apply(NAMESPACE, BROKER)
        made = trigger(sink)
        made['metadata']['annotations'] = {'sluice.dev/start': 'earliest'}
        sent = send(bench, sluice, BACKLOG)
        start = time.monotonic()
        sluice.create(made)
        wait_finished(sluice, sent)
        drained = sent / (time.monotonic() - start)
    yield Result(name, 'events/s', drained, 'events as they come', fresh[len(fresh) // 2],
                 {'rounds_peer': fresh})


def memory(bench, name):
    """Of the broker's processes with 1,000,000 events of about 300 bytes in the log, each delivered;
    PSS, in which the mapped files of the tables count, but not the page cache."""
    with subscribed(bench) as sluice:
        before = pss_kib(sluice.process.pid) / 1024
        wait_finished(sluice, send(bench, sluice, BACKLOG, FILLER))
        time.sleep(2)
        after = pss_kib(sluice.process.pid) / 1024
    yield Result(name, 'MiB PSS', after, details={'before': before})


ROWS = [
    ('deliver-redis', against(peers.redis_stream, 'Redis Streams, appendfsync always', 'queue-redis')),
    ('deliver-jetstream', against(peers.jetstream, 'JetStream, file store, not synced',
                                  'queue-nats')),
    ('deliver-rabbitmq', against(peers.rabbitmq, 'RabbitMQ, durable queue, confirms',
                                 'queue-rabbit')),
    ('deliver-backlog', backlog),
    ('memory-stored', memory),
]
