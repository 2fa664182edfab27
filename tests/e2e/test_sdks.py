# SPDX-License-Identifier: Apache-2.0
"""Real clients on the other side: curl, and the CloudEvents SDKs for JavaScript and Python, each as
sender and as subscriber. scripts/setup test installs them into build/."""

import json
import os
import pathlib
import queue
import shutil
import subprocess
import threading

import pytest

import daemon
from daemon import ROOT
from wire import binary_event

CLIENTS = pathlib.Path(__file__).parent / "clients"
NODE_MODULES = ROOT / "build" / "test-npm" / "node_modules"
PYTHON = ROOT / "build" / "test-venv" / "bin" / "python"
DATA = {"text": "größe", "list": [1, 2.5, None], "nested": {"a": True}}
FORMS = {"binary", "structured", "old", "bytes"}


def command(language):
    if language == "js":
        assert NODE_MODULES.joinpath("cloudevents").exists(), "run scripts/setup test"
        return ["node", str(CLIENTS / "client.js")], {**os.environ, "NODE_PATH": str(NODE_MODULES)}
    assert PYTHON.exists(), "run scripts/setup test"
    return [str(PYTHON), str(CLIENTS / "client.py")], dict(os.environ)


class Receiver:
    """The SDK's own server as a subscriber; what it reads comes as dictionaries."""

    def __init__(self, language):
        arguments, env = command(language)
        self.process = subprocess.Popen(
            [*arguments, "receive"], stdout=subprocess.PIPE, text=True, env=env
        )
        self.port = int(self.process.stdout.readline())
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def take(self, count, timeout=20):
        return [self.lines.get(timeout=timeout) for _ in range(count)]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(params=["js", "python"])
def language(request):
    return request.param


@pytest.fixture
def receiver(language):
    made = Receiver(language)
    yield made
    made.close()


def test_sdk_as_sender(shared, listening, language):
    path, sink = listening
    arguments, env = command(language)
    result = subprocess.run(
        [*arguments, "send", shared.url + path], capture_output=True, text=True, timeout=60, env=env
    )
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert FORMS <= {report["form"] for report in reports}, result.stderr
    assert all(report["status"] == 202 for report in reports), reports
    got = {received.id: received for received in sink.wait(len(reports))}
    for report in reports:
        received = got[report["id"]]
        plain = language == "js" and report["form"] != "structured"
        assert received.event["subject"] == ("subject" if plain else "sübject")
        assert received.event["colour"] == "red"
        assert received.event["specversion"] == ("0.3" if report["form"] == "old" else "1.0")
        if report["form"] == "bytes":
            assert received.body == b"\0\xff\1"
        else:
            assert json.loads(received.body) == DATA


def test_sdk_as_subscriber(shared, place, receiver, sink):
    shared.apply(
        daemon.trigger(
            "in", place, f"http://127.0.0.1:{receiver.port}/", attributes={"type": "question"}
        )
    )
    shared.apply(daemon.trigger("out", place, sink.url(), attributes={"type": "answer"}))
    for name in ("in", "out"):
        shared.wait_ready_condition("Trigger", name, place)
    attributes = {
        "type": "question",
        "subject": "s%C3%BCbject",
        "colour": "red",
        "time": "2020-01-02T03:04:05.678Z",
    }
    for version in ("1.0", "0.3"):
        headers = binary_event(id=f"q-{version}", specversion=version, **attributes)
        assert shared.send(f"/{place}/default", headers, json.dumps(DATA).encode()).status == 202
    for event in receiver.take(2):
        assert "error" not in event, event
        assert event["id"] == f"q-{event['specversion']}"
        assert (event["type"], event["colour"]) == ("question", "red")
        assert event["subject"] in (
            "sübject",
            "s%C3%BCbject",
        ), "the JavaScript SDK decodes no headers"
        assert event["data"] == DATA
        assert event["knativearrivaltime"]
    answers = {received.id: json.loads(received.body) for received in sink.wait(2)}
    assert answers == {"q-1.0-answer": {"of": "q-1.0"}, "q-0.3-answer": {"of": "q-0.3"}}


def test_sdk_calls_a_function(shared, place, language, sink):
    """A function speaks CloudEvents wherever it runs: the SDK posts to it directly."""
    code = "module.exports = (context, event) => { console.log(event.id, event.subject, JSON.stringify(event.data)); };"
    shared.apply(daemon.function("f", place, code))
    shared.wait_ready_condition("Function", "f", place)
    arguments, env = command(language)
    target = f"{shared.url}/functions/{place}/f/"
    result = subprocess.run(
        [*arguments, "send", target], capture_output=True, text=True, timeout=60, env=env
    )
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert FORMS <= {report["form"] for report in reports}, result.stderr
    assert all(report["status"] in (200, 202, 204) for report in reports), reports
    assert "sübject" in shared.cli("logs", "f", "-n", place).stdout


# ---- curl ----


def curl(*arguments, **options):
    assert shutil.which("curl"), "run scripts/setup test"
    command = ["curl", "-sS", "--max-time", "20", "-w", "%{http_code}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, **options)


def test_curl_binary(shared, listening):
    """Seed 001's request."""
    path, sink = listening
    result = curl(
        shared.url + path,
        "-X",
        "POST",
        "-H",
        "Ce-Id: 536808d3-88be-4077-9d7a-a3f162705f79",
        "-H",
        "Ce-specversion: 0.3",
        "-H",
        "Ce-Type: dev.nodeshift.samples.js-example",
        "-H",
        "Ce-Source: dev.nodeshift.samples/js-example-source",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"msg":"Message to js-example-service"}',
    )
    assert result.stdout == "202"
    got = sink.wait(1)[0]
    assert (got.id, got.event["specversion"]) == ("536808d3-88be-4077-9d7a-a3f162705f79", "0.3")
    assert got.body == b'{"msg":"Message to js-example-service"}'


def test_curl_by_cluster_name(shared, place, sink):
    """Seed 001's host name, resolved to the broker as its DNS would."""
    shared.apply(daemon.trigger("t", place, sink.url()))
    shared.wait_ready_condition("Trigger", "t", place)
    host = f"default-broker.{place}.svc.cluster.local"
    result = curl(
        f"http://{host}:{shared.address[1]}",
        "--resolve",
        f"{host}:{shared.address[1]}:127.0.0.1",
        "-H",
        "Ce-Id: 1",
        "-H",
        "Ce-specversion: 0.3",
        "-H",
        "Ce-Type: t",
        "-H",
        "Ce-Source: s",
        "-H",
        "Content-Type: application/json",
        "-d",
        "{}",
    )
    assert result.stdout == "202", result
    sink.wait(1)


def test_curl_structured_file(shared, listening, tmp_path):
    path, sink = listening
    file = tmp_path / "event.json"
    file.write_text('{"specversion":"1.0","id":"1","type":"t","source":"s","data":{"n":1.10}}')
    result = curl(
        shared.url + path,
        "-H",
        "Content-Type: application/cloudevents+json",
        "--data-binary",
        f"@{file}",
    )
    assert result.stdout == "202"
    assert sink.wait(1)[0].body == b'{"n":1.10}'


def test_curl_large_body_with_expect(shared, listening, tmp_path):
    path, sink = listening
    file = tmp_path / "large"
    file.write_bytes(os.urandom(1024 * 1024))
    result = curl(
        shared.url + path,
        "-H",
        "Expect: 100-continue",
        "-H",
        "ce-id: 1",
        "-H",
        "ce-specversion: 1.0",
        "-H",
        "ce-type: t",
        "-H",
        "ce-source: s",
        "-H",
        "Content-Type: application/octet-stream",
        "--data-binary",
        f"@{file}",
    )
    assert result.stdout == "202"
    assert sink.wait(1)[0].body == file.read_bytes()


def test_curl_chunked(shared, listening):
    path, sink = listening
    result = curl(
        shared.url + path,
        "-T",
        "-",
        "-X",
        "POST",
        "-H",
        "ce-id: 1",
        "-H",
        "ce-specversion: 1.0",
        "-H",
        "ce-type: t",
        "-H",
        "ce-source: s",
        "-H",
        "Content-Type: text/plain",
        input="from a pipe",
    )
    assert result.stdout == "202"
    assert sink.wait(1)[0].body == b"from a pipe"


def test_curl_sees_the_error(shared, place):
    result = curl(
        f"{shared.url}/{place}/default",
        "-d",
        "{}",
        "-H",
        "ce-id: 1",
        "-H",
        "ce-specversion: 7",
        "-H",
        "Content-Type: application/json",
    )
    assert result.stdout.endswith("400") and "specversion" in result.stdout
