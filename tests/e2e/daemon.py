# SPDX-License-Identifier: Apache-2.0
"""The real program, started on a free port in a fresh folder, and the few things that every test
asks of it."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import processes
from wire import Client

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SLUICE_BIN", ROOT / "build" / "sluice")).resolve()

# A sanitizer's allocator keeps what is freed for a while, and its code is slow: limits of memory and
# of CPU time are wider then.
SANITIZED = BINARY.exists() and b"__asan_init" in BINARY.read_bytes()
MEMORY_FACTOR = 8 if SANITIZED else 1
TIME_FACTOR = 5 if SANITIZED else 1

API = {
    "Namespace": ("/api/v1", "namespaces"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Broker": ("/apis/eventing.knative.dev/v1", "brokers"),
    "Trigger": ("/apis/eventing.knative.dev/v1", "triggers"),
    "Function": ("/apis/sluice.dev/v1", "functions"),
}

SANITIZER = re.compile(
    r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehavior|runtime error:|Assertion"
)


def is_error_line(line):
    """A line of the program's own log at level error (plain or JSON)."""
    if line.startswith("{"):
        try:
            return json.loads(line).get("level") == "error"
        except ValueError:
            return False
    return line.split()[1:2] == ["error"]


class NotStarted(Exception):
    """serve ended, or did not become ready: carries what it wrote."""


class Daemon:
    every = []  # all of the current test run, for the check after each test

    def __init__(self, folder, *arguments, env=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = self.folder / "data"
        self.log_file = self.folder / "stderr.log"
        self.out_file = self.folder / "stdout.log"
        self.arguments = list(arguments)
        self.env = env or {}
        self.process = None
        self.address = None
        self.baseline = []
        self.family = set()
        self.log_checked = 0
        Daemon.every.append(self)

    # ---- life ----

    def spawn(self, *wrapper):
        """Starts serve and does not wait."""
        (self.data_dir / "address").unlink(missing_ok=True)
        command = [*wrapper, str(BINARY), "serve", "--data-dir", str(self.data_dir)]
        command += ["--listen", "127.0.0.1:0", *self.arguments]
        with open(self.log_file, "ab") as err, open(self.out_file, "ab") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **self.env},
                start_new_session=True,
            )
        return self

    def wait_ready(self, timeout=20):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NotStarted(f"serve ended with {self.process.returncode}: {self.log()}")
            text = processes.read(self.data_dir / "address").strip()
            if text:
                host, port = text.rsplit(":", 1)
                self.address = (host.strip("[]"), int(port))
                try:
                    if self.http.get("/health/readiness", timeout=2).status == 200:
                        return self
                except OSError:
                    pass
            time.sleep(0.01)
        raise NotStarted(f"serve was not ready in {timeout} s: {self.log()}")

    def start(self, *wrapper):
        self.spawn(*wrapper).wait_ready()
        self.baseline = processes.descriptors(self.pid)
        return self

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def remember_family(self):
        self.family |= processes.identified(processes.descendants(self.pid))

    def stop(self, timeout=20):
        """SIGTERM, as an init system does it; returns the exit status."""
        if not self.running:
            return self.process.returncode if self.process else None
        self.remember_family()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"serve did not end {timeout} s after SIGTERM") from None

    def kill(self):
        """kill -9 of the broker alone; what it started has to notice by itself."""
        if self.running:
            self.remember_family()
            self.process.kill()
            self.process.wait(10)

    def restart(self):
        return self.start()

    def children_left(self, timeout=5):
        left = processes.wait_gone(self.family, timeout, known={self.process.pid})
        return [f"{pid}: {processes.command(pid)}" for pid, _ in left]

    def cleanup(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- what it said ----

    def log(self):
        return processes.read(self.log_file)

    def log_since_check(self):
        text = self.log()
        new, self.log_checked = text[self.log_checked :], len(text)
        return new

    def wait_log(self, pattern, timeout=10):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.log()):
                return found
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} did not appear in: {self.log()[-2000:]}")

    # ---- HTTP ----

    @property
    def http(self):
        return Client(self.address)

    @property
    def url(self):
        return f"http://{self.address[0]}:{self.address[1]}"

    def send(self, path, headers, body=b"{}", content_type="application/json"):
        """An event in binary mode; content_type None leaves the header out."""
        headers = dict(headers)
        if content_type is not None:
            headers["Content-Type"] = content_type
        return self.http.post(path, body, headers)

    def send_json(self, path, event, content_type="application/cloudevents+json"):
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return self.http.post(path, body, {"Content-Type": content_type})

    def events(self, start=1):
        """Everything in the log from that position on, as /-/events gives it."""
        answer = self.http.get(f"/-/events?from={start}&follow=false")
        assert answer.status == 200, answer
        return [json.loads(line) for line in answer.body.splitlines() if line.strip()]

    def dead(self, namespace, trigger):
        answer = self.http.get(f"/-/dead?namespace={namespace}&trigger={trigger}")
        assert answer.status == 200, answer
        return answer.json()["items"]

    def metrics(self):
        """name{labels} → value"""
        answer = self.http.get("/metrics")
        assert answer.status == 200, answer
        lines = [line for line in answer.body.decode().splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    # ---- resources ----

    @staticmethod
    def collection(kind, namespace):
        prefix, plural = API[kind]
        return f"{prefix}/namespaces/{namespace}/{plural}" if namespace else f"{prefix}/{plural}"

    def path_of(self, kind, name, namespace=None):
        return f"{self.collection(kind, namespace)}/{name}"

    def get(self, kind, name, namespace=None):
        answer = self.http.get(self.path_of(kind, name, namespace))
        assert answer.status == 200, answer
        return answer.json()

    def create(self, document):
        namespace = document["metadata"].get("namespace")
        path = self.collection(document["kind"], namespace)
        return self.http.post(path, json.dumps(document), {"Content-Type": "application/json"})

    def replace(self, document):
        meta = document["metadata"]
        path = self.path_of(document["kind"], meta["name"], meta.get("namespace"))
        return self.http.put(path, json.dumps(document), {"Content-Type": "application/json"})

    def apply(self, *documents):
        """Creates each document or replaces it; all must be taken."""
        for document in documents:
            answer = self.create(document)
            if answer.status == 409:
                answer = self.replace(document)
            assert answer.status in (200, 201), (document, answer)

    def delete(self, kind, name, namespace=None):
        return self.http.delete(self.path_of(kind, name, namespace))

    def wait_condition(self, kind, name, namespace, accept, timeout=20):
        """Waits until accept(object) holds; returns the object."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.get(kind, name, namespace)
            if accept(found):
                return found
            assert time.monotonic() < deadline, f"{kind} {name} stays {found.get('status')}"
            time.sleep(0.02)

    def wait_ready_condition(self, kind, name, namespace, timeout=30):
        def accept(found):
            assert not is_failed(found), found["status"]
            return is_ready(found)

        return self.wait_condition(kind, name, namespace, accept, timeout)

    # ---- the command line ----

    def cli(self, *arguments, stdin=None, check=True, env=None, timeout=60, cwd=None):
        """Runs the binary as a client of this server."""
        result = subprocess.run(
            [str(BINARY), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env={**os.environ, "SLUICE_SERVER": self.url, **self.env, **(env or {})},
        )
        if check:
            assert result.returncode == 0, (arguments, result.returncode, result.stderr)
        return result


def condition(document, kind="Ready"):
    for entry in document.get("status", {}).get("conditions", []):
        if entry["type"] == kind:
            return entry
    return {}


def is_current(document):
    """Its controller has seen the newest generation."""
    observed = document.get("status", {}).get("observedGeneration")
    return observed is None or observed >= document["metadata"].get("generation", 1)


def is_ready(document):
    return is_current(document) and condition(document).get("status") == "True"


def is_failed(document):
    """A function whose newest generation will not run, however long one waits."""
    if document["kind"] != "Function" or not is_current(document):
        return False
    ready = condition(document)
    if ready.get("status") == "True":
        return ready["reason"] == "DeployFailed"
    return ready.get("status") == "False" and ready["reason"] not in ("Building", "Starting")


# ---- documents ----


def namespace(name, **labels):
    metadata = {"name": name}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def broker(name, namespace, **spec):
    return {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def trigger(name, namespace, subscriber, broker="default", attributes=None, **spec):
    """subscriber: a URL, or the name of a function, or a whole subscriber object."""
    if isinstance(subscriber, str) and "://" in subscriber:
        subscriber = {"uri": subscriber}
    elif isinstance(subscriber, str):
        ref = {"apiVersion": "sluice.dev/v1", "kind": "Function", "name": subscriber}
        subscriber = {"ref": ref}
    spec = {"broker": broker, "subscriber": subscriber, **spec}
    if attributes is not None:
        spec["filter"] = {"attributes": attributes}
    return {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def function(name, namespace, code=None, **spec):
    """A js function with code as its index.js, unless spec says otherwise."""
    if code is not None:
        spec = {"runtime": "js", "codeSource": {"index.js": code}, **spec}
    return {
        "apiVersion": "sluice.dev/v1",
        "kind": "Function",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
