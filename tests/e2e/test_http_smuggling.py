# SPDX-License-Identifier: Apache-2.0
"""Request smuggling (RFC 9112 §11.2): what one of two parties may take for the end of a request, or
for another one. The inner request of each is never executed."""

import pytest

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
    sized,
    statuses,
)

INNER = sized(b"", id=b"inner")
LAST = b"0\r\n\r\n"
AS_CHUNK = chunk(INNER) + LAST
CODING = b"Transfer-Encoding: "
HIDDEN = {  # codings that one of two parties may not see, or see otherwise
    "plain": [CODING + b"chunked"],
    "mixed case": [CODING + b"cHuNkEd"],
    "no blank": [b"Transfer-Encoding:chunked"],
    "tab before the value": [b"Transfer-Encoding:\tchunked"],
    "blank after": [CODING + b"chunked "],
    "tab after": [CODING + b"chunked\t"],
    "xchunked": [CODING + b"xchunked"],
    "blank before the colon": [b"Transfer-Encoding : chunked"],
    "tab before the colon": [b"Transfer-Encoding\t: chunked"],
    "vertical tab": [CODING + b"\x0bchunked"],
    "NUL before the value": [CODING + b"\0chunked"],
    "CR after": [CODING + b"chunked\r"],
    "0xff after": [CODING + b"chunked\xff"],
    "blank first": [b" " + CODING + b"chunked"],
    "after LF": [b"X: x\n" + CODING + b"chunked"],
    "after CR": [b"X: x\r" + CODING + b"chunked"],
    "folded value": [b"Transfer-Encoding:\r\n chunked"],
    "folded name": [b"Transfer-Encoding\r\n : chunked"],
    "quoted": [CODING + b'"chunked"'],
    "comma": [CODING + b"chunked,"],
    "comma first": [CODING + b", chunked"],
    "semicolon": [CODING + b"chunked;"],
    "identity": [CODING + b"identity"],
    "identity in a list": [CODING + b"identity, chunked"],
    "second unknown": [CODING + b"chunked", CODING + b"x"],
    "first unknown": [CODING + b"x", CODING + b"chunked"],
    "identity second": [CODING + b"chunked", CODING + b"identity"],
    "empty": [CODING],
    "name ends in NUL": [b"Transfer-Encoding\0: chunked"],
    "name in obs-text": [b"Transfer-Encod\xefng: chunked"],
    "no colon": [b"Transfer-Encoding chunked"],
    "equals sign": [b"Transfer-Encoding=chunked"],
}


@pytest.mark.parametrize("fields", HIDDEN.values(), ids=HIDDEN)
def test_smuggling_by_coding_and_length(wired, inbox, fields):
    """CL.TE, TE.CL and TE.TE: the length covers everything, or ends where the inner request begins."""
    for body in (LAST + INNER, AS_CHUNK):
        for length in (len(body), body.index(INNER)):
            for ordered in (
                [b"Content-Length: %d" % length, *fields],
                [*fields, b"Content-Length: %d" % length],
            ):
                answers = exchange(wired, event(*ordered, body=body) + PROBE)
                assert statuses(answers) in ([400], [501]) and answers[0].closes, answers
    assert inbox.ids() == []


@pytest.mark.parametrize(
    "body",
    [
        LAST[:-2] + INNER,
        b"0\n\n" + INNER,
        b"0\r\n\n" + INNER,
        b"0\n\r\n" + INNER,
        b"0\r\r\n\r\n" + INNER,
        b"0;\n\r\n" + INNER,
        b"0;\r\r\n\r\n" + INNER,
        b"0\r\na: b\n\n" + INNER,
        b"0\r\na: b\r\r\n\r\n" + INNER,
        b"0\r\n\0\r\n\r\n" + INNER,
        b"0x0\r\n\r\n" + INNER,
        b"-0\r\n\r\n" + INNER,
        b"+0\r\n\r\n" + INNER,
        b"0 \r\n\r\n" + INNER,
        b" 0\r\n\r\n" + INNER,
        b"0_\r\n\r\n" + INNER,
        b"\r\n0\r\n\r\n" + INNER,
        b"\r\n\r\n" + INNER,
        b"2;\nxx\r\n" + chunk(LAST + INNER) + LAST,
        b"2;\rxx\r\n" + chunk(LAST + INNER) + LAST,
        b"2;a\nxx\r\n" + chunk(LAST + INNER) + LAST,
        b"2\nxx\r\n" + chunk(LAST + INNER) + LAST,
        b"2\r\nxx\n" + chunk(LAST + INNER) + LAST,
        b"2\r\nxxXX" + chunk(LAST + INNER) + LAST,
        b"2\r\nxx\rX" + chunk(LAST + INNER) + LAST,
        b"2\r\nxx" + chunk(LAST + INNER) + LAST,
        b"2\r\nxx\r\n\r\n" + LAST + INNER,
        b"3\r\nxx\r\n" + LAST + INNER,
        b"100000000\r\n\r\n" + INNER,
        b"10000000000000000\r\n\r\n" + INNER,
        b"fffffffffffffffe\r\n\r\n" + LAST + INNER,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_smuggling_by_chunks(wired, inbox, body):
    """To a more lenient reader than RFC 9112 §7.1 allows, the inner request stands alone."""
    answers = exchange(wired, chunked(body) + PROBE)
    assert statuses(answers) in ([400], [413]) and answers[0].closes, answers
    assert inbox.ids() == []


@pytest.mark.parametrize(
    "lengths",
    [
        [b"Content-Length: 0", b"Content-Length: %d" % len(INNER)],
        [b"Content-Length: %d" % len(INNER), b"Content-Length: 0"],
        [b"Content-Length: 0, %d" % len(INNER)],
        [b"Content-Length: 0 %d" % len(INNER)],
        [b"Content-Length: +0"],
        [b"Content-Length: -0"],
        [b"Content-Length: 0x0"],
        [b"Content-Length: 0\0%d" % len(INNER)],
        [b"Content-Length: \x0b%d" % len(INNER)],
        [b"Content-Length : %d" % len(INNER)],
        [b"Content-Length\0: %d" % len(INNER)],
        [b" Content-Length: %d" % len(INNER)],
        [b"Content-Length:\r\n %d" % len(INNER)],
        [b"Content-Length:\n %d" % len(INNER)],
        [b"X: x\nContent-Length: %d" % len(INNER)],
        [b"X: x\rContent-Length: %d" % len(INNER)],
        [b"Content-Length=%d" % len(INNER)],
        [b"Content-Length:"],
        [b"Content-Length: 4294967296"],
        [b"Content-Length: 18446744073709551616"],
    ],
)
def test_smuggling_by_length(wired, inbox, lengths):
    answers = exchange(wired, event(*lengths, body=INNER) + PROBE)
    assert statuses(answers) in ([400], [413]) and answers[0].closes, answers
    assert inbox.ids() == []


def with_inner(method, target, *fields, version=b"1.1"):
    """A request that has the inner one as its body."""
    line = method + b" " + target + b" HTTP/" + version
    return message(line, HOST, b"Content-Length: %d" % len(INNER), *fields, body=INNER)


@pytest.mark.parametrize(
    "sent",
    [
        with_inner(b"GET", b"/livez"),
        with_inner(b"HEAD", b"/livez"),
        with_inner(b"POST", b"/livez"),
        with_inner(b"POST", b"/nope/a/b/c"),
        with_inner(b"POST", b"/wire/nope"),
        with_inner(b"POST", b"/wire/default"),
        with_inner(b"OPTIONS", b"/wire/default"),
        with_inner(b"OPTIONS", b"*"),
        with_inner(b"DELETE", b"/livez"),
        with_inner(b"BREW", b"/livez"),
        with_inner(b"GET", b"/-/events?from=1&follow=false"),
        with_inner(b"GET", b"/livez", b"Expect: 100-continue"),
        with_inner(b"GET", b"/livez", b"Connection: Upgrade", b"Upgrade: websocket"),
        with_inner(b"GET", b"/livez", version=b"1.0"),
        with_inner(b"GET", b"http://localhost/livez"),
        with_inner(b"GET", b"livez"),
        with_inner(b"GET", b"/livez HTTP/1.1\nX:"),
        message(b"GET /livez HTTP/1.1", HOST, CODING + b"chunked", body=AS_CHUNK),
        message(b"OPTIONS /wire/default HTTP/1.1", HOST, CODING + b"chunked", body=AS_CHUNK),
        message(b"POST /nope/a/b/c HTTP/1.1", HOST, CODING + b"chunked", body=AS_CHUNK),
        message(b"GET /livez HTTP/1.0", HOST, CODING + b"chunked", body=LAST + INNER),
        event(CODING + b"chunked", b"Connection: keep-alive", body=LAST + INNER, version=b"1.0"),
        event(b"Content-Length: 67108864", body=INNER),
        b"GET /livez\r\n" + INNER,
        b"GET /livez HTTP/1.1\nHost: localhost\n\n" + INNER,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\n" + INNER,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\r\n" + INNER,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\na: b\n\n" + INNER,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n \r\n" + INNER,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\0\r\n\r\n" + INNER,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INNER,
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + INNER,
        get(target=b"/nope" + INNER.replace(b" ", b"%20").replace(b"\r\n", b"%0d%0a")),
    ],
    ids=lambda sent: repr(sent[:30]),
)
def test_a_body_is_no_request(wired, inbox, sent):
    """CL.0, TE.0 and what else one party may take for the end: the answer closes the connection, or
    the body was read to its end."""
    heads = {0} if sent.startswith(b"HEAD") else ()
    answers = [a for a in exchange(wired, sent + PROBE, heads=heads) if a.status != 100]
    assert statuses(answers[1:]) == ([] if answers[0].closes else [200]), answers
    assert "inner" not in inbox.ids()


@pytest.mark.parametrize(
    "fields, body",
    [
        ([b"Connection: Content-Length", b"Content-Length: %d" % len(INNER)], INNER),
        ([b"Transfer_Encoding: chunked", b"Content-Length: %d" % len(INNER)], INNER),
        ([b"Content-Encoding: chunked", b"Content-Length: %d" % len(INNER)], INNER),
        ([b"TE: chunked", b"Content-Length: %d" % len(INNER)], INNER),
        ([b"X-Content-Length: 0", b"Content-Length: %d" % len(INNER)], INNER),
        ([b"Connection: Transfer-Encoding", CODING + b"chunked"], AS_CHUNK),
        ([b"Content_Length: 0", CODING + b"chunked"], AS_CHUNK),
        ([b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: %d" % len(INNER)], INNER),
    ],
)
def test_what_frames_nothing(wired, inbox, fields, body):
    """Known to fool somebody, clear to RFC 9112: taken whole, as data."""
    one_answer(wired, event(*fields, b"Content-Type: text/plain", body=body), 202)
    assert [found["data"] for found in inbox.events()] == [INNER.decode()]
