# SPDX-License-Identifier: Apache-2.0
"""What a delivery looks like: the request, the event's attributes, its data."""

from functools import partial

from harness.case import MUST, REF, SHOULD, assertion
from harness.event import (
    BINARY, STRUCTURED, NotAnEvent, encode_value, is_json, lost_attributes, read_json, same_data,
)  # fmt: skip
from harness.reference import (
    CE_CORE, CE_HTTP, CE_TRACING, DATA_PLANE, DELIVERY_CODE, EVENT_DELIVERY, INGRESS_CODE,
    REKT_BROKER, REKT_DATA, REKT_TRIGGER, REPLIES, ROUTING,
)  # fmt: skip
from harness.subscriber import silence

DELIVERY_TESTS = f"{REKT_DATA} addDataPlaneDelivery"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@assertion("wire-post", MUST, f"{DATA_PLANE}#http-verbs", "events are delivered by POST to the subscriber's URL, query and all")
def post(case):
    subscriber = case.subscriber()
    case.trigger(f"{subscriber.url}?a=1&b=%2Fx%20y")
    yield
    case.send(case.event())
    got = case.wait(subscriber)[0]
    wanted = f"{subscriber.path}?a=1&b=%2Fx%20y"
    case.expect(got.method == "POST" and got.target.endswith(wanted), f"POST …{wanted}", got)


@assertion("wire-prefer", MUST, REPLIES, "deliveries carry Prefer: reply")
def prefer(case):
    inbox = case.inbox()
    yield
    case.send(case.event())
    got = case.wait(inbox)[0]
    words = [word.strip().lower() for word in got.fields.get("prefer", "").split(",")]
    case.expect("reply" in words, "Prefer: reply", f"Prefer: {got.fields.get('prefer')!r}")


def valid(case, mode):
    inbox = case.inbox()
    yield
    event = case.event(subject="caf\u00e9 \u2615", time="2026-01-02T03:04:05.678901Z", ext="a b%c")
    case.send(event, mode)
    got = case.wait(inbox)[0]
    try:
        case.expect(got.event.id == event.id, f"the event {event.id}", got)
    except NotAnEvent as error:
        case.expect(False, "a valid event", error)


for mode in (BINARY, STRUCTURED):
    assertion(f"wire-valid-{mode}", MUST, DELIVERY_TESTS, f"what was sent in {mode} mode is delivered as a valid event")(
        partial(valid, mode=mode)
    )

FULL = {
    "subject": "books/7 \u201cquoted\u201d 100%",
    "time": "2026-01-02T03:04:05.123456789+02:00",
    "dataschema": "https://example.com/schema?v=1#a",
    "datacontenttype": "application/json; charset=utf-8",
    "comexampleextension1": "value",
    "comexampleextension2": '{"othervalue": 5}',
    "partitionkey": "\U0001f600 key",
    "n1": "0",
}


def identical(case, mode):
    inbox = case.inbox()
    yield
    event = case.event(**FULL)
    got = case.receive(inbox, case.send(event, mode))
    lost = lost_attributes(event, got)
    case.expect(not lost, "all attributes as they were sent", "; ".join(lost))


for mode in (BINARY, STRUCTURED):
    assertion(f"wire-attributes-{mode}", SHOULD, DELIVERY_TESTS,
              f"attributes sent in {mode} mode arrive identical, extensions too")(
        partial(identical, mode=mode)
    )


@assertion("wire-attributes-encoded", MUST, f"{CE_HTTP} §3.1.3.2",
           "in binary mode, values are percent-encoded: space, quote, percent, what is not ASCII")
def encoded(case):
    inbox = case.inbox()
    yield
    event = case.event(subject='a "b" 5% \u20ac')
    case.send(event)
    got = case.wait(inbox)[0]
    if got.fields.get("content-type", "").startswith("application/cloudevents"):
        return
    wanted = encode_value(event["subject"])
    case.expect(got.fields.get("ce-subject") == wanted, f"ce-subject: {wanted}", got.fields.get("ce-subject"))


@assertion("wire-attributes-many", SHOULD, DELIVERY_TESTS, "thirty extension attributes arrive")
def many(case):
    inbox = case.inbox()
    yield
    event = case.event(**{f"extension{n}": f"value {n}" for n in range(30)})
    got = case.receive(inbox, case.send(event))
    lost = lost_attributes(event, got)
    case.expect(not lost, "all attributes as they were sent", "; ".join(lost))


# ---- data ----

UNCHANGED = {
    "bytes": ("application/octet-stream", bytes(range(256)) * 4, BINARY, "every byte there is"),
    "json-text": ("application/json", b' {"a" : 1.10,\n"a":2,  "b":[ ] }\n', BINARY, "JSON with its spaces and doubles"),
    "json-big": ("application/json", b'{"n": 123456789012345678901234567890, "d": 1.10, "e": 1E400}', BINARY,
                 "numbers beyond 64 bits"),
    "not-json": ("application/json", b"{not json at all", BINARY, "data that are not what their type says"),
    "not-utf8": ("text/plain", b"caf\xe9", BINARY, "text that is not UTF-8"),
    "structured-big": ("application/json", b'{"n": 123456789012345678901234567890, "e": 1E400}', STRUCTURED,
                       "numbers beyond 64 bits in structured mode"),
    "structured-text": ("text/plain", "line 1\nline 2 \u2603 \"q\" \\ \u0007".encode(), STRUCTURED,
                        "text in structured mode, with its escapes"),
    "structured-string": ("application/json", b'"{\\"a\\": 1}"', STRUCTURED,
                          "a JSON string in structured mode, which is not read again"),
    "structured-xml": ("application/xml", b'<a wow="xml"/>', STRUCTURED, "XML in structured mode"),
    "structured-array": ("application/json", b"[1, null, true, \"x\"]", STRUCTURED, "a JSON array in structured mode"),
}  # fmt: skip


def unchanged(case, media, data, mode):
    inbox = case.inbox()
    yield
    sent = case.send(case.event(data, datacontenttype=media), mode)
    got = case.receive(inbox, sent)
    case.expect(same_data(sent, got), f"the data {data[:120]!r}", f"{(got.data or b'')[:120]!r}")


for name, (media, data, mode, title) in UNCHANGED.items():
    assertion(f"wire-data-{name}", MUST, ROUTING, f"data arrive unchanged: {title}")(
        partial(unchanged, media=media, data=data, mode=mode)
    )


@assertion("wire-data-structured-digits", SHOULD, DELIVERY_TESTS,
           "numbers of structured mode keep their digits: 1.10 is not 1.1")
def digits(case):
    inbox = case.inbox()
    yield
    sent = case.send(case.event(b'{"price": 1.10, "x": 1e2}'), STRUCTURED)
    got = case.receive(inbox, sent)
    case.expect(same_data(sent, got), sent.data, got.data)


@assertion("wire-data-implied-json", SHOULD, "CloudEvents 1.0 json-format.md §3.1.2",
           "structured data without datacontenttype are delivered as application/json")
def implied_json(case):
    inbox = case.inbox()
    yield
    event = case.event(b'{"a": 1}', datacontenttype=None)
    got = case.receive(inbox, case.send(event, STRUCTURED))
    case.expect(
        is_json(got.get("datacontenttype") or ("application/json" if got.value is not None else "")),
        "datacontenttype application/json", got,
    )  # fmt: skip
    case.expect(read_json(got.data.decode()) == read_json('{"a": 1}'), '{"a": 1}', got.data)


@assertion("wire-data-36864", MUST, f"{REKT_BROKER} brokerSubscriberLongMessage",
           "a text of 36,864 characters is delivered exactly once")
def long_message(case):
    inbox = case.inbox()
    yield
    sent = case.send(case.event(b"X" * 36864, datacontenttype="text/plain"))
    got = case.receive(inbox, sent)
    case.expect(same_data(sent, got), "36,864 characters", got)
    case.settle()
    case.expect_count(inbox, 1, "one delivery")


# ---- who gets it ----


@assertion("wire-once", MUST, ROUTING, "each trigger is evaluated exactly once for an event: 20 events, 20 deliveries")
def once(case):
    inbox = case.inbox()
    yield
    sent = {case.send(case.event()).id for _ in range(20)}
    case.wait(inbox, 20)
    case.settle()
    got = case.expect_count(inbox, 20, "20 deliveries")
    case.expect({one.id for one in got} == sent, "each of the events", [one.id for one in got])


@assertion("wire-each-trigger", MUST, ROUTING, "each trigger that matches gets the event")
def each_trigger(case):
    inboxes = [case.inbox(delivery={"retry": n}) for n in range(5)]
    yield
    event = case.send(case.event())
    for inbox in inboxes:
        case.receive(inbox, event)


@assertion("wire-same-destination", MUST, ROUTING, "two triggers with the same destination are two deliveries")
def same_destination(case):
    subscriber = case.subscriber()
    case.trigger(subscriber)
    case.trigger(subscriber)
    yield
    case.send(case.event())
    case.wait(subscriber, 2)
    case.settle()
    case.expect_count(subscriber, 2, "two deliveries, one for each trigger")


@assertion("wire-independent", SHOULD, DELIVERY_TESTS,
           "a trigger whose subscriber does not answer holds no other trigger up")
def independent(case):
    stuck = case.subscriber(silence)
    case.trigger(stuck, delivery={"retry": 0, "timeout": "PT30S"})
    inbox = case.inbox(delivery={"retry": 0})
    yield
    events = [case.send(case.event()) for _ in range(10)]
    case.wait(stuck)
    for event in events:
        case.receive(inbox, event)


# ---- traces, headers, formats ----


@assertion("wire-traceparent", SHOULD, f"{REKT_DATA} DataPlaneObservability; {CE_TRACING}",
           "the trace of ce-traceparent goes on: the same trace id at the subscriber, tracestate too")
def traceparent(case):
    inbox = case.inbox()
    yield
    event = case.event(traceparent=f"00-{TRACE}-00f067aa0ba902b7-01", tracestate="rojo=00f067aa0ba902b7,congo=t61")
    got = case.receive(inbox, case.send(event))
    parts = (got.get("traceparent") or "").split("-")
    case.expect(len(parts) == 4 and parts[1] == TRACE, f"traceparent 00-{TRACE}-…", got.get("traceparent"))
    case.expect("congo=t61" in (got.get("tracestate") or ""), "tracestate with congo=t61", got.get("tracestate"))


@assertion("wire-arrival-time", REF, INGRESS_CODE, "the broker adds knativearrivaltime, a timestamp")
def arrival_time(case):
    inbox = case.inbox()
    yield
    event = case.send(case.event())
    got = case.receive(inbox, event)
    case.expect("T" in (got.get("knativearrivaltime") or ""), "knativearrivaltime", got)


@assertion("wire-namespace", REF, f"{REKT_BROKER} HasKnNamespaceHeader", "deliveries carry Kn-Namespace, the broker's namespace")
def namespace(case):
    inbox = case.inbox()
    yield
    case.send(case.event())
    got = case.wait(inbox)[0].fields.get("kn-namespace")
    case.expect(got == case.options.namespace, f"Kn-Namespace: {case.options.namespace}", got)


def delivered_format(case, sent_as, format, mode):
    inbox = case.inbox(delivery={"format": format})
    yield
    event = case.event(b'{"a": [1, 2]}', subject="x")
    got = case.receive(inbox, case.send(event, sent_as))
    case.expect(got.mode == mode, f"an event in {mode} mode", got)
    lost = lost_attributes(event, got)
    case.expect(not lost and same_data(event, got), "the event as it was sent", "; ".join(lost) or got.data)


for format, sent_as, mode in (("json", BINARY, STRUCTURED), ("binary", STRUCTURED, BINARY)):
    assertion(f"wire-format-{format}", REF, f"{REKT_TRIGGER} TriggerSupportsDeliveryFormat; {DELIVERY_CODE}",
              f"delivery.format {format}: what came in {sent_as} mode is delivered in {mode} mode")(
        partial(delivered_format, sent_as=sent_as, format=format, mode=mode)
    )


@assertion("wire-http", MUST, EVENT_DELIVERY, "the requests are those of HTTP/1.1: one Host, a length or chunks")
def http_request(case):
    inbox = case.inbox()
    yield
    case.send(case.event())
    got = case.wait(inbox)[0]
    names = [name.lower() for name, _ in got.head]
    case.expect(names.count("host") == 1, "one Host field", got.head)
    case.expect(
        ("content-length" in names) != ("transfer-encoding" in names),
        "Content-Length or Transfer-Encoding", got.head,
    )  # fmt: skip
    twice = [name for name in names if name.startswith("ce-") and names.count(name) > 1]
    case.expect(not twice, "each attribute once", twice)


@assertion("wire-data-0.3-base64", SHOULD, f"{CE_CORE} 0.3; {DELIVERY_TESTS}", "base64 data of a 0.3 event are delivered as the bytes")
def old_base64(case):
    inbox = case.inbox()
    yield
    data = bytes(range(256))
    event = case.event(data, specversion="0.3", datacontenttype="application/octet-stream")
    got = case.receive(inbox, case.send(event, STRUCTURED))
    case.expect(got.data == data, "bytes 0 to 255", got.data)
