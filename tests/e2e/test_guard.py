# SPDX-License-Identifier: Apache-2.0
"""What a browser, a confused proxy or a slow client must not get away with (DESIGN §13)."""

import json
import socket
import time

import pytest

import daemon
from wire import Incomplete, RawConnection, binary_event, raw_exchange, raw_request

EVENT = list(binary_event().items())
API = "/apis/eventing.knative.dev/v1/namespaces/{place}/brokers"


def post(shared, path, headers, body=b"{}", host="localhost"):
    named = {name.lower() for name, _ in headers}
    head = [("Host", host)] if host is not None and "host" not in named else []
    if "content-length" not in named and "transfer-encoding" not in named:
        head.append(("Content-Length", str(len(body))))
    return raw_exchange(shared.address, raw_request("POST", path, head + headers, body), timeout=10)


# ---- Host ----


MALFORMED, FOREIGN = 400, 421


@pytest.mark.parametrize(
    "host, status",
    [
        ("evil.example.com", FOREIGN),
        ("evil.example.com:8080", FOREIGN),
        ("localhost.evil.com", FOREIGN),
        ("127.0.0.1.nip.io", FOREIGN),
        ("10.0.0.1", FOREIGN),
        ("[::2]", FOREIGN),
        ("", MALFORMED),
        ("localhost:99999", MALFORMED),
        ("a b", MALFORMED),
        ("user@localhost", MALFORMED),
    ],
)
def test_wrong_host(shared, place, host, status):
    answer = post(shared, f"/{place}/default", EVENT, host=host)
    assert answer and answer.status == status, answer
    answer = raw_exchange(
        shared.address, raw_request("GET", "/api/v1/namespaces", [("Host", host)])
    )
    assert answer and answer.status == status, answer


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "localhost:{port}", "127.0.0.1:{port}", "[::1]", "LOCALHOST"]
)
def test_right_host(shared, place, host):
    answer = post(shared, f"/{place}/default", EVENT, host=host.format(port=shared.address[1]))
    assert answer.status == 202


def test_no_host(shared, place):
    answer = post(shared, f"/{place}/default", EVENT, host=None)
    assert answer and answer.status == 400, answer


def test_two_hosts(shared, place):
    headers = [("Host", "localhost"), ("Host", "evil.example.com"), ("Content-Length", "2"), *EVENT]
    answer = raw_exchange(shared.address, raw_request("POST", f"/{place}/default", headers, b"{}"))
    assert answer and answer.status == 400, answer


def test_cluster_host_is_for_ingress_only(shared, place):
    host = f"default-broker.{place}.svc.cluster.local"
    for path in (
        "/api/v1/namespaces",
        "/metrics",
        "/-/events?from=1&follow=false",
        "/functions/a/b/",
    ):
        answer = raw_exchange(shared.address, raw_request("GET", path, [("Host", host)]))
        assert answer and answer.status == 421, (path, answer)
        assert b'"kind"' not in answer.body


# ---- Origin and content types ----


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example.com",
        "https://evil.example.com:8443",
        "null",
        "http://localhost:1",
        "file://",
    ],
)
def test_foreign_origin(shared, place, origin):
    answer = post(shared, f"/{place}/default", [("Origin", origin), *EVENT])
    assert answer.status == 403, answer
    answer = shared.http.get("/api/v1/namespaces", headers={"Origin": origin})
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        None,
    ],
)
def test_api_writes_need_json_or_yaml(shared, place, content_type):
    """These three are what a page can send across sites without asking first."""
    document = json.dumps(daemon.broker("sneaky", place)).encode()
    headers = {"Content-Type": content_type} if content_type else {}
    answer = shared.http.post(API.format(place=place), document, headers)
    assert answer.status == 415, answer
    assert shared.http.get(API.format(place=place) + "/sneaky").status == 404


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_forms_without_event_headers_are_no_events(shared, place, content_type):
    answer = post(shared, f"/{place}/default", [("Content-Type", content_type)], b"a=b")
    assert answer and answer.status == 400, answer


# ---- lengths ----


@pytest.mark.parametrize(
    "headers, body, status",
    [
        ([("Content-Length", "2"), ("Content-Length", "3")], b"{} ", 400),
        ([("Content-Length", "2"), ("Content-Length", "2")], b"{}", 400),
        ([("Content-Length", "2, 3")], b"{} ", 400),
        ([("Content-Length", "2"), ("Transfer-Encoding", "chunked")], b"2\r\n{}\r\n0\r\n\r\n", 400),
        ([("Transfer-Encoding", "chunked"), ("Content-Length", "2")], b"2\r\n{}\r\n0\r\n\r\n", 400),
        ([("Content-Length", "-1")], b"", 400),
        ([("Content-Length", "+2")], b"{}", 400),
        ([("Content-Length", "0x2")], b"{}", 400),
        ([("Content-Length", "2 2")], b"{}", 400),
        ([("Content-Length", "two")], b"{}", 400),
        ([("Content-Length", "")], b"", 400),
        ([("Content-Length", "99999999999999999999")], b"{}", 413),
        ([("Transfer-Encoding", "identity, chunked"), ("Content-Length", "2")], b"{}", 400),
        (
            [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity")],
            b"2\r\n{}\r\n0\r\n\r\n",
            400,
        ),
        ([("Transfer-Encoding", "xchunked")], b"2\r\n{}\r\n0\r\n\r\n", 501),
    ],
)
def test_conflicting_lengths(shared, place, headers, body, status):
    """Refused and closed: what follows on such a connection may be anybody's."""
    with RawConnection(shared.address, 5) as connection:
        head = [("Host", "localhost"), *EVENT, *headers]
        connection.send(raw_request("POST", f"/{place}/default", head, body))
        answer = connection.response()
        assert answer.status == status, answer
        assert connection.closed(), "the connection must not be used again"


def test_smuggled_request_is_not_run(shared, place):
    smuggled = raw_request(
        "POST",
        f"/{place}/default",
        [("Host", "localhost"), ("Content-Length", "0"), *binary_event(id="smuggled").items()],
    )
    headers = [
        ("Host", "localhost"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        *EVENT,
    ]
    data = raw_request("POST", f"/{place}/default", headers, b"0\r\n\r\n" + smuggled)
    with RawConnection(shared.address) as connection:
        connection.send(data)
        assert connection.response().status == 400
        assert connection.closed()
    assert shared.send(f"/{place}/default", binary_event(id="marker")).status == 202
    ids = {entry["event"]["id"] for entry in shared.events()}
    assert "marker" in ids and "smuggled" not in ids


@pytest.mark.parametrize(
    "data, status",
    [
        (b"\r\n" * 100 + b"x", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 505),
        (b"GET  /  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None),  # no line has ended
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n: empty\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400),
    ],
)
def test_broken_requests(shared, data, status):
    """None: what ends before it is a request is not answered."""
    with RawConnection(shared.address) as connection:
        connection.send(data)
        connection.socket.shutdown(socket.SHUT_WR)
        try:
            answer = connection.response()
        except Incomplete as nothing:
            assert status is None and nothing.args == (b"",)
        else:
            assert answer.status == status, answer
            assert b"root:" not in answer.body
        assert connection.closed()
    assert shared.http.get("/health/liveness").status == 200


def test_long_lines(shared):
    for data, status in (
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"a" * 500_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"x: y\r\n" * 50_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a" * 500_000, 431),
    ):
        answer = raw_exchange(shared.address, data)
        assert answer and answer.status == status, answer
    assert shared.http.get("/health/liveness").status == 200


# ---- slow and half-open clients ----


def test_slow_header(shared):
    """A client that drips its header is cut off by a deadline (10 s), not by inactivity: else this
    one would never be."""
    with RawConnection(shared.address, timeout=0.5) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        start = time.monotonic()
        while True:
            assert time.monotonic() - start < 60, "a dripping header must not keep a connection"
            try:
                connection.send(b"x: y\r\n")
                if not connection.socket.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - start > 5, "not at once, either"


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True


def test_half_open_clients_do_not_stop_others(shared, place):
    """Connections that say nothing, or half of something: the others are not answered only when
    the deadline has cut those."""
    idle = [socket.create_connection(shared.address) for _ in range(100)]
    try:
        for number, connection in enumerate(idle):
            if number % 2:
                connection.send(
                    b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"
                )
        for _ in range(20):
            assert shared.send(f"/{place}/default", binary_event()).status == 202
        assert all(is_open(connection) for connection in idle)
    finally:
        for connection in idle:
            connection.close()


def test_client_that_goes_away_in_the_middle(shared, place):
    for cut in (1, 20, 80, 150):
        with RawConnection(shared.address, 5) as connection:
            head = [("Host", "localhost"), ("Content-Length", "1000"), *EVENT]
            connection.send(raw_request("POST", f"/{place}/default", head, b"x" * 500)[: cut * 10])
    assert shared.send(f"/{place}/default", binary_event()).status == 202


def test_client_that_does_not_read_its_answer(shared, place):
    """Events it sent are kept; others are served meanwhile."""
    with RawConnection(shared.address, 5) as connection:
        head = [("Host", "localhost"), ("Content-Length", "2"), *EVENT]
        connection.send(raw_request("POST", f"/{place}/default", head, b"{}") * 200)
        assert shared.send(f"/{place}/default", binary_event()).status == 202


def test_pipelined_requests_are_answered_in_order(shared, place):
    with RawConnection(shared.address, 10) as connection:
        good = raw_request(
            "POST",
            f"/{place}/default",
            [("Host", "localhost"), ("Content-Length", "2"), *EVENT],
            b"{}",
        )
        other = raw_request("GET", "/health/liveness", [("Host", "localhost")])
        connection.send((good + other) * 20)
        for _ in range(20):
            assert connection.response().status == 202
            assert connection.response().status == 200


def test_keep_alive(shared, place):
    with RawConnection(shared.address, 10) as connection:
        for number in range(50):
            head = [
                ("Host", "localhost"),
                ("Content-Length", "2"),
                *binary_event(id=str(number)).items(),
            ]
            connection.send(raw_request("POST", f"/{place}/default", head, b"{}"))
            assert connection.response().status == 202


def test_stream_reader_that_stops_reading(server):
    """The broker's memory does not grow with what waits for a tail, which gets all of it later."""
    import processes

    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    with RawConnection(server.address, 30) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.send(b"GET /-/events?from=1&follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.until(b"\r\n\r\n")
        before = processes.proportional_memory([server.pid])
        for number in range(40):
            answer = server.send(
                "/n/default", binary_event(id=str(number)), b"x" * 1_000_000, "text/plain"
            )
            assert answer.status == 202
        after = processes.proportional_memory([server.pid])
        assert after - before < daemon.MEMORY_FACTOR * 16 * 1024 * 1024, f"{after - before:,}"
        for number in range(40):
            connection.until(f'"id":"{number}"'.encode())


def test_refuses_any_other_address_without_saying_so(make_daemon, tmp_path):
    """Off loopback it wants TLS and tokens, or an explicit --insecure."""
    import subprocess

    result = subprocess.run(
        [str(daemon.BINARY), "serve", "--data-dir", str(tmp_path / "d"), "--listen", "0.0.0.0:0"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert result.returncode != 0
    assert "--insecure" in result.stderr, result.stderr
