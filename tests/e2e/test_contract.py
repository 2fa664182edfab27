# SPDX-License-Identifier: Apache-2.0
"""Knative's delivery contract where a real subscriber sees it: time to live, arrival, trace context,
formats, trusted certificates."""

import json
import ssl

import pytest

import daemon
import waiting
from origin import Certificate
from sink import Answer, Sink, reply
from tally import Tally
from wire import binary_event

FAST = {"retry": 1, "backoffPolicy": "linear", "backoffDelay": "PT0.05S"}
TRACE = "00-b9b7f4223534cbe17594277426dfa96a-b8ef917a5516e8f2-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
MINIMAL = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


@pytest.fixture
def listening(shared, place, sink):
    """The path of a broker whose events all go to the sink."""
    shared.apply(daemon.trigger("all", place, sink.url()))
    shared.wait_ready_condition("Trigger", "all", place)
    return f"/{place}/default", sink


def test_arrival_time_is_the_brokers(shared, listening):
    """Not the sender's."""
    path, sink = listening
    shared.send(path, binary_event(knativearrivaltime="2020-01-28T13:35:23.9Z"))
    assert sink.wait(1)[0].event["knativearrivaltime"] > "2026"


def refused(answer):
    assert answer.status == 400 and "knativebrokerttl" in json.dumps(answer.error), answer


@pytest.mark.parametrize("ttl", ["0", "1", "-1", "-2147483647"])
def test_time_to_live_exhausted(shared, place, ttl):
    """1 is nothing after this entry."""
    headers = binary_event(knativebrokerttl=ttl)
    refused(shared.send(f"/{place}/default", headers))
    event = {**MINIMAL, "knativebrokerttl": int(ttl)}
    headers = {"content-type": "application/cloudevents+json"}
    refused(shared.http.post(f"/{place}/default", json.dumps(event).encode(), headers))


def test_arrival_time_is_one_for_all(shared, place, sink):
    """In each attempt, and for each trigger."""
    sink.on("/first", [Answer(503), Answer(503), Answer(200)])
    shared.apply(
        daemon.trigger("first", place, sink.url("/first"), delivery={**FAST, "retry": 2}),
        daemon.trigger("second", place, sink.url("/second")),
    )
    for name in ("first", "second"):
        shared.wait_ready_condition("Trigger", name, place)
    shared.send(f"/{place}/default", binary_event())
    got = sink.wait(3, "/first") + sink.wait(1, "/second")
    assert len({received.event["knativearrivaltime"] for received in got}) == 1


def test_arrival_time_takes_the_place_of_the_count(shared, listening):
    """Of an event with as many attributes as may be."""
    path, sink = listening
    headers = binary_event(knativebrokerttl="9")
    headers |= {f"ce-a{number}": "x" for number in range(65 - len(headers))}
    headers["traceparent"] = TRACE
    assert shared.http.post(path, b"", headers).status == 202
    got = sink.wait(1)[0].event
    assert "knativearrivaltime" in got and "knativebrokerttl" not in got
    assert set(got) - {"knativearrivaltime"} == {
        name[3:] for name in headers if name.startswith("ce-") and name != "ce-knativebrokerttl"
    }
    assert len(got) == 65  # 64, and specversion


@pytest.mark.parametrize("ttl", ["2", "255", "256", "2147483647", "99999999999", "x", "1.5", "0x1"])
def test_time_to_live_of_any_kind(shared, listening, ttl):
    """What is no number of 32 bits counts as none; it is gone before subscribers in any case."""
    path, sink = listening
    assert shared.send(path, binary_event(knativebrokerttl=ttl)).status == 202
    assert "knativebrokerttl" not in sink.wait(1)[0].event


@pytest.mark.parametrize(
    "attributes, headers, parent, state, header",
    [
        ({"traceparent": TRACE}, {}, TRACE, None, TRACE),
        ({"traceparent": TRACE, "tracestate": "a=1"}, {}, TRACE, "a=1", TRACE),
        ({}, {"traceparent": TRACE}, TRACE, None, TRACE),
        ({}, {"TraceParent": TRACE, "TraceState": "a=1,b=2"}, TRACE, "a=1,b=2", TRACE),
        ({"traceparent": TRACE}, {"traceparent": OTHER, "tracestate": "a=1"}, TRACE, None, TRACE),
        ({}, {"traceparent": "00-nonsense"}, None, None, None),
        ({}, {"tracestate": "a=1"}, None, None, None),
        ({"traceparent": "mine"}, {}, "mine", None, None),
        ({"traceparent": "mine"}, {"traceparent": TRACE}, "mine", None, None),
    ],
)
@pytest.mark.parametrize("mode", ["binary", "structured", "batch"])
def test_trace_context_is_carried_on(
    shared, listening, attributes, headers, parent, state, header, mode
):
    """As attributes and, when it is one, as headers (W3C Trace Context)."""
    path, sink = listening
    event = {**MINIMAL, **attributes}
    kinds = {
        "binary": (binary_event(**attributes), b""),
        "structured": ({"content-type": "application/cloudevents+json"}, json.dumps(event).encode()),
        "batch": (
            {"content-type": "application/cloudevents-batch+json"},
            json.dumps([event]).encode(),
        ),
    }
    own, body = kinds[mode]
    assert shared.http.post(path, body, {**own, **headers}).status == 202
    got = sink.wait(1)[0]
    assert (got.event.get("traceparent"), got.event.get("tracestate")) == (parent, state)
    assert got.headers.get("traceparent") == header
    assert got.headers.get("tracestate") == (state if header else None)


def test_replies_go_on_with_the_trace(shared, place, sink):
    sink.on("/in", reply("r1"))
    shared.apply(
        daemon.trigger("in", place, sink.url("/in"), attributes={"type": "first"}),
        daemon.trigger("out", place, sink.url("/out"), attributes={"type": "test.reply"}),
    )
    for name in ("in", "out"):
        shared.wait_ready_condition("Trigger", name, place)
    headers = {**binary_event(type="first"), "traceparent": TRACE, "tracestate": "a=1"}
    shared.send(f"/{place}/default", headers)
    got = sink.wait(1, "/out")[0]
    assert (got.event["traceparent"], got.event["tracestate"]) == (TRACE, "a=1")
    assert got.headers["traceparent"] == TRACE


# ---- versions, attributes, modes ----

MODES = pytest.mark.parametrize("mode", [None, "binary", "json"])
JSON = {"Content-Type": "application/cloudevents+json"}


def delivered(shared, place, sink, mode, event):
    """What a subscriber gets for an event in structured mode, by delivery.format."""
    delivery = {"delivery": {"retry": 1, "format": mode}} if mode else {}
    shared.apply(daemon.trigger("t", place, sink.url(), **delivery))
    shared.wait_ready_condition("Trigger", "t", place)
    assert shared.http.post(f"/{place}/default", json.dumps(event).encode(), JSON).status == 202
    got = sink.wait(1)[0]
    assert got.structured == (mode == "json")
    return got


@MODES
def test_an_event_of_0_3_stays_one(shared, place, sink, mode):
    """With its own names for the schema and for data in base64."""
    event = {
        **MINIMAL,
        "specversion": "0.3",
        "schemaurl": "http://h.test/schema",
        "datacontenttype": "image/png",
        "datacontentencoding": "base64",
        "data": "AAH/",
    }
    got = delivered(shared, place, sink, mode, event)
    if mode == "json":
        body = json.loads(got.body)
        assert {name: body[name] for name in event} == event
    else:
        assert (got.headers["ce-specversion"], got.body) == ("0.3", b"\0\1\xff")
        assert got.headers["ce-schemaurl"] == event["schemaurl"]


@MODES
def test_attributes_go_on_as_they_are(shared, place, sink, mode):
    """Any name, in order, and of the type that they came as."""
    extras = {
        "z": "last",
        "a": "ä \"%\" b",
        "n0": -7,
        "flag": True,
        "off": False,
        "anamethatislongerthantwentycharacters": "x",
        "expirytime": "2099-01-01T00:00:00Z",
        "comexampleothervalue": "5",
    }
    got = delivered(shared, place, sink, mode, {**MINIMAL, **extras})
    if mode == "json":
        body = json.loads(got.body)
        assert {name: body[name] for name in extras} == extras
        assert [name for name in body if name in extras] == list(extras)
    else:
        text = {**extras, "n0": "-7", "flag": "true", "off": "false"}
        assert {name: got.event[name] for name in extras} == text
        names = [name[3:] for name, _ in got.header_list if name.startswith("ce-")]
        assert [name for name in names if name in extras] == list(extras)


def test_the_format_is_not_for_the_dead_letter_sink(shared, place, sink):
    sink.on("/", Answer(400))
    dead = {"retry": 0, "format": "json", "deadLetterSink": {"uri": sink.url("/dead")}}
    follow(shared, place, sink.url(), delivery=dead)
    shared.send(f"/{place}/default", binary_event())
    assert not sink.wait(1, "/dead")[0].structured and sink.at("/")[0].structured


OLD = {**MINIMAL, "specversion": "0.3", "type": "old", "schemaurl": "http://h.test/schema"}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {f"ce-{name}": value for name, value in OLD.items()}),
        Answer(200, {"content-type": "application/cloudevents+json"}, json.dumps(OLD).encode()),
    ],
    ids=["binary", "structured"],
)
def test_a_reply_of_0_3_stays_one(shared, place, sink, answer):
    sink.on("/in", answer)
    shared.apply(
        daemon.trigger("in", place, sink.url("/in"), attributes={"type": "first"}),
        daemon.trigger("out", place, sink.url("/out"), attributes={"type": "old"}),
    )
    for name in ("in", "out"):
        shared.wait_ready_condition("Trigger", name, place)
    shared.send(f"/{place}/default", binary_event(type="first"))
    got = sink.wait(1, "/out")[0].event
    assert {name: got[name] for name in OLD} == OLD


# ---- formats that are not read ----

OPAQUE = bytes(range(256)) * 4


@pytest.mark.parametrize("kind", ["avro", "protobuf", "xml; charset=utf-8", "avro-compact", "future"])
def test_a_format_that_nobody_here_reads_goes_on_as_it_is(shared, listening, kind):
    path, sink = listening
    kind = f"application/cloudevents+{kind}"
    assert shared.http.post(path, OPAQUE, {"Content-Type": kind, "traceparent": TRACE}).status == 202
    got = sink.wait(1)[0]
    assert (got.body, got.headers["content-type"], got.headers["prefer"]) == (OPAQUE, kind, "reply")
    assert "ce-specversion" not in got.headers and got.headers["traceparent"] == TRACE
    event = [entry for entry in shared.events() if entry["namespace"] == path.split("/")[1]][0]
    shown = shared.cli("event", str(event["position"])).stdout
    assert f"datacontenttype    {kind}" in shown and "in a format that is not read" in shown, shown


def test_which_triggers_get_what_nobody_reads(shared, place, sink):
    """Its attributes are those that stand in headers besides, if any: else only what asks for none."""
    filters = {
        "all": {},
        "type": {"filter": {"attributes": {"type": "t"}}},
        "other": {"filter": {"attributes": {"type": "other"}}},
        "not": {"filters": [{"not": {"exact": {"type": "t"}}}]},
        "content": {"filters": [{"prefix": {"datacontenttype": "application/cloudevents+"}}]},
    }
    for name, spec in filters.items():
        shared.apply(daemon.trigger(name, place, sink.url(f"/{name}"), **spec))
        shared.wait_ready_condition("Trigger", name, place)
    kind = {"Content-Type": "application/cloudevents+avro"}
    tally = Tally(shared)
    assert shared.http.post(f"/{place}/default", b"bare", kind).status == 202
    headers = {**binary_event(id="1", type="t", ext="a b"), **kind}
    assert shared.http.post(f"/{place}/default", b"with", headers).status == 202
    tally.wait(done=6, matched=6)
    got = {name: sorted(received.body for received in sink.at(f"/{name}")) for name in filters}
    assert got == {
        "all": [b"bare", b"with"],
        "type": [b"with"],
        "other": [],
        "not": [b"bare"],
        "content": [b"bare", b"with"],
    }
    told = sink.at("/type")[0].headers
    assert (told["ce-id"], told["ce-ext"], told["content-type"]) == ("1", "a%20b", kind["Content-Type"])


def test_attributes_beside_an_unread_format_must_be_whole(shared, place):
    kind = {"Content-Type": "application/cloudevents+avro", "ce-specversion": "1.0", "ce-id": "1"}
    answer = shared.http.post(f"/{place}/default", b"x", kind)
    assert answer.status == 400 and "source is missing" in str(answer.error), answer


def test_a_reply_that_nobody_reads(shared, place, sink):
    """It is an event of the broker, and its rounds are counted."""
    sink.on("/", Answer(200, {"content-type": "application/cloudevents+avro"}, OPAQUE))
    shared.apply(daemon.trigger("all", place, sink.url()))
    shared.wait_ready_condition("Trigger", "all", place)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(knativebrokerttl="4"))
    tally.wait(done=3, matched=3, replies=2, loops=1)
    assert [received.body == OPAQUE for received in sink.at("/")] == [False, True, True]
    assert all("ce-knativebrokerttl" not in received.headers for received in sink.at("/"))


def test_a_dead_letter_that_nobody_reads(shared, place, sink):
    sink.on("/", Answer(400, {}, b"because"))
    dead = {"retry": 0, "format": "json", "deadLetterSink": {"uri": sink.url("/dead")}}
    follow(shared, place, sink.url(), delivery=dead)
    kind = "application/cloudevents+protobuf"
    shared.http.post(f"/{place}/default", OPAQUE, {"Content-Type": kind})
    got = sink.wait(1, "/dead")[0]
    assert (got.body, got.headers["content-type"]) == (OPAQUE, kind)
    assert got.headers["ce-knativeerrorcode"] == "400"
    row = waiting.until(lambda: shared.dead(place, "t"))[0]
    assert row["event"]["datacontenttype"] == kind and row["event"]["data_base64"]


def test_what_has_no_id_is_no_duplicate(shared, place, sink):
    """Where the broker lets no event pass twice; attributes beside the message make it one."""
    named = daemon.broker("once", place)
    named["metadata"]["annotations"] = {"sluice.dev/dedup": "PT1H"}
    shared.apply(named, daemon.trigger("t", place, sink.url(), broker="once"))
    shared.wait_ready_condition("Trigger", "t", place)
    kind = {"Content-Type": "application/cloudevents+avro"}
    for number in range(3):
        for headers in (kind, {**binary_event(id="1"), **kind}):
            answer = shared.http.post(f"/{place}/once", b"%d" % number, headers)
            assert answer.status == 202
    marker = binary_event(id="marker")
    shared.send(f"/{place}/once", marker)
    sink.wait_for(lambda received: received.headers.get("ce-id") == "marker")
    Tally(shared).at_rest()
    ids = [received.headers.get("ce-id") for received in sink.at("/")]
    assert sorted(ids, key=str) == ["1", None, None, None, "marker"], ids


# ---- trusted certificates ----

@pytest.fixture(name="authorities", scope="module")
def make_authorities(tmp_path_factory):
    """Two, of which each server has one."""
    return [Certificate(tmp_path_factory.mktemp("authority")) for _ in range(2)]


@pytest.fixture(name="secure")
def make_secure(authorities):
    """A sink behind TLS, whose certificate is the first authority's."""
    made = Sink()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authorities[0].chain, authorities[0].key)
    made.server.socket = context.wrap_socket(
        made.server.socket, server_side=True, do_handshake_on_connect=False
    )
    yield made
    made.close()


def destination(secure, path="/", authority=None):
    found = {"uri": f"https://127.0.0.1:{secure.port}{path}"}
    if authority:
        found["CACerts"] = authority.authority.read_text()
    return found


def follow(server, namespace, subscriber, **spec):
    server.apply(daemon.trigger("t", namespace, subscriber, **spec))
    server.wait_ready_condition("Trigger", "t", namespace)


def test_an_authority_of_the_subscriber(shared, place, secure, authorities):
    follow(shared, place, destination(secure, authority=authorities[0]))
    data = b"x" * 100_000
    shared.send(f"/{place}/default", binary_event(id="1"), data)
    got = secure.wait(1)[0]
    assert (got.id, got.body, got.headers["prefer"]) == ("1", data, "reply")


@pytest.mark.parametrize("known", [None, 1], ids=["the system", "another"])
def test_an_authority_that_nobody_knows(shared, place, secure, authorities, known):
    """No event leaves before the peer is known to be the right one."""
    authority = None if known is None else authorities[known]
    follow(shared, place, destination(secure, authority=authority), delivery=FAST)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event())
    tally.wait(retried=1, dead=1, matched=1)
    assert secure.received == []
    row = waiting.until(lambda: shared.dead(place, "t"))[0]
    assert row["code"] == 0 and "certificate" in row["error"], row


def test_both_authorities(shared, place, secure, authorities):
    both = destination(secure)
    both["CACerts"] = "\n".join(a.authority.read_text() for a in reversed(authorities))
    follow(shared, place, both)
    shared.send(f"/{place}/default", binary_event(id="1"))
    assert secure.wait(1)[0].id == "1"


def test_an_authority_of_the_dead_letter_sink(shared, place, sink, secure, authorities):
    sink.on("/", Answer(400, {}, b"because"))
    dead = {"retry": 0, "deadLetterSink": destination(secure, "/dead", authorities[0])}
    follow(shared, place, sink.url(), delivery=dead)
    shared.send(f"/{place}/default", binary_event(id="d"))
    got = secure.wait(1, "/dead")[0]
    assert (got.id, got.event["knativeerrorcode"]) == ("d", "400")
    found = shared.get("Trigger", "t", place)["status"]
    assert found["deadLetterSinkUri"] == f"https://127.0.0.1:{secure.port}/dead"


def test_an_authority_that_is_put_right(shared, place, secure, authorities):
    """Counts from the next attempt on, also for what has failed before."""
    slow = {"retry": 100, "backoffPolicy": "linear", "backoffDelay": "PT0.01S"}
    follow(shared, place, destination(secure, authority=authorities[1]), delivery=slow)
    shared.send(f"/{place}/default", binary_event(id="1"))
    waiting.until(lambda: shared.metrics()["sluice_retries_total"] > 0)
    follow(shared, place, destination(secure, authority=authorities[0]), delivery=slow)
    assert secure.wait(1)[0].id == "1"


@pytest.mark.parametrize(
    "answers, counted",
    [
        ([Answer(200)], {"done": 1}),
        ([reply("r1", type="none")], {"done": 1, "replies": 1}),
        ([Answer(202, {}, b"accepted")], {"done": 1}),
        ([Answer(200, {}, b"thanks"), Answer(200)], {"done": 1, "retried": 1}),
        ([Answer(404), Answer(200)], {"done": 1, "retried": 1}),
        ([Answer(429, {"retry-after": "0"}), Answer(200)], {"done": 1, "retried": 1}),
        ([Answer(503), Answer(200)], {"done": 1, "retried": 1}),
        ([Answer(drop=True), Answer(200)], {"done": 1, "retried": 1}),
        ([Answer(200, {}, b"an answer", cut=5), Answer(200)], {"done": 1, "retried": 1}),
        ([Answer(202, {}, b"an answer", cut=20), Answer(200)], {"done": 1, "retried": 1}),
        ([Answer(200, delay=30), Answer(200)], {"done": 1, "retried": 1}),
        ([reply("r1", data=b"x" * 3_000_000), Answer(200)], {"done": 1, "retried": 1}),
        ([Answer(400)], {"dead": 1}),
        ([Answer(410)], {"dead": 1}),
        ([Answer(101)], {"dead": 1}),
    ],
)
def test_answers_mean_the_same_behind_tls(shared, place, secure, authorities, answers, counted):
    secure.on("/", answers)
    late = any(answer.delay for answer in answers)
    limits = {**FAST, "timeout": "PT1S" if late else "PT30S"}
    subscriber = destination(secure, authority=authorities[0])
    follow(shared, place, subscriber, delivery=limits, filter={"attributes": {"type": "t"}})
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(type="t"))
    tally.wait(**{"replies": 0, **counted})


def test_redirects_are_not_followed(shared, place, secure, authorities):
    where = destination(secure, "/elsewhere")["uri"]
    secure.on("/", Answer(307, {"location": where}))
    follow(shared, place, destination(secure, authority=authorities[0]), delivery=FAST)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event())
    tally.wait(dead=1, matched=1)
    assert (len(secure.at("/")), secure.at("/elsewhere")) == (1, [])


# ---- the dead-letter sink of a broker ----


def test_a_broker_says_where_its_dead_letters_go(shared, place):
    ref = {"apiVersion": "v1", "kind": "Service", "name": "graves"}
    rows = [
        (None, None, "True", "DeadLetterSinkNotConfigured"),
        ({"uri": "http://h.test/dead"}, "http://h.test/dead", "True", ""),
        (
            {"ref": ref, "uri": "/x"},
            None,
            "False",
            "FunctionNotFound",
        ),
        (
            {"ref": {**ref, "kind": "Pod"}},
            None,
            "False",
            "DeadLetterSinkNotResolved",
        ),
    ]
    for number, (sink, uri, status, reason) in enumerate(rows):
        name = f"b{number}"
        delivery = {"delivery": {"deadLetterSink": sink}} if sink else {}
        shared.apply(daemon.broker(name, place, **delivery))
        found = shared.wait_condition("Broker", name, place, daemon.condition)
        assert found["status"].get("deadLetterSinkUri") == uri
        condition = daemon.condition(found, "DeadLetterSinkResolved")
        assert (condition["status"], condition.get("reason", "")) == (status, reason)
        assert daemon.condition(found)["status"] == status, "Ready says so, too"
