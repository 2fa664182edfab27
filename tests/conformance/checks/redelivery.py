# SPDX-License-Identifier: Apache-2.0
"""How often, and how far apart, a delivery is tried again."""

import itertools
from functools import partial

from harness.case import MUST, SHOULD, Failure, assertion
from harness.event import same_data
from harness.reference import ACKNOWLEDGE, DELIVERY_SPEC, EVENT_DELIVERY, REKT_BROKER, ROUTING

TOLERANCE = 0.05  # of a second: clocks and rounding


def fibonacci(limit):
    numbers, a, b = set(), 1, 1
    while a <= limit:
        numbers.add(a)
        a, b = b, a + b
    return numbers


def policy(name, retry, delay="PT0.2S", **more):
    return {"retry": retry, "backoffPolicy": name, "backoffDelay": delay, **more}


@assertion("redelivery-fibonacci", MUST, f"{REKT_BROKER} brokerRedeliveryFibonacci",
           "requests 1, 2, 3, 5, 8, 13 fail: all events arrive all the same, each once, in so many requests")
def fibonacci_drop(case):
    failing = fibonacci(40)
    subscriber = case.subscriber(*[503 if n in failing else 202 for n in range(1, 41)])
    dead = case.subscriber()
    case.trigger(subscriber, delivery=policy("linear", 5, "PT0.1S", deadLetterSink={"uri": dead.url}))
    yield
    taken = 0
    for _ in range(8):
        event = case.send(case.event())
        # the first number after those taken whose request is answered 202
        taken = next(n for n in itertools.count(taken + 1) if n not in failing)
        got = case.wait(subscriber, taken)
        case.expect(got[-1].id == event.id, f"request {taken} is of event {event.id}", got[-1])
    case.settle()
    case.expect_count(subscriber, taken, f"{taken} requests")
    case.expect_count(dead, 0, "nothing at the dead letter sink")


def gaps(got):
    return [after.time - before.time for before, after in zip(got, got[1:])]


def drops(case, name, failures, least, delay="PT0.2S"):
    """The first requests fail; least: the shortest gaps that the policy allows."""
    subscriber = case.subscriber(*[503] * failures, 202)
    dead = case.subscriber()
    case.trigger(subscriber, delivery=policy(name, 5, delay, deadLetterSink={"uri": dead.url}))
    yield
    case.send(case.event())
    got = case.wait(subscriber, failures + 1)
    found = gaps(got)
    shown = ", ".join(f"{gap:.2f}" for gap in found)
    if any(gap < bound - TOLERANCE for gap, bound in zip(found, least)):
        raise Failure(f"gaps of at least {', '.join(f'{bound:g}' for bound in least)} s", f"{shown} s")
    case.settle()
    case.expect_count(subscriber, failures + 1, f"{failures + 1} requests")
    case.expect_count(dead, 0, "nothing at the dead letter sink")


assertion("redelivery-drop-linear", MUST, f"{REKT_BROKER} brokerRedeliveryDropN; {DELIVERY_SPEC}",
          "the first 5 requests fail, linear: the event arrives with the sixth, none sooner than the delay")(
    partial(drops, name="linear", failures=5, least=[0.2] * 5)
)
assertion("redelivery-drop-exponential", MUST, f"{REKT_BROKER} brokerRedeliveryDropN; {DELIVERY_SPEC}",
          "the first 4 requests fail, exponential: the event arrives with the fifth, the delay doubles")(
    partial(drops, name="exponential", failures=4, least=[0.2, 0.4, 0.8, 1.6])
)
assertion("redelivery-drop-1", MUST, EVENT_DELIVERY, "one request fails: the event arrives with the second, after the delay")(
    partial(drops, name="exponential", failures=1, least=[1], delay="PT1S")
)


def exhausts(case, retry):
    subscriber, dead = case.subscriber(503), case.subscriber()
    case.trigger(subscriber, delivery=policy("linear", retry, "PT0.1S", deadLetterSink={"uri": dead.url}))
    yield
    case.receive(dead, case.send(case.event()))
    case.settle()
    case.expect_count(subscriber, retry + 1, f"{retry + 1} requests: the first, and {retry} retries")
    case.expect_count(dead, 1, "one dead letter")


for retry in (0, 1, 4):
    assertion(f"redelivery-retry-{retry}", MUST, f"{EVENT_DELIVERY}; {DELIVERY_SPEC}",
              f"retry {retry}: {retry + 1} requests in all, then the dead letter sink")(
        partial(exhausts, retry=retry)
    )


@assertion("redelivery-same-event", MUST, f"{ROUTING}; {ACKNOWLEDGE}", "a retry is the same event: id, source, type, data")
def same_event(case):
    subscriber = case.subscriber(503, 202)
    case.trigger(subscriber, delivery=policy("linear", 3, "PT0.1S"))
    yield
    sent = case.send(case.event(b'{"a": 1.10}', subject="x", ext="y"))
    for got in case.wait(subscriber, 2):
        same = all(got.event.get(name) == sent[name] for name in ("id", "source", "type", "subject", "ext"))
        case.expect(same and same_data(sent, got.event), sent, got)


@assertion("redelivery-others-go-on", SHOULD, f"{REKT_BROKER} ManyTriggers",
           "while one event is retried, the trigger's next ones are delivered")
def others_go_on(case):
    subscriber = case.subscriber(503, 202)
    case.trigger(subscriber, delivery=policy("linear", 5, "PT1M"))
    yield
    case.send(case.event())
    case.wait(subscriber, 1)
    for _ in range(5):
        case.receive(subscriber, case.send(case.event()))
