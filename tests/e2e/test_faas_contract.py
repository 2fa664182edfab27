# SPDX-License-Identifier: Apache-2.0
"""The contract of the js runtime is faas-js-runtime's. Shown by running the same sources under the
real faas-js-runtime from npm and under sluice-worker, sending both the same bytes, and comparing
status, headers and body. What differs on purpose is in the table of docs/functions-js.md, and the
exact answers of both sides are checked."""

import contextlib
import json
import os
import re
import socket
import subprocess
import threading

import pytest

import faas_event_cases  # noqa: F401: adds its cases
import faas_pair
from daemon import ROOT
from faas_cases import CASES, Case, Request
from faas_pair import ask, request_bytes, steady
from projects import running
from test_worker import serving

ESBUILD = ROOT / "build" / "npm" / "node_modules" / ".bin" / "esbuild"
DOCUMENT = ROOT / "docs" / "functions-js.md"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Each function's ports, ours and theirs."""
    names = sorted({case.request.function for case in CASES})
    folder = tmp_path_factory.mktemp("contract")
    with contextlib.ExitStack() as stack:
        theirs = stack.enter_context(faas_pair.peers(names))
        mine = {
            name: stack.enter_context(faas_pair.ours(folder / name, name)).port for name in names
        }
        yield {name: (mine[name], theirs[name]) for name in names}


def asked(case, ports):
    data = faas_pair.bytes_of(case.request)
    return [ask(port, case.request.method, data) for port in ports]


def check(got, expected):
    status, headers, body = got.key()
    assert status == expected.status, got
    assert {k: v[0] for k, v in headers.items()} == expected.headers, got
    if isinstance(expected.body, bytes):
        assert got.body == expected.body or body == expected.body.decode(errors="replace"), got
    elif isinstance(expected.body, re.Pattern):
        assert expected.body.fullmatch(body), got
    else:
        assert json.loads(body) == expected.body, got


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(pair, case):
    mine, theirs = asked(case, pair[case.request.function])
    if case.row is not None:
        assert mine.key() != theirs.key(), "there is no difference any more"
        check(theirs, case.theirs)
        check(mine, case.ours)
    elif case.unordered:
        assert mine.key()[:2] == theirs.key()[:2]
        assert json.loads(steady(mine.body.decode())) == json.loads(steady(theirs.body.decode()))
    else:
        assert mine.key() == theirs.key()


# ---- metrics ----

SAMPLE = re.compile(r"([a-zA-Z0-9_]+)\{(.*)\} (\S+)$")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def metrics(port):
    """{name: (labels, value)} of the plain samples, {name: kind}, and the answer."""
    got = ask(port, "GET", request_bytes("GET", "/metrics", [], None))
    samples, kinds = {}, {}
    for line in got.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds, "a metric comes twice"
            kinds[name] = kind
        elif line and not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            pairs = dict(LABEL.findall(labels))
            samples[name + pairs.pop("le", "")] = (pairs, float(value))
    return samples, kinds, got


def test_metrics(tmp_path):
    """The original's names, kinds and labels; a function that throws counts as an error."""
    with faas_pair.peers(["errors"]) as ports, faas_pair.ours(tmp_path, "errors") as server:
        for port in (ports["errors"], server.port):
            for path in ["/?case=plain", "/?case=type"]:
                ask(port, "GET", request_bytes("GET", path, [], None))
        theirs, their_kinds, their_answer = metrics(ports["errors"])
        mine, kinds, answer = metrics(server.port)
        assert metrics(server.port)[0]["faas_invocations"][1] == 2, "asking is no call"
    wanted = {name for name in theirs if name.startswith("faas_")}
    assert wanted <= set(mine), wanted - set(mine)
    assert {n: k for n, k in their_kinds.items() if n.startswith("faas_")}.items() <= kinds.items()
    for name in wanted:
        assert mine[name][0].keys() == theirs[name][0].keys(), name
    assert mine["faas_invocations"][1] == theirs["faas_invocations"][1] == 2
    count = "faas_execution_latency_count"
    assert mine[count][1] == theirs[count][1] == mine["faas_execution_latency_bucket+Inf"][1] == 2
    assert (
        mine["faas_cold_start_latency_count"][1] == theirs["faas_cold_start_latency_count"][1] == 1
    )
    assert mine["faas_mem_utilization"][1] > 0 and mine["process_cpu_seconds_total"][1] > 0
    # row metrics-errors: both calls threw
    assert (mine["faas_errors"][1], theirs["faas_errors"][1]) == (2, 0)
    # row metrics-type
    assert answer.headers["content-type"] == ["text/plain; version=0.0.4; charset=utf-8"]
    assert their_answer.headers["content-type"] == ["text/plain; charset=utf-8"]


def test_labels_of_metrics(tmp_path):
    """func.yaml comes before the environment."""
    env = {"FAAS_NAME": "not this", "FAAS_RUNTIME": 'a "quoted"\\ one', "K_REVISION": "not this"}
    with faas_pair.ours(tmp_path, "lifecycle", env=env) as server:
        labels = metrics(server.port)[0]["faas_invocations"][0]
    with faas_pair.peers(["lifecycle"]) as ports:
        theirs = metrics(ports["lifecycle"])[0]["faas_invocations"][0]
    assert labels.pop("faas_runtime") == "node"
    assert {**theirs, "faas_runtime": "node"} == {**labels, "faas_runtime": "node"}
    with faas_pair.ours(tmp_path, "echo", env=env) as server:
        labels = metrics(server.port)[0]["faas_invocations"][0]
    assert labels["faas_name"] == "not this"
    assert labels["faas_runtime"] == 'a \\"quoted\\"\\\\ one'


# ---- life cycle ----


def test_shutdown(tmp_path):
    """Called before the end, which waits for it."""
    folder = faas_pair.FUNCTIONS / "lifecycle"
    with faas_pair.ours(tmp_path, "lifecycle", isolation="instance") as server:
        assert server.call("GET")[0] == server.call("GET")[0] == 200
        out = server.out
    assert folder.exists() and "shutdown after 2 calls" in out.read_text()


def test_level_of_the_log(tmp_path):
    """Row log-level: information is written here, and not there; FUNC_LOG_LEVEL decides in both."""
    request = request_bytes("GET", "/", [("x-part", "logged")], None)
    for name, env, level, seen in [
        ("default", {}, None, (True, False)),
        ("info", {"FUNC_LOG_LEVEL": "info"}, "info", (True, True)),
        ("warn", {"FUNC_LOG_LEVEL": "warn"}, "warn", (False, False)),
    ]:
        with faas_pair.ours(tmp_path / name, "echo", env=env) as server:
            assert ask(server.port, "GET", request).body == b"logged"
            mine = "{ a: 1 } with" in server.log()
        theirs = "with format" in original_log(request, level)
        assert (mine, theirs) == seen, name


def original_log(request, level):
    with faas_pair.peers(["echo"], logLevel=level) as ports:
        assert ask(ports["echo"], "GET", request).body == b"logged"
        return ports.output()


def test_default_export(tmp_path):
    """Row default-export."""
    source = "export default async (context, body) => 'by default';"
    with serving(tmp_path, {"index.mjs": source}) as server:
        assert server.call("GET")[2] == b"by default"
    (tmp_path / "index.mjs").write_text(source)
    with pytest.raises(AssertionError, match="must export a handle function"):
        with faas_pair.peers([str(tmp_path)]):
            pass


def test_overload(pair):
    """Row overload: the original's health check breaks over its own 503 when its loop is late. Ours
    says when to come back (tests of the worker)."""
    busy = Case("busy", Request("echo", headers=[("x-part", "busy")]))
    _, port = pair["echo"]
    for _ in range(20):
        thread = threading.Thread(target=ask, args=(port, "GET", faas_pair.bytes_of(busy.request)))
        thread.start()
        answers = [
            ask(port, "GET", request_bytes("GET", "/health/liveness", [], None)) for _ in range(3)
        ]
        thread.join()
        failed = [a for a in answers if a.status != 200]
        if failed:
            break
    assert failed and failed[0].status == 503, answers
    assert "retry-after" not in failed[0].headers and b"is not a function" in failed[0].body


def test_readiness_under_overload(tmp_path):
    """Not ready while calls would be refused; alive all the same."""
    source = (
        "module.exports = { handle: (c, b) => new Promise(done => setTimeout(done, c.query.ms)) };"
    )
    limits = {"concurrency": 1, "queueLength": 0, "timeoutMs": 60000}
    ask_for = lambda path: request_bytes("GET", path, [], None)
    with serving(tmp_path, {"index.js": source}, limits=limits) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as waiting:
            waiting.sendall(ask_for("/?ms=1000"))
            late = ask(server.port, "GET", ask_for("/health/readiness"))
            while late.status == 200:
                late = ask(server.port, "GET", ask_for("/health/readiness"))
            assert late.status == 503, late
            assert late.headers["retry-after"] == late.headers["client-retry"] == ["1"]
            assert ask(server.port, "GET", ask_for("/health/liveness")).status == 200
            waiting.recv(1000)
        assert ask(server.port, "GET", ask_for("/health/readiness")).status == 200


# ---- the older form ----

OLDER = json.loads((faas_pair.FUNCTIONS / "older" / "answers.json").read_text())
OLDER_EVENT = [
    ("ce-id", "1"),
    ("ce-type", "t"),
    ("ce-source", "/s"),
    ("content-type", "application/json"),
]
# row ow-fields: status and body
OLDER_DIFFERENCES = {
    "plain text": (200, b"a text"),
    "plain status": (201, b'{"statusCode":201,"made":true}'),
    "plain headed": (200, b'{"headers":{"x-own":"1"},"made":true}'),
    "plain thrown": (404, b"not found"),
}


def test_older_form(tmp_path):
    """Answers of faas-js-runtime 0.2.0, which npm does not have, were recorded (answers.json)."""
    with faas_pair.ours(tmp_path, "older") as server:
        for name, recorded in OLDER.items():
            kind, part = name.split(" ")
            headers = [("x-part", part)]
            if kind == "plain":
                data = request_bytes("GET", "/?name=x", headers, None)
            else:
                headers += [*OLDER_EVENT, ("ce-specversion", kind)]
                data = request_bytes("POST", "/", headers, b'{"a":1}')
            got = ask(server.port, "GET", data)
            if name in OLDER_DIFFERENCES:
                assert (got.status, got.body) == OLDER_DIFFERENCES[name], name
            else:
                assert got.status == recorded["status"], (name, got)
                assert got.body.decode() == recorded["body"], name
        path = ask(
            server.port, "GET", request_bytes("GET", "/sub?a=1", [("x-part", "method")], None)
        )
        assert json.loads(path.body) == {"method": "GET", "user": "", "path": "/sub"}
        body = [("x-part", "body"), ("content-type", "application/json")]
        got = ask(server.port, "POST", request_bytes("POST", "/", body, b'{"a": 1}'))
        assert json.loads(got.body) == {"text": '{"a":1}'}


# ---- modules ----


@pytest.mark.parametrize(
    "name", ["fs", "node:path/win32", "http", "node:net", "child_process", "worker_threads"]
)
@pytest.mark.parametrize(
    "form", ["const x = require('{}');", 'import x from "{}";', "import '{}';"]
)
def test_modules_that_only_node_has(tmp_path, name, form):
    file = "index.js" if "require" in form else "index.mjs"
    source = f"// first line\n{form.format(name)}\nexports.handle = () => 1;"
    if file == "index.mjs":
        source = source.replace("exports.handle =", "export const handle =")
    with pytest.raises(AssertionError) as caught:
        with serving(tmp_path, {file: source}):
            pass
    text = str(caught.value)
    assert f"{file}:2 imports '{name}', which only Node.js has" in text and "runtime: node" in text


GIVEN = """
import assert, { strictEqual } from 'node:assert';
import { Buffer } from 'node:buffer';
import EventEmitter, { once } from 'events';
import path, { join } from 'path';
import { parse } from 'node:querystring';
import { setTimeout as sleep } from 'node:timers/promises';
import { URL } from 'url';
import util, { inherits, promisify } from 'util';
import process, { env } from 'node:process';

export async function handle(context, body) {
  strictEqual(1, 1);
  assert.throws(() => assert.deepStrictEqual({ a: [1] }, { a: [2] }), { name: 'AssertionError' });
  const emitter = new EventEmitter();
  const heard = once(emitter, 'news');
  function Old() { EventEmitter.call(this); }
  inherits(Old, EventEmitter);
  const old = new Old();
  let counted = 0;
  old.once('x', n => { counted += n; });
  emitter.emit('news', 1, 2);
  const begun = process.hrtime.bigint();
  await sleep(5);
  const order = [];
  process.nextTick(value => order.push(value), 'tick');
  await sleep(1);
  return {
    heard: await heard, counted: [old.emit('x', 3), old.emit('x', 3), counted], order,
    path: [join('/a', '../b', './c.txt'), path.basename('/a/b.js', '.js'), path.resolve('a', '..', 'b'), path.relative('/a/b', '/a/c/d'), path.extname('x.tar.gz')],
    query: { ...parse('a=1&a=2') }, url: new URL('/x', 'http://h').href, text: util.format('%s:%d', 'a', 1), env: env.WHO,
    buffer: Buffer.from('ü').toString('hex'), waited: process.hrtime.bigint() - begun >= 4000000n,
    promised: await promisify((a, done) => done(null, a + 1))(1), up: process.uptime() >= 0,
    same: process === globalThis.process && global === globalThis, types: util.types.isUint8Array(Buffer.alloc(1)),
  };
}
"""


def test_modules_that_are_given(tmp_path):
    """The same under Node, which is the reference."""
    with serving(tmp_path, {"index.mjs": GIVEN}, env={"WHO": "me"}) as server:
        mine = json.loads(server.call("GET")[2])
    script = tmp_path / "given.mjs"
    script.write_text(GIVEN + "console.log(JSON.stringify(await handle()));")
    done = subprocess.run(
        ["node", script], capture_output=True, text=True, env={**os.environ, "WHO": "me"}, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert mine == json.loads(done.stdout)


def test_package_cloudevents(tmp_path):
    """Bundled by the command line as for a deploy; beside it Node loads the package itself. It asks
    for http, which only Node has, and does not use it here."""
    source = faas_pair.FUNCTIONS / "package_cloudevents.js"
    (tmp_path / "index.js").write_text(source.read_text())
    (tmp_path / "node_modules").symlink_to(faas_pair.NODE_MODULES)
    event = [("ce-id", "1"), ("ce-specversion", "1.0"), ("ce-type", "t"), ("ce-source", "/s")]
    event += [("ce-time", "1999-01-02T03:04:05.678Z")]
    with faas_pair.peers([str(tmp_path)]) as ports:
        with running(tmp_path, cwd=tmp_path, env={"SLUICE_ESBUILD": str(ESBUILD)}) as subject:
            for part in ["event", "binary", "structured", "clone", "bytes", "bad", "parse"]:
                for headers in (event, []):
                    headers = [("x-part", part), *headers, ("origin", "https://any.example")]
                    headers += [("content-type", "application/json")]
                    data = request_bytes("POST", "/", headers, b'{"a":1}')
                    mine, theirs = ask(subject.port, "POST", data), ask(
                        ports[str(tmp_path)], "POST", data
                    )
                    assert mine.key() == theirs.key(), part
            used = ask(subject.port, "POST", request_bytes("POST", "/", [("x-part", "http")], b""))
            assert used.status == 500 and b"'http' is a module which only Node.js has" in used.body


# ---- the table ----


def rows_of_the_table():
    table = DOCUMENT.read_text().split("## What differs, and why")[1]
    return re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)


def test_the_table_of_differences_is_complete():
    rows = rows_of_the_table()
    assert len(rows) == len(set(rows)), "a row comes twice"
    assert set(rows) == {case.row for case in CASES if case.row is not None} | OTHER_ROWS


def test_there_are_enough_cases():
    assert len({case.name for case in CASES}) == len(CASES) >= 120


# Rows that other tests of this file show.
OTHER_ROWS = {
    "metrics-errors",
    "metrics-type",
    "overload",
    "log-level",
    "default-export",
    "ow-fields",
}
