# SPDX-License-Identifier: Apache-2.0
"""The same function sources on two servers, sluice-worker and the real faas-js-runtime, and what
each answers to the same bytes."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

from daemon import ROOT
from test_worker import serving

FUNCTIONS = pathlib.Path(__file__).parent / "contract"
NODE_MODULES = ROOT / "build" / "test-npm" / "node_modules"

# Framing and connection handling are each server's own business; so is the time of day.
VOLATILE = {"date", "connection", "keep-alive", "content-length", "transfer-encoding", "vary"}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def steady(text):
    """Without what is different each time."""
    return TIME.sub("TIME", UUID.sub("UUID", text))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def key(self):
        headers = {k: [steady(v) for v in values] for k, values in self.headers.items()}
        try:
            body = steady(self.body.decode())
        except UnicodeDecodeError:
            body = self.body
        return self.status, headers, body

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body!r}"


def request_bytes(method, path, headers, body, version="1.1"):
    lines = [f"{method} {path} HTTP/{version}"]
    if version == "1.1":
        lines.append("host: function.example")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    lines.append("connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def bytes_of(request):
    """Of a faas_cases.Request."""
    r = request
    return request_bytes(r.method, r.path, r.headers, r.body, r.version)


def ask(port, method, data):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        body = answer.read()
    headers = {}
    for name, value in answer.getheaders():
        if name.lower() not in VOLATILE:
            headers.setdefault(name.lower(), []).append(value)
    return Answer(answer.status, headers, body)


def sources(folder):
    """What a deployed function of the folder carries."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main_file(folder):
    return next(f for f in (folder / "index.js", folder / "index.mjs") if f.exists())


class Ports(dict):
    """{name: port}, of one process."""

    process = None

    def output(self):
        """Ends the process; what it wrote."""
        self.process.terminate()
        return self.process.stdout.read()


@contextlib.contextmanager
def peers(names, **options):
    """The functions on faas-js-runtime: their Ports."""
    node = shutil.which("node")
    assert node and (NODE_MODULES / "faas-js-runtime").is_dir(), "run scripts/setup test"
    ports = Ports()
    with contextlib.ExitStack() as stack:
        for name in names:
            one = stack.enter_context(socket.socket(socket.AF_INET6))
            one.bind(("::", 0))
            ports[name] = one.getsockname()[1]
    jobs = [
        {"file": str(main_file(FUNCTIONS / name)), "port": port, "options": options}
        for name, port in ports.items()
    ]
    ports.process = subprocess.Popen(
        [node, FUNCTIONS / "peer.js", json.dumps(jobs)],
        env={**os.environ, "PEER_MODULES": str(NODE_MODULES.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = ""
        while line != "ready\n":
            line = ports.process.stdout.readline()
            assert line and not line.startswith("failed"), line
        yield ports
    finally:
        ports.process.kill()
        ports.process.wait()
        ports.process.stdout.close()


@contextlib.contextmanager
def ours(tmp_path, name, **more):
    folder = FUNCTIONS / name
    tmp_path.mkdir(exist_ok=True)
    settings = {"name": name, "isolation": "event", **more}
    with serving(tmp_path, sources(folder), **settings) as server:
        yield server
