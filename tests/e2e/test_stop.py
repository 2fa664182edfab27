# SPDX-License-Identifier: Apache-2.0
"""Requests that become whole while the server ends: each is answered or its connection is cut, and
the server ends in order."""

import signal
import time

import pytest

import daemon
from sink import Answer
from wire import Incomplete, RawConnection, binary_event

REQUESTS = 300  # one a millisecond: more than the server takes to end
DELIVERY_S = 0.15  # for that long it takes requests still
EVENT = (
    "POST /n/default HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: 2\r\n{headers}\r\n{{}}"
)


def status_of(connection):
    """None: cut without an answer."""
    try:
        return connection.response().status
    except (Incomplete, OSError):
        return None


def finish_one_by_one(server, begun):
    """Sends the last byte of each until the server has ended; returns the statuses."""
    server.remember_family()
    server.process.send_signal(signal.SIGTERM)
    for connection, last in begun:
        try:
            connection.send(last)
        except OSError:
            pass
        if not server.running:
            break
        time.sleep(0.001)
    assert server.process.wait(30) == 0, server.log()[-2000:]
    statuses = [status_of(connection) for connection, _ in begun]
    for connection, _ in begun:
        connection.close()
    return statuses


def begin(server, request):
    connection = RawConnection(server.address)
    connection.send(request[:-1])
    return connection, request[-1:]


@pytest.fixture
def delivering(server, sink):
    """A broker in the midst of a delivery, which it ends before it ends itself."""
    sink.on("/", Answer(200, delay=DELIVERY_S))
    server.apply(
        daemon.namespace("n"),
        daemon.broker("default", "n"),
        daemon.trigger("t", "n", sink.url(), attributes={"type": "first"}),
    )
    server.wait_ready_condition("Trigger", "t", "n")
    return server


def first_event(server):
    assert server.send("/n/default", binary_event(id="first", type="first")).status == 202


def test_questions_that_become_whole(delivering):
    """They are answered by the loop, which ends."""
    request = b"GET /-/dead HTTP/1.1\r\nHost: localhost\r\n\r\n"
    begun = [begin(delivering, request) for _ in range(REQUESTS)]
    first_event(delivering)
    assert set(finish_one_by_one(delivering, begun)) <= {200, 503, None}


def test_writes_that_become_whole(delivering):
    """They go through the registry, the log, and the loop."""
    begun = []
    for number in range(REQUESTS):
        body = b'{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x%d"}}' % number
        head = "POST /api/v1/namespaces HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        begun.append(begin(delivering, head.encode() + body))
    first_event(delivering)
    statuses = finish_one_by_one(delivering, begun)
    assert set(statuses) <= {201, 503, None}
    delivering.restart()
    for number, status in enumerate(statuses):
        if status == 201:
            delivering.get("Namespace", f"x{number}")


def test_events_that_become_whole(delivering):
    """What is acknowledged is there after the next start."""
    begun = []
    for number in range(REQUESTS):
        fields = binary_event(id=str(number))
        headers = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        begun.append(begin(delivering, EVENT.format(headers=headers).encode()))
    first_event(delivering)
    statuses = finish_one_by_one(delivering, begun)
    assert set(statuses) <= {202, 503, None}
    delivering.restart()
    stored = {entry["event"]["id"] for entry in delivering.events()}
    taken = {str(number) for number, status in enumerate(statuses) if status == 202}
    assert taken <= stored
