# SPDX-License-Identifier: Apache-2.0
"""HTTP connections byte by byte: what a sequence of requests leads to, who closes and when (RFC 9112
§8, §9; RFC 9110 §10.1.1)."""

import random
import socket
import struct
import time

import pytest

import processes
import waiting
from conversation import (
    HOST,
    PROBE,
    chunk,
    chunked,
    event,
    exchange,
    get,
    message,
    one_answer,
    parsed,
    sized,
    statuses,
    table,
    until_closed,
)
from wire import RawConnection

HELLO = b"hello"
LAST = b"0\r\n\r\n"
CODING = b"Transfer-Encoding: "
INNER = sized(b"", id=b"inner")


# ---- Expect (RFC 9110 §10.1.1) ----


@pytest.mark.parametrize(
    "value", [b"100-continue", b"100-Continue", b"100-CONTINUE", b" 100-continue\t"]
)
@pytest.mark.parametrize(
    "framing, body",
    [(b"Content-Length: 5", HELLO), (b"Transfer-Encoding: chunked", chunk(HELLO) + b"0\r\n\r\n")],
    ids=["sized", "chunked"],
)
def test_continue_comes_before_the_body(wired, inbox, framing, body, value):
    with RawConnection(wired.address, 5) as connection:
        connection.send(event(framing, b"Expect: " + value))
        assert connection.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        connection.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.more()
        connection.socket.settimeout(5)
        connection.send(body + PROBE)
        assert statuses(parsed(until_closed(connection))) == [202, 200]
    assert inbox.ids() == ["outer"]


def test_continue_for_each_request_of_a_connection(wired, inbox):
    with RawConnection(wired.address, 5) as connection:
        for number in range(3):
            connection.send(event(b"Content-Length: 5", b"Expect: 100-continue", id=b"%d" % number))
            assert connection.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
            connection.send(HELLO)
            assert connection.response().status == 202
    assert inbox.ids() == ["0", "1", "2"]


EXPECT = b"Expect: 100-continue"


@table(
    ("body at once", event(EXPECT, b"Content-Length: 5", body=HELLO), [202, 200]),
    ("no body", event(EXPECT, b"Content-Length: 0"), [202, 200]),
    ("no length", event(EXPECT), [202, 200]),
    ("on GET", get(EXPECT), [200, 200]),
)
def test_continue_that_nobody_needs(wired, sent, expected):
    """It may come or not; nothing else changes."""
    assert [s for s in statuses(exchange(wired, sent + PROBE)) if s != 100] == expected


def test_continue_is_not_sent_to_http_1_0(wired, inbox):
    """It would not know what to do with it."""
    sent = event(EXPECT, b"Content-Length: 5", version=b"1.0")
    assert statuses(exchange(wired, sent, HELLO, pause=0.2)) == [202]
    assert inbox.ids() == ["outer"]


LONG = b"Content-Length: %d" % len(INNER)


@table(
    ("nothing there", message(b"POST /a/b/c/d HTTP/1.1", HOST, LONG, EXPECT), 404),
    ("wrong method", message(b"POST /livez HTTP/1.1", HOST, LONG, EXPECT), 405),
    ("too large", event(b"Content-Length: 67108864", EXPECT), 413),
    (
        "wrong host",
        message(b"POST /wire/default HTTP/1.1", b"Host: evil.org", LONG, EXPECT),
        (400, 403, 421),
    ),
    ("foreign origin", event(b"Origin: http://evil.org", LONG, EXPECT), 403),
    ("two lengths", event(LONG, b"Content-Length: 0", EXPECT), 400),
    ("unknown coding", event(b"Transfer-Encoding: gzip, chunked", EXPECT), (400, 501)),
    ("unknown expectation", event(LONG, b"Expect: something"), 417),
    ("one unknown of two", event(LONG, b"Expect: 100-continue, something"), 417),
    ("words", event(LONG, b"Expect: y 100-continue"), 417),
    ("continue with a value", event(LONG, b"Expect: 100-continue=1"), 417),
    ("two fields, one unknown", event(LONG, EXPECT, b"Expect: something"), 417),
)
def test_final_answer_instead_of_continue(wired, inbox, sent, expected):
    """And what the client sends then is no request."""
    answers = exchange(wired, sent, INNER, PROBE, pause=0.05)
    first, *rest = answers
    assert first.status in (expected if isinstance(expected, tuple) else (expected,)), answers
    assert statuses(rest) == ([] if first.closes else [200])
    assert inbox.ids() == []


# ---- keep-alive and close (RFC 9112 §9.3, §9.6) ----


@pytest.mark.parametrize(
    "fields",
    [
        [b"Connection: close"],
        [b"Connection: Close"],
        [b"CONNECTION: CLOSE"],
        [b"Connection:close"],
        [b"Connection: \tclose\t "],
        [b"Connection: keep-alive, close"],
        [b"Connection: close, keep-alive"],
        [b"Connection: close,te"],
        [b"Connection: a , Close ,b"],
        [b"Connection: ,close"],
        [b"Connection: close,"],
        [b"Connection: keep-alive", b"Connection: close"],
        [b"Connection: close", b"Connection: keep-alive"],
        [b"Connection: a", b"Accept: */*", b"Connection: b, close"],
    ],
)
def test_close(wired, inbox, fields):
    """The answer says so too, and what follows is not executed."""
    answers = exchange(wired, event(*fields, b"Content-Length: 0") + INNER)
    assert statuses(answers) == [202] and answers[0].closes
    assert inbox.ids() == ["outer"]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"Connection: keep-alive"],
        [b"Connection: Keep-Alive", b"Keep-Alive: timeout=5"],
        [b"Connection:"],
        [b"Connection: closed"],
        [b"Connection: close-x"],
        [b"Connection: xclose"],
        [b'Connection: "close"'],
        [b"Proxy-Connection: close"],
        [b"X-Connection: close"],
    ],
)
def test_keep_alive(wired, fields):
    answers = exchange(wired, get(*fields) * 3 + PROBE)
    assert statuses(answers) == [200] * 4
    assert not any(answer.closes for answer in answers[:3]) and answers[3].closes


@pytest.mark.parametrize(
    "fields, lives",
    [
        ([], False),
        ([b"Connection: close"], False),
        ([b"Connection: te"], False),
        ([b"Connection: close, keep-alive"], False),
        ([b"Keep-Alive: timeout=5"], False),
        ([b"Connection: keep-alive"], True),
        ([b"Connection: Keep-Alive"], True),
        ([b"Connection: te, keep-alive"], True),
    ],
)
def test_http_1_0(wired, inbox, fields, lives):
    """Closed unless both sides say otherwise."""
    sent = event(b"Content-Length: 0", *fields, version=b"1.0")
    answers = exchange(wired, sent + PROBE)
    if "keep-alive" in answers[0].fields.get("connection", "").lower():
        assert lives and statuses(answers) == [202, 200]
    else:
        assert statuses(answers) == [202]
    assert inbox.ids() == ["outer"]


def test_http_1_0_without_host(wired):
    """Health checks of HAProxy look like this; either answer is a whole one."""
    answers = exchange(wired, b"GET /livez HTTP/1.0\r\n\r\n")
    assert statuses(answers) in ([200], [400])


def test_streams_are_not_chunked_for_http_1_0(wired):
    """RFC 9112 §6.1. The end of the connection is the end of the answer."""
    one_answer(wired, sized(b""), 202)
    for fields in ([], [b"Connection: keep-alive"]):
        sent = message(b"GET /-/events?from=1&follow=false HTTP/1.0", HOST, *fields)
        (answer,) = exchange(wired, sent)
        assert answer.status == 200 and "transfer-encoding" not in answer.fields
        assert answer.body.startswith(b"{") and answer.body.endswith(b"}\n")


def test_half_close(wired, inbox):
    """A client may say that it has no more to say; its answers come all the same."""
    assert statuses(exchange(wired, sized(HELLO, id=b"a"), half_close=True)) == [202]
    assert statuses(exchange(wired, sized(HELLO, id=b"b") + get(), half_close=True)) == [202, 200]
    assert statuses(exchange(wired, get() * 100, half_close=True)) == [200] * 100
    assert statuses(exchange(wired, chunked(id=b"c"), half_close=True)) == [202]
    assert statuses(exchange(wired, get(target=b"/metrics"), half_close=True)) == [200]
    assert inbox.ids() == ["a", "b", "c"]


def test_nothing_but_the_end(wired):
    assert exchange(wired, b"", half_close=True) == []
    assert statuses(exchange(wired, get() + b"\r\n", half_close=True)) == [200]


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /wire/def",
        event()[:-1],
        event()[:-2],
        event(b"Content-Length: 5"),
        event(b"Content-Length: 5", body=b"hell"),
        chunked(b""),
        chunked(b"5"),
        chunked(b"5\r"),
        chunked(b"5\r\n"),
        chunked(b"5\r\nhell"),
        chunked(b"5\r\nhello"),
        chunked(b"5\r\nhello\r"),
        chunked(b"5\r\nhello\r\n"),
        chunked(b"5\r\nhello\r\n0"),
        chunked(b"5\r\nhello\r\n0\r\n"),
        chunked(b"5\r\nhello\r\n0\r\n\r"),
        chunked(b"5\r\nhello\r\n0\r\na: b"),
        chunked(b"5\r\nhello\r\n0\r\na: b\r\n"),
        chunked(b"5\r\nhello\r\n0\r\na: b\r\n\r"),
    ],
    ids=lambda sent: repr(sent[-20:]),
)
def test_truncated(wired, inbox, sent):
    """RFC 9112 §8: an incomplete request is none."""
    assert statuses(exchange(wired, sent, half_close=True)) in ([], [400], [408])
    with RawConnection(wired.address) as connection:
        connection.send(sent)
        reset = struct.pack("ii", 1, 0)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    assert inbox.ids() == []


def test_a_refusal_reaches_who_is_still_sending(wired):
    """RFC 9112 §9.6: closed in stages, so that no reset overtakes the answer."""
    with RawConnection(wired.address, 5) as connection:
        connection.send(event(b"Content-Length: 67108864"))
        for _ in range(5):
            connection.send(b"x" * 10000)
            time.sleep(0.05)
        data = b""
        while more := connection.socket.recv(65536):
            data += more
    assert statuses(parsed(data)) == [413]


# ---- answers ----


@pytest.mark.parametrize("target", [b"/livez", b"/version", b"/nope", b"/api/v1/namespaces"])
def test_head_is_get_without_a_body(wired, target):
    full, _ = exchange(wired, get(target=target) + PROBE)
    bare, _ = exchange(wired, get(target=target, method=b"HEAD") + PROBE, heads={0})
    assert (bare.status, bare.body) == (full.status, b"")
    assert bare.fields["content-length"] == full.fields["content-length"] != "0"
    assert bare.fields.keys() == full.fields.keys()


def test_head_of_a_stream(wired):
    """Not even a last chunk: it would be taken for the next answer."""
    for follow in (b"false", b"true"):
        target = b"/-/events?from=1&follow=" + follow
        answers = exchange(wired, get(target=target, method=b"HEAD") + PROBE, heads={0})
        assert statuses(answers) == ([200] if answers[0].closes else [200, 200])


def test_head_of_a_mistake(wired):
    """The form of the answer follows the method, also when the rest of the head is refused."""
    for field in (b"a b: c", b"a: \0", b"a: " + b"b" * 500000):
        answers = exchange(wired, get(field, method=b"HEAD") + PROBE, heads={0})
        assert statuses(answers) in ([400], [431]) and answers[0].closes


def test_wrong_method_says_the_right_ones(wired):
    answer, _ = exchange(wired, get(method=b"DELETE") + PROBE)
    assert answer.status == 405 and "GET" in answer.fields["allow"].split(", ")


RETURNED = "module.exports = (context, event) => event.data;"


@pytest.mark.parametrize(
    "returned, expected",
    [
        (b'{"statusCode":204,"body":"no"}', (204, b"")),
        (b'{"statusCode":304,"body":"no"}', (304, b"")),
        (b'{"statusCode":205,"body":"no"}', (205, None)),
        (b'{"statusCode":200,"headers":{"Content-Length":"9"},"body":"yes"}', (200, b"yes")),
        (
            b'{"statusCode":200,"headers":{"Transfer-Encoding":"chunked"},"body":"yes"}',
            (200, b"yes"),
        ),
        (b'{"statusCode":200,"headers":{"Connection":"close"},"body":"yes"}', (200, b"yes")),
        (b'{"statusCode":200,"headers":{"Date":"never"},"body":"yes"}', (200, b"yes")),
        (
            b'{"statusCode":200,"headers":{"a":"b\\r\\nContent-Length: 1"},"body":"yes"}',
            (None, None),
        ),
        (b'{"statusCode":200,"headers":{"a\\r\\nb":"c"},"body":"yes"}', (None, None)),
        (b'{"statusCode":200,"headers":{"a b":"c"},"body":"yes"}', (None, None)),
        (b'{"statusCode":100}', (None, None)),
        (b'{"statusCode":101}', (None, None)),
        (b'{"statusCode":99}', (None, None)),
        (b'{"statusCode":1000}', (None, None)),
    ],
)
def test_answers_of_functions_are_framed_by_the_server(shared, deploy, returned, expected):
    """Whatever a function returns: parsed() holds the answer to the rules; None: any answer."""
    path = deploy(RETURNED).path.encode()
    fields = (b"ce-specversion: 1.0", b"ce-type: t", b"ce-source: /s", b"ce-id: 1")
    length = b"Content-Length: %d" % len(returned)
    json_type = b"Content-Type: application/json"
    line = b"POST " + path + b" HTTP/1.1"
    sent = message(line, HOST, *fields, json_type, length, body=returned)
    first, *rest = exchange(shared, sent + PROBE, foreign={0})
    status, body = expected
    assert status is None or first.status == status, first
    assert body is None or first.body == body, first
    assert statuses(rest) == ([] if first.closes else [200])


# ---- pipelining (RFC 9112 §9.3.2) and how bytes are cut ----


@pytest.mark.parametrize(
    "requests, expected, stored",
    [
        ([get()] * 5, [200] * 5, []),
        (
            [
                sized(HELLO, id=b"a"),
                get(),
                chunked(id=b"b"),
                get(target=b"/nope"),
                sized(b"", id=b"c"),
                get(method=b"PUT"),
            ],
            [202, 200, 202, 404, 202, 405],
            ["a", "b", "c"],
        ),
        ([sized(HELLO), b"\r\n", get()], [202, 200], ["outer"]),
        ([get(), get(b"bad name: x"), INNER], [200, 400], []),
        ([sized(b"", id=b"a"), b"\n", INNER], [202, 400], ["a"]),
        ([get(b"Connection: close"), INNER], [200], []),
        ([message(b"GET /livez HTTP/1.0", HOST), INNER], [200], []),
        ([sized(b"", id=b"a"), event(b"Content-Length: x"), INNER], [202, 400], ["a"]),
        ([sized(b"x" * 70000, id=b"a"), sized(HELLO, id=b"b"), get()], [202, 202, 200], ["a", "b"]),
    ],
)
def test_pipeline(wired, inbox, requests, expected, stored):
    answers = exchange(wired, b"".join(requests) + PROBE)
    assert statuses(answers) == expected + ([] if answers[len(expected) - 1].closes else [200])
    assert inbox.ids() == stored


def test_answers_of_a_pipeline_keep_the_order(wired, inbox):
    """Some are answered by the thread that reads them, some after a sync."""
    kinds = [
        (sized(HELLO), 202),
        (get(), 200),
        (get(target=b"/nope"), 404),
        (get(method=b"PUT"), 405),
    ]
    chosen = random.Random(1).choices(kinds, k=300)
    answers = exchange(wired, b"".join(sent for sent, _ in chosen) + PROBE, within=15)
    assert statuses(answers) == [status for _, status in chosen] + [200]
    assert len(inbox.ids()) == sum(status == 202 for _, status in chosen)


def test_pipeline_with_head(wired):
    sent = get() + get(method=b"HEAD") + get(target=b"/nope", method=b"HEAD") + get() + PROBE
    assert statuses(exchange(wired, sent, heads={1, 2})) == [200, 200, 404, 200, 200]


def test_pipeline_whose_answers_are_read_late(wired):
    """More answers than buffers hold: the server waits, and goes on."""
    with RawConnection(wired.address) as connection:
        connection.socket.settimeout(0.3)
        request, sent = get(target=b"/metrics") * 10, 0
        try:
            for sent in range(10, 5001, 10):
                connection.send(request)
        except TimeoutError:
            pass  # somewhere in a request: the last ones may be cut
        connection.socket.settimeout(10)
        for _ in range(min(sent - 10, 500)):
            assert connection.response().status == 200


SHORT = chunked(b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\na: b\r\n\r\n")


def test_byte_by_byte(wired, inbox):
    pieces = [b"%c" % byte for byte in b"\r\n" + SHORT + sized(HELLO, id=b"second") + PROBE]
    assert statuses(exchange(wired, *pieces, pause=0.001)) == [202, 202, 200]
    assert inbox.ids() == ["outer", "second"]


def test_cut_at_every_byte(wired, inbox):
    """One connection for each place: first halves, a pause, second halves."""
    whole = SHORT + PROBE
    connections = [RawConnection(wired.address) for _ in whole]
    try:
        for cut, connection in enumerate(connections):
            connection.send(whole[:cut])
        time.sleep(0.1)
        for cut, connection in enumerate(connections):
            connection.send(whole[cut:])
        for cut, connection in enumerate(connections):
            assert statuses(parsed(until_closed(connection))) == [202, 200], whole[:cut]
    finally:
        for connection in connections:
            connection.close()
    assert inbox.ids().count("outer") == len(whole)


@pytest.mark.parametrize("size", [2, 3, 7, 64, 1000, 4095, 4096, 4097])
def test_pieces_of(wired, inbox, size):
    body = chunk(b"a" * 1000) + chunk(b"b") + chunk(b"c" * 3000) + b"0\r\n\r\n"
    whole = chunked(body, id=b"first") + sized(b"\r\n\r\n" * 500, id=b"second") + PROBE
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert statuses(exchange(wired, *pieces, pause=0.0002, within=10)) == [202, 202, 200]
    assert inbox.ids() == ["first", "second"]


@pytest.mark.parametrize(
    "sent", [get(b"a b: c"), get(b"a: b\0"), chunked(b"5\r\nhello0"), chunked(b"x\r\n")]
)
def test_mistakes_show_however_they_are_cut(wired, sent):
    pieces = [b"%c" % byte for byte in sent]
    assert statuses(exchange(wired, *pieces, pause=0.001)) == [400]
    (last,) = exchange(wired, sent[:-1], sent[-1:])
    assert last.status == 400


# ---- what real clients send ----


@table(
    ("curl", get(b"User-Agent: curl/8.5.0", b"Accept: */*"), 200),
    (
        "Chrome",
        get(
            b"Connection: keep-alive",
            b"Cache-Control: max-age=0",
            b'sec-ch-ua: "Chromium";v="124", "Not-A.Brand";v="99"',
            b"sec-ch-ua-mobile: ?0",
            b'sec-ch-ua-platform: "Linux"',
            b"Upgrade-Insecure-Requests: 1",
            b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
            b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            b"Sec-Fetch-Site: none",
            b"Accept-Encoding: gzip, deflate, br, zstd",
            b"Accept-Language: de-DE,de;q=0.9,en-US;q=0.8",
            b"Cookie: a=b; c=" + b"d" * 3000,
        ),
        200,
    ),
    ("kubelet", get(b"User-Agent: kube-probe/1.30", b"Accept: */*", b"Connection: close"), 200),
    ("HAProxy", message(b"OPTIONS / HTTP/1.0", HOST), (404, 405)),
    (
        "ab",
        message(b"GET /livez HTTP/1.0", b"Connection: Keep-Alive", HOST, b"User-Agent: ab"),
        200,
    ),
    (
        "proxy",
        get(b"Via: 1.1 a, 2 b", b"X-Forwarded-For: ::1", b"Forwarded: for=_x;proto=http"),
        200,
    ),
    ("nginx", message(b"GET /livez HTTP/1.0", HOST, b"Connection: close"), 200),
    (
        "Go",
        event(b"User-Agent: Go-http-client/1.1", CODING + b"chunked", body=chunk(HELLO) + LAST),
        202,
    ),
    (
        "Java",
        event(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Content-Length: 5",
            b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
            b"Upgrade: h2c",
            b"User-Agent: Java-http-client/17.0.10",
            body=HELLO,
        ),
        202,
    ),
    ("Node", event(b"Connection: keep-alive", CODING + b"chunked", body=chunk(HELLO) + LAST), 202),
    (
        "WebSocket",
        get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        200,
    ),
    ("old browser", sized(HELLO) + b"\r\n", 202),
    ("te", get(b"TE: trailers", b"Connection: TE"), 200),
)
def test_real_clients(wired, sent, expected):
    one_answer(wired, sent, expected)


# ---- slow clients, many clients ----

PARTIAL = [
    b"G",
    b"GET /livez HTTP/1.1\r\n",
    get()[:-2],
    get()[:-1],
    get() + b"\r\n",
    get() + get()[:30],
]


@pytest.mark.slow
def test_partial_heads_are_cut(wired):
    """By a deadline of their own (10 s), also when an answer came before; 408 may say so."""
    connections = [RawConnection(wired.address) for _ in PARTIAL]
    start = time.monotonic()
    try:
        for connection, sent in zip(connections, PARTIAL):
            connection.send(sent)
        for connection, sent in zip(connections, PARTIAL):
            if sent == get() + b"\r\n":
                continue  # an empty line begins no request
            answers = parsed(until_closed(connection, start + 40 - time.monotonic()))
            whole = [200] if sent.startswith(get()) else []
            assert statuses(answers) in (whole, whole + [408]), sent
        assert time.monotonic() - start > 5, "not at once, either"
    finally:
        for connection in connections:
            connection.close()


def rests(server):
    """It uses little beside a thread that spins, however loaded the machine is."""
    before, mine = processes.cpu_seconds(server.pid), time.process_time()
    while time.process_time() - mine < 0.3:
        pass
    return processes.cpu_seconds(server.pid) - before < 0.1


@pytest.mark.expects_errors("connection|descriptor|open files|accept")
def test_more_clients_than_descriptors(make_daemon):
    """Those that fit are served; the others wait or are turned away, and cost nothing meanwhile."""
    server = make_daemon()
    server.start("prlimit", "--nofile=128:128")
    crowd = []
    try:
        for _ in range(300):
            crowd.append(socket.create_connection(server.address, timeout=5))
        crowd[0].sendall(get())
        assert crowd[0].recv(4096).startswith(b"HTTP/1.1 200")
        waiting.until(lambda: rests(server), what="rest")
    finally:
        for connection in crowd:
            connection.close()
    waiting.until(lambda: answers_again(server), what="an answer after the crowd")
    assert len(server.log()) < 100_000, "not a line for each"


def answers_again(server):
    try:
        return statuses(exchange(server, get(), PROBE)) == [200, 200]
    except (OSError, AssertionError):
        return False


def test_many_idle_clients(wired):
    """500 connections that were used once and stay open cost others nothing."""
    crowd = [RawConnection(wired.address, 5) for _ in range(500)]
    try:
        for connection in crowd:
            connection.send(get())
        for connection in crowd:
            assert connection.response().status == 200
        assert statuses(exchange(wired, get() + PROBE)) == [200, 200]
        for connection in reversed(crowd):
            connection.send(get())
            assert connection.response().status == 200
    finally:
        for connection in crowd:
            connection.close()
