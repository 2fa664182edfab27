# SPDX-License-Identifier: Apache-2.0
"""Deliveries byte by byte: what a subscriber at a URL sees, and that no event is lost whatever it
answers (RFC 9110, RFC 9112). Where the RFC leaves a choice, either outcome is accepted: the event
is delivered, or delivered again."""

import collections
import concurrent.futures
import http.client
import itertools
import json
import random
import select
import socket
import threading
import time

import pytest

import daemon
import waiting
from subscriber import OK, Subscriber, answer, at_accept, head, say
from wire import binary_event, json_event

AGAIN = {"retry": 5, "backoffPolicy": "linear", "backoffDelay": "PT0.02S", "timeout": "PT5S"}
BRIEF = {**AGAIN, "timeout": "PT0.5S"}
ONCE = {"retry": 0, "timeout": "PT5S"}

DONE, RETRIED, DEAD = "done", "retried", "dead"
EITHER = (DONE, RETRIED)
FAILED = (RETRIED, DEAD)

REPLY = (
    b"ce-specversion: 1.0",
    b"ce-id: r",
    b"ce-type: test.reply",
    b"ce-source: /subscriber",
    b"Content-Type: application/json",
)
DATA = b'{"n":1.10}'
CHUNKED = b"Transfer-Encoding: chunked"


def ok(*fields):
    """The head of a good answer."""
    return head(b"HTTP/1.1 200 OK", *fields)


def data_of(size, seed=1):
    return random.Random(seed).randbytes(size)


def table(*rows):
    """Parametrizes by rows that begin with what they are."""
    names = "sent, expected" if len(rows[0]) == 3 else "sent, expected, reused"
    return pytest.mark.parametrize(names, [pytest.param(*row, id=what) for what, *row in rows])


@pytest.fixture
def subscriber():
    """Makes subscribers; afterwards each is asked what it found wrong, and closed."""
    made = []

    def make(*script, **options):
        made.append(Subscriber(*script, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
    for one in made:
        one.check()


def soon(accept, timeout=10, what="it"):
    """As waiting.until(), for what takes a millisecond mostly."""
    for pause in (0.001, 0.002, 0.004, 0.008, 0.016):
        if found := accept():
            return found
        time.sleep(pause)
    return waiting.until(accept, timeout, what)


class Line:
    """The triggers of one broker, and what became of what was sent since."""

    def __init__(self, server, place):
        self.server = server
        self.place = place
        self.connection = http.client.HTTPConnection(*server.address, timeout=20)
        self.before = self.metrics()
        self.position = int(self.before["sluice_store_synced_position"]) + 1

    def close(self):
        self.connection.close()

    def metrics(self):
        """The totals, over one connection: they are asked for often."""
        self.connection.request("GET", "/metrics")
        lines = self.connection.getresponse().read().decode().splitlines()
        pairs = (line.split() for line in lines if line.startswith("sluice_") and "{" not in line)
        return {name: float(value) for name, value in pairs}

    def subscribe(self, url, name="t", attributes=None, delivery=AGAIN):
        only = attributes or {"type": "test.type"}
        subscriber = url if isinstance(url, str) else url.url()
        spec = {"delivery": delivery, "attributes": only}
        self.server.apply(daemon.trigger(name, self.place, subscriber, **spec))
        self.server.wait_ready_condition("Trigger", name, self.place)
        return self

    def send(self, id="x", body=b"{}", **attributes):
        event = binary_event(id=id, **attributes)
        answered = self.server.send(f"/{self.place}/default", event, body, "text/plain")
        assert answered.status == 202, answered

    def count(self, name, metrics=None):
        name = f"sluice_{name}_total"
        return int((metrics or self.metrics())[name] - self.before[name])

    def dead(self, name="t"):
        return self.server.dead(self.place, name)

    def wait_done(self, count=1, timeout=15):
        soon(lambda: self.count("deliveries_done") >= count, timeout, f"{count} done")

    def verdict(self):
        """What became of the one event that was sent."""
        found = {}

        def ended():
            found.update(self.metrics())
            return self.count("deliveries_done", found) or self.count("dead_letters", found)

        soon(ended, 15, "the end of the delivery")
        if self.count("dead_letters", found):
            return DEAD
        return RETRIED if self.count("attempts_failed", found) else DONE

    def replies(self):
        entries = [e for e in self.server.events(self.position) if e["namespace"] == self.place]
        return [e["event"] for e in entries if e["event"]["type"] == "test.reply"]


@pytest.fixture
def line(shared, place):
    made = Line(shared, place)
    yield made
    made.close()


def check_next(line, it):
    """The next event comes through, and nothing came twice after it was done."""
    seen = len(it.requests)
    done = line.count("deliveries_done")
    line.send("next", b"the next")
    line.wait_done(done + 1)
    last = it.requests[-1]
    assert (last.id, last.body) == ("next", b"the next")
    assert it.ids[:seen] == ["x"] * seen and len(it.requests) == seen + 1, it.ids


def check_answered(line, it, expected, reused=None, delivery=AGAIN):
    """Sends one event, whose first request gets the script's first act, and another one."""
    line.subscribe(it, delivery=delivery)
    line.send()
    verdict = line.verdict()
    assert verdict in expected, (verdict, line.dead(), it.ids)
    check_next(line, it)
    if verdict == DONE and reused is not None:
        first, second = it.requests
        assert (first.connection == second.connection) is reused
    return verdict


def and_wait(data):
    """An act: sends the answer, and the broker has to end the connection."""

    def act(peer):
        peer.read()
        peer.send(data)
        peer.wait_end()

    return act


# ---- the request ----


@pytest.mark.parametrize(
    "written, target",
    [
        ("", "/"),
        ("/", "/"),
        ("?a=1", "/?a=1"),
        ("/a?", "/a?"),
        ("/a%2Fb%2fc", "/a%2Fb%2fc"),
        ("/%41%7E", "/%41%7E"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("/%2e%2e/a", "/%2e%2e/a"),
        ("//a//b", "//a//b"),
        ("/a;p=1/~x!$&'()*+,;=:@", "/a;p=1/~x!$&'()*+,;=:@"),
        ("/?q=a+b%20c&d=%C3%A9", "/?q=a+b%20c&d=%C3%A9"),
        ("/?u=http://h/?v", "/?u=http://h/?v"),
        ("/a%00b", "/a%00b"),
        ("/a#part", "/a"),
        ("/" + "a" * 1500, "/" + "a" * 1500),
    ],
)
def test_target_as_written(line, subscriber, written, target):
    it = subscriber(OK)
    line.subscribe(it.url(written))
    line.send()
    assert it.wait(1)[0].target == target
    assert it.requests[0].fields["host"] == f"127.0.0.1:{it.port}"


@pytest.mark.parametrize(
    "written",
    [
        "/a b",
        "/é",
        "/a\r\nx-added: y",
        "/a\nx-added: y",
        "/a\t",
        "/%zz",
        "/a\\b",
        "/a\x7f",
        "/<>",
        "/a\0b",
    ],
)
def test_what_is_no_url_adds_nothing(shared, line, subscriber, written):
    """Refused, or given up, or sent as a request that is one."""
    it = subscriber(OK)
    document = daemon.trigger("t", line.place, it.url(written), delivery=ONCE)
    created = shared.create(document)
    if created.status in (400, 422):
        return
    assert created.status == 201, created
    shared.wait_ready_condition("Trigger", "t", line.place)
    line.send()
    waiting.until(lambda: it.requests or line.dead() or it.faults)
    assert all("x-added" not in request.fields for request in it.requests)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "LOCALHOST"])
def test_host(line, subscriber, host):
    it = subscriber(OK, host="::1" if host == "::1" else "127.0.0.1")
    url = it.url("/p", None if ":" in host else host)
    line.subscribe(url)
    line.send()
    assert it.wait(1)[0].fields["host"].lower() == url.lower().split("/")[2]
    line.wait_done()


@pytest.mark.parametrize("port", ["", ":80", ":"])
def test_default_port(line, subscriber, port):
    try:
        it = subscriber(OK, host="127.0.0.80", port=80)
    except OSError:
        pytest.skip("port 80 of 127.0.0.80 is missing: it is taken, or this user may not bind it")
    line.subscribe(f"http://127.0.0.80{port}/p")
    line.send()
    host = it.wait(1)[0].fields["host"]
    assert host == "127.0.0.80" or host == f"127.0.0.80{port}"


def test_attributes(line, subscriber):
    it = subscriber(OK)
    line.subscribe(it)
    line.send("%C3%A9%201", b"data", subject="50%25 %22quoted%22 %E2%82%AC", ext="kept")
    request = it.wait(1)[0]
    assert (request.id, request.body) == ("é 1", b"data")
    expected = {
        "ce-specversion": "1.0",
        "ce-type": "test.type",
        "ce-source": "/test",
        "ce-ext": "kept",
        "content-type": "text/plain",
        "content-length": "4",
    }
    assert expected.items() <= request.fields.items()
    assert all(32 <= byte < 127 or byte in (13, 10) for byte in request.head), "percent-encoded"


def test_an_attribute_is_no_way_into_the_head(shared, line, subscriber):
    it = subscriber(OK)
    line.subscribe(it)
    sly = json_event(id="sly", type="test.type", subject="a\r\nx-added: y\r\n\r\n")
    shared.send_json(f"/{line.place}/default", sly)
    line.send("last")
    waiting.until(lambda: "last" in it.ids)
    assert all("x-added" not in request.fields for request in it.requests)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 1 << 20])
@pytest.mark.parametrize("slow", [False, True], ids=["", "slow"])
def test_body_is_whole(line, subscriber, size, slow):
    def act(peer):
        peer.read(step=16384 if slow else 65536, pause=0.001 if slow else 0)
        peer.send(OK)

    it = subscriber(act, buffer=4096 if slow else None)
    line.subscribe(it)
    data = data_of(size)
    line.send("x", data)
    request = it.wait(1)[0]
    assert request.fields["content-length"] == str(size)
    assert request.body == data
    line.wait_done()
    assert line.count("attempts_failed") == 0


# ---- good answers, and whether the connection serves the next event ----


@table(
    ("200", OK, (DONE,), True),
    ("200 in two writes", (OK[:20], OK[20:]), (DONE,), True),
    ("202", answer(202), (DONE,), True),
    ("202 with a body", answer(202, body=b"taken"), (DONE,), True),
    ("204", answer(204), (DONE,), True),
    ("204 keep-alive", answer(204, b"Connection: keep-alive"), (DONE,), True),
    ("empty reason", head(b"HTTP/1.1 200 ", b"Content-Length: 0"), (DONE,), True),
    ("reason beyond ASCII", answer(200, reason=b"D\xe9j\xe0 vu"), (DONE,), True),
    ("names in capitals", ok(b"CONTENT-LENGTH:\t0 \t"), (DONE,), True),
    ("leading zeros", ok(b"Content-Length: 0000"), (DONE,), True),
    ("empty value", answer(200, b"X-Empty:", b"X-Blank: \t "), (DONE,), True),
    ("value beyond ASCII", answer(200, b"X-Name: \xff\xfe"), (DONE,), True),
    ("100 fields", answer(200, *[b"X-%d: y" % n for n in range(100)]), (DONE,), True),
    ("field of 8000", answer(200, b"X-Long: " + b"y" * 8000), (DONE,), True),
    ("chunked", ok(CHUNKED) + b"0\r\n\r\n", (DONE,), True),
    ("Chunked", ok(b"Transfer-Encoding: Chunked") + b"0\r\n\r\n", (DONE,), True),
    ("chunked, zeros", ok(CHUNKED) + b"0000\r\n\r\n", (DONE,), True),
    ("last chunk's extension", ok(CHUNKED) + b'0;a=b;c="d"\r\n\r\n', (DONE,), True),
    ("trailers", ok(CHUNKED) + b"0\r\nA: b\r\nC: d\r\n\r\n", (DONE,), True),
    ("100 first", head(b"HTTP/1.1 100 Continue") + OK, (DONE,), True),
    ("102 first", head(b"HTTP/1.1 102 Processing") + OK, (DONE,), True),
    (
        "103 first",
        head(b"HTTP/1.1 103 Early Hints", b"Link: </a>; rel=preload") + OK,
        (DONE,),
        True,
    ),
    ("199 first", head(b"HTTP/1.1 199 What") + OK, (DONE,), True),
    ("three interim", head(b"HTTP/1.1 100 Continue") * 3 + OK, (DONE,), True),
    ("interim, cut", (b"HTTP/1.1 100 Cont", b"inue\r\n", b"\r\nHTTP/1.1", OK[8:]), (DONE,), True),
    ("interim with a length", head(b"HTTP/1.1 103 E", b"Content-Length: 5") + OK, EITHER, None),
    ("500 interim", head(b"HTTP/1.1 100 Continue") * 500 + OK, EITHER, None),
    ("101", head(b"HTTP/1.1 101 Switching", b"Upgrade: x", b"Connection: upgrade"), FAILED, None),
    ("close", answer(200, b"Connection: close"), (DONE,), False),
    ("Close in a list", answer(200, b"Connection: keep-alive, Close"), (DONE,), False),
    ("Close", answer(200, b"connection: Close"), (DONE,), False),
    ("close, then keep-alive", answer(200, b"Connection: close, keep-alive"), (DONE,), False),
    ("close at the end", answer(200, b"Connection: keep-alive, close"), (DONE,), False),
    ("close without a blank", answer(200, b"Connection: keep-alive,close"), (DONE,), False),
    ("close among empty ones", answer(200, b"Connection: ,, close ,"), (DONE,), False),
    ("not quite close", answer(200, b"Connection: closed, xclose"), (DONE,), None),
    (
        "close in a second line",
        answer(200, b"Connection: x", b"connection: CLOSE"),
        (DONE,),
        False,
    ),
    ("close with 204", answer(204, b"Connection: close"), (DONE,), False),
    ("close with chunks", ok(CHUNKED, b"Connection: close") + b"0\r\n\r\n", (DONE,), False),
    ("1.0", answer(version=b"1.0"), (DONE,), False),
    ("1.0 keep-alive", answer(200, b"Connection: keep-alive", version=b"1.0"), (DONE,), None),
    ("1.2", answer(version=b"1.2"), EITHER, None),
    ("surplus", OK + b"x", (DONE,), False),
    ("surplus line", OK + b"\r\n", (DONE,), None),
    ("surplus answer", OK + answer(500), (DONE,), False),
    ("surplus good answer", OK + OK, (DONE,), False),
    ("surplus after 204", answer(204) + b"hello", (DONE,), False),
    ("surplus after chunks", ok(CHUNKED) + b"0\r\n\r\nx", (DONE,), False),
    (
        "204 with a length",
        head(b"HTTP/1.1 204 No", b"Content-Length: 5") + b"hello",
        EITHER,
        False,
    ),
    (
        "204 with chunks",
        head(b"HTTP/1.1 204 No", CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n",
        EITHER,
        False,
    ),
)
def test_good_answer(line, subscriber, sent, expected, reused):
    pieces = sent if isinstance(sent, tuple) else (sent,)
    it = subscriber(say(*pieces, pause=0.01), OK)
    check_answered(line, it, expected, reused)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_until_closed(line, subscriber, version):
    it = subscriber(say(head(b"HTTP/%s 200 OK" % version, b"X: y"), close=True), OK)
    check_answered(line, it, (DONE,), False)


@table(
    ("close", answer(200, b"Connection: close"), (DONE,)),
    ("1.0", answer(version=b"1.0"), (DONE,)),
)
def test_the_broker_ends_what_was_the_last(line, subscriber, sent, expected):
    it = subscriber(and_wait(sent), OK)
    check_answered(line, it, expected, False)
    waiting.until(lambda: it.peers[0].ended)


def test_a_connection_serves_many(line, subscriber):
    it = subscriber(OK)
    line.subscribe(it)
    for number in range(20):
        line.send(str(number))
        line.wait_done(number + 1)
    assert it.ids == [str(number) for number in range(20)]
    assert it.accepted == 1


# ---- statuses ----


@pytest.mark.parametrize("status", [404, 408, 429, 500, 503])
@pytest.mark.parametrize("body", [b"", b"because"], ids=["", "body"])
def test_retried_on_one_connection(line, subscriber, status, body):
    it = subscriber(answer(status, body=body), OK)
    check_answered(line, it, (RETRIED,))
    assert [request.connection for request in it.requests] == [0, 0, 0]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 400, 401, 413])
def test_final(line, subscriber, status):
    other = subscriber(OK)
    fields = (b"Location: " + other.url("/else").encode(), b"WWW-Authenticate: Basic realm=x")
    it = subscriber(answer(status, *fields, body=b"" if status == 304 else b"because"), OK)
    check_answered(line, it, (DEAD,))
    assert [(row["code"], row["attempts"]) for row in soon(line.dead)] == [(status, 1)]
    assert it.ids == ["x", "next"] and other.accepted == 0


# ---- answers that are none ----


@table(
    ("two lengths", ok(b"Content-Length: 0", b"Content-Length: 5"), (RETRIED,)),
    ("two lengths, list", ok(b"Content-Length: 0, 5"), EITHER),
    ("equal lengths", ok(b"Content-Length: 0", b"Content-Length: 0"), EITHER),
    ("equal lengths, list", ok(b"Content-Length: 0, 0"), EITHER),
    ("negative length", ok(b"Content-Length: -1"), (RETRIED,)),
    ("signed length", ok(b"Content-Length: +0"), EITHER),
    ("hexadecimal length", ok(b"Content-Length: 0x0"), EITHER),
    ("empty length", ok(b"Content-Length:"), EITHER),
    ("length is a word", ok(b"Content-Length: none"), (RETRIED,)),
    ("2^63", ok(b"Content-Length: 9223372036854775808"), (RETRIED,)),
    ("2^64", ok(b"Content-Length: 18446744073709551616"), (RETRIED,)),
    ("2^32", ok(b"Content-Length: 4294967296"), (RETRIED,)),
    ("3 MB to come", ok(b"Content-Length: 3000000"), (RETRIED,)),
    ("too large", answer(200, *REPLY, body=b"1" * 3000000), (RETRIED,)),
    (
        "too large, chunked",
        ok(*REPLY, CHUNKED) + (b"10000\r\n" + b"1" * 65536 + b"\r\n") * 45 + b"0\r\n\r\n",
        (RETRIED,),
    ),
    ("too large, until closed", ok(*REPLY) + b"1" * 3000000, (RETRIED,)),
    ("length and chunks", ok(b"Content-Length: 0", CHUNKED) + b"0\r\n\r\n", EITHER),
    ("chunks and length", ok(CHUNKED, b"Content-Length: 3") + b"0\r\n\r\n", EITHER),
    ("chunked twice", ok(CHUNKED, CHUNKED) + b"0\r\n\r\n", EITHER),
    ("unknown coding", ok(b"Transfer-Encoding: xyz"), EITHER),
    ("gzip, chunked", ok(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", EITHER),
    ("chunked, gzip", ok(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n", EITHER),
    ("chunked in 1.0", head(b"HTTP/1.0 200 OK", CHUNKED) + b"0\r\n\r\n", EITHER),
    ("size is a word", ok(*REPLY, CHUNKED) + b"xyz\r\n\r\n", (RETRIED,)),
    ("negative size", ok(*REPLY, CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n", (RETRIED,)),
    ("no size", ok(*REPLY, CHUNKED) + b"\r\nhello\r\n0\r\n\r\n", (RETRIED,)),
    ("size with 0x", ok(*REPLY, CHUNKED) + b"0x2\r\n{}\r\n0\r\n\r\n", (RETRIED,)),
    ("size of 2^64", ok(*REPLY, CHUNKED) + b"10000000000000000\r\n0\r\n\r\n", (RETRIED,)),
    ("size of 2^64 - 1", ok(*REPLY, CHUNKED) + b"FFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n", (RETRIED,)),
    ("size of 2^63", ok(*REPLY, CHUNKED) + b"8000000000000000\r\n{}\r\n0\r\n\r\n", (RETRIED,)),
    ("longer than said", ok(*REPLY, CHUNKED) + b"2\r\n{} \r\n0\r\n\r\n", (RETRIED,)),
    ("shorter than said", ok(*REPLY, CHUNKED) + b"6\r\n{}\r\n0\r\n\r\n", (RETRIED,)),
    ("no line end after data", ok(*REPLY, CHUNKED) + b"2\r\n{}0\r\n\r\n", (RETRIED,)),
    ("trailer without colon", ok(CHUNKED) + b"0\r\ntrailer\r\n\r\n", EITHER),
    ("banner", b"SSH-2.0-OpenSSH_9.2\r\n", (RETRIED,)),
    ("page", b"<html>\r\n\r\n</html>", (RETRIED,)),
    ("zeros", b"\0" * 64, (RETRIED,)),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (RETRIED,)),
    ("HTTP/2 settings", bytes.fromhex("000000040000000000"), (RETRIED,)),
    ("TLS alert", bytes.fromhex("15030100020228"), (RETRIED,)),
    ("no status", head(b"HTTP/1.1"), (RETRIED,)),
    ("status of two digits", head(b"HTTP/1.1 20 OK", b"Content-Length: 0"), FAILED),
    ("status of four digits", head(b"HTTP/1.1 2000 OK", b"Content-Length: 0"), FAILED),
    ("status with a letter", head(b"HTTP/1.1 2x0 OK", b"Content-Length: 0"), FAILED),
    ("negative status", head(b"HTTP/1.1 -200 OK", b"Content-Length: 0"), FAILED),
    ("status and reason in one", head(b"HTTP/1.1 200OK", b"Content-Length: 0"), EITHER),
    ("status 000", answer(0), FAILED),
    ("status 099", head(b"HTTP/1.1 099 X", b"Content-Length: 0"), FAILED),
    ("status 600", answer(600), FAILED),
    ("status 999", answer(999), FAILED),
    ("HTTP/2.0", answer(version=b"2.0"), EITHER),
    ("HTTP/3", answer(version=b"3"), EITHER),
    ("HTTP/11", answer(version=b"11"), FAILED),
    ("http/1.1", b"http" + OK[4:], EITHER),
    ("no reason, no blank", head(b"HTTP/1.1 200", b"Content-Length: 0"), EITHER),
    ("two blanks", head(b"HTTP/1.1  200 OK", b"Content-Length: 0"), EITHER),
    ("blank first", b" " + OK, EITHER),
    ("empty line first", b"\r\n" + OK, EITHER),
    ("bare LF", OK.replace(b"\r\n", b"\n"), EITHER),
    ("bare LF at the end", OK[:-2] + b"\n", EITHER),
    ("bare CR", ok(b"X: a\rb", b"Content-Length: 0"), EITHER),
    ("bare CR as line end", OK.replace(b"\r\n", b"\r"), (RETRIED,)),
    ("line without colon", ok(b"nothing", b"Content-Length: 0"), EITHER),
    ("no name", ok(b": x", b"Content-Length: 0"), EITHER),
    ("blank before the colon", ok(b"Content-Length : 0"), EITHER),
    ("blank in the name", ok(b"a b: c", b"Content-Length: 0"), EITHER),
    ("NUL in a value", ok(b"X: a\0b", b"Content-Length: 0"), EITHER),
    ("NUL in a name", ok(b"X\0: a", b"Content-Length: 0"), EITHER),
    ("NUL in the status line", head(b"HTTP/1.1 200 O\0K", b"Content-Length: 0"), EITHER),
    ("folded", ok(b"X: a", b" b", b"Content-Length: 0"), EITHER),
    ("folded first", ok(b" X: a", b"Content-Length: 0"), EITHER),
    ("folded length", ok(b"Content-Length:", b" 0"), EITHER),
    ("head of 70 KB", answer(200, b"X: " + b"y" * 70000), EITHER),
    ("head of 1 MB", answer(200, b"X: " + b"y" * 1000000), EITHER),
    ("20,000 fields", answer(200, *[b"X-%d: y" % n for n in range(20000)]), EITHER),
    ("status line of 1 MB", answer(200, reason=b"y" * 1000000), EITHER),
    ("only interim", head(b"HTTP/1.1 100 Continue"), (RETRIED,)),
)
def test_bad_answer(line, subscriber, sent, expected):
    """The subscriber closes after it; what needs no close is decided without."""
    it = subscriber(say(sent, close=True), OK)
    verdict = check_answered(line, it, expected)
    assert verdict == DONE or it.requests[0].connection != it.requests[1].connection
    assert line.replies() == []


@table(
    ("negative length", ok(b"Content-Length: -1"), (RETRIED,)),
    ("two lengths", ok(b"Content-Length: 0", b"Content-Length: 5"), (RETRIED,)),
    ("length beyond the limit", ok(b"Content-Length: 4294967296"), (RETRIED,)),
    ("2^64", ok(b"Content-Length: 18446744073709551616"), (RETRIED,)),
    ("size is a word", ok(*REPLY, CHUNKED) + b"xyz\r\n", (RETRIED,)),
    ("page", b"<html>\r\n\r\n", (RETRIED,)),
    ("size without end", ok(CHUNKED) + b"0" * 64, (RETRIED,)),
)
def test_the_broker_ends_what_it_cannot_read(line, subscriber, sent, expected):
    it = subscriber(and_wait(sent), OK)
    check_answered(line, it, expected, delivery={**AGAIN, "timeout": "PT1S"})


def flood(start, more):
    def act(peer):
        peer.read()
        peer.send(start)
        while True:
            peer.send(more)

    return act


@pytest.mark.parametrize(
    "start, more",
    [
        (b"", b"x" * 65536),
        (b"HTTP/1.1 200 ", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10000),
        (b"", head(b"HTTP/1.1 100 Continue") * 2000),
        (b"", b"\r\n" * 20000),
        (ok(CHUNKED), b"1\r\nx\r\n" * 10000),
        (ok(CHUNKED), b"0" * 65536),
        (ok(CHUNKED) + b"1;", b"x" * 65536),
        (ok(CHUNKED) + b"0\r\n", b"X: y\r\n" * 10000),
        (ok(), b"x" * 65536),
    ],
    ids=[
        "bytes",
        "reason",
        "field",
        "fields",
        "interim",
        "empty lines",
        "chunks",
        "size",
        "extension",
        "trailers",
        "until closed",
    ],
)
def test_an_answer_without_end(line, subscriber, start, more):
    it = subscriber(flood(start, more), OK)
    check_answered(line, it, (RETRIED,), delivery=BRIEF)


# ---- cut and in pieces ----

LENGTH_REPLY = answer(200, *REPLY, body=DATA)
CHUNKED_REPLY = ok(*REPLY, CHUNKED) + b"4;x=y\r\n%s\r\n6\r\n%s\r\n0\r\nT: u\r\n\r\n" % (
    DATA[:4],
    DATA[4:],
)
REPLIES = pytest.mark.parametrize(
    "whole", [LENGTH_REPLY, CHUNKED_REPLY], ids=["length", "chunked"]
)


def cut_at_id(whole, end):
    """Each event's first answer is cut at the number that is its id."""
    seen, lock = set(), threading.Lock()

    def act(peer):
        request = peer.read()
        with lock:
            first = request.id not in seen
            seen.add(request.id)
        if first:
            peer.send(whole[: int(request.id)])
            end(peer)
        else:
            peer.send(answer(200, b"Connection: close"))
            peer.close()

    return act


@REPLIES
@pytest.mark.parametrize("end", ["close", "reset"])
def test_cut_at_every_byte(line, subscriber, whole, end):
    it = subscriber(cut_at_id(whole, lambda peer: getattr(peer, end)()))
    line.subscribe(it)
    cuts = len(whole) if whole is LENGTH_REPLY else whole.index(b"\r\n0\r\n") + 3
    for number in range(cuts):
        line.send(str(number))
    line.wait_done(cuts)
    assert line.replies() == []
    found = collections.Counter(it.ids)
    assert found == {str(number): 2 for number in range(cuts)}, found


@REPLIES
def test_in_two_pieces_at_every_byte(line, subscriber, whole):
    def act(peer):
        cut = int(peer.read().id)
        peer.send(whole[:cut])
        time.sleep(0.002)
        peer.send(whole[cut:])

    it = subscriber(act)
    line.subscribe(it)
    for number in range(len(whole)):
        line.send(str(number))
    line.wait_done(len(whole))
    assert collections.Counter(it.ids) == {str(number): 1 for number in range(len(whole))}
    soon(lambda: len(line.replies()) == len(whole))
    assert all(event["data"] == json.loads(DATA) for event in line.replies())


@REPLIES
def test_byte_by_byte(line, subscriber, whole):
    def act(peer):
        peer.read()
        peer.trickle(head(b"HTTP/1.1 100 Continue") + whole, 0.001)

    it = subscriber(act, OK)
    check_answered(line, it, (DONE,), True)
    assert [event["id"] for event in soon(line.replies)] == ["r"]


# ---- replies ----

OTHERWISE = [line.replace(b"ce-", b"CE-").replace(b": ", b":\t") for line in REPLY]
STRUCTURED = json.dumps(json_event(id="r", type="test.reply", data={"n": 1})).encode()


@pytest.mark.parametrize(
    "sent",
    [
        LENGTH_REPLY,
        CHUNKED_REPLY,
        head(b"HTTP/1.1 100 Continue", b"ce-id: no") + LENGTH_REPLY,
        head(b"HTTP/1.0 200 OK", *REPLY) + DATA,
        ok(*REPLY) + DATA,
        answer(200, *OTHERWISE, body=DATA),
        answer(200, b"Content-Type: application/cloudevents+json", body=STRUCTURED),
        answer(200, b"content-type: Application/CloudEvents+JSON; charset=UTF-8", body=STRUCTURED),
        answer(200, *REPLY, b"Connection: close", body=DATA),
    ],
    ids=[
        "length",
        "chunked",
        "interim",
        "1.0",
        "until closed",
        "names",
        "structured",
        "charset",
        "close",
    ],
)
def test_reply(line, subscriber, sent):
    closes = b"Content-Length" not in sent and CHUNKED not in sent
    it = subscriber(say(sent, close=closes), OK)
    line.subscribe(it)
    line.send()
    assert line.verdict() == DONE
    assert [event["id"] for event in soon(line.replies)] == ["r"]
    check_next(line, it)


def test_reply_of_a_mebibyte(line, subscriber):
    data = b"[" + b"1," * 400000 + b"1]"
    it = subscriber(answer(200, *REPLY, body=data), OK)
    check_answered(line, it, (DONE,), True)
    assert len(soon(line.replies)[0]["data"]) == 400001


@table(
    ("no event", answer(200, b"Content-Type: text/plain", body=b"no event"), (RETRIED,)),
    ("no type", answer(200, *REPLY[:2], *REPLY[3:], body=DATA), (RETRIED,)),
    ("unknown version", answer(200, b"ce-specversion: 9.9", *REPLY[1:], body=DATA), (RETRIED,)),
    (
        "structured, cut",
        answer(200, b"Content-Type: application/cloudevents+json", body=STRUCTURED[:-1]),
        (RETRIED,),
    ),
    (
        "structured, no id",
        answer(200, b"Content-Type: application/cloudevents+json", body=b'{"specversion":"1.0"}'),
        (RETRIED,),
    ),
    ("202 is no reply", answer(202, *REPLY, body=DATA), (DONE,)),
    ("two ids", answer(200, b"ce-id: s", *REPLY, body=DATA), EITHER),
    ("attributes as trailers", ok(CHUNKED) + b"0\r\n" + head(*REPLY), (DONE,)),
)
def test_what_is_no_reply(line, subscriber, sent, expected):
    it = subscriber(sent, OK)
    verdict = check_answered(line, it, expected)
    assert verdict == DONE or line.replies() == []


@table(
    ("202", answer(202, *REPLY, body=DATA), DONE),
    ("trailers", ok(CHUNKED) + b"0\r\n" + head(*REPLY), DONE),
    ("interim", head(b"HTTP/1.1 103 Early", *REPLY) + OK, DONE),
    ("surplus", OK + LENGTH_REPLY, DONE),
)
def test_what_is_never_a_reply(line, subscriber, sent, expected):
    it = subscriber(sent, OK)
    check_answered(line, it, (expected,))
    assert line.replies() == []


# ---- answers before the request is there ----


def early(data, then):
    def act(peer):
        request = peer.read_head()
        peer.subscriber.note(request)
        peer.send(data)
        then(peer, request)

    return act


def wait_hang_up(peer, _):
    """Reads nothing more; waits for the broker to end the connection."""
    poll = select.poll()
    poll.register(peer.socket, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    assert poll.poll(10000), "the broker goes on sending"
    peer.close()


THEN = {
    "closes": lambda peer, _: peer.close(),
    "resets": lambda peer, _: peer.reset(),
    "drains": lambda peer, _: peer.wait_end(),
    "reads nothing": wait_hang_up,
    "half-closes": lambda peer, _: (peer.half_close(), peer.wait_end()),
}


@pytest.mark.parametrize("then", THEN.values(), ids=THEN)
@pytest.mark.parametrize("status, expected", [(413, FAILED), (503, (RETRIED,)), (200, EITHER)])
def test_early_answer(line, subscriber, status, expected, then):
    """RFC 9112 §9.5: the answer ends the request, and the event is kept."""
    it = subscriber(early(answer(status, b"Connection: close"), then), OK, buffer=4096)
    line.subscribe(it, delivery={**AGAIN, "timeout": "PT1S"})
    data = data_of(1 << 20)
    line.send("x", data)
    verdict = line.verdict()
    assert verdict in expected, (verdict, line.dead())
    if verdict == DEAD:
        assert soon(line.dead)[0]["code"] == status
    check_next(line, it)
    if verdict == RETRIED:
        assert it.requests[1].body == data


def test_early_answer_and_the_rest_is_read(line, subscriber):
    """Whatever becomes of the connection, the next event does not go into the first one's body."""
    it = subscriber(early(OK, lambda peer, request: peer.read_body(request)), OK, buffer=4096)
    line.subscribe(it)
    line.send("x", data_of(1 << 20))
    assert line.verdict() in EITHER
    check_next(line, it)


# ---- connections that fail ----


def close_now(peer):
    peer.close()


def reset_now(peer):
    peer.reset()


def read_then_close(peer):
    peer.read()
    peer.close()


def read_then_reset(peer):
    peer.read()
    peer.reset()


def head_then_reset(peer):
    peer.read_head()
    peer.reset()


def head_then_close(peer):
    peer.read_head()
    peer.close()


def half_close_then_wait(peer):
    peer.read()
    peer.half_close()
    peer.wait_end()


def at_once(act):
    return at_accept(lambda peer: act(peer))


BREAKS = {
    "closed at accept": at_once(close_now),
    "reset at accept": at_once(reset_now),
    "closed at the first byte": close_now,
    "reset at the first byte": reset_now,
    "closed after the head": head_then_close,
    "reset after the head": head_then_reset,
    "closed after the request": read_then_close,
    "reset after the request": read_then_reset,
    "half-closed after the request": half_close_then_wait,
}


@pytest.mark.parametrize("act", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("size", [2, 1 << 20])
def test_broken_connection(line, subscriber, act, size):
    it = subscriber(act, OK)
    line.subscribe(it)
    data = data_of(size)
    line.send("x", data)
    assert line.verdict() == RETRIED
    assert it.requests[-1].body == data
    assert line.count("attempts_failed") == 1
    check_next(line, it)


@pytest.mark.parametrize("act", BREAKS.values(), ids=BREAKS)
def test_broken_connection_without_retries(line, subscriber, act):
    it = subscriber(act, OK)
    line.subscribe(it, delivery=ONCE)
    line.send()
    assert line.verdict() == DEAD
    row = soon(line.dead)[0]
    assert (row["event"]["id"], row["attempts"]) == ("x", 1) and row["error"]
    assert it.accepted == 1, "a new connection's failure is an attempt's"


def test_refused(line, subscriber):
    it = subscriber(OK, listen=False)
    line.subscribe(it, delivery={**AGAIN, "retry": 20})
    line.send()
    waiting.until(lambda: line.count("attempts_failed") >= 1)
    it.listen()
    line.wait_done()
    assert it.ids == ["x"]


def test_connect_is_not_answered(line, subscriber):
    """The queue of the listener is full: connecting is under the time limit, too."""
    it = subscriber(OK, listen=False)
    it.listener.listen(0)
    fill = [socket.socket() for _ in range(4)]
    for one in fill:
        one.setblocking(False)
        one.connect_ex((it.host, it.port))
    line.subscribe(it, delivery={**BRIEF, "retry": 20})
    line.send()
    waiting.until(lambda: line.count("attempts_failed") >= 1)
    for one in fill:
        one.close()
    it.listen()
    line.wait_done()
    assert set(it.ids) == {"x"}


def test_unknown_host(line, subscriber):
    other = subscriber(OK)
    line.subscribe("http://nobody.invalid:9/", "t", delivery={"retry": 0, "timeout": "PT2S"})
    line.subscribe(other, "other")
    line.send()
    row = waiting.until(line.dead)[0]
    assert row["event"]["id"] == "x" and row["error"]
    assert other.wait(1)[0].id == "x"


# ---- idle connections ----


class Idle:
    """An act that answers, and ends the connection when the test says so."""

    def __init__(self, end):
        self.end = end
        self.go = threading.Event()
        self.gone = threading.Event()

    def __call__(self, peer):
        peer.read()
        peer.send(OK)
        assert self.go.wait(10)
        self.end(peer)
        self.gone.set()


SAID_408 = answer(408, b"Connection: close", body=b"idle")


@pytest.mark.parametrize(
    "end",
    [
        lambda peer: peer.close(),
        lambda peer: peer.reset(),
        lambda peer: peer.half_close(),
        lambda peer: (peer.send(SAID_408), peer.close()),
        lambda peer: peer.send(SAID_408),
        lambda peer: peer.send(OK),
        lambda peer: (peer.send(LENGTH_REPLY), peer.close()),
        lambda peer: peer.send(b"x"),
    ],
    ids=["closed", "reset", "half-closed", "408, closed", "408", "200", "reply, closed", "byte"],
)
def test_idle_connection_ended(line, subscriber, end):
    """The next event needs no attempt of its own, and what came in between is no answer to it."""
    idle = Idle(end)
    it = subscriber(idle, OK)
    line.subscribe(it, delivery=ONCE)
    line.send()
    line.wait_done()
    idle.go.set()
    assert idle.gone.wait(10)
    line.send("next")
    line.wait_done(2)
    assert it.wait(2)[1].connection == 1
    assert it.ids == ["x", "next"]
    assert (line.dead(), line.count("attempts_failed"), line.replies()) == ([], 0, [])


RACES = {name: act for name, act in BREAKS.items() if "accept" not in name and "half" not in name}


@pytest.mark.parametrize("size", [2, 1 << 20])
@pytest.mark.parametrize("act", RACES.values(), ids=RACES)
def test_idle_connection_ended_in_a_race(line, subscriber, act, size):
    """The connection was good when the request went out on it: sent again on a new one."""
    it = subscriber(OK, act, OK)
    line.subscribe(it, delivery=ONCE)
    line.send()
    line.wait_done()
    data = data_of(size)
    line.send("next", data)
    waiting.until(lambda: line.count("deliveries_done") == 2 or line.dead())
    assert (line.dead(), line.count("attempts_failed")) == ([], 0)
    assert (it.requests[-1].id, it.requests[-1].body) == ("next", data)
    assert it.requests[-1].connection == 1


def test_an_answer_that_began_is_no_race(line, subscriber):
    it = subscriber(OK, say(OK[:10], close=True), OK)
    line.subscribe(it, delivery=ONCE)
    line.send()
    line.wait_done()
    line.send("next")
    row = waiting.until(line.dead)[0]
    assert (row["event"]["id"], row["attempts"]) == ("next", 1)
    assert it.ids == ["x", "next"]


def test_half_closed_after_the_answer(line, subscriber):
    def act(peer):
        peer.read()
        peer.send(OK)
        peer.half_close()
        peer.wait_end(20)

    it = subscriber(act, OK)
    check_answered(line, it, (DONE,), False, delivery=ONCE)


# ---- time limits ----


def silent(peer):
    peer.read()
    peer.wait_end()


def never_reads(peer):
    wait_hang_up(peer, None)


def trickles(data, before=b""):
    def act(peer):
        peer.read()
        peer.send(before)
        peer.trickle(data)

    return act


@pytest.mark.parametrize(
    "act",
    [
        silent,
        never_reads,
        trickles(answer(200, b"X: " + b"y" * 200)),
        trickles(b"x" * 200, ok(b"Content-Length: 200")),
        trickles(b"1\r\nx\r\n" * 100, ok(CHUNKED)),
        trickles(b"x" * 200, ok()),
        trickles(head(b"HTTP/1.1 100 Continue") * 20),
    ],
    ids=["silent", "never reads", "head", "body", "chunks", "until closed", "interim"],
)
def test_time_limit(line, subscriber, act):
    """Counts for the whole attempt, and only for this trigger's."""
    slow, other = subscriber(act, OK, buffer=4096), subscriber(OK)
    line.subscribe(slow, delivery={**BRIEF, "timeout": "PT1S"})
    line.subscribe(other, "other", attributes={"type": "other"})
    start = time.monotonic()
    line.send("x", data_of(1 << 20) if act is never_reads else b"{}")
    slow.wait_accepted(1)
    for number in range(5):
        line.send(str(number), type="other")
    line.wait_done(5)
    assert line.count("attempts_failed") == 0, "others waited for the slow one"
    line.wait_done(6)
    took = slow.requests[-1].time - start
    assert 0.9 < took < 5, took
    assert line.count("attempts_failed") >= 1 and set(slow.ids) == {"x"}


# ---- dead letters ----


@pytest.mark.parametrize(
    "act",
    [
        say(LENGTH_REPLY[:40], close=True),
        at_once(reset_now),
        say(answer(503)),
        say(b"nothing\r\n\r\n", close=True),
    ],
    ids=["cut", "reset", "503", "no HTTP"],
)
def test_dead_letter_sink(line, subscriber, act):
    it, dead = subscriber(answer(400, body=b"no")), subscriber(act, OK)
    line.subscribe(it, delivery={**AGAIN, "deadLetterSink": {"uri": dead.url("/d%2F?e=%20")}})
    data = data_of(70000)
    line.send("x", data)
    last = soon(lambda: dead.requests[-1:] if dead.script == [OK] else None)[0]
    assert (last.id, last.body, last.target) == ("x", data, "/d%2F?e=%20")
    assert last.fields["ce-knativeerrorcode"] == "400"
    assert last.fields["host"] == f"127.0.0.1:{dead.port}"
    assert it.ids == ["x"]


# ---- many ----


def test_many_events_at_once(line, subscriber):
    def act(peer):
        peer.read()
        time.sleep(0.002)
        peer.send(OK)

    it = subscriber(act)
    line.subscribe(it)
    bodies = {str(n): data_of(n * 97, n) for n in range(200)}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: line.send(*pair), bodies.items()))
    line.wait_done(200)
    assert len(it.requests) == 200
    assert {request.id: request.body for request in it.requests} == bodies
    assert line.count("attempts_failed") == 0


def test_many_events_over_connections_that_break(line, subscriber):
    """One request in four breaks in some way: nothing is lost, nothing is mixed up."""
    ways = itertools.cycle([OK, OK, say(LENGTH_REPLY[:50], close=True), OK, OK, read_then_reset])
    lock = threading.Lock()

    def act(peer):
        with lock:
            way = next(ways)
        way(peer) if callable(way) else say(way)(peer)

    it = subscriber(act)
    line.subscribe(it, delivery={**AGAIN, "retry": 20})
    bodies = {str(n): data_of(n * 31, n) for n in range(100)}
    for id, body in bodies.items():
        line.send(id, body)
    line.wait_done(100)
    assert {request.id: request.body for request in it.requests} == bodies
    assert all(request.body == bodies[request.id] for request in it.requests)
    assert line.dead() == []


def test_many_subscribers(line, subscriber):
    them = [subscriber(OK) for _ in range(50)]
    for number, one in enumerate(them):
        line.subscribe(one, f"t{number}")
    line.send("x", b"for all")
    line.wait_done(50)
    assert [(request.id, request.body) for one in them for request in one.requests] == [
        ("x", b"for all")
    ] * 50
