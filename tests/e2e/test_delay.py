# SPDX-License-Identifier: Apache-2.0
"""Events that are delivered later, not after a time, or once, with the real program and its clock."""

import datetime

import daemon
import pytest
import waiting
from wire import binary_event, json_event


def after(seconds):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


@pytest.fixture
def own(server, sink):
    server.apply(
        daemon.namespace("n"), daemon.broker("default", "n"), daemon.trigger("t", "n", sink.url())
    )
    server.wait_ready_condition("Trigger", "t", "n")
    return server


def send(server, id, **more):
    return server.send("/n/default", binary_event(id=id, **more))


def metric(server, name):
    return server.metrics()[name]


def test_delivery_is_put_off(own, sink):
    due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    assert send(own, "later", deliverytime=due.isoformat()).status == 202
    assert send(own, "now").status == 202
    assert [received.id for received in sink.wait(1)] == ["now"]
    (item,) = own.http.get("/-/events?id=later").json()["items"]
    history = own.http.get(f"/-/events/{item['position']}").json()
    assert history["deliveries"][0]["attempts"][0]["end"] == "delayed"
    sink.wait(2)
    assert datetime.datetime.now(datetime.timezone.utc) >= due
    waiting.until(lambda: metric(own, "sluice_deliveries_done_total") == 2)
    assert metric(own, "sluice_deliveries_delayed_total") == 1


def test_what_is_put_off_survives_a_kill(own, sink):
    own.send_json(
        "/n/default",
        [json_event(id="soon", deliverytime=after(3)), json_event(id="far", deliverytime=after(9e6))],
        "application/cloudevents-batch+json",
    )
    waiting.until(lambda: metric(own, "sluice_deliveries_delayed_total") == 2)
    own.kill()
    own.start()
    assert [received.id for received in sink.wait(1)] == ["soon"]
    assert own.http.get("/-/events?id=far").json()["items"]


def test_an_event_expires(own, sink):
    assert send(own, "late", expirytime=after(-1)).status == 202
    assert send(own, "fresh", expirytime=after(3600)).status == 202
    (received,) = sink.wait(1)
    assert received.id == "fresh"
    assert "ce-expirytime" in {name.lower() for name in received.headers}
    waiting.until(lambda: metric(own, "sluice_deliveries_expired_total") == 1)
    assert own.dead("n", "t") == []


def test_values_are_checked(own, sink):
    for name, value, part in (
        ("deliverytime", "tomorrow", "must be an RFC 3339 time"),
        ("deliverytime", "2999-01-01T00:00:00Z", "at most 366 days"),
        ("expirytime", "PT10M", "must be an RFC 3339 time"),
    ):
        answer = send(own, "bad", **{name: value})
        assert answer.status == 400
        assert answer.error["field"] == name and part in answer.error["message"]
    batch = [json_event(id="good"), json_event(id="bad", deliverytime="x")]
    answer = own.send_json("/n/default", batch, "application/cloudevents-batch+json")
    assert answer.status == 400
    assert send(own, "last").status == 202
    assert [received.id for received in sink.wait(1)] == ["last"]


def test_duplicates(own, sink):
    document = daemon.broker("default", "n")
    document["metadata"]["annotations"] = {"sluice.dev/dedup": "forever"}
    assert own.replace(document).status == 422
    document["metadata"]["annotations"] = {"sluice.dev/dedup": "PT1H"}
    own.apply(document)
    for id in ("a", "b", "a", "c"):
        assert send(own, id).status == 202
    waiting.until(lambda: metric(own, "sluice_deliveries_done_total") == 3)
    waiting.until(lambda: metric(own, "sluice_outcomes_settling") == 0)  # a kill forgets none
    own.kill()
    own.start()
    for id in ("b", "a", "d"):
        assert send(own, id).status == 202
    assert sink.wait_for(lambda received: received.id == "d")
    assert sorted(received.id for received in sink.wait(4)) == ["a", "b", "c", "d"]
    assert metric(own, "sluice_events_duplicate_total") >= 2
