# SPDX-License-Identifier: Apache-2.0
"""Events in answers: routed as if they had been sent to the broker. And loops of them."""

from functools import partial

from harness.case import MAY, MUST, QUICK, REF, SHOULD, assertion, told
from harness.event import BINARY, STRUCTURED, STRUCTURED_TYPE, lost_attributes, same_data
from harness.reference import (
    ACKNOWLEDGE, FILTER_CODE, REKT_BROKER, REKT_DATA, REPLIES, ROUTING, TTL_CODE,
)  # fmt: skip
from harness.subscriber import answer, reply

MALFORMED = f"{REKT_DATA} addDataPlaneDelivery"
ASKED, REPLIED = "dev.conformance.asked", "dev.conformance.replied"


def chain(case, *acts):
    """A trigger for what is asked, whose subscriber replies; one for what is replied."""
    subscriber, inbox = case.subscriber(*acts), case.subscriber()
    case.trigger(subscriber, attributes={"type": ASKED}, delivery=QUICK)
    case.trigger(inbox, attributes={"type": REPLIED}, delivery=QUICK)
    return subscriber, inbox


def is_routed(case, mode, **options):
    made = case.event(b' {"a": 1.10} ', type=REPLIED, subject="caf\u00e9", ext="x")
    subscriber, inbox = chain(case, reply(made, mode, **options))
    yield
    case.send(case.event(type=ASKED))
    got = case.receive(inbox, made)
    lost = lost_attributes(made, got)
    case.expect(not lost, "the reply's attributes", "; ".join(lost))
    made.mode = mode
    case.expect(same_data(made, got), made.data, got.data)
    case.settle()
    case.expect_count(subscriber, 1, "one request: the delivery is complete")
    case.expect_count(inbox, 1, "the reply once")


for mode in (BINARY, STRUCTURED):
    assertion(f"reply-{mode}", MUST, f"{REPLIES}; {ROUTING}", f"an event in a 200, in {mode} mode, is routed like any other")(
        partial(is_routed, mode=mode)
    )
assertion("reply-chunked", MUST, REPLIES, "an event in a chunked 200 is routed")(partial(is_routed, mode=BINARY, chunked=True))


@assertion("reply-long", MUST, f"{REKT_BROKER} brokerSubscriberLongResponseMessage", "a reply of 36,000 characters is routed whole")
def long_reply(case):
    made = case.event(b'{"msg": "' + b"X" * 36000 + b'"}', type=REPLIED)
    _, inbox = chain(case, reply(made))
    yield
    case.send(case.event(type=ASKED))
    case.expect(same_data(made, case.receive(inbox, made)), "the reply's data", inbox.got()[0])


@assertion("reply-version-0.3", SHOULD, f"{REKT_DATA} DataPlaneIngress", "a reply of version 0.3 stays one")
def old_reply(case):
    made = case.event(type=REPLIED, specversion="0.3")
    _, inbox = chain(case, reply(made))
    yield
    case.send(case.event(type=ASKED))
    got = case.receive(inbox, made)
    case.expect(got["specversion"] == "0.3", "specversion 0.3", got)


@assertion("reply-own-trigger", MUST, ROUTING, "a reply is offered to all triggers, the one that made it, too")
def own_trigger(case):
    made = case.event(type=REPLIED)
    subscriber, other = case.subscriber(reply(made), 202), case.subscriber()
    case.trigger(subscriber)
    case.trigger(other)
    yield
    asked = case.send(case.event(type=ASKED))
    case.receive(subscriber, made)
    case.receive(other, asked)
    case.receive(other, made)
    case.settle()
    case.expect_count(subscriber, 2, "two requests: the event and its own reply")
    case.expect_count(other, 2, "both events")


@assertion("reply-filtered", MUST, ROUTING, "a reply goes through the filters: a trigger that does not match does not get it")
def filtered(case):
    made = case.event(type=REPLIED)
    subscriber, inbox = chain(case, reply(made))
    yield
    case.send(case.event(type=ASKED))
    case.receive(inbox, made)
    case.settle()
    case.expect_count(subscriber, 1, "the event, not its reply")


def is_not_routed(case, act):
    subscriber, inbox = chain(case, act(case))
    yield
    case.send(case.event(type=ASKED))
    case.wait(subscriber)
    case.settle()
    case.expect_count(inbox, 0, "no reply event anywhere")
    case.expect_count(subscriber, 1, "one request: the delivery is complete")


assertion("reply-of-202", MUST, REPLIES, "an event in a 202 is not a reply: it is not routed, and the delivery is complete")(
    partial(is_not_routed, act=lambda case: reply(case.event(type=REPLIED), status=202))
)
assertion("reply-empty", MUST, REPLIES, "a 200 without a body is no reply and completes the delivery")(
    partial(is_not_routed, act=lambda case: answer(200, [("Content-Type", "application/json")]))
)


def fails(case, act):
    """The delivery fails: it is a dead letter in the end, whether it was retried or not."""
    subscriber, dead, inbox = case.subscriber(act(case)), case.subscriber(), case.subscriber()
    case.trigger(subscriber, attributes={"type": ASKED}, delivery={**QUICK, "retry": 1, "deadLetterSink": {"uri": dead.url}})
    case.trigger(inbox, attributes={"type": REPLIED}, delivery=QUICK)
    yield
    case.receive(dead, case.send(case.event(type=ASKED)))
    case.expect_count(inbox, 0, "nothing routed")


def half_event(case):
    return reply(case.event(type=REPLIED).changed(id=None))


for name, title, act in (
    ("text", "a 200 whose body is no event", lambda case: answer(200, [("Content-Type", "text/plain")], b"hello")),
    ("json", "a 200 whose body is JSON, but no event", lambda case: answer(200, [("Content-Type", "application/json")], b'{"a": 1}')),
    ("no-id", "a 200 with an event that has no id", half_event),
    ("cut", "a 200 with a structured event that is cut", lambda case: answer(200, [("Content-Type", STRUCTURED_TYPE)], b'{"specversion": "1.0"')),
):
    assertion(f"reply-malformed-{name}", SHOULD, MALFORMED, f"{title} fails the delivery")(partial(fails, act=act))


@assertion("reply-trace", SHOULD, f"{REKT_DATA} DataPlaneObservability",
           "a reply without tracing attributes goes on in the trace of the event that it answers")
def trace(case):
    made = case.event(type=REPLIED)
    _, inbox = chain(case, reply(made))
    yield
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    case.send(case.event(type=ASKED, traceparent=f"00-{trace_id}-b7ad6b7169203331-01"))
    got = case.receive(inbox, made).get("traceparent") or ""
    case.expect(trace_id in got, f"traceparent with {trace_id}", repr(got))


@assertion("reply-trace-own", SHOULD, f"{REKT_DATA} DataPlaneObservability", "a reply's own tracing attributes are kept")
def own_trace(case):
    trace_id = "1af7651916cd43dd8448eb211c80319c"
    made = case.event(type=REPLIED, traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    _, inbox = chain(case, reply(made))
    yield
    case.send(case.event(type=ASKED, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    got = case.receive(inbox, made).get("traceparent") or ""
    case.expect(trace_id in got, f"traceparent with {trace_id}", repr(got))


@assertion("reply-duplicate-of-failed", MUST, ACKNOWLEDGE, "a retried delivery's reply is routed once")
def after_retry(case):
    made = case.event(type=REPLIED)
    subscriber, inbox = chain(case, 503, reply(made))
    yield
    case.send(case.event(type=ASKED))
    case.receive(inbox, made)
    case.settle()
    case.expect_count(inbox, 1, "one reply")
    case.expect_count(subscriber, 2, "two requests")


# ---- loops ----

LOOPS_MOST = 30  # a broker without a guard is not led round for ever


def looping(case, **attributes):
    """A subscriber that answers each event with one that comes back to it."""
    again = reply(lambda delivery: case.event(**attributes))
    return case.subscriber(*[again] * LOOPS_MOST, 202)


def ends(case, **attributes):
    subscriber = looping(case, **attributes)
    case.trigger(subscriber, delivery={"retry": 0})
    yield
    answered = case.post(case.event(knativebrokerttl="4"))
    case.expect(200 <= answered.status <= 299, "the event is accepted", answered)
    case.wait(subscriber)
    case.settle()
    case.settle()
    got = subscriber.got()
    case.expect(len(got) <= 5, "at most 5 deliveries of an event whose knativebrokerttl is 4", told(got))


assertion("reply-loop-ends", MAY, f"{ROUTING}; {TTL_CODE}", "a loop of replies ends after knativebrokerttl rounds")(ends)
assertion("reply-loop-reset", REF, f"{FILTER_CODE} writeResponse", "a reply cannot raise the loop guard's knativebrokerttl")(
    partial(ends, knativebrokerttl="200")
)


@assertion("reply-ttl-hidden", REF, FILTER_CODE, "knativebrokerttl is not shown to subscribers")
def hidden(case):
    inbox = case.inbox()
    yield
    got = case.receive(inbox, case.send(case.event(knativebrokerttl="9")))
    case.expect(got.get("knativebrokerttl") is None, "no knativebrokerttl", got)


@assertion("reply-ttl-spent", REF, f"{TTL_CODE}; knative/eventing pkg/broker/ingress", "an event whose knativebrokerttl is 0 is refused")
def spent(case):
    answered = case.post(case.event(knativebrokerttl="0"))
    case.expect(400 <= answered.status <= 499, "a 4xx", answered)
