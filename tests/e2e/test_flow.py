# SPDX-License-Identifier: Apache-2.0
"""Annotations of triggers that say how fast and in which order they deliver, with the real program."""

import socket
import threading

import daemon
import pytest
import waiting
from sink import Answer, Sink
from wire import binary_event, json_event

ORDER = "sluice.dev/order"
PAUSED = "sluice.dev/paused"


def annotated(name, subscriber, annotations, **more):
    document = daemon.trigger(name, "n", subscriber, **more)
    document["metadata"]["annotations"] = annotations
    return document


def reason(found, kind="Ready"):
    return daemon.condition(found, kind).get("reason")


@pytest.fixture
def own(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    return server


def send(server, id, path="/n/default", **more):
    assert server.send(path, binary_event(id=id, **more)).status == 202


def send_batch(server, ids, path="/n/default"):
    answer = server.send_json(
        path, [json_event(id=id) for id in ids], "application/cloudevents-batch+json"
    )
    assert answer.status == 202


def test_annotations_are_checked(own, sink, tmp_path):
    for annotations, part in (
        ({"sluice.dev/concurrency": "0"}, "a number from 1 to 1000"),
        ({"sluice.dev/rate-limits": "5/s"}, "did you mean sluice.dev/rate-limit?"),
    ):
        answer = own.create(annotated("t", sink.url(), annotations))
        (name,) = annotations
        assert answer.status == 422
        cause = answer.json()["details"]["causes"][0]
        assert cause["field"] == f'metadata.annotations["{name}"]'
        assert part in cause["message"]
    manifest = tmp_path / "t.yaml"
    manifest.write_text(
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: t\n"
        "  namespace: n\n  annotations:\n    sluice.dev/order: sorted\nspec:\n"
        "  subscriber: {uri: 'http://x/'}\n"
    )
    done = own.cli("apply", "-f", str(manifest), check=False)
    assert done.returncode == 1
    assert "t.yaml:7" in done.stderr and "must be ordered or unordered" in done.stderr


def test_pause_and_resume(own, sink):
    own.apply(*(daemon.trigger(name, "n", sink.url(f"/{name}")) for name in "ab"))
    for name in "ab":
        own.wait_ready_condition("Trigger", name, "n")
    assert own.cli("pause", "a", "-n", "n").stdout == "trigger.eventing.knative.dev/a paused\n"
    own.wait_condition("Trigger", "a", "n", lambda found: reason(found) == "Paused")
    assert "Paused" in own.cli("get", "triggers", "-n", "n").stdout
    send_batch(own, map(str, range(20)))
    sink.wait(20, "/b")
    own.stop()
    own.restart()
    own.wait_condition("Trigger", "a", "n", lambda found: reason(found) == "Paused")
    assert own.metrics()["sluice_triggers_paused"] == 1
    assert sink.at("/a") == []
    assert own.cli("resume", "--all", "-n", "n").stdout == "trigger.eventing.knative.dev/a resumed\n"
    sink.wait(20, "/a")
    own.wait_condition("Trigger", "a", "n", lambda found: reason(found) is None)
    missing = own.cli("pause", "none", "-n", "n", check=False)
    assert missing.returncode == 1 and "not found" in missing.stderr
    assert own.cli("pause", "-n", "n", check=False).returncode == 2


def test_order_over_crashes(own, sink):
    """Each second attempt fails; in between the program is killed."""
    lock = threading.Lock()
    attempts = {}

    def script(received):
        with lock:
            attempts[received.id] = attempts.get(received.id, 0) + 1
            return Answer(503 if attempts[received.id] == 1 and received.id.endswith("5") else 200)

    sink.on("/", script)
    delivery = {"retry": 5, "backoffDelay": "PT0.05S", "backoffPolicy": "linear"}
    own.apply(annotated("t", sink.url(), {ORDER: "ordered"}, delivery=delivery))
    own.wait_ready_condition("Trigger", "t", "n")
    keys, count = 4, 60
    for number in range(count):
        for key in range(keys):
            send(own, f"{key}-{number}", partitionkey=f"key{key}")
        if number % 20 == 10:
            own.kill()
            own.start()
    waiting.until(lambda: len({r.id for r in sink.at("/")}) == keys * count, 20)
    last = {}
    for received in sink.at("/"):
        key, number = map(int, received.id.split("-"))
        assert number - last.get(key, -1) in (0, 1), received.id
        last[key] = number


def test_a_dead_subscriber_is_probed(own):
    """It comes back at the same port after more failures than its policy allows."""
    gone = socket.socket()  # nobody else gets its port, and nobody listens there
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    gone.bind(("127.0.0.1", 0))
    port = gone.getsockname()[1]
    delivery = {"retry": 1, "backoffDelay": "PT0.01S"}
    breaker = {"sluice.dev/circuit-breaker": "1", "sluice.dev/concurrency": "3"}
    own.apply(annotated("t", f"http://127.0.0.1:{port}/", breaker, delivery=delivery))
    own.wait_ready_condition("Trigger", "t", "n")
    for number in range(30):
        send(own, str(number))
    found = own.wait_condition(
        "Trigger", "t", "n", lambda found: reason(found, "SubscriberHealthy") == "CircuitOpen"
    )
    assert "next probe is at" in daemon.condition(found, "SubscriberHealthy")["message"]
    assert own.metrics()["sluice_circuit_breakers_open"] == 1
    waiting.until(lambda: own.metrics()["sluice_probes_total"] >= 1, 10)
    back = Sink(port)
    try:
        ids = {received.id for received in back.wait(30)}
        assert ids == {str(number) for number in range(30)}
        waiting.until(lambda: own.metrics()["sluice_circuit_breakers_open"] == 0)
        assert own.metrics()["sluice_dead_letters"] == 0
    finally:
        back.close()
        gone.close()


def test_slow_and_failing_calls_hold_their_own_place(own, sink):
    """Some calls are held, one in a hundred fails for ever: the others all come."""
    hold = threading.Event()

    def script(received):
        number = int(received.id)
        if number % 50 == 0:
            hold.wait(20)
        return Answer(500 if number % 100 == 99 else 200)

    sink.on("/", script)
    own.apply(daemon.trigger("t", "n", sink.url(), delivery={"retry": 3, "backoffDelay": "PT30S"}))
    own.wait_ready_condition("Trigger", "t", "n")
    send_batch(own, map(str, range(1000)))
    try:
        waiting.until(lambda: own.metrics()["sluice_deliveries_done_total"] == 1000 - 20 - 10, 20)
        waiting.until(lambda: own.metrics()["sluice_deliveries_in_flight"] == 20)
    finally:
        hold.set()
    waiting.until(lambda: own.metrics()["sluice_deliveries_in_flight"] == 0)


def test_a_flood_of_one_broker_leaves_the_other_alone(own, sinks):
    """Clients flood one whose subscribers hold all that they get; the other's events all come."""
    hold, ended = threading.Event(), threading.Event()
    held, calm = sinks(), sinks()
    held.on("/", lambda received: hold.wait(30) and None)
    own.apply(daemon.broker("calm", "n"))
    own.apply(*(daemon.trigger(f"flood{i}", "n", held.url()) for i in range(5)))
    own.apply(daemon.trigger("calm", "n", calm.url(), broker="calm"))
    for name in ("flood4", "calm"):
        own.wait_ready_condition("Trigger", name, "n")

    def flood(number):
        for turn in range(1000):
            if ended.is_set():
                return
            send_batch(own, [f"{number}-{turn}-{i}" for i in range(200)])

    clients = [threading.Thread(target=flood, args=(number,)) for number in range(4)]
    for client in clients:
        client.start()
    try:
        waiting.until(lambda: own.metrics()["sluice_deliveries_in_flight"] == 5 * 48, 20)
        for number in range(100):
            send(own, str(number), "/n/calm")
        calm.wait(100)
        waiting.until(lambda: own.metrics()["sluice_deliveries_done_total"] == 100)
        assert own.metrics()["sluice_deliveries_in_flight"] == 5 * 48
    finally:
        ended.set()
        for client in clients:
            client.join()
        hold.set()
