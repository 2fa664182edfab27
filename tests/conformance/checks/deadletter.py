# SPDX-License-Identifier: Apache-2.0
"""What becomes of an event that cannot be delivered."""

import base64

from harness.case import MUST, QUICK, REF, SHOULD, assertion
from harness.event import lost_attributes, same_data
from harness.reference import (
    ACKNOWLEDGE, CONTROL_PLANE, ERROR_CODE, EVENT_DELIVERY, REKT_BROKER, ROUTING,
)  # fmt: skip
from harness.subscriber import answer

SINK_TESTS = f"{REKT_BROKER} BrokerDeadLetterSinkExtensions"
BROKER_SPEC = f"{CONTROL_PLANE}#broker (delivery)"


def sink(dead, **options):
    return {**QUICK, "retry": 0, "deadLetterSink": {"uri": dead.url}, **options}


def failing(case, *acts, **options):
    subscriber, dead = case.subscriber(*acts), case.subscriber()
    case.trigger(subscriber, delivery=sink(dead, **options))
    return subscriber, dead


@assertion("deadletter-event", MUST, f"{EVENT_DELIVERY}; {ROUTING}", "the dead letter is the event: its attributes and data unchanged")
def unchanged(case):
    _, dead = failing(case, 422)
    yield
    sent = case.send(case.event(b' {"a": 1.10} ', subject="x", ext="caf\u00e9", time="2026-01-02T03:04:05Z"))
    got = case.receive(dead, sent)
    lost = lost_attributes(sent, got)
    case.expect(not lost, "all attributes as they were sent", "; ".join(lost))
    case.expect(same_data(sent, got), sent.data, got.data)


@assertion("deadletter-old-event", SHOULD, EVENT_DELIVERY, "the dead letter of a 0.3 event is a 0.3 event")
def old_version(case):
    _, dead = failing(case, 422)
    yield
    got = case.receive(dead, case.send(case.event(specversion="0.3")))
    case.expect(got["specversion"] == "0.3", "specversion 0.3", got)


@assertion("deadletter-destination", REF, SINK_TESTS, "knativeerrordest is the URL of the subscriber that failed")
def destination(case):
    subscriber, dead = failing(case, 422)
    yield
    got = case.receive(dead, case.send(case.event())).get("knativeerrordest")
    case.expect(got == subscriber.url, f"knativeerrordest {subscriber.url}", got)


@assertion("deadletter-code", REF, SINK_TESTS, "knativeerrorcode is the status of the last answer")
def code(case):
    _, dead = failing(case, 503, 422, retry=3)
    yield
    got = case.receive(dead, case.send(case.event())).get("knativeerrorcode")
    case.expect(got == "422", "knativeerrorcode 422", got)


@assertion("deadletter-data", REF, SINK_TESTS, "knativeerrordata is the body of the answer, as base64")
def data(case):
    body = '{ "message": "out of tea \u2615\n" }'.encode()
    _, dead = failing(case, answer(422, [("Content-Type", "application/json")], body))
    yield
    got = case.receive(dead, case.send(case.event())).get("knativeerrordata")
    wanted = base64.b64encode(body).decode()
    case.expect(got == wanted, f"knativeerrordata {wanted}", got)


@assertion("deadletter-data-none", REF, SINK_TESTS, "an answer without a body gives no knativeerrordata, or an empty one")
def no_data(case):
    _, dead = failing(case, 422)
    yield
    got = case.receive(dead, case.send(case.event())).get("knativeerrordata")
    case.expect(not got, "no knativeerrordata", got)


@assertion("deadletter-data-long", REF, ERROR_CODE, "knativeerrordata has at most 1024 characters")
def long_data(case):
    _, dead = failing(case, answer(400, body=b"x" * 20000))
    yield
    got = case.receive(dead, case.send(case.event())).get("knativeerrordata") or ""
    case.expect(0 < len(got) <= 1024, "1 to 1024 characters", f"{len(got)} characters")
    case.expect(base64.b64decode(got + "=" * (-len(got) % 4)).startswith(b"xxx"), "the body's beginning", got[:60])


@assertion("deadletter-unreachable", REF, f"{REKT_BROKER} brokerSubscriberUnreachable",
           "a subscriber that cannot be reached: knativeerrordest names it, and there is a code")
def unreachable(case):
    dead = case.subscriber()
    where = "http://127.0.0.1:9/nobody"
    case.trigger(where, delivery=sink(dead, retry=1))
    yield
    got = case.receive(dead, case.send(case.event()))
    case.expect(got.get("knativeerrordest") == where, f"knativeerrordest {where}", got)
    case.expect((got.get("knativeerrorcode") or "").lstrip("-").isdigit(), "a number as knativeerrorcode", got)


@assertion("deadletter-one-failure", REF, ERROR_CODE,
           "the knativeerror attributes of a letter that failed before are of one failure: this one, or the earlier")
def one_failure(case):
    subscriber, dead = failing(case, 422)
    yield
    earlier = {"knativeerrordest": "http://before.example/", "knativeerrorcode": "500", "knativeerrordata": "b2xk"}
    got = case.receive(dead, case.send(case.event(**earlier)))
    shown = [got.get(name) for name in earlier]
    now = shown[:2] == [subscriber.url, "422"] and shown[2] != "b2xk"
    case.expect(now or shown == list(earlier.values()), "three of one failure", shown)


@assertion("deadletter-retried", SHOULD, EVENT_DELIVERY, "a dead letter sink that answers 503 gets the letter again")
def sink_retried(case):
    subscriber, dead = case.subscriber(400), case.subscriber(503, 503, 202)
    case.trigger(subscriber, delivery=sink(dead, retry=3))
    yield
    event = case.send(case.event())
    got = case.wait(dead, 3)
    case.expect({one.id for one in got} == {event.id}, f"the letter {event.id} three times", got)
    case.settle()
    case.expect_count(dead, 3, "three requests")
    case.expect_count(subscriber, 1, "one request at the subscriber: 400 is final")


@assertion("deadletter-sink-final", MUST, ACKNOWLEDGE, "a dead letter sink that answers 400 is not tried again")
def sink_final(case):
    dead = case.subscriber(400)
    case.trigger(case.subscriber(400), delivery=sink(dead, retry=3))
    yield
    case.send(case.event())
    case.wait(dead)
    case.settle()
    case.expect_count(dead, 1, "one request")


@assertion("deadletter-unreadable-reply", SHOULD, f"{EVENT_DELIVERY}; {ACKNOWLEDGE}",
           "whatever body a dead letter sink's 200 has, the letter is delivered")
def sink_answers_text(case):
    dead = case.subscriber(answer(200, [("Content-Type", "text/plain")], b"thank you"))
    case.trigger(case.subscriber(400), delivery=sink(dead, retry=3))
    yield
    case.send(case.event())
    case.wait(dead)
    case.settle()
    case.expect_count(dead, 1, "one request")


@assertion("deadletter-none", MUST, EVENT_DELIVERY, "without a dead letter sink the event is dropped, and later ones go on")
def no_sink(case):
    subscriber = case.subscriber(400, 202)
    case.trigger(subscriber, delivery={"retry": 3})
    yield
    case.send(case.event())
    case.wait(subscriber)
    event = case.send(case.event())
    case.receive(subscriber, event)
    case.settle()
    case.expect_count(subscriber, 2, "one request for each event")


# ---- the broker's delivery options and the trigger's ----


@assertion("deadletter-broker", MUST, f"{BROKER_SPEC}; {REKT_BROKER} SourceToSinkWithDLQ",
           "the broker's dead letter sink and retries hold for triggers that say nothing")
def of_broker(case):
    subscriber, dead = case.subscriber(503), case.subscriber()
    broker = case.broker(delivery=sink(dead, retry=1))
    case.trigger(subscriber, broker=broker)
    yield
    event = case.send(case.event(), broker=broker)
    case.receive(dead, event)
    case.settle()
    case.expect_count(subscriber, 2, "two requests: one retry, as the broker says")
    case.expect_count(dead, 1, "one dead letter")


@assertion("deadletter-trigger-first", MUST, BROKER_SPEC, "the trigger's dead letter sink is taken, not the broker's")
def of_trigger(case):
    subscriber, dead, other = case.subscriber(400), case.subscriber(), case.subscriber()
    broker = case.broker(delivery=sink(other, retry=5))
    case.trigger(subscriber, broker=broker, delivery=sink(dead))
    yield
    case.receive(dead, case.send(case.event(), broker=broker))
    case.settle()
    case.expect_count(other, 0, "nothing at the broker's dead letter sink")


@assertion("deadletter-not-merged", MUST, BROKER_SPEC,
           "a trigger with any delivery option ignores the broker's: no sink of the broker's, no retries")
def not_merged(case):
    subscriber, dead = case.subscriber(503), case.subscriber()
    broker = case.broker(delivery=sink(dead, retry=5))
    case.trigger(subscriber, broker=broker, delivery={"retry": 0})
    yield
    case.send(case.event(), broker=broker)
    case.wait(subscriber)
    case.settle()
    case.expect_count(subscriber, 1, "one request: the trigger says retry 0")
    case.expect_count(dead, 0, "nothing at the broker's dead letter sink")
