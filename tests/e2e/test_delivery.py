# SPDX-License-Identifier: Apache-2.0
"""What an answer leads to: finished, tried again, dead; and that a restart changes none of it."""

import base64
import time

import pytest

import daemon
import waiting
from sink import Answer, Sink, reply
from tally import Tally
from wire import binary_event

FAST = {"retry": 3, "backoffPolicy": "linear", "backoffDelay": "PT0.05S"}


def subscribe(server, namespace, url, name="t", **spec):
    server.apply(daemon.trigger(name, namespace, url, **spec))
    server.wait_ready_condition("Trigger", name, namespace)


def own_place(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.wait_ready_condition("Broker", "default", "n")


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 502, 503, 504, 599])
def test_retried(shared, place, sink, status):
    sink.on("/", [Answer(status), Answer(status), Answer(200)])
    subscribe(shared, place, sink.url(), delivery=FAST)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="r"))
    tally.wait(retried=2, done=1, matched=1)
    assert [received.id for received in sink.at("/")] == ["r"] * 3
    assert shared.dead(place, "t") == []


@pytest.mark.parametrize(
    "status", [300, 301, 302, 307, 400, 401, 403, 405, 410, 413, 415, 418, 422]
)
def test_final(shared, place, sink, status):
    sink.on("/", Answer(status, {"location": sink.url("/elsewhere")}, b"because"))
    subscribe(shared, place, sink.url(), delivery=FAST)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="f"))
    tally.wait(dead=1, matched=1)
    dead = waiting.until(lambda: shared.dead(place, "t"))
    assert len(dead) == 1
    assert (dead[0]["code"], dead[0]["attempts"], dead[0]["event"]["id"]) == (status, 1, "f")
    assert len(sink.at("/")) == 1
    assert sink.at("/elsewhere") == [], "redirects are never followed"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_finished(shared, place, sink, status):
    sink.on("/", Answer(status))
    subscribe(shared, place, sink.url(), delivery=FAST)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event())
    tally.wait(done=1, matched=1)
    assert len(sink.at("/")) == 1
    assert shared.dead(place, "t") == []


def test_dropped_connection_is_retried(shared, place, sink):
    sink.on("/", [Answer(drop=True), Answer(drop=True), Answer(200)])
    subscribe(shared, place, sink.url(), delivery=FAST)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event())
    tally.wait(retried=2, done=1, matched=1)
    assert len(sink.at("/")) == 3
    assert shared.dead(place, "t") == []


def test_time_out_is_retried(shared, place, sink):
    sink.on("/", [Answer(200, delay=60), Answer(200)])
    subscribe(shared, place, sink.url(), delivery={**FAST, "timeout": "PT0.3S"})
    shared.send(f"/{place}/default", binary_event())
    first, second = sink.wait(2)
    assert second.time - first.time > 0.25, "not before its time; that it came is the rest"


@pytest.mark.parametrize(
    "policy, waits",
    [
        ("linear", [0.2, 0.4, 0.6]),
        ("exponential", [0.2, 0.4, 0.8]),
    ],
)
def test_back_off(shared, place, sink, policy, waits):
    """linear is d·n counted from 1; exponential d·2^n counted from 0 (DESIGN §6)."""
    sink.on("/", Answer(503, {}, b""))
    delivery = {"retry": 3, "backoffPolicy": policy, "backoffDelay": "PT0.2S"}
    subscribe(shared, place, sink.url(), delivery=delivery)
    shared.send(f"/{place}/default", binary_event())
    times = [received.time for received in sink.wait(4)]
    for (earlier, later), wait in zip(zip(times, times[1:]), waits):
        assert wait * 0.8 <= later - earlier <= wait + 3, (policy, later - earlier, wait)
    dead = waiting.until(lambda: shared.dead(place, "t"))
    assert dead[0]["attempts"] == 4


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(shared, place, sink, status):
    sink.on("/", [Answer(status, {"retry-after": "1"}), Answer(200)])
    subscribe(shared, place, sink.url(), delivery=FAST)
    shared.send(f"/{place}/default", binary_event())
    first, second = sink.wait(2)
    assert 0.9 <= second.time - first.time < 10


def test_retry_zero(shared, place, sink):
    sink.on("/", Answer(500, {}, b"no"))
    subscribe(shared, place, sink.url(), delivery={"retry": 0})
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event())
    tally.wait(dead=1, matched=1)
    dead = waiting.until(lambda: shared.dead(place, "t"))
    assert dead[0]["attempts"] == 1
    assert len(sink.at("/")) == 1


def test_one_slow_trigger_does_not_hold_up_another(shared, place, sinks):
    """The slow one does not answer before the test ends."""
    slow, fast = sinks(), sinks()
    slow.on("/", Answer(200, delay=60))
    subscribe(shared, place, slow.url(), "slow")
    subscribe(shared, place, fast.url(), "fast")
    for number in range(50):
        shared.send(f"/{place}/default", binary_event(id=str(number)))
    assert {received.id for received in fast.wait(50)} == {str(number) for number in range(50)}
    slow.wait(1)


def test_events_wait_for_a_subscriber_that_is_down(make_daemon):
    server = make_daemon().start()
    own_place(server)
    down = Sink()
    port_url = down.url()
    down.close()
    subscribe(server, "n", port_url, delivery={"retry": 2, "backoffDelay": "PT0.05S"})
    server.send("/n/default", binary_event(id="lost"))
    dead = waiting.until(lambda: server.dead("n", "t"))
    assert dead[0]["event"]["id"] == "lost"
    assert dead[0]["attempts"] == 3
    assert dead[0]["error"]


# ---- over a restart ----


@pytest.mark.parametrize("hard", [False, True], ids=["stop", "kill"])
def test_retries_survive_a_restart(server, sink, hard):
    """The attempt count goes on where it was, and so does the due time."""
    own_place(server)
    sink.on("/", Answer(503))
    subscribe(
        server,
        "n",
        sink.url(),
        delivery={"retry": 4, "backoffPolicy": "linear", "backoffDelay": "PT1S"},
    )
    server.send("/n/default", binary_event(id="r"))
    sink.wait(2)
    server.kill() if hard else server.stop()
    before = len(sink.at("/"))
    server.restart()
    got = sink.wait(before + 1)
    if not hard:
        assert got[before].time - got[before - 1].time > 1.8, "before it was due"
    dead = waiting.until(lambda: server.dead("n", "t"), 30)
    assert dead[0]["attempts"] == 5
    # a hand-over whose outcome was not on disk when the broker died may be repeated, no more
    assert 5 <= len(sink.at("/")) <= (6 if hard else 5)


def test_a_due_time_is_at_most_its_delay_away_after_a_restart(server, sink):
    own_place(server)
    sink.on("/", [Answer(503), Answer(200)])
    subscribe(
        server,
        "n",
        sink.url(),
        delivery={"retry": 3, "backoffPolicy": "linear", "backoffDelay": "PT3S"},
    )
    tally = Tally(server)
    server.send("/n/default", binary_event())
    tally.wait(retried=1)
    failed = time.monotonic()
    server.stop()
    time.sleep(max(0, failed + 3 - time.monotonic()))
    start = time.monotonic()
    server.restart()
    assert sink.wait(2)[1].time - start < 3, "it was due while the broker was down"


@pytest.mark.parametrize("hard", [False, True], ids=["stop", "kill"])
def test_undelivered_events_survive_a_restart(server, sink, hard):
    own_place(server)
    sink.on("/", Answer(503))
    subscribe(
        server,
        "n",
        sink.url(),
        delivery={"retry": 10, "backoffPolicy": "linear", "backoffDelay": "PT0.5S"},
    )
    for number in range(50):
        assert server.send("/n/default", binary_event(id=str(number))).status == 202
    sink.wait(1)
    server.kill() if hard else server.stop()
    sink.on("/", Answer(200))
    reached = len(sink.at("/"))
    server.restart()
    waiting.until(lambda: len({r.id for r in sink.at("/")[reached:]}) == 50, 20)
    Tally(server, fresh=True).wait(done=50)


def test_finished_events_are_not_delivered_again_after_a_stop(server, sink):
    own_place(server)
    subscribe(server, "n", sink.url())
    for number in range(100):
        server.send("/n/default", binary_event(id=str(number)))
    Tally(server, fresh=True).wait(done=100)
    server.stop()
    server.restart()
    server.send("/n/default", binary_event(id="new"))
    assert sink.wait(101)[100].id == "new", "it comes after all that is older"
    Tally(server, fresh=True).wait(done=1, matched=1)
    assert len(sink.at("/")) == 101


def test_dead_letters_survive_a_restart(server, sink):
    own_place(server)
    sink.on("/", Answer(400, {}, b"broken"))
    subscribe(server, "n", sink.url())
    server.send("/n/default", binary_event(id="d"), b'{"n":1.10}')
    before = waiting.until(lambda: server.dead("n", "t"))
    server.kill()
    server.restart()
    assert server.dead("n", "t") == before
    raw = server.http.get("/-/dead?namespace=n&trigger=t").body
    assert b'{"n":1.10}' in raw
    server.send("/n/default", binary_event(id="new"))
    Tally(server, fresh=True).wait(dead=1, matched=1)
    assert [received.id for received in sink.at("/")] == ["d", "new"]


def test_dead_rows_say_what_happened(shared, place, sink):
    sink.on("/", Answer(400, {"content-type": "text/plain"}, b"no such field"))
    subscribe(shared, place, sink.url())
    shared.send(f"/{place}/default", binary_event(id="d"))
    row = waiting.until(lambda: shared.dead(place, "t"))[0]
    assert {
        "trigger",
        "namespace",
        "position",
        "attempts",
        "code",
        "error",
        "time",
        "event",
    } <= set(row)
    assert (row["trigger"], row["namespace"], row["code"]) == ("t", place, 400)
    assert "400" in row["error"] and row["body"] == "no such field"
    entry = [e for e in shared.events() if e["position"] == row["position"]][0]
    assert entry["event"]["id"] == "d"


# ---- dead letter sinks ----


def test_dead_letter_sink(shared, place, sink):
    sink.on("/", Answer(500, {}, b"it broke"))
    delivery = {"retry": 1, "backoffDelay": "PT0.05S", "deadLetterSink": {"uri": sink.url("/dead")}}
    subscribe(shared, place, sink.url(), delivery=delivery)
    data = b'{"n":1.10}'
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="d", ext="kept"), data)
    got = sink.wait(1, "/dead")[0]
    assert (got.id, got.event["ext"], got.body) == ("d", "kept", data)
    assert got.event["knativeerrorcode"] == "500"
    assert got.event["knativeerrordest"].rstrip("/") == sink.url().rstrip("/")
    assert base64.b64decode(got.event["knativeerrordata"]) == b"it broke"
    tally.wait(retried=1, dead=1, done=1, matched=1)
    assert (len(sink.at("/")), len(sink.at("/dead"))) == (2, 1)


def test_dead_letter_sink_of_the_broker(server, sink):
    sink.on("/", Answer(400))
    delivery = {"retry": 0, "deadLetterSink": {"uri": sink.url("/dead")}}
    server.apply(daemon.namespace("n"), daemon.broker("default", "n", delivery=delivery))
    subscribe(server, "n", sink.url())
    server.send("/n/default", binary_event(id="d"))
    assert sink.wait(1, "/dead")[0].id == "d"


def test_delivery_of_a_trigger_replaces_that_of_its_broker(server, sink):
    sink.on("/", Answer(500))
    delivery = {"retry": 5, "backoffDelay": "PT0.05S", "deadLetterSink": {"uri": sink.url("/dead")}}
    server.apply(daemon.namespace("n"), daemon.broker("default", "n", delivery=delivery))
    subscribe(server, "n", sink.url(), delivery={"retry": 0})
    server.send("/n/default", binary_event(id="d"))
    Tally(server, fresh=True).wait(dead=1, matched=1)
    assert waiting.until(lambda: server.dead("n", "t"))[0]["attempts"] == 1
    assert (len(sink.at("/")), sink.at("/dead")) == (1, []), "no merging"


def test_dead_letters_are_kept_within_limits(make_daemon, sink):
    server = make_daemon("--dead-letters", "3").start()
    sink.on("/", Answer(400))
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    subscribe(server, "n", sink.url(), delivery={"retry": 0})
    for number in range(8):
        server.send("/n/default", binary_event(id=f"d{number}"))
    metrics = waiting.until(
        lambda: (found := server.metrics())["sluice_dead_letters_removed_total"] == 5 and found
    )
    assert metrics["sluice_dead_letters"] == 3
    kept = [row["event"]["id"] for row in server.dead("n", "t")]
    assert kept == ["d5", "d6", "d7"]


def test_dead_letter_sink_waits_for_its_function(server, sink):
    sink.on("/", Answer(400))
    reference = {"apiVersion": "sluice.dev/v1", "kind": "Function", "name": "late"}
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    delivery = {"retry": 0, "deadLetterSink": {"ref": reference}}
    server.apply(daemon.trigger("t", "n", sink.url(), delivery=delivery))
    trigger = server.wait_condition("Trigger", "t", "n", lambda t: daemon.condition(t))
    for kind in ("DeadLetterSinkResolved", "Ready"):
        found = daemon.condition(trigger, kind)
        assert (found["status"], found["reason"]) == ("False", "FunctionNotFound")
    server.send("/n/default", binary_event(id="d"))
    assert waiting.until(lambda: server.dead("n", "t")), "events do not wait for Ready"
    code = "module.exports = (c, e) => { console.log(`got ${e.id}`); };"
    server.apply(daemon.function("late", "n", code))
    server.wait_condition(
        "Trigger", "t", "n", lambda t: daemon.condition(t, "DeadLetterSinkResolved")["status"] == "True"
    )
    assert waiting.until(lambda: "got d" in server.cli("logs", "late", "-n", "n").stdout)


def test_dead_letter_sink_is_a_broker(server, sink):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"), daemon.broker("dead", "n"))
    ref = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "dead"}
    sink.on("/", Answer(400))
    subscribe(server, "n", sink.url(), delivery={"retry": 0, "deadLetterSink": {"ref": ref}})
    subscribe(server, "n", sink.url("/dead"), "d", broker="dead")
    server.send("/n/default", binary_event(id="x"))
    assert sink.wait(1, "/dead")[0].id == "x"


def test_dead_letter_sink_is_tried_again(shared, place, sink):
    sink.on("/", Answer(400))
    sink.on("/dead", [Answer(503), Answer(200)])
    delivery = {**FAST, "deadLetterSink": {"uri": sink.url("/dead")}}
    subscribe(shared, place, sink.url(), delivery=delivery)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="d"))
    tally.wait(dead=1, retried=1, done=1, matched=1)
    assert (len(sink.at("/")), len(sink.at("/dead"))) == (1, 2)


# ---- replies ----


def replies_in(server, namespace, type="test.reply"):
    return [
        entry
        for entry in server.events()
        if entry["namespace"] == namespace and entry["event"]["type"] == type
    ]


def test_reply_is_an_event_of_the_broker(shared, place, sink):
    sink.on("/in", reply("r1", data=b'{"n":1.10}', ext="x"))
    subscribe(shared, place, sink.url("/in"), "in", attributes={"type": "first"})
    subscribe(shared, place, sink.url("/out"), "out", attributes={"type": "test.reply"})
    shared.send(f"/{place}/default", binary_event(type="first"))
    got = sink.wait(1, "/out")[0]
    assert (got.id, got.event["source"], got.event["ext"], got.body) == (
        "r1",
        "/sink",
        "x",
        b'{"n":1.10}',
    )


def test_structured_reply(shared, place, sink):
    body = b'{"specversion":"1.0","id":"r1","type":"test.reply","source":"/s","data":{"n":1.10}}'
    sink.on("/in", Answer(200, {"content-type": "application/cloudevents+json"}, body))
    subscribe(shared, place, sink.url("/in"), "in", attributes={"type": "first"})
    subscribe(shared, place, sink.url("/out"), "out", attributes={"type": "test.reply"})
    shared.send(f"/{place}/default", binary_event(type="first"))
    got = sink.wait(1, "/out")[0]
    assert (got.id, got.body) == ("r1", b'{"n":1.10}')


def test_a_202_is_never_a_reply(shared, place, sink):
    answer = reply("r1")
    answer.status = 202
    sink.on("/in", answer)
    subscribe(shared, place, sink.url("/in"), "in", attributes={"type": "first"})
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(type="first"))
    tally.wait(done=1, matched=1, replies=0)
    assert len(sink.at("/in")) == 1
    assert replies_in(shared, place) == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"content-type": "text/plain"}, b"no event"),
        Answer(200, {"content-type": "application/json"}, b'{"a":1}'),
        Answer(200, {"content-type": "application/cloudevents+json"}, b'{"id":"x"}'),
        Answer(
            200, {"content-type": "application/json", "ce-id": "x", "ce-specversion": "1.0"}, b"{}"
        ),
    ],
)
def test_a_body_that_is_no_event_fails_the_delivery(shared, place, sink, answer):
    sink.on("/", [answer, Answer(200)])
    subscribe(shared, place, sink.url(), delivery=FAST)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event())
    tally.wait(retried=1, done=1, matched=1, replies=0)
    assert len(sink.at("/")) == 2


def test_an_answer_that_is_too_large_fails_the_delivery(shared, place, sink):
    large = reply("r1", data=b"x" * 3_000_000, content_type="text/plain")
    sink.on("/", [large, Answer(200)])
    subscribe(shared, place, sink.url(), delivery=FAST)
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event())
    tally.wait(retried=1, done=1, matched=1, replies=0)
    assert replies_in(shared, place) == []


def test_reply_is_appended_once_for_one_cause(shared, place, sink):
    """The retries before it left nothing behind."""
    sink.on("/", [Answer(503), Answer(503), reply("r1"), Answer(200)])
    subscribe(shared, place, sink.url(), delivery=FAST, attributes={"type": "first"})
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(type="first"))
    tally.wait(retried=2, done=1, matched=1, replies=1)
    assert len(waiting.until(lambda: replies_in(shared, place))) == 1
    assert len(sink.at("/")) == 3


def test_replies_keep_their_time_to_live(shared, place, sink):
    """Sent back without knativebrokerttl, the count goes on from the cause's; each entry into a broker
    takes one from it, the first as well."""
    sink.on("/in", lambda received: reply(f"{received.id}+", type="loop"))
    subscribe(shared, place, sink.url("/in"), "in", attributes={"type": "loop"})
    tally = Tally(shared)
    shared.send(f"/{place}/default", binary_event(id="x", type="loop", knativebrokerttl="5"))
    tally.wait(done=4, matched=4, replies=3, loops=1)
    assert [received.id for received in sink.at("/in")] == [f"x{'+' * n}" for n in range(4)]


def test_metrics_count_deliveries(server, sink):
    own_place(server)
    sink.on("/", [Answer(503), Answer(200)])
    subscribe(server, "n", sink.url(), delivery=FAST)
    server.send("/n/default", binary_event())
    Tally(server, fresh=True).wait(retried=1, done=1, matched=1, dead=0, replies=0, loops=0)
    found = server.metrics()
    assert found["sluice_events_taken_total"] == 1
    assert found["sluice_attempts_failed_total"] == 1
    assert (found["sluice_dead_letters"], found["sluice_deliveries_lost_total"]) == (0, 0)
