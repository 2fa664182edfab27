# SPDX-License-Identifier: Apache-2.0
"""Functions under sluice-runner by itself: started, called, read out, and gone afterwards."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import threading

import daemon
import processes
import waiting

RUNNER = pathlib.Path(os.environ.get("SLUICE_RUNNER", pathlib.Path(daemon.BINARY).parent / "sluice-runner"))
RUNTIMES = daemon.ROOT / "runtimes"
ROOT = os.geteuid() == 0
UID = 2000000100
START = 60 * daemon.TIME_FACTOR

EVENT = {
    "ce-id": "1",
    "ce-specversion": "1.0",
    "ce-type": "t",
    "ce-source": "/s",
    "content-type": "application/json",
}


def bundle(runtime, files, bundle_env=None, **more):
    if isinstance(files, str):
        files = {"main": files}
    return json.dumps(
        {"namespace": "ns", "name": "f", "uid": "u", "generation": 1, "runtime": runtime, "files": files,
         "env": bundle_env or {}, **more}
    )


class Answer:
    def __init__(self, answer):
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.body = answer.read()

    @property
    def json(self):
        return json.loads(self.body)


class Served:
    """A function that serves."""

    def __init__(self, process, out, port):
        self.process, self.out, self.port = process, out, port

    def call(self, path="/", method=None, body=None, headers=None, timeout=20 * daemon.TIME_FACTOR):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def event(self, data=b"{}", path="/", **headers):
        return self.call(path, "POST", data, {**EVENT, **headers})

    def raw(self, text):
        """Bytes as they are; what comes until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(text)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def log(self):
        return self.out.read_text(errors="replace")


def start(folder, runtime, files, *options, wrapper=(), env=None, listen="127.0.0.1:0", **more):
    """serve, not yet ready; its output is in folder/out."""
    folder.mkdir(exist_ok=True)
    source = folder / "bundle.json"
    source.write_text(bundle(runtime, files, **more))
    source.chmod(0o644)
    command = [*wrapper, RUNNER, "serve", "--bundle", source, "--runtimes", RUNTIMES, "--listen", listen]
    if ROOT and not wrapper:
        command += ["--uid", str(UID)]
    if "--confine" not in options:
        command += ["--confine", "full"]
    with (folder / "out").open("wb") as out:
        return subprocess.Popen(
            [str(word) for word in [*command, *options]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )


def end(process):
    family = processes.identified(processes.descendants(process.pid))
    process.terminate()
    try:
        status = process.wait(10 * daemon.TIME_FACTOR)
    finally:
        process.kill()
        process.wait()
    assert not processes.wait_gone(family, 10)
    return status


@contextlib.contextmanager
def serving(folder, runtime, files, *options, **more):
    process = start(folder, runtime, files, *options, **more)
    out = folder / "out"
    try:

        def address():
            found = re.search(r"^listening on \S+:(\d+)$", out.read_text(errors="replace"), re.M)
            assert found or process.poll() is None, f"ended: {process.returncode}\n{out.read_text()}"
            return found

        port = int(waiting.until(address, START, "listening").group(1))
        served = Served(process, out, port)
        yield served
        assert process.poll() is None, f"ended: {process.returncode}\n{served.log()}"
        assert end(process) == 0, served.log()
    finally:
        process.kill()
        process.wait()


def run_to_end(folder, runtime, files, *options, **more):
    """(exit status, output) of one that does not come to serving, or ends by itself."""
    process = start(folder, runtime, files, *options, **more)
    try:
        status = process.wait(START)
    finally:
        process.kill()
        process.wait()
    return status, (folder / "out").read_text(errors="replace")


@contextlib.contextmanager
def echo_server(family=socket.AF_INET, host="127.0.0.1", greeting=b"hello from outside\n"):
    """A TCP server outside: greets, then sends back what it gets. Its port, and its connections."""
    taken = []
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen()

    def talk(connection):
        with connection:
            connection.sendall(greeting)
            for part in iter(lambda: connection.recv(65536), b""):
                connection.sendall(part)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connection, peer = listener.accept()
                taken.append(peer)
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], taken
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
