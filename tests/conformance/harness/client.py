# SPDX-License-Identifier: Apache-2.0
"""Requests to the broker, written by hand: a harness has to be able to send what no library would."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Response:
    status: int
    fields: dict  # names in lower case
    body: bytes

    def __str__(self):
        text = self.body[:200].decode("utf-8", "replace").strip()
        allow = f", Allow: {self.fields['allow']}" if "allow" in self.fields else ""
        return f"{self.status}{allow}" + (f" {text!r}" if text else "")


class Endpoint:
    """The URL that takes events."""

    def __init__(self, url, extra=(), insecure=False, timeout=30):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http or https URL")
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.authority = parts.netloc.rsplit("@", 1)[-1]
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.extra = list(extra)
        self.timeout = timeout
        self.tls = None
        if parts.scheme == "https":
            self.tls = ssl._create_unverified_context() if insecure else ssl.create_default_context()

    def at(self, url):
        """The same ways to another URL."""
        other = Endpoint(url, self.extra, timeout=self.timeout)
        other.tls = self.tls if other.tls is not None else None
        return other

    def connect(self):
        connection = socket.create_connection((self.host, self.port), self.timeout)
        return self.tls.wrap_socket(connection, server_hostname=self.host) if self.tls else connection

    def head(self, method, fields, target=None):
        lines = [f"{method} {target or self.target} HTTP/1.1", f"Host: {self.authority}"]
        lines += [f"{name}: {value}" for name, value in [*self.extra, *fields]]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def request(self, method, fields, body=b"", target=None):
        length = [] if method in ("GET", "HEAD", "OPTIONS") and not body else [("Content-Length", len(body))]
        head = self.head(method, [*fields, *length, ("Connection", "close")], target)
        return self.exchange(head + body, method)

    def chunked(self, fields, chunks):
        """A POST whose length nobody says beforehand."""
        head = self.head("POST", [*fields, ("Transfer-Encoding", "chunked"), ("Connection", "close")])
        pieces = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
        return self.exchange(head + b"".join(pieces) + b"0\r\n\r\n", "POST")

    def exchange(self, data, method):
        with self.connect() as connection:
            try:
                connection.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have answered before it had everything
            answer = http.client.HTTPResponse(connection, method=method)
            try:
                answer.begin()
                body = answer.read()
            finally:
                answer.close()
            return Response(answer.status, {n.lower(): v for n, v in answer.getheaders()}, body)
