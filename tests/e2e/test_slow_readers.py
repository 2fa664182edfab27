# SPDX-License-Identifier: Apache-2.0
"""Readers of streams that do not read: they cost little, hold nobody up, and go."""

import json
import socket

import daemon
import processes
import pytest
import waiting
from wire import RawConnection, binary_event

MiB = 1024 * 1024


def stream(server, path):
    """A stream whose reader takes no more than its head."""
    connection = RawConnection(server.address, 30)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


@pytest.fixture
def streams(server):
    opened = []

    def open_stream(path):
        opened.append(stream(server, path))
        return opened[-1]

    yield open_stream
    for connection in opened:
        connection.close()


def test_tails_that_do_not_read(server, streams):
    """Each may have little that it has not taken; there are 64 at most."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    for _ in range(64):
        assert b" 200 " in streams("/-/events").until(b"\r\n\r\n")
    answer = server.http.get("/-/events")
    assert answer.status == 429, answer
    assert "at most 64" in answer.error["message"]
    before = processes.proportional_memory([server.pid])
    for number in range(16):
        answer = server.send(
            "/n/default", binary_event(id=str(number)), b"x" * 1_000_000, "text/plain"
        )
        assert answer.status == 202
    waiting.until(lambda: server.metrics()["sluice_store_synced_position"] >= 16)
    after = processes.proportional_memory([server.pid])
    assert after - before < daemon.MEMORY_FACTOR * 192 * MiB, f"{(after - before) >> 20} MiB"
    assert server.metrics()["sluice_tails"] == 64


def established(connection):
    return connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1


def padded(number, size):
    broker = daemon.broker(f"b{number}", "n")
    broker["metadata"]["annotations"] = {"example.com/padding": "x" * size}
    return broker


def test_watches_that_do_not_read(server, streams):
    """What they have not taken is within 64 MiB for all; those who have most are cut."""
    server.apply(daemon.namespace("n"))
    server.apply(*(padded(number, 250_000) for number in range(40)))
    path = server.collection("Broker", "n") + "?watch=true"
    before = processes.proportional_memory([server.pid])
    connections = [streams(path) for _ in range(20)]
    good = RawConnection(server.address, 30)
    for connection in connections:
        assert b" 200 " in connection.until(b"\r\n\r\n")
    after = processes.proportional_memory([server.pid])
    assert after - before < daemon.MEMORY_FACTOR * 100 * MiB, f"{(after - before) >> 20} MiB"
    with good:
        good.send(f"GET {path}&resourceVersion=0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        server.apply(daemon.broker("last", "n"))
        good.until(b'"name":"last"')
    left = sum(map(established, connections))
    assert 4 <= left <= 14, left  # 10 MB each, of which the kernel holds some


def test_a_watch_that_reads_slowly_gets_all(server, streams):
    server.apply(daemon.namespace("n"))
    server.apply(*(padded(number, 250_000) for number in range(40)))
    connection = streams(server.collection("Broker", "n") + "?watch=true")
    connection.until(b"\r\n\r\n")
    server.apply(daemon.broker("last", "n"))
    body = b""
    while b'"name":"last"' not in body[-2000:]:
        size = int(connection.until(b"\r\n"), 16)
        body += connection.exactly(size)
        connection.until(b"\r\n")
    events = [json.loads(line) for line in body.splitlines()]
    added = [event["object"]["metadata"]["name"] for event in events if event["type"] == "ADDED"]
    assert sorted(added[:40]) == sorted(f"b{number}" for number in range(40))
    assert added[40:] == ["last"]
