# SPDX-License-Identifier: Apache-2.0
"""The subscribers: one listener, a path for each. A subscriber notes every request as it came and
answers what its assertion wants, down to half an answer."""

import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate

from .event import NotAnEvent, read_event

CASE = "conformancecase"  # the extension attribute that tells whose event it is
REASONS = {200: "OK", 202: "Accepted", 503: "Service Unavailable"}


@dataclass
class Delivery:
    """One request of the broker."""

    method: str
    target: str
    head: list  # (name, value) as they came
    body: bytes
    connection: int
    number: int = 0  # from 1, of its subscriber's
    time: float = field(default_factory=time.monotonic)

    @property
    def fields(self):
        return {name.lower(): value for name, value in self.head}

    @property
    def event(self):
        return read_event(self.fields, self.body)

    @property
    def id(self):
        try:
            return self.event.id
        except NotAnEvent:
            return None

    def __str__(self):
        try:
            return f"{self.method} {self.target} with {self.event}"
        except NotAnEvent as error:
            return f"{self.method} {self.target}, no event: {error}"


# ---- what a subscriber can do with a request: functions of (connection, delivery) ----


def answer(status=202, fields=(), body=b"", interim=()):
    """A whole answer. fields may be a function, for what depends on the time."""

    def act(connection, _delivery):
        extra = fields() if callable(fields) else fields
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Said')}"]
        lines += [f"{name}: {value}" for name, value in extra]
        if status not in (204, 304):
            lines.append(f"Content-Length: {len(body)}")
        before = b"".join(b"HTTP/1.1 %d Said\r\n\r\n" % code for code in interim)
        connection.sendall(before + "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    act.text = f"answers {status}"
    return act


def reply(event, mode=None, status=200, chunked=False):
    """Answers with an event; it may be a function of the delivery."""

    def act(connection, delivery):
        made = event(delivery) if callable(event) else event
        fields, body = made.message(mode)
        if not chunked:
            answer(status, fields, body)(connection, delivery)
            return
        lines = [f"HTTP/1.1 {status} OK", *(f"{n}: {v}" for n, v in fields), "Transfer-Encoding: chunked"]
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        for start in range(0, len(body), 1000):
            piece = body[start : start + 1000]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")

    act.text = f"replies with {status} and an event"
    return act


def retry_after_date(status, seconds):
    """Retry-After as a date, so many whole seconds ahead."""
    act = answer(status, lambda: [("Retry-After", formatdate(time.time() + seconds, usegmt=True))])
    act.text = f"answers {status} with Retry-After: a date {seconds} s ahead"
    return act


def hang_up(connection, _delivery):
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection, _delivery):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def cut_body(connection, _delivery):
    """Promises more than it sends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nhalf")
    connection.shutdown(socket.SHUT_RDWR)


def cut_chunk(connection, _delivery):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nhalf of it")
    connection.shutdown(socket.SHUT_RDWR)


def silence(connection, _delivery):
    """Never answers; ends when the broker does."""
    connection.settimeout(600)
    while connection.recv(4096):
        pass


hang_up.text = "closes the connection without an answer"
reset.text = "resets the connection"
cut_body.text = "cuts its answer's body"
cut_chunk.text = "cuts its answer within a chunk"
silence.text = "does not answer"


class Subscriber:
    """acts: what to do with the first, second, … request; the last one repeats. An act that is a
    number is an answer with that status."""

    def __init__(self, listener, path, acts):
        self.listener = listener
        self.path = path
        self.url = listener.base + path
        self.acts = [answer(act) if isinstance(act, int) else act for act in acts or (202,)]
        self.deliveries = []
        self.changed = threading.Condition()

    @property
    def plain(self):
        return len(self.acts) == 1 and getattr(self.acts[0], "text", "") == "answers 202"

    def take(self, delivery):
        """Notes it and returns what to do."""
        with self.changed:
            self.deliveries.append(delivery)
            delivery.number = len(self.deliveries)
            self.changed.notify_all()
            return self.acts[min(delivery.number, len(self.acts)) - 1]

    def got(self):
        with self.changed:
            return list(self.deliveries)

    def wait_for(self, accept, timeout):
        """Until accept(deliveries) is true, or the time is over; what has come."""
        with self.changed:
            self.changed.wait_for(lambda: accept(self.deliveries), timeout)
            return list(self.deliveries)


class Closed(Exception):
    """The broker ended the connection."""


class Reader:
    """Reads requests from a connection."""

    def __init__(self, connection):
        self.connection = connection
        self.pending = b""

    def more(self):
        data = self.connection.recv(65536)
        if not data:
            raise Closed
        self.pending += data

    def until(self, mark):
        while mark not in self.pending:
            self.more()
        text, self.pending = self.pending.split(mark, 1)
        return text

    def exactly(self, count):
        while len(self.pending) < count:
            self.more()
        data, self.pending = self.pending[:count], self.pending[count:]
        return data

    def chunks(self):
        parts = []
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            parts.append(self.exactly(size))
            self.exactly(2)
        while self.until(b"\r\n"):
            pass
        return b"".join(parts)

    def request(self):
        """(request line's words, header fields, body)"""
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        head = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        fields = {name.lower(): value for name, value in head}
        if fields.get("expect", "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in fields.get("transfer-encoding", "").lower():
            return first.split(" "), head, self.chunks()
        return first.split(" "), head, self.exactly(int(fields.get("content-length", 0)))


class Listener:
    """Serves all subscribers. base is the URL by which the broker reaches it."""

    def __init__(self, address=("127.0.0.1", 0), advertise=None):
        self.subscribers = {}
        self.cases = {}  # the value of CASE → its subscribers, for a trigger made by hand
        self.accepted = 0
        self.socket = socket.create_server(address, backlog=1024)
        self.port = self.socket.getsockname()[1]
        host = "127.0.0.1" if address[0] in ("", "0.0.0.0") else address[0]
        self.base = (advertise or f"http://{host}:{self.port}").rstrip("/")
        threading.Thread(target=self.accept, daemon=True).start()

    def subscriber(self, case, path, acts):
        made = Subscriber(self, path, acts)
        self.subscribers[path] = made
        self.cases.setdefault(case, []).append(made)
        return made

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            threading.Thread(target=self.serve, args=(connection, self.accepted), daemon=True).start()

    def serve(self, connection, number):
        reader = Reader(connection)
        try:
            while True:
                (method, target, _), head, body = reader.request()
                self.dispatch(connection, Delivery(method, target, head, body, number))
        except (OSError, ValueError, Closed):
            pass
        finally:
            connection.close()

    def dispatch(self, connection, delivery):
        subscriber = self.subscribers.get(delivery.target.split("?")[0])
        if subscriber:
            subscriber.take(delivery)(connection, delivery)
            return
        try:
            case = delivery.event.get(CASE)
        except NotAnEvent:
            case = None
        for plain in self.cases.get(case, ()):
            plain.take(delivery)
        answer(202)(connection, delivery)

    def close(self):
        self.socket.close()
