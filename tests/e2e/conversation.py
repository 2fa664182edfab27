# SPDX-License-Identifier: Apache-2.0
"""Requests as bytes, and a strict reader of answers: each is held to what every answer owes
(RFC 9112, RFC 9110)."""

import email.utils
import json
import re
import socket
import time
from dataclasses import dataclass

import pytest

from wire import RawConnection, binary_event

HOST = b"Host: localhost"
PROBE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
FATAL = {400, 408, 413, 414, 431, 505}  # where the next request starts is not known any more


# ---- requests ----


def message(line, *fields, body=b""):
    return b"\r\n".join((line, *fields)) + b"\r\n\r\n" + body


def get(*fields, target=b"/livez", method=b"GET"):
    return message(method + b" " + target + b" HTTP/1.1", HOST, *fields)


def event(*fields, id=b"outer", body=b"", version=b"1.1"):
    """An event for the broker; fields say how long its body is."""
    ce = (b"ce-specversion: 1.0", b"ce-type: t", b"ce-source: /s", b"ce-id: " + id)
    return message(b"POST /wire/default HTTP/" + version, HOST, *ce, *fields, body=body)


def sized(body, id=b"outer"):
    return event(b"Content-Length: %d" % len(body), id=id, body=body)


def chunked(body=b"5\r\nhello\r\n0\r\n\r\n", *fields, id=b"outer"):
    return event(b"Transfer-Encoding: chunked", *fields, id=id, body=body)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def table(*rows):
    """Parametrizes by rows of (what, bytes sent, what must come)."""
    marks = [pytest.param(sent, expected, id=what) for what, sent, expected in rows]
    return pytest.mark.parametrize("sent, expected", marks)


# ---- answers ----

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [\t -~]*")
FIELD_LINE = re.compile(rb"(" + TOKEN + rb"):([\t -~\x80-\xff]*)")
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
ONCE = ("content-length", "content-type", "date", "transfer-encoding", "connection", "server")


@dataclass
class Answer:
    status: int
    fields: dict  # names in lower case
    body: bytes

    @property
    def closes(self):
        return "close" in self.fields.get("connection", "").lower().split(", ")


def parsed_head(head):
    first, *rest = head.split(b"\r\n")
    line = STATUS_LINE.fullmatch(first)
    assert line, first
    fields = {}
    for text in rest:
        field = FIELD_LINE.fullmatch(text)
        assert field, text
        name, value = field[1].decode().lower(), field[2].decode("latin-1").strip(" \t")
        assert name not in fields or name not in ONCE, f"{name} twice: {head}"
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return int(line[1]), fields


def check_date(value):
    assert DATE.fullmatch(value), value
    assert abs(email.utils.parsedate_to_datetime(value).timestamp() - time.time()) < 60, value


def dechunked(data):
    body = b""
    while True:
        size, mark, data = data.partition(b"\r\n")
        assert mark and re.fullmatch(rb"[0-9a-fA-F]+", size), size
        length = int(size, 16)
        assert data[length : length + 2] == b"\r\n", "a chunk is as long as it says"
        if length == 0:
            return body, data[2:]
        body, data = body + data[:length], data[length + 2 :]


def take_body(status, fields, data, is_head):
    """Body and rest of an answer (RFC 9112 §6.3)."""
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    assert length is None or coding is None, fields
    if status < 200 or status in (204, 304):
        assert coding is None and (length is None or status == 304), fields
        return b"", data
    if is_head:
        return b"", data
    if coding is not None:
        assert coding == "chunked", coding
        return dechunked(data)
    if length is None:
        assert "close" in fields.get("connection", ""), f"neither length nor end: {fields}"
        return data, b""
    assert re.fullmatch("[0-9]+", length) and len(data) >= int(length), (length, data)
    return data[: int(length)], data[int(length) :]


def parsed(data, heads=(), foreign=()):
    """All answers in the bytes; heads: which of them, by number, answer HEAD; foreign: which are a
    function's own, whose errors have any form. Each is held to what every answer owes."""
    found = []
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        assert mark, f"no end of the head: {head}"
        status, fields = parsed_head(head)
        if status == 100:
            assert not fields, fields
            found.append(Answer(status, fields, b""))
            continue
        assert status >= 200, "nothing was upgraded"
        check_date(fields.get("date", "no Date"))
        is_head, is_foreign = len(found) in heads, len(found) in foreign
        body, data = take_body(status, fields, data, is_head)
        found.append(Answer(status, fields, body))
        if status >= 400 and not is_head and not is_foreign:
            check_error(found[-1])
        assert not (found[-1].closes and data), f"after Connection: close: {data}"
    return found


def check_error(answer):
    assert answer.fields.get("content-type", "").startswith("application/json"), answer
    error = json.loads(answer.body)["error"]
    assert error["status"] == answer.status, answer
    assert error["reason"] and error["message"], answer


def until_closed(connection, within=5):
    """All bytes until the other side ends the connection."""
    data, deadline = connection.pending, time.monotonic() + within
    while True:
        connection.socket.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            more = connection.socket.recv(65536)
        except ConnectionResetError:
            return data
        except TimeoutError:
            raise AssertionError(f"open after {within} s; came: {data}") from None
        if not more:
            return data
        data += more


def exchange(server, *pieces, heads=(), foreign=(), half_close=False, pause=0.02, within=5):
    """Sends the pieces; returns all answers until the server ends the connection."""
    with RawConnection(server.address) as connection:
        try:
            for number, piece in enumerate(pieces):
                if number:
                    time.sleep(pause)
                connection.send(piece)
            if half_close:
                connection.socket.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused early: the answer may be there already
        return parsed(until_closed(connection, within), heads, foreign)


def statuses(answers):
    return [answer.status for answer in answers]


def one_answer(server, sent, expected, fatal=FATAL):
    """Sends the bytes and a probe after them. The first answer is as expected; either it closes the
    connection and nothing came after it, or the probe was answered: never anything between. fatal:
    the statuses that must close."""
    answers = exchange(server, sent + PROBE)
    assert answers, "closed without an answer"
    first, *rest = answers
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert first.status in expected, answers
    if first.closes:
        assert not rest, answers
    else:
        assert first.status not in fatal, f"the connection goes on after {first}"
        assert statuses(rest) == [200], "the connection is out of step"
    return first


class Inbox:
    """What the broker stored since the test began."""

    def __init__(self, server):
        self.server = server
        self.before = len(server.events())

    def events(self):
        return [entry["event"] for entry in self.server.events()[self.before :]]

    def ids(self):
        """Also of what was on its way: an event of our own is the last."""
        assert self.server.send("/wire/default", binary_event(id="last")).status == 202
        *found, last = [event["id"] for event in self.events()]
        assert last == "last"
        return found
