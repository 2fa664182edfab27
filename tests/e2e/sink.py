# SPDX-License-Identifier: Apache-2.0
"""A subscriber under the tests' control: records what it is sent and answers what it is told."""

import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wire import percent_decoded


@dataclass
class Answer:
    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0
    drop: bool = False  # close the connection without an answer
    cut: int = 0  # close it so many bytes before the end


@dataclass
class Received:
    method: str
    path: str
    headers: dict  # names in lower case
    header_list: list
    body: bytes
    time: float

    @property
    def structured(self):
        return self.headers.get("content-type", "").startswith("application/cloudevents")

    @property
    def event(self):
        """The event's attributes (decoded), in whichever mode it came."""
        if self.structured:
            event = json.loads(self.body)
            return {k: v for k, v in event.items() if k not in ("data", "data_base64")}
        found = {
            name[3:]: percent_decoded(value)
            for name, value in self.headers.items()
            if name.startswith("ce-")
        }
        if "content-type" in self.headers:
            found["datacontenttype"] = self.headers["content-type"]
        return found

    @property
    def id(self):
        return self.event["id"]


def reply(
    id, type="test.reply", source="/sink", data=b"{}", content_type="application/json", **more
):
    """An answer that is an event, in binary mode."""
    headers = {"ce-id": id, "ce-type": type, "ce-source": source, "ce-specversion": "1.0"}
    headers.update({f"ce-{name}": value for name, value in more.items()})
    headers["content-type"] = content_type
    return Answer(200, headers, data)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def take(self):
        pairs = [(name.lower(), value) for name, value in self.headers.items()]
        received = Received(
            self.command, self.path, dict(pairs), pairs, self.read_body(), time.monotonic()
        )
        answer = self.server.sink.answer_to(received)
        if answer.delay:
            self.server.sink.stopping.wait(answer.delay)
        if answer.drop:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        lines = [f"HTTP/1.1 {answer.status} Scripted"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines.append(f"content-length: {len(answer.body)}")
        whole = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body
        self.wfile.write(whole[: len(whole) - answer.cut])
        if answer.cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_POST = do_GET = do_PUT = do_OPTIONS = do_HEAD = take


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.open = set()

    def get_request(self):
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def shutdown_request(self, request):
        self.open.discard(request)
        super().shutdown_request(request)

    def end_connections(self):
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, *_):
        pass  # a broker that was killed in the middle of a request is what some tests are about


class Sink:
    """Listens on a free port. Each path has its own script: a function of Received that returns an
    Answer, or a list of Answers of which the last one repeats."""

    def __init__(self, port=0):
        self.lock = threading.Condition()
        self.received = []
        self.scripts = {}
        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.sink = self
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def on(self, path, script):
        with self.lock:
            self.scripts[path] = list(script) if isinstance(script, (list, tuple)) else script

    def answer_to(self, received):
        with self.lock:
            self.received.append(received)
            self.lock.notify_all()
            script = self.scripts.get(received.path)
            if isinstance(script, list):
                return script.pop(0) if len(script) > 1 else script[0]
        if callable(script):
            return script(received) or Answer()
        return script or Answer()

    def at(self, path):
        with self.lock:
            return [received for received in self.received if received.path == path]

    def wait(self, count, path="/", timeout=15):
        """The first count requests of the path; fails when they do not come in time."""
        deadline = time.monotonic() + timeout
        with self.lock:
            while True:
                found = [received for received in self.received if received.path == path]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                assert left > 0, f"{len(found)} of {count} requests came to {path} in {timeout} s"
                self.lock.wait(left)

    def wait_for(self, accept, path="/", timeout=15):
        """The first request of the path that accept() likes."""
        deadline = time.monotonic() + timeout
        with self.lock:
            while True:
                for received in self.received:
                    if received.path == path and accept(received):
                        return received
                left = deadline - time.monotonic()
                assert left > 0, f"no such request came to {path} in {timeout} s"
                self.lock.wait(left)

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.server.end_connections()
