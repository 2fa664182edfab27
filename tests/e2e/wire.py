# SPDX-License-Identifier: Apache-2.0
"""HTTP as tests need it: a plain client, and raw bytes for what no client would send."""

import http.client
import json
import socket
import time
import urllib.parse
from dataclasses import dataclass


@dataclass
class Response:
    status: int
    headers: dict  # names in lower case; repeated ones joined with ", "
    body: bytes
    reason: str = ""

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The `error` object of an answer that is not 2xx."""
        content_type = self.headers.get("content-type", "")
        assert content_type.startswith("application/json"), (self.status, content_type, self.body)
        return self.json()["error"]


class Client:
    """One request, one connection."""

    def __init__(self, address):
        self.address = address

    def request(self, method, path, body=None, headers=None, timeout=20):
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            try:
                connection.request(method, path, body=body, headers=headers or {})
            except (BrokenPipeError, ConnectionResetError):
                if connection.sock is None:
                    raise
                # refused before the body was all there: the answer may have come
            answer = connection.getresponse()
            merged = {}
            for name, value in answer.getheaders():
                name = name.lower()
                merged[name] = f"{merged[name]}, {value}" if name in merged else value
            return Response(answer.status, merged, answer.read(), answer.reason)
        finally:
            connection.close()

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body=b"", headers=None, **kwargs):
        return self.request("POST", path, body=body, headers=headers, **kwargs)

    def put(self, path, body=b"", headers=None, **kwargs):
        return self.request("PUT", path, body=body, headers=headers, **kwargs)

    def delete(self, path, **kwargs):
        return self.request("DELETE", path, **kwargs)


class Incomplete(Exception):
    """The connection ended before an answer was whole; carries what came."""


class RawConnection:
    """A socket and the answers that come over it."""

    def __init__(self, address, timeout=20):
        self.pending = b""
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Incomplete(self.pending)
        self.pending += data

    def until(self, mark):
        while mark not in self.pending:
            self.more()
        part, self.pending = self.pending.split(mark, 1)
        return part

    def exactly(self, count):
        while len(self.pending) < count:
            self.more()
        part, self.pending = self.pending[:count], self.pending[count:]
        return part

    def response(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
        if status == 100:
            return self.response()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                body += self.exactly(size)
                self.exactly(2)
            self.until(b"\r\n")
        else:
            body = self.exactly(int(headers.get("content-length", "0")))
        return Response(status, headers, body, lines[0])

    def closed(self, within=5):
        """True when the other side ends the connection in time (what it still says is dropped)."""
        self.socket.settimeout(0.2)
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            try:
                if not self.socket.recv(65536):
                    return True
            except socket.timeout:
                continue
            except OSError:
                return True
        return False


def raw_exchange(address, data, timeout=20):
    """Sends the bytes; returns the answer, or None when the connection is closed without one."""
    with RawConnection(address, timeout) as connection:
        try:
            connection.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused early: the answer may be there already
        try:
            return connection.response()
        except (Incomplete, ConnectionResetError):
            return None


def raw_request(method, path, headers, body=b""):
    """A request as bytes: headers is a list of (name, value), in order, sent as they are."""

    def as_bytes(text):
        return text if isinstance(text, bytes) else text.encode("latin-1")

    head = [as_bytes(method) + b" " + as_bytes(path) + b" HTTP/1.1"]
    head += [as_bytes(name) + b": " + as_bytes(value) for name, value in headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def binary_event(id="1", type="test.type", source="/test", specversion="1.0", **extensions):
    """Headers of an event in binary mode; a value of None leaves the attribute out."""
    attributes = {"id": id, "type": type, "source": source, "specversion": specversion}
    attributes.update(extensions)
    return {f"ce-{name}": value for name, value in attributes.items() if value is not None}


def json_event(id="1", type="test.type", source="/test", specversion="1.0", **members):
    """The same event as a JSON object."""
    event = {"id": id, "type": type, "source": source, "specversion": specversion}
    event.update(members)
    return {name: value for name, value in event.items() if value is not None}


def percent_decoded(value):
    return urllib.parse.unquote_to_bytes(value).decode("utf-8")
