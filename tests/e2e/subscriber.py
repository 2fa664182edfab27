# SPDX-License-Identifier: Apache-2.0
"""A subscriber of bytes: a socket that sees each request as it came, holds it to what every
request owes (RFC 9112, RFC 9110), and answers what it is told, byte for byte.

What it does is an act: bytes, or a function of Peer. A request takes the next act of the script;
the last one repeats. An act that begins before its request has come is marked by at_accept."""

import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from wire import percent_decoded

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

REQUEST_LINE = re.compile(rb"(POST) (/[!-~]*) HTTP/1\.1")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")


@dataclass
class Request:
    target: str
    fields: dict  # names in lower case
    head: bytes
    connection: int  # which of the subscriber's, from 0
    body: bytes = b""
    time: float = field(default_factory=time.monotonic)

    @property
    def id(self):
        return percent_decoded(self.fields["ce-id"])


def answer(status=200, *fields, body=b"", version=b"1.1", reason=b"Said"):
    """A whole answer with its length; fields come before it."""
    line = b"HTTP/%s %d %s" % (version, status, reason)
    length = () if status in (204, 304) else (b"Content-Length: %d" % len(body),)
    return b"\r\n".join((line, *fields, *length)) + b"\r\n\r\n" + body


def head(*lines):
    """Lines as they are, and the empty one."""
    return b"\r\n".join(lines) + b"\r\n\r\n"


def at_accept(act):
    """Marks an act that does not wait for the request's first byte."""
    act.at_accept = True
    return act


class Gone(Exception):
    """The broker ended the connection."""


class Peer:
    """One connection, as acts see it."""

    def __init__(self, subscriber, connection, number):
        self.subscriber = subscriber
        self.socket = connection
        self.number = number
        self.pending = b""
        self.ended = False

    def more(self, limit=65536):
        try:
            data = self.socket.recv(limit)
        except OSError:
            raise Gone from None
        if not data:
            raise Gone
        self.pending += data

    def read_head(self):
        """The head alone; the body stays in the socket, or in pending."""
        while b"\r\n\r\n" not in self.pending:
            self.more(4096)
        text, self.pending = self.pending.split(b"\r\n\r\n", 1)
        first, *lines = text.split(b"\r\n")
        line = REQUEST_LINE.fullmatch(first)
        assert line, f"request line: {first}"
        fields = {}
        for raw in lines:
            found = FIELD_LINE.fullmatch(raw)
            assert found, f"field line: {raw}"
            name = found[1].decode().lower()
            assert name not in fields, f"{name} twice: {text}"
            fields[name] = found[2].decode("latin-1").strip(" \t")
        check_fields(fields)
        return Request(line[2].decode(), fields, text, self.number)

    def read_body(self, request, step=65536, pause=0):
        length = int(request.fields["content-length"])
        parts, count = [self.pending[:length]], min(len(self.pending), length)
        self.pending = self.pending[length:]
        while count < length:
            try:
                data = self.socket.recv(min(step, length - count))
            except OSError:
                raise Gone from None
            if not data:
                raise Gone
            parts.append(data)
            count += len(data)
            if pause:
                time.sleep(pause)
        request.body = b"".join(parts)
        assert not self.pending, f"after the body: {self.pending[:200]}"

    def read(self, **how):
        """A whole request, noted."""
        request = self.read_head()
        self.read_body(request, **how)
        self.subscriber.note(request)
        return request

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            raise Gone from None

    def trickle(self, data, pause=0.05):
        """Byte by byte, until the broker has enough of it."""
        for number in range(len(data)):
            self.send(data[number : number + 1])
            time.sleep(pause)

    def wait_end(self, within=10):
        """Until the broker ends the connection; what it still sends is dropped."""
        self.socket.settimeout(within)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            raise AssertionError(f"the broker kept the connection for {within} s") from None
        except OSError:
            pass
        self.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.ended = True
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def check_fields(fields):
    """What each request for a delivery owes."""
    assert re.fullmatch("[0-9]+", fields.get("content-length", "none")), fields
    for name in ("transfer-encoding", "expect", "upgrade", "te", "trailer"):
        assert name not in fields, fields
    assert "host" in fields, fields
    assert fields.get("prefer") == "reply", fields
    for name in ("id", "type", "source", "specversion"):
        assert fields.get(f"ce-{name}"), fields


def say(*pieces, close=False, pause=0.0):
    """An act: reads the request, then sends the pieces."""

    def act(peer):
        peer.read()
        for number, piece in enumerate(pieces):
            if number and pause:
                time.sleep(pause)
            peer.send(piece)
        if close:
            peer.close()

    return act


class Subscriber:
    """Listens from the first, unless told not to. The script's acts are taken in the order of the
    requests, of all connections together; without one it answers 200."""

    def __init__(self, *script, host="127.0.0.1", port=0, buffer=None, listen=True):
        self.changed = threading.Condition()
        self.script = list(script)
        self.requests = []
        self.accepted = 0
        self.faults = []
        self.peers = []
        self.threads = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.listener.bind((host, port))
        self.host, self.port = host, self.listener.getsockname()[1]
        if listen:
            self.listen()

    def listen(self):
        self.listener.listen(512)
        self.begin(self.accept_all)

    def begin(self, run, *arguments):
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def url(self, path="/", host=None):
        shown = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"http://{shown}:{self.port}{path}"

    # ---- its threads ----

    def accept_all(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                peer = Peer(self, connection, self.accepted)
                self.accepted += 1
                self.peers.append(peer)
                self.changed.notify_all()
            self.begin(self.serve, peer)

    def next_act(self, only_at_accept=False):
        with self.changed:
            act = self.script[0] if self.script else OK
            if only_at_accept and not getattr(act, "at_accept", False):
                return None
            if len(self.script) > 1:
                self.script.pop(0)
            return act

    def serve(self, peer):
        try:
            if act := self.next_act(only_at_accept=True):
                act(peer)
            while not peer.ended:
                if not peer.pending:
                    peer.more()
                act = self.next_act()
                act(peer) if callable(act) else say(act)(peer)
        except Gone:
            pass
        except Exception as fault:  # told to the test by check()
            with self.changed:
                self.faults.append(fault)
        finally:
            if not peer.ended:
                peer.close()

    def note(self, request):
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    # ---- for the test ----

    def wait(self, count, timeout=10):
        """The first count requests that came whole."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while len(self.requests) < count:
                left = deadline - time.monotonic()
                came = [request.id for request in self.requests]
                assert left > 0 and not self.faults, f"{came}, not {count}; {self.faults}"
                self.changed.wait(min(left, 0.5))
            return self.requests[:count]

    def wait_accepted(self, count, timeout=10):
        with self.changed:
            assert self.changed.wait_for(lambda: self.accepted >= count, timeout), self.accepted

    @property
    def ids(self):
        with self.changed:
            return [request.id for request in self.requests]

    def check(self):
        assert not self.faults, self.faults

    def close(self):
        for thing in [self.listener, *(peer.socket for peer in self.peers if not peer.ended)]:
            try:
                thing.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        for thread in self.threads:
            thread.join(5)
