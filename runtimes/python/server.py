#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Serves handle(event, context) of a Python file over HTTP. README.md has the contract.

Nothing but the standard library. Where: descriptor SLUICE_LISTEN_FD, a socket that listens already,
or port PORT of all addresses. What: file SLUICE_MAIN (handler.py) of folder SLUICE_CODE.
"""

import asyncio
import base64
import collections.abc
import concurrent.futures
import ctypes
import datetime
import http.server
import importlib.util
import inspect
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import sys
import threading
import time
import traceback
import types
import urllib.parse
import uuid

CODE = pathlib.Path(os.environ.get("SLUICE_CODE", "."))
MAIN = os.environ.get("SLUICE_MAIN", "handler.py")
TIMEOUT = int(os.environ.get("SLUICE_TIMEOUT_MS", "30000")) / 1000
CONCURRENCY = int(os.environ.get("SLUICE_CONCURRENCY", "16"))
REQUEST_BYTES = int(os.environ.get("SLUICE_REQUEST_BYTES", str(1 << 20)))
RESPONSE_BYTES = int(os.environ.get("SLUICE_RESPONSE_BYTES", str(1 << 20)))
NAMESPACE = os.environ.get("SLUICE_NAMESPACE", "default")
NAME = os.environ.get("SLUICE_NAME") or os.environ.get("K_SERVICE", "function")

GRACE = 2.0  # seconds for a call to notice that its time is over
STOP_GRACE = 3.5  # seconds for calls to finish when the server is told to end
EXIT_REPLACE = 75  # "put another worker in my place": a call hangs, and threads cannot be killed
IDLE = 75  # seconds that a connection may be silent
HEADER_LINES = 200
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
FRAMING = {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer", "date"}


class TimeLimit(Exception):
    """Raised inside a handler whose time is over."""


class BadRequest(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class BadReply(Exception):
    """The handler returned something that is no answer."""


# ---- what a handler is given ----


class Headers(collections.abc.Mapping):
    """Names in any case; repeated ones joined with a comma."""

    def __init__(self, pairs):
        self._values = {}
        for name, value in pairs:
            key = name.lower()
            if key in self._values:
                value = f"{self._values[key][1]}, {value}"
            self._values[key] = (name, value)

    def __getitem__(self, name):
        return self._values[name.lower()][1]

    def __iter__(self):
        return (name for name, _ in self._values.values())

    def __len__(self):
        return len(self._values)

    def __contains__(self, name):
        return isinstance(name, str) and name.lower() in self._values

    def __repr__(self):
        return f"Headers({dict(self)!r})"


class Query(dict):
    """The first value of each name; getlist() has all."""

    def __init__(self, text):
        self._lists = urllib.parse.parse_qs(text, keep_blank_values=True)
        super().__init__({name: values[0] for name, values in self._lists.items()})

    def getlist(self, name):
        return list(self._lists.get(name, []))


class Event:
    def __init__(self, method, path, query, headers, body):
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.cloudevent = read_cloudevent(headers, body)

    def json(self):
        """The body, or the event's data, as JSON."""
        if self.cloudevent is not None and "data" in self.cloudevent:
            data = self.cloudevent["data"]
            return json.loads(data) if isinstance(data, (str, bytes)) else data
        return json.loads(self.body)


class Context:
    def __init__(self):
        self.hostname = os.getenv("HOSTNAME", "localhost")
        self.namespace = NAMESPACE
        self.name = NAME


# ---- CloudEvents ----


def is_json_type(content_type):
    media = (content_type or "application/json").split(";")[0].strip().lower()
    return media.endswith("/json") or media.endswith("+json")


def read_data(body, content_type):
    if is_json_type(content_type):
        try:
            return json.loads(body)
        except ValueError:
            return body
    if content_type.split(";")[0].strip().lower().startswith("text/"):
        return body.decode("utf-8", "replace")
    return body


def read_structured(body):
    try:
        event = json.loads(body)
        if not isinstance(event, dict):
            raise ValueError("it is no object")
        if "data_base64" in event:
            event["data"] = base64.b64decode(event.pop("data_base64"), validate=True)
    except ValueError as problem:
        raise BadRequest(400, f"the event cannot be read: {problem}") from None
    return event


def read_cloudevent(headers, body):
    """The event's attributes, and "data" when it has some; None for other requests."""
    media = headers.get("content-type", "").split(";")[0].strip().lower()
    if media.startswith("application/cloudevents-batch"):
        raise BadRequest(400, "a function takes one event at a time, not a batch")
    if media.startswith("application/cloudevents"):
        event = read_structured(body)
    elif "ce-specversion" in headers:
        event = {
            name[3:].lower(): urllib.parse.unquote(value)
            for name, value in headers.items()
            if name.lower().startswith("ce-")
        }
        if "content-type" in headers:
            event["datacontenttype"] = headers["content-type"]
        if body:
            event["data"] = read_data(body, headers.get("content-type"))
    else:
        return None
    for name in ("specversion", "id", "type", "source"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise BadRequest(400, f"the event has no {name}")
    return event


def ce_quote(value):
    """HTTP binding 3.1.3.2: what is not printable ASCII, and blanks, quotes and percent signs."""
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return urllib.parse.quote(text, safe="!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")


def write_cloudevent(event):
    attributes = {
        "id": str(uuid.uuid4()),
        "source": f"/functions/{NAMESPACE}/{NAME}",
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **{name: value for name, value in event.items() if value is not None},
    }
    if not isinstance(attributes.get("type"), str):
        raise BadReply("the reply is no good event: type is missing")
    data = attributes.pop("data", None)
    if "data_base64" in attributes:
        data = base64.b64decode(attributes.pop("data_base64"))
    content_type = attributes.pop("datacontenttype", None)
    headers = []
    for name, value in attributes.items():
        if not re.fullmatch("[a-z0-9]{1,64}", name) or isinstance(value, (dict, list)):
            raise BadReply(f"the reply is no good event: attribute {name[:60]!r}")
        headers.append((f"ce-{name}", ce_quote(value)))
    if isinstance(data, (bytes, bytearray)):
        body, default = bytes(data), "application/octet-stream"
    elif isinstance(data, str) and content_type is not None and not is_json_type(content_type):
        body, default = data.encode(), None
    else:
        body, default = (b"" if data is None else to_json(data)), "application/json"
    if content_type or data is not None:
        headers.append(("Content-Type", content_type or default))
    return 200, headers, body


# ---- what a handler returns ----


def to_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def body_of(value):
    """The bytes, and their type when nobody says another."""
    if value is None or value == "":
        return b"", None
    if isinstance(value, (dict, list)):
        return to_json(value), "application/json"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), "application/octet-stream"
    return str(value).encode(), "text/plain; charset=utf-8"


def headers_of(value):
    pairs = value.items() if isinstance(value, dict) else value or []
    headers = []
    for pair in pairs:
        try:
            name, text = pair
        except (TypeError, ValueError):
            raise BadReply("headers must be a dict, or a list of (name, value)") from None
        name, text = str(name), str(text)
        if not TOKEN.match(name) or not VALUE.match(text.encode("utf-8").decode("latin-1")):
            raise BadReply(f"header {name[:60]!r} has characters that no header may have")
        if name.lower() not in FRAMING:
            headers.append((name, text))
    return headers


def answer_of(reply):
    """(status, headers, body) of what a handler returned."""
    if reply is None:
        return 200, [], b""
    if isinstance(reply, dict) and "specversion" in reply and "statusCode" not in reply:
        return write_cloudevent(reply)
    if not isinstance(reply, dict):
        if not isinstance(reply, (str, bytes, bytearray, list)):
            raise BadReply(f"handle() returned {type(reply).__name__}: it must be None, a dict, str or bytes")
        reply = {"body": reply}
    status = reply.get("statusCode", 200)
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise BadReply(f"statusCode must be a number from 200 to 599, it is {str(status)[:60]}")
    headers = headers_of(reply.get("headers"))
    body, content_type = body_of(reply.get("body"))
    if content_type and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", content_type))
    return status, headers, body


# ---- the user's code ----


class Loaded:
    """handle() of the main file, which is a module of the package `function`, so that it may import
    its neighbours with a dot, and without."""

    def __init__(self):
        sys.path.insert(0, str(CODE))
        self.module = self._import_main(self._make_package())
        self.handle = getattr(self.module, "handle", None)
        if not callable(self.handle):
            raise ImportError(f"{MAIN} has no function handle(event, context)")
        self.loop = None
        if inspect.iscoroutinefunction(self.handle):
            self.loop = asyncio.new_event_loop()
            threading.Thread(target=self.loop.run_forever, name="async", daemon=True).start()

    @staticmethod
    def _make_package():
        start = CODE / "__init__.py"
        if start.exists():
            spec = importlib.util.spec_from_file_location("function", start, submodule_search_locations=[str(CODE)])
            package = importlib.util.module_from_spec(spec)
            sys.modules["function"] = package
            spec.loader.exec_module(package)
        else:
            package = types.ModuleType("function")
            package.__path__ = [str(CODE)]
            sys.modules["function"] = package
        return package

    @staticmethod
    def _import_main(package):
        path = CODE / MAIN
        parts = pathlib.PurePosixPath(MAIN).with_suffix("").parts
        name = ".".join(["function", *parts])
        for i in range(1, len(parts)):
            parent = types.ModuleType(".".join(["function", *parts[:i]]))
            parent.__path__ = [str(CODE.joinpath(*parts[:i]))]
            sys.modules.setdefault(parent.__name__, parent)
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or not path.exists():
            raise ImportError(f"{MAIN} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        setattr(package, parts[-1], module)
        spec.loader.exec_module(module)
        return module

    def call(self, event, context):
        if self.loop is None:
            reply = self.handle(event, context)
            if not inspect.isawaitable(reply):
                return reply

            async def wait():
                return await asyncio.wait_for(reply, TIMEOUT)

            return asyncio.run(wait())
        return self._call_in_loop(event, context)

    def _call_in_loop(self, event, context):
        reply = concurrent.futures.Future()
        tasks = []

        def begin():
            try:
                tasks.append(self.loop.create_task(self.handle(event, context)))
                tasks[0].add_done_callback(end)
            except Exception as problem:
                reply.set_exception(problem)

        def end(task):  # also of one that was cancelled before it began
            if task.cancelled():
                reply.set_exception(asyncio.CancelledError())
            elif task.exception() is not None:
                reply.set_exception(task.exception())
            else:
                reply.set_result(task.result())

        self.loop.call_soon_threadsafe(begin)
        try:
            return reply.result(TIMEOUT)
        except (TimeoutError, concurrent.futures.TimeoutError):
            if reply.done():  # the handler's own
                raise
            self.loop.call_soon_threadsafe(lambda: tasks and tasks[0].cancel())
            concurrent.futures.wait([reply])  # for ever when it does not give way: then the watch replaces the process
            raise TimeLimit() from None


def position_of(problem):
    """File and line of the user's code where it went wrong."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return relative(problem.filename), problem.lineno or 1
    inside = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(problem.__traceback__)
        if pathlib.Path(frame.filename).is_relative_to(CODE)
    ]
    return (relative(inside[-1][0]), inside[-1][1]) if inside else (MAIN, 1)


def relative(filename):
    path = pathlib.Path(filename)
    return str(path.relative_to(CODE)) if path.is_relative_to(CODE) else filename


def describe(problem):
    text = problem.msg if isinstance(problem, SyntaxError) else str(problem)
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


def print_problem(problem):
    """The traceback without this file's own frames."""
    frames = problem.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith((__file__, "<frozen importlib")):
        frames = frames.tb_next
    text = traceback.format_exception(type(problem), problem, frames)
    sys.stderr.write("".join(text))


# ---- calls and their time ----


def raise_in(thread, problem):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), problem)


class Call:
    def __init__(self, connection):
        self.connection = connection
        self.thread = threading.get_ident()
        self.deadline = time.monotonic() + TIMEOUT
        self.lock = threading.Lock()
        self.answered = False
        self.over = False  # the handler has returned
        self.ended = False  # and its thread cannot be interrupted any more
        self.given_up = None  # when it was told that its time is over

    def claim(self):
        """True for the first who wants to answer."""
        with self.lock:
            first = not self.answered
            self.answered = True
            return first

    def interrupt(self):
        """Raises TimeLimit in its thread, unless the handler has returned."""
        with self.lock:
            if not self.over:
                raise_in(self.thread, ctypes.py_object(TimeLimit))

    def end(self):
        """No TimeLimit comes after this: one that is on its way is taken back."""
        while not self.ended:
            try:
                with self.lock:
                    self.over = True
                raise_in(self.thread, None)
                self.ended = True
            except TimeLimit:
                pass


class Watch:
    """Ends calls at their time limit, from a thread of its own."""

    def __init__(self):
        self.condition = threading.Condition()
        self.calls = set()
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def add(self, call):
        with self.condition:
            self.calls.add(call)
            self.condition.notify()

    def remove(self, call):
        with self.condition:
            self.calls.discard(call)
            self.condition.notify()

    def _run(self):
        with self.condition:
            while True:
                now = time.monotonic()
                for call in [c for c in self.calls if c.given_up is None and c.deadline <= now]:
                    self._give_up(call, now)
                hung = [c for c in self.calls if c.given_up is not None and c.given_up + GRACE <= now]
                busy = any(c.given_up is None for c in self.calls)
                # Others may finish, but not for ever, and not when nobody is left to work.
                if hung and (not busy or len(hung) >= CONCURRENCY or hung[0].given_up + GRACE + TIMEOUT <= now):
                    sys.stderr.flush()
                    os._exit(EXIT_REPLACE)
                dates = [c.deadline if c.given_up is None else c.given_up + GRACE for c in self.calls]
                wait = max(min(dates) - now, 0.05) if dates else None
                self.condition.wait(wait)

    def _give_up(self, call, now):
        if not call.claim():  # it is being answered, and that must not be cut
            self.calls.discard(call)
            return
        call.given_up = now
        call.connection.send_time_limit()
        call.interrupt()


# ---- HTTP ----


class Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sluice-python"
    sys_version = ""
    timeout = IDLE
    disable_nagle_algorithm = False

    def setup(self):
        super().setup()
        if self.connection.family != socket.AF_UNIX:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *arguments):
        pass

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.dispatch
        raise AttributeError(name)

    # -- answers --

    def send_answer(self, status, headers, body, last=False):
        bodiless = status == 204 or status == 304
        self.close_connection = self.close_connection or last
        lines = [f"HTTP/1.1 {status} {self.responses.get(status, ('',))[0]}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if not bodiless:
            lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        # surrogates cannot be in there: headers_of() encoded each value
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")
        try:
            self.wfile.write(head if bodiless or self.command == "HEAD" else head + body)
        except OSError:
            self.close_connection = True

    def send_error_json(self, status, kind, message, last=False):
        reason = self.responses.get(status, ("",))[0]
        body = to_json({"error": {"status": status, "reason": reason, "kind": kind, "message": message[:2000]}})
        self.send_answer(status, [("Content-Type", "application/json")], body, last)

    def send_time_limit(self):
        message = f"the function took longer than its time limit of {int(TIMEOUT * 1000)} ms"
        print(message, file=sys.stderr, flush=True)
        self.send_error_json(504, "time", message, last=True)

    def send_error(self, code, message=None, explain=None):
        """What the base class refuses by itself."""
        self.send_error_json(code, "request", str(message or explain or ""), last=True)

    # -- requests --

    def read_body(self):
        coding = self.headers.get_all("transfer-encoding", [])
        lengths = set(self.headers.get_all("content-length", []))
        if coding and (lengths or [c.strip().lower() for c in coding] != ["chunked"]):
            raise BadRequest(400, "only chunked is known, and not together with Content-Length")
        if coding:
            return self.read_chunks()
        if len(lengths) > 1 or any(not re.fullmatch("[0-9]{1,15}", text) for text in lengths):
            raise BadRequest(400, "Content-Length is no number")
        length = int(lengths.pop()) if lengths else 0
        self.check_length(length)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("the body was cut off")
        return body

    @staticmethod
    def check_length(length):
        if length > REQUEST_BYTES:
            raise BadRequest(413, f"the request has more bytes than the limit of {REQUEST_BYTES}")

    def read_chunks(self):
        body = bytearray()
        while True:
            size = re.fullmatch(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?\r\n", self.rfile.readline(1024))
            if not size:
                raise BadRequest(400, "a chunk's size cannot be read")
            length = int(size[1], 16)
            self.check_length(len(body) + length)
            if length == 0:
                break
            body += self.rfile.read(length)
            if self.rfile.readline(3) != b"\r\n":
                raise BadRequest(400, "a chunk does not end where it said")
        for _ in range(HEADER_LINES):
            if self.rfile.readline(8192) in (b"\r\n", b""):
                return bytes(body)
        raise BadRequest(400, "too many lines follow the last chunk")

    def dispatch(self):
        try:
            target = urllib.parse.urlsplit(self.path) if self.path.startswith("/") else None
            if target is None:
                raise BadRequest(400, "the request names no path")
            body = self.read_body()
            path = self.path.split("?")[0]
            if path in ("/health/liveness", "/health/readiness") and self.command in ("GET", "HEAD"):
                self.send_answer(200, [("Content-Type", "text/plain; charset=utf-8")], b"OK")
                return
            query = self.path.partition("?")[2]
            event = Event(
                self.command, urllib.parse.unquote(path), Query(query), Headers(self.headers.items()), body
            )
        except BadRequest as problem:
            self.send_error_json(problem.status, "request", str(problem), last=True)
            return
        self.call(event)

    def call(self, event):
        if not self.server.slots.acquire(blocking=False):
            busy = f"all {CONCURRENCY} calls at once that the function takes are busy"
            body = to_json({"error": {"status": 503, "reason": "Service Unavailable", "message": busy}})
            headers = [("Retry-After", "1"), ("Client-Retry", "1"), ("Content-Type", "application/json")]
            self.send_answer(503, headers, body)
            return
        call = Call(self)
        self.server.watch.add(call)
        try:
            self.answer(call, event)
        except TimeLimit:  # it came late, outside of the handler
            pass
        finally:
            # An exception within what follows would leave a lock taken for ever.
            try:
                call.end()
            except TimeLimit:  # as that began; it comes once
                call.end()
            self.server.watch.remove(call)
            self.server.slots.release()

    def answer(self, call, event):
        failure = None
        try:
            status, headers, body = answer_of(self.server.loaded.call(event, Context()))
            if len(body) > RESPONSE_BYTES:
                failure = ("output", f"the answer has more bytes than the limit of {RESPONSE_BYTES}")
        except TimeLimit:
            if call.claim():  # before the watch looked at the clock
                self.send_time_limit()
            return
        except BadReply as problem:
            failure = ("exception", str(problem))
        except (Exception, SystemExit, asyncio.CancelledError) as problem:
            if not call.answered:
                print_problem(problem)
            failure = ("exception", describe(problem))
        if not call.claim():
            return
        if failure is None:
            self.send_answer(status, headers, body)
            return
        if failure[0] == "output" or not isinstance(failure, tuple):
            print(failure[1], file=sys.stderr, flush=True)
        self.send_error_json(500, *failure)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, loaded):
        self.loaded = loaded
        self.slots = threading.BoundedSemaphore(CONCURRENCY)
        self.watch = Watch()
        descriptor = os.environ.get("SLUICE_LISTEN_FD")
        if descriptor:
            super().__init__(("", 0), Connection, bind_and_activate=False)
            self.socket.close()
            self.socket = socket.socket(fileno=int(descriptor))
            self.socket.setblocking(False)
        else:
            super().__init__(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Connection)

    def get_request(self):
        connection, address = self.socket.accept()
        connection.setblocking(True)
        return connection, address or ("unix", 0)

    def handle_error(self, request, client_address):
        problem = sys.exc_info()[1]
        if not isinstance(problem, (OSError, TimeLimit)):
            print_problem(problem)

    def finish_calls(self):
        until = time.monotonic() + STOP_GRACE
        while self.watch.calls and time.monotonic() < until:
            time.sleep(0.01)


def main():
    threading.stack_size(2 << 20)
    sys.dont_write_bytecode = True
    try:
        loaded = Loaded()
    except BaseException as problem:  # also SystemExit: the file was to be loaded, not run
        print_problem(problem)
        file, line = position_of(problem)
        print(f"{file}:{line}: {describe(problem)}", file=sys.stderr, flush=True)
        return 1
    server = Server(loaded)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 60}, daemon=True).start()
    if not os.environ.get("SLUICE_LISTEN_FD"):
        print(f"listening on port {server.server_address[1]}", flush=True)
    stopping.wait()
    server.socket.close()
    server.finish_calls()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
