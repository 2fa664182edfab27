# SPDX-License-Identifier: Apache-2.0
"""What a row yields, what it should reach, the table for people and the file for programs."""

import dataclasses
import json


@dataclasses.dataclass
class Result:
    name: str
    unit: str
    ours: float
    peer_name: str | None = None
    peer: float | None = None
    details: dict = dataclasses.field(default_factory=dict)

    @property
    def ratio(self):
        return self.ours / self.peer if self.peer else None


@dataclasses.dataclass(frozen=True)
class Target:
    """Of the ratio ours / peer, or of ours where there is no peer."""
    what: str
    more_is_better: bool
    least: float | None
    aim: float | None

    def met(self, value, bound):
        if bound is None or value is None:
            return None
        return value >= bound if self.more_is_better else value <= bound


TARGETS = {
    'ingest-64-nginx': Target('durable ingest, 64 clients, vs nginx 202', True, 0.40, 0.55),
    'ingest-64-redis': Target('durable ingest, 64 clients, vs Redis', True, 1.0, 1.3),
    'ingest-1-redis': Target('durable ingest, 1 client, vs Redis', True, 0.8, 1.0),
    'ingest-256-redis': Target('durable ingest, 256 clients, vs Redis', True, 0.75, 1.0),
    'js-instance': Target('JS function, isolation instance', True, 6, 12),
    'js-instance-single': Target('… one process against one', True, None, None),
    'js-instance-broker': Target('… through /functions/ of the broker', True, None, None),
    'js-event': Target('JS function, isolation event', True, 6, 10),
    'js-event-single': Target('… one process against one', True, None, None),
    'js-event-broker': Target('… through /functions/ of the broker', True, None, None),
    'js-fresh-instance': Target('call in a fresh instance', False, 2.5, 1.5),
    'first-reply': Target('apply to first reply', False, 1 / 10, 1 / 40),
    'memory': Target('memory of serve and two functions', False, 1 / 4, 1 / 8),
    'cold-start': Target('cold start of an idle function vs node -e 0', False, 1 / 5, 1 / 15),
    'memory-idle': Target('1,000 deployed, idle functions', False, 100, 20),
    'chain': Target('the demo\'s whole chain', True, None, 15000),
    'chain-p50': Target('… p50 at half that rate', False, None, None),
    'chain-p99': Target('… p99 at half that rate', False, None, None),
    'cpu-wasm': Target('CPU-bound wasm vs native -O2', False, 1.6, 1.2),
    'triggers': Target('CPU per event, 10,000 triggers vs 10', False, 2.0, 1.1),
    'mixed-filters': Target('… with filters of all dialects', False, 3.0, 1.2),
    'cesql': Target('CESQL, five terms, one core', True, 2_000_000, 8_000_000),
    'deliver-redis': Target('in, delivered, finished, vs Redis Streams', True, 0.5, 1.0),
    'deliver-jetstream': Target('… vs NATS JetStream', True, 0.5, 1.0),
    'deliver-rabbitmq': Target('… vs RabbitMQ', True, 0.5, 1.0),
    'deliver-backlog': Target('1,000,000 waiting events, vs an empty log', True, 0.9, 1.0),
    'memory-stored': Target('1,000,000 stored events', False, 40, 20),
    'image-wasm': Target('image of a wasm function, unpacked', False, 10, 4),
    'image-js': Target('image of a js function, unpacked', False, 12, 6),
}


def row_of(result):
    """One object of results.json: the six fields that readers rely on, then the rest."""
    target = TARGETS[result.name]
    value = result.ratio if result.peer is not None else result.ours
    row = {'name': result.name, 'unit': result.unit, 'ours': rounded(result.ours),
           'peer_name': result.peer_name, 'peer': rounded(result.peer),
           'ratio': rounded(result.ratio)}
    row['better'] = 'more' if target.more_is_better else 'less'
    row['at_least' if target.more_is_better else 'at_most'] = target.least
    row['aim'] = target.aim
    row['met'] = target.met(value, target.least)
    row['aim_met'] = target.met(value, target.aim)
    return {**row, **result.details}


def rounded(value):
    return None if value is None else float(f'{value:.4g}')


def write(results, path):
    path.write_text(json.dumps([row_of(r) for r in results], indent=2, ensure_ascii=False) + '\n')


# ---- the table ----

COLUMNS = '{:<42} {:>11} {:>11} {:<13} {:>7} {:>8} {:>7}  {}'


def head():
    return COLUMNS.format('', 'ours', 'peer', '', 'ratio', 'at least', 'aim', '')


def number(value):
    if value is None:
        return ''
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.3g}'


def bound(value, target):
    if value is None:
        return ''
    return ('' if target.more_is_better else '≤ ') + number(value)


def line(result, colour):
    target = TARGETS[result.name]
    row = row_of(result)
    verdict, code = {(None, None): ('', ''), (True, True): ('aim', '32'),
                     (None, True): ('aim', '32'), (None, False): ('below aim', '33'),
                     (True, False): ('ok', '32'), (True, None): ('ok', '32'),
                     (False, False): ('MISSED', '31')}[row['met'], row['aim_met']]
    if colour and code:
        verdict = f'\033[{code}m{verdict}\033[0m'
    return COLUMNS.format(target.what, number(result.ours), number(result.peer), result.unit,
                          number(result.ratio), bound(target.least, target),
                          bound(target.aim, target), verdict).rstrip()
