# SPDX-License-Identifier: Apache-2.0
"""Readers of streams that do not read: they cost little, hold nobody up, and go."""

import json
import socket
import time

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


def filled(server, count, size=250_000):
    """The version of before, and the collection that has grown by so many brokers."""
    server.apply(daemon.namespace("n"))
    path = server.collection("Broker", "n")
    version = server.http.get(path).json()["metadata"]["resourceVersion"]
    server.apply(*(padded(number, size) for number in range(count)))
    return path, version


def grown(server, before):
    return processes.proportional_memory([server.pid]) - before


def test_watches_that_do_not_read_what_exists(server, streams):
    """It is told as they take it: none is cut, and they cost next to nothing."""
    path, _ = filled(server, 40)
    before = processes.proportional_memory([server.pid])
    connections = [streams(path + "?watch=true") for _ in range(20)]
    for connection in connections:
        assert b" 200 " in connection.until(b"\r\n\r\n")
    server.apply(daemon.broker("last", "n"))
    more = grown(server, before)
    assert more < daemon.MEMORY_FACTOR * 40 * MiB, f"{more >> 20} MiB"
    assert all(map(established, connections))


def test_watches_that_do_not_read_what_changes(server, streams):
    """What they have not taken is within 64 MiB for all; those who have most are cut."""
    path, _ = filled(server, 0)
    connections = [streams(path + "?watch=true") for _ in range(20)]
    for connection in connections:
        assert b" 200 " in connection.until(b"\r\n\r\n")
    before = processes.proportional_memory([server.pid])
    server.apply(*(padded(number, 250_000) for number in range(40)))
    more = grown(server, before)
    assert more < daemon.MEMORY_FACTOR * 170 * MiB, f"{more >> 20} MiB"
    left = sum(map(established, connections))
    assert 1 <= left <= 14, left  # 10 MB each at least, of which the kernel holds some


def chunks(connection):
    """The bytes of the body as they come, after the head was read."""
    while True:
        size = int(connection.until(b"\r\n"), 16)
        yield connection.exactly(size)
        connection.until(b"\r\n")


def take(connection, size):
    got = 0
    for chunk in chunks(connection):
        got += len(chunk)
        if got >= size:
            break


def test_what_readers_have_taken_is_given_back(server, streams):
    """Each takes the greater part of the 15 MB that wait for it at once."""
    path, version = filled(server, 30)
    before = processes.proportional_memory([server.pid])
    connections = []
    for _ in range(6):
        connections.append(streams(f"{path}?watch=true&resourceVersion={version}"))
        connections[-1].until(b"\r\n\r\n")
        take(connections[-1], 8_000_000)
    more = grown(server, before)
    assert more < daemon.MEMORY_FACTOR * 70 * MiB, f"{more >> 20} MiB"
    assert all(map(established, connections))


def test_who_reads_is_not_cut_for_those_who_do_not(server, streams):
    """Even when more waits for it than for any of them."""
    path, version = filled(server, 30)
    path += f"?watch=true&resourceVersion={version}"
    others = ",".join(f"metadata.name!=b{number}" for number in range(8))
    idle = [streams(f"{path}&fieldSelector={others}") for _ in range(4)]
    for connection in idle:
        assert b" 200 " in connection.until(b"\r\n\r\n")
    assert all(map(established, idle))
    time.sleep(1.2)  # so long that they count as such
    reader = streams(path)
    reader.until(b"\r\n\r\n")
    take(reader, 14_900_000)
    assert sum(map(established, idle)) == 3


def test_changes_while_it_is_told_what_exists(server, streams):
    """What it was told in the end is what is."""
    path, _ = filled(server, 40)
    connection = streams(path + "?watch=true")
    connection.until(b"\r\n\r\n")
    for name in ("b0", "b9"):  # the first and the last of them
        assert server.delete("Broker", name, "n").status == 200
    for number in (1, 8):
        server.apply(padded(number, 10))
    server.apply(daemon.broker("a-new-one", "n"), daemon.broker("last", "n"))
    known, body = {}, b""
    for chunk in chunks(connection):
        *lines, body = (body + chunk).split(b"\n")
        for event in map(json.loads, lines):
            metadata = event["object"]["metadata"]
            if event["type"] == "DELETED":
                del known[metadata["name"]]
                continue
            assert (event["type"] == "MODIFIED") == (metadata["name"] in known)
            known[metadata["name"]] = metadata["resourceVersion"]
        if "last" in known:
            break
    listed = [item["metadata"] for item in server.http.get(path).json()["items"]]
    assert known == {found["name"]: found["resourceVersion"] for found in listed}


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
