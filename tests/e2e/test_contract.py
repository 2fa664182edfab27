# SPDX-License-Identifier: Apache-2.0
"""Knative's delivery contract where a real subscriber sees it: time to live, arrival, trace context,
formats, trusted certificates."""

import json

import pytest

import daemon
from sink import reply
from wire import binary_event

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
    refused(shared.send(f"/{place}/default", headers, json.dumps(event).encode()))


@pytest.mark.parametrize("ttl", ["2", "255", "256", "2147483647", "99999999999", "x", "1.5", "0x1"])
def test_time_to_live_of_any_kind(shared, listening, ttl):
    """What is no number of 32 bits counts as none; it is gone before subscribers in any case."""
    path, sink = listening
    assert shared.send(path, binary_event(knativebrokerttl=ttl)).status == 202
    assert "knativebrokerttl" not in sink.wait(1)[0].event


TRACE = "00-b9b7f4223534cbe17594277426dfa96a-b8ef917a5516e8f2-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


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
    assert shared.send(path, {**own, **headers}, body).status == 202
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
