# SPDX-License-Identifier: Apache-2.0
"""Projects of functions for the tests of `sluice function`, and the program that serves one."""

import contextlib
import http.client
import json
import os
import re
import select
import signal
import subprocess
import time

from command import environment, run
from daemon import BINARY, ROOT

NODE_MODULES = ROOT / "build" / "test-npm" / "node_modules"


def new(folder, runtime="js", name="greeter"):
    """A project as `sluice function new` writes it."""
    result = run("function", "new", "--runtime", runtime, name, cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / name


def packages_of(name):
    """The names of a package of npm's and of those that it needs, as they lie side by side."""
    found, todo = set(), [name]
    while todo:
        package = todo.pop()
        if package not in found and (NODE_MODULES / package).is_dir():
            found.add(package)
            manifest = json.loads((NODE_MODULES / package / "package.json").read_text())
            todo += manifest.get("dependencies", {})
    return sorted(found)


class Running:
    """`sluice function run` as a process; what it writes is gathered as it comes."""

    def __init__(self, *arguments, cwd, env=None):
        self.process = subprocess.Popen(
            [str(BINARY), "function", "run", "--listen", "127.0.0.1:0", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment(**(env or {})),
        )
        self.text = ""
        self.seen = 0
        self.port = None

    def wait(self, pattern, timeout=30):
        """Waits for a line that was not waited for before."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.compile(pattern).search(self.text, self.seen)
            if found:
                self.seen = found.end()
                return found
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} in:\n{self.text}"
            if select.select([self.process.stdout], [], [], left)[0]:
                part = os.read(self.process.stdout.fileno(), 65536)
                assert part, f"it ended without {pattern!r}:\n{self.text}"
                self.text += part.decode()

    def wait_listening(self):
        self.port = int(self.wait(r"listening on http://127\.0\.0\.1:(\d+)").group(1))
        return self

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def call(self, path="/", method="GET", body=None, headers=None):
        """(status, headers, body)"""
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def end(self, number=signal.SIGINT, timeout=20):
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=timeout)
        self.text += out.decode()
        return self.process.returncode


@contextlib.contextmanager
def running(*arguments, cwd, env=None, listening=True):
    subject = Running(*arguments, cwd=cwd, env=env)
    try:
        if listening:
            subject.wait_listening()
        yield subject
        assert subject.end() == 0, subject.text
    finally:
        if subject.process.poll() is None:
            subject.process.kill()
            subject.process.communicate()
