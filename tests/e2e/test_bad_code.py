# SPDX-License-Identifier: Apache-2.0
"""Code that answers what must not go out, modules that are too large, and native code in a worker of
the broker: each ends in one clear error, and the function beside it never notices."""

import base64
import json
import os
import re
import subprocess

import pytest

import daemon
import waiting
import wasm_modules
from test_escape import SOURCE
from test_functions import HELLO
from wire import binary_event


@pytest.fixture
def neighbour(shared, deploy):
    called = deploy(HELLO, name="neighbour")
    yield called
    assert called.event(b'{"msg":"x"}').json() == {"hello": "x"}
    assert shared.http.get("/health/readiness").status == 200


# ---- what a reply must not hold ----

INJECTIONS = {
    "value": "({ headers: { 'x-a': 'b\\r\\nSet-Cookie: evil=1' }, body: 'x' })",
    "line-feed": "({ headers: { 'x-a': 'b\\nset-cookie: evil=1' }, body: 'x' })",
    "name": "({ headers: { 'x-a: b\\r\\nSet-Cookie': 'evil=1' }, body: 'x' })",
    "second-of-a-list": "({ headers: { 'x-a': ['b', 'c\\r\\nSet-Cookie: evil=1'] }, body: 'x' })",
    "nul": "({ headers: { 'x-a': 'b\\0Set-Cookie: evil=1' }, body: 'x' })",
    "to-string": "({ headers: { 'x-a': { toString() { return 'b\\r\\nSet-Cookie: evil=1'; } } }, body: 'x' })",
    "response-splitting": "({ headers: { 'x-a': 'b\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nSet-Cookie: evil=1' }, body: 'x' })",
    "type": "context.cloudEventResponse({}).type('a\\r\\nSet-Cookie: evil=1').response()",
    "source": "context.cloudEventResponse({}).type('a').source('b\\r\\nSet-Cookie: evil=1').response()",
    "extension-name": "Object.assign(context.cloudEventResponse({}).type('a').response(), { 'x: y\\r\\nSet-Cookie': 'evil=1' })",
    "extension-value": "Object.assign(context.cloudEventResponse({}).type('a').response(), { x: 'y\\r\\nSet-Cookie: evil=1' })",
    "content-type": "Object.assign(context.cloudEventResponse('x').type('a').response(), { datacontenttype: 'text/plain\\r\\nSet-Cookie: evil=1' })",
}


@pytest.mark.parametrize("kind", INJECTIONS)
def test_no_header_is_injected(deploy, neighbour, kind):
    answer = deploy(f"module.exports = (context, event) => {INJECTIONS[kind]};").event()
    assert "set-cookie" not in answer.headers, answer
    assert b"\r\nSet-Cookie" not in answer.body
    # An attribute's value may travel escaped (CloudEvents' HTTP binding §3.1.3.2); nothing else may travel.
    if answer.status < 500:
        assert kind in ("type", "source", "extension-value") and any("%0D%0A" in v for v in answer.headers.values()), answer


NO_EVENTS = {
    "version": "{ specversion: '9.9', id: '1', type: 't', source: '/s' }",
    "empty-id": "{ specversion: '1.0', id: '', type: 't', source: '/s' }",
    "empty-type": "{ specversion: '1.0', id: '1', type: '', source: '/s' }",
    "empty-source": "{ specversion: '1.0', id: '1', type: 't', source: '' }",
    "upper-case": "{ specversion: '1.0', id: '1', type: 't', source: '/s', MyName: 'x' }",
    "dashed": "{ specversion: '1.0', id: '1', type: 't', source: '/s', 'my-name': 'x' }",
    "time": "{ specversion: '1.0', id: '1', type: 't', source: '/s', time: 'yesterday' }",
}


@pytest.mark.parametrize("kind", NO_EVENTS)
def test_a_reply_that_is_no_event(shared, place, deploy, neighbour, kind):
    """Who calls it sees an error that says why; the broker stores no reply."""
    called = deploy(f"module.exports = () => ({NO_EVENTS[kind]});")
    answer = called.event()
    assert answer.status >= 500, answer
    assert len(answer.body) > 10, "it says why"
    shared.apply(daemon.trigger("to-f", place, "f", delivery={"retry": 0}))
    shared.wait_ready_condition("Trigger", "to-f", place)
    assert shared.send(f"/{place}/default", binary_event(id=f"bad-{kind}")).status == 202
    waiting.until(lambda: shared.dead(place, "to-f"), what="the dead letter")


def test_answers_of_any_status_are_bounded(deploy, neighbour):
    for status in ("99", "100", "101", "199", "600", "1000", "'OK'", "{}", "-1"):
        answer = deploy(f"module.exports = () => ({{ statusCode: {status}, body: 'x' }});").event()
        assert answer.status == 500, (status, answer)


# ---- too large ----


def large_module(megabytes):
    """Valid but for its size: a custom section fills it."""
    filler = b"\x01x" + b"\0" * (megabytes << 20)
    return wasm_modules.binary_add() + wasm_modules.section(0, filler)


def test_a_module_of_50_megabytes(shared, place, neighbour, tmp_path):
    module = tmp_path / "large.wasm"
    module.write_bytes(large_module(50))
    (tmp_path / "f.yaml").write_text(json.dumps({**daemon.function("large", place, runtime="wasm", module="large.wasm", function="add")}))
    done = shared.cli("apply", "-f", str(tmp_path / "f.yaml"), check=False)
    assert done.returncode != 0
    assert re.search(r"large\.wasm|spec\.module", done.stderr) and re.search(r"\d+ (MiB|bytes|characters)", done.stderr), done.stderr
    spec = {"runtime": "wasm", "moduleBase64": base64.b64encode(module.read_bytes()).decode(), "function": "add"}
    answer = shared.create(daemon.function("large", place, **spec))
    assert answer.status in (413, 422), answer
    assert shared.http.get(f"/apis/sluice.dev/v1/namespaces/{place}/functions/large").status == 404


def test_a_module_over_the_builder_s_limit(shared, place, deploy, neighbour):
    spec = {"runtime": "wasm", "moduleBase64": base64.b64encode(large_module(12)).decode(), "function": "add"}
    text = deploy(**spec, wait=False).wait_failure()
    assert "bytes" in text and "ModuleRefused" in text


# ---- native code in a worker of the broker ----


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    module = folder / "planted.so"
    values = {"SECRET": f'"{folder}/secret"', "MARK": f'"{folder}/mark"', "PORT": 1, "PARENT": os.getpid()}
    subprocess.run(["gcc", "-w", "-O1", "-D_GNU_SOURCE", "-fPIC", "-shared", f"-I{daemon.ROOT}/src", *(f"-D{n}={v}" for n, v in values.items()),
                    str(SOURCE), "-o", str(module)], check=True)
    return module


@pytest.mark.expects_errors("worker")
@pytest.mark.parametrize("attempt", ["close_all", "exit", "crash", "abort", "fork", "openat", "connect"])
def test_a_worker_that_ends_mid_answer(server, planted, attempt):
    """The compiled module in the cache is replaced by one that ends its worker while it answers."""
    server.apply(daemon.namespace("n"), daemon.function("neighbour", "n", HELLO))
    module = wasm_modules.from_text(f'(module (func (export "{attempt}") (result i64) i64.const 7))')
    encoded = base64.b64encode(module).decode()
    server.apply(daemon.function("f", "n", runtime="wasm", moduleBase64=encoded, function=attempt))
    server.wait_ready_condition("Function", "f", "n")
    server.wait_ready_condition("Function", "neighbour", "n")
    server.stop()
    (compiled,) = server.data_dir.rglob("*.so")
    compiled.write_bytes(planted.read_bytes())
    server.restart()
    server.wait_ready_condition("Function", "f", "n")
    for _ in range(3):
        answer = server.send("/functions/n/f/", binary_event())
        assert answer.status in (502, 503, 500), answer
        assert server.send("/functions/n/neighbour/", binary_event(), b'{"msg":"x"}').json() == {"hello": "x"}
    assert server.http.get("/health/readiness").status == 200
