# SPDX-License-Identifier: Apache-2.0
"""Health, metrics, the way the server starts and ends, and the store in memory."""

import os
import re
import signal
import threading
import time

import pytest

import daemon
import processes
import waiting
from wire import Incomplete, RawConnection, binary_event


@pytest.mark.parametrize(
    "path", ["/health/liveness", "/health/readiness", "/livez", "/readyz", "/healthz"]
)
def test_health(shared, path):
    assert shared.http.get(path).status == 200
    assert shared.http.request("HEAD", path).status == 200
    assert shared.http.post(path).status == (404 if path.startswith("/health/") else 405)


def test_metrics_are_prometheus_text(shared, place):
    shared.send(f"/{place}/default", binary_event())
    answer = shared.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    sample = re.compile(
        r'[a-zA-Z_:][\w:]*(\{([a-zA-Z_]\w*="([^"\\\n]|\\.)*",?)*\})? [-+]?(\d[\d.e+-]*|Inf|NaN)'
    )
    typed = set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed, f"{name}: its type is given twice"
            typed.add(name)
        elif line and not line.startswith("#"):
            assert sample.fullmatch(line), line
            base = re.split(r"[{ ]", line)[0]
            assert {base, re.sub("_(bucket|sum|count)$", "", base)} & typed, f"{base} has no type"
    assert typed


def test_metrics_count(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    for number in range(7):
        assert server.send("/n/default", binary_event(id=str(number))).status == 202
    assert server.send("/n/default", binary_event(id="")).status == 400
    found = server.metrics()
    assert found["sluice_events_taken_total"] == 7
    assert found["sluice_events_refused_total"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_on(server, number):
    server.remember_family()
    server.process.send_signal(number)
    assert server.process.wait(10) == 0


def test_stops_quickly_with_work_in_flight(server, sink):
    """Open connections, streams, a subscriber that does not answer and is to be tried again: none of
    it holds it up for longer than the grace of 10 s for each of three steps."""
    from sink import Answer

    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    sink.on("/", Answer(200, delay=60))
    server.apply(daemon.trigger("t", "n", sink.url(), delivery={"timeout": "PT5S"}))
    server.wait_ready_condition("Trigger", "t", "n")
    for number in range(20):
        server.send("/n/default", binary_event(id=str(number)))
    sink.wait(1)
    with RawConnection(server.address) as idle, RawConnection(server.address) as stream:
        idle.send(b"GET /health/liveness HTTP/1.1\r\nHost: localhost\r\n")
        stream.send(b"GET /-/events?from=1&follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream.until(b"\r\n\r\n")
        assert server.stop(timeout=40) == 0


def test_a_client_that_posts_while_it_stops(server):
    """What is answered with 202 then is there after the next start, too."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    taken = []

    def post():
        for number in range(100000):
            try:
                if server.send("/n/default", binary_event(id=str(number))).status == 202:
                    taken.append(str(number))
            except OSError:
                return

    thread = threading.Thread(target=post)
    thread.start()
    time.sleep(0.3)
    assert server.stop() == 0
    thread.join(20)
    server.restart()
    assert set(taken) <= {entry["event"]["id"] for entry in server.events()}


def test_stops_while_clients_come(server):
    """Again and again: the HTTP threads and the end of the server must not get in each other's way.
    Requests are whole a while after they began."""
    running = True

    def knock():
        while running:
            try:
                with RawConnection(server.address, timeout=2) as client:
                    client.send(b"GET /health/liveness HTTP/1.1\r\n")
                    time.sleep(0.005)
                    client.send(b"Host: localhost\r\n\r\n")
                    client.response()
            except (OSError, Incomplete):
                time.sleep(0.02)

    threads = [threading.Thread(target=knock) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            time.sleep(0.05)
            assert server.stop() == 0
            server.restart()
    finally:
        running = False
        for thread in threads:
            thread.join()


def test_store_in_memory(make_daemon, sink):
    server = make_daemon("--store", "memory").start()
    server.apply(
        daemon.namespace("n"), daemon.broker("default", "n"), daemon.trigger("t", "n", sink.url())
    )
    server.apply(daemon.function("f", "n", "module.exports = () => 'x';"))
    server.wait_ready_condition("Trigger", "t", "n")
    server.wait_ready_condition("Function", "f", "n")
    for number in range(20):
        assert server.send("/n/default", binary_event(id=str(number))).status == 202
    sink.wait(20)
    assert len(server.events()) == 20
    server.stop()
    server.restart()
    assert server.http.get(server.path_of("Broker", "default", "n")).status == 404


def test_events_stream_follows(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.send("/n/default", binary_event(id="before"))
    with RawConnection(server.address) as stream:
        stream.send(b"GET /-/events?from=1&follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream.until(b"before")
        server.send("/n/default", binary_event(id="after"))
        stream.until(b"after")


def test_events_from_a_position(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    for number in range(5):
        server.send("/n/default", binary_event(id=str(number)))
    entries = server.events()
    assert [e["event"]["id"] for e in server.events(entries[2]["position"])] == ["2", "3", "4"]
    assert server.events(entries[-1]["position"] + 1) == []
    assert {(e["namespace"], e["broker"]) for e in entries} == {("n", "default")}


@pytest.mark.parametrize(
    "query", ["from=x", "from=-1", "from=1&follow=perhaps", "from=99999999999999999999"]
)
def test_events_with_a_bad_query(shared, query):
    assert shared.http.get(f"/-/events?{query}").status == 400


def test_dead_of_nothing(shared, place):
    assert shared.dead(place, "nothing") == []


def test_nothing_leaks_over_many_requests(server, sink):
    """Descriptors, threads and memory are where they were after 3,000 deliveries and 300 resources."""
    server.apply(
        daemon.namespace("n"), daemon.broker("default", "n"), daemon.trigger("t", "n", sink.url())
    )
    server.wait_ready_condition("Trigger", "t", "n")

    def work(turn):
        events = ",".join(
            f'{{"specversion":"1.0","id":"{turn}-{n}","type":"t","source":"/s","data":1}}'
            for n in range(300)
        )
        assert (
            server.send_json(
                "/n/default", f"[{events}]".encode(), "application/cloudevents-batch+json"
            ).status
            == 202
        )
        for number in range(30):
            server.apply(
                daemon.trigger(f"x{number}", "n", sink.url("/x"), attributes={"type": "none"})
            )
            assert server.delete("Trigger", f"x{number}", "n").status == 200
        sink.wait(300 * (turn + 1), timeout=30)

    for turn in range(3):
        work(turn)
    descriptors = len(processes.descriptors(server.pid))
    threads = len(os.listdir(f"/proc/{server.pid}/task"))
    memory = processes.proportional_memory([server.pid])
    for turn in range(3, 10):
        work(turn)
    waiting.until(lambda: len(processes.descriptors(server.pid)) <= descriptors + 4)
    assert len(os.listdir(f"/proc/{server.pid}/task")) <= threads
    assert (
        processes.proportional_memory([server.pid]) - memory
        < daemon.MEMORY_FACTOR * 24 * 1024 * 1024
    )


def many_events(server, count):
    for batch in range(0, count, 10000):
        events = ",".join(
            f'{{"specversion":"1.0","id":"{batch + n}","type":"t","source":"/s","data":{{"n":{n}}}}}'
            for n in range(min(10000, count - batch))
        )
        body = f"[{events}]".encode()
        answer = server.send_json("/n/default", body, "application/cloudevents-batch+json")
        assert answer.status == 202


def test_tails_whose_readers_go_away(server):
    """In the middle of a line, while there is more to write."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    many_events(server, 20000)
    for turn in range(150):
        with RawConnection(server.address) as stream:
            follow = "true" if turn % 2 else "false"
            stream.send(
                f"GET /-/events?from=1&follow={follow} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            if turn % 3:
                stream.more()
    assert len(server.events()) == 20000


def test_tail_whose_reader_pauses(server):
    """More than its buffer takes: it goes on when the reader does."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    many_events(server, 40000)
    with RawConnection(server.address) as stream:
        stream.send(b"GET /-/events?from=1&follow=false HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream.more()
        time.sleep(1)
        assert stream.response().body.count(b"\n") == 40000
