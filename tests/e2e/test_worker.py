# SPDX-License-Identifier: Apache-2.0
"""The function server by itself: `sluice-worker serve` over HTTP, and the zygote over its socket."""

import array
import contextlib
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

import daemon

WORKER = pathlib.Path(
    os.environ.get("SLUICE_WORKER", pathlib.Path(daemon.BINARY).parent / "sluice-worker")
)
EVENT = {
    "ce-id": "536808d3-88be-4077-9d7a-a3f162705f79",
    "ce-specversion": "0.3",
    "ce-type": "dev.nodeshift.samples.js-example",
    "ce-source": "dev.nodeshift.samples/js-example-source",
    "content-type": "application/json",
}


def bundle(files, **more):
    if isinstance(files, str):
        files = {"index.js": files}
    return json.dumps(
        {
            "namespace": "ns",
            "name": "f",
            "uid": "u",
            "generation": 1,
            "runtime": "js",
            "files": files,
            **more,
        }
    )


class Server:
    def __init__(self, process, port, out):
        self.process, self.port, self.out = process, port, out

    def call(self, method="POST", path="/", body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text

    def event(self, data=b"{}", **headers):
        return self.call(body=data, headers={**EVENT, **headers})

    def log(self):
        return self.out.read_text()


@contextlib.contextmanager
def serving(tmp_path, files, *, options=(), ends=False, **more):
    """ends: the test itself ends the server."""
    source = tmp_path / "bundle.json"
    source.write_text(bundle(files, **more))
    out = tmp_path / "out"
    with out.open("wb") as sink:
        process = subprocess.Popen(
            [WORKER, "serve", "--bundle", source, "--listen", "127.0.0.1:0", *options],
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 10
        while "listening on " not in out.read_text():
            assert process.poll() is None and time.monotonic() < deadline, out.read_text()
            time.sleep(0.01)
        port = int(re.search(r"listening on 127\.0\.0\.1:(\d+)", out.read_text()).group(1))
        yield Server(process, port, out)
        assert ends or process.poll() is None, f"ended: {process.returncode}\n{out.read_text()}"
        process.terminate()
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


SEED = """
module.exports = context => {
  console.log('simple example. context:', context);
  const { msg } = context.cloudevent.data;
  return context.cloudEventResponse({ received: msg }).type('dev.nodeshift.samples.fromjs')
    .source('nodeshift/samples/js-example-service').response();
};
"""


def test_seed_example(tmp_path):
    with serving(tmp_path, SEED) as server:
        status, headers, body = server.event(
            b'{"msg":"Message to js-example-service"}',
            **{"ce-knativearrivaltime": "2020-01-28T13:35:23.9Z"},
        )
        assert status == 200
        assert body == b'{"received":"Message to js-example-service"}'
        assert headers["ce-type"] == "dev.nodeshift.samples.fromjs"
        assert headers["ce-source"] == "nodeshift/samples/js-example-service"
        assert headers["ce-specversion"] == "0.3"
        assert headers["content-type"] == "application/json; charset=utf-8"
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", headers["ce-id"]
        )
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", headers["ce-time"])
        log = server.log()
    assert (
        "simple example. context: Context {\n  __ow_user: '',\n  __ow_method: 'POST',\n  __ow_headers: {\n"
        in log
    )
    assert (
        "  __ow_path: '',\n  __ow_query: [Object: null prototype] {},\n  __ow_body: 'null',\n  cloudevent: {\n"
        in log
    )
    assert (
        "    specversion: '0.3',\n    id: '536808d3-88be-4077-9d7a-a3f162705f79',\n"
        "    type: 'dev.nodeshift.samples.js-example',\n    source: 'dev.nodeshift.samples/js-example-source',\n"
        "    datacontenttype: 'application/json',\n    knativearrivaltime: '2020-01-28T13:35:23.9Z',\n"
        "    data: { msg: 'Message to js-example-service' }\n  }\n}\n"
    ) in log


EVENTS = """
const values = {
  event: { specversion: '1.0', type: 't', source: '/s', id: '7', subject: 'ü %', n: 5, data: 'text' , datacontenttype: 'text/plain' },
  eventBytes: { specversion: '1.0', type: 't', source: '/s', id: '7', data: new Uint8Array([255]), datacontenttype: 'a/b' },
  eventNone: { specversion: '1.0', type: 't', source: '/s', id: '7' },
};
module.exports = (context, event) => event.data.later ? (async () => values[event.data.name])() : values[event.data.name];
"""


@pytest.mark.parametrize("later", [False, True])
def test_events_as_answers(tmp_path, later):
    expected = {
        "event": ("text/plain", b"text"),
        "eventBytes": ("a/b", b"\xff"),
        "eventNone": (None, b""),
    }
    with serving(tmp_path, EVENTS) as server:
        for name, (kind, body) in expected.items():
            got = server.event(json.dumps({"name": name, "later": later}).encode())
            assert (got[0], got[1].get("content-type"), got[2]) == (200, kind, body), name
            if name == "event":
                assert got[1]["ce-subject"] == "%C3%BC%20%25"
                assert (got[1]["ce-n"], got[1]["ce-id"]) == ("5", "7")


ECHO = """
module.exports = { handle(context, event) {
  const kind = event?.data === undefined ? 'none' : event.data?.constructor?.name;
  return { event: event?.constructor.name, kind, data: kind === 'Buffer' ? [...event.data] : event?.data,
    id: event?.id, n: event?.n, same: context.cloudevent === event };
} };
"""


def test_event_forms(tmp_path):
    with serving(tmp_path, ECHO) as server:

        def data(body, kind, **headers):
            status, _, text = server.event(body, **{"content-type": kind, **headers})
            assert status == 200, text
            answer = json.loads(text)
            assert answer["same"] and answer["event"] == "CloudEvent"
            return answer["kind"], answer.get("data")

        assert data(b'{"a":1}', "application/json") == ("Object", {"a": 1})
        assert data(b"[1]", "application/vnd.x+json; charset=utf-8") == ("Array", [1])
        assert data(b"plain", "text/plain") == ("String", "plain")
        assert data(b"\0\1\xff", "application/octet-stream") == ("Buffer", [0, 1, 255])
        assert data(b"\xff\xfe", "text/plain") == ("Buffer", [255, 254])
        # What tries to smuggle attributes in through the data.
        status, _, text = server.event(b'1,{"id":"x"}')
        assert status == 400 and b"no JSON" in text
        status, _, text = server.event(b"1],[2")
        assert status == 400
        structured = {
            "specversion": "1.0",
            "id": "9",
            "type": "t",
            "source": "/s",
            "n": 3,
            "data_base64": "AAEC",
            "datacontenttype": "application/x",
        }
        status, _, text = server.call(
            body=json.dumps(structured), headers={"content-type": "application/cloudevents+json"}
        )
        assert json.loads(text) == {
            "event": "CloudEvent",
            "kind": "Buffer",
            "data": [0, 1, 2],
            "id": "9",
            "n": 3,
            "same": True,
        }
        for headers, body in [
            ({**EVENT, "ce-source": ""}, b""),
            ({**EVENT, "ce-specversion": "9"}, b""),
            ({"content-type": "application/cloudevents+json"}, b"{"),
        ]:
            assert server.call(body=body, headers=headers)[0] == 400
        batch = {"content-type": "application/cloudevents-batch+json"}
        assert server.call(body=b"[]", headers=batch)[0] == 415


REQUEST = """
export const handle = (context, body) => ({ method: context.method, path: context.path, query: context.query,
  type: context.contentType, one: context.headers['x-one'], event: context.cloudevent === undefined,
  parsed: body instanceof Uint8Array ? [...body] : body, raw: context.rawBody });
"""


def test_plain_requests(tmp_path):
    with serving(tmp_path, REQUEST) as server:

        def call(*args, **more):
            status, _, text = server.call(*args, **more)
            assert status == 200, text
            return json.loads(text)

        got = call(
            "PUT",
            "/a/b?x=1&x=2&y=%20z",
            body=b'{"a":1}',
            headers={"content-type": "application/json", "X-One": "1"},
        )
        assert got == {
            "method": "PUT",
            "path": "/a/b",
            "query": {"x": ["1", "2"], "y": " z"},
            "type": "application/json",
            "one": "1",
            "event": True,
            "parsed": {"a": 1},
            "raw": '{"a":1}',
        }
        assert call(
            "POST",
            body=b"a=1&b=%C3%BC+x",
            headers={"content-type": "application/x-www-form-urlencoded"},
        )["parsed"] == {"a": "1", "b": "ü x"}
        assert call("POST", body=b"\1\2")["parsed"] == [1, 2]
        assert call("GET").get("parsed") is None
        assert (
            server.call("POST", body=b"{", headers={"content-type": "application/json"})[0] == 400
        )
        assert server.call("POST", body=b"x" * (1 << 20 | 1))[0] == 413
        for path in ("/health/liveness", "/health/readiness"):
            assert server.call("GET", path)[::2] == (200, b"OK")


MODULES = {
    "index.mjs": "import { a } from './lib/a.mjs'; import c from './c.cjs'; import data from './data.json';\n"
    "let ready = 0; export async function init() { await null; ready = await import('./late.mjs').then(m => m.default); }\n"
    "export default { handle: () => ({ a, c, data, ready }), init };",
    "lib/a.mjs": "import { b } from '../b.mjs'; export const a = 'a' + b;",
    "b.mjs": "export const b = 'b';",
    "c.cjs": "const { d } = require('./lib/d'); module.exports = { d, name: __filename };",
    "lib/d.js": "exports.d = require('../data.json').value + 1;",
    "data.json": '{"value": 41}',
    "late.mjs": "export default 7;",
}


def test_modules(tmp_path):
    with serving(tmp_path, MODULES, main="index.mjs") as server:
        status, _, text = server.event()
        assert status == 200, text
        assert json.loads(text) == {
            "a": "ab",
            "c": {"d": 42, "name": "/c.cjs"},
            "data": {"value": 41},
            "ready": 0,
        } or json.loads(text) == {
            "a": "ab",
            "c": {"d": 42, "name": "/c.cjs"},
            "data": {"value": 41},
            "ready": 7,
        }


@pytest.mark.skipif(shutil.which("node") is None, reason="compares with node")
def test_console_prints_as_node(tmp_path):
    program = r"""
class Point { constructor() { this.x = 1; this.y = [1, , 3]; } }
const circle = { name: 'c' }; circle.self = circle;
console.log('plain', 1, -0, 10n, true, null, undefined, Symbol('s'));
console.log({ a: 1, 'b-c': 'it\'s', d: "\n", [Symbol('k')]: 2, f() {}, g: class A {}, h: async () => {} });
console.log([1, 2, 3], [], {}, [[[[1]]]], { a: { b: { c: { d: 1 } } } });
console.log(new Point(), Object.create(null), Object.assign(Object.create(null), { a: 1 }));
console.log(new Map([['a', { b: 1 }], [2, new Set([1, 'x'])]]), new Set());
console.log(circle, [circle]);
console.log(Array.from({ length: 120 }, (_, i) => i));
console.log(Array.from({ length: 30 }, (_, i) => 'item' + i));
console.log('x'.repeat(200), ['x'.repeat(200)], { long: 'y'.repeat(90), b: 1 });
console.log(new Date(0), /a+/gi, new Uint8Array([1, 2, 3]), new ArrayBuffer(4));
console.log('%s is %d years and %i, %f, %j %O %%', 'Bob', 42.5, 42.9, '1.5', { a: 1 }, { b: 2 }, 'extra');
console.log({ get a() { return 1; }, set a(v) {}, get b() { return 2; } });
console.log([undefined, null, NaN], [new Date(5)], { e: [] , o: {} });
console.log(Object(1), Object('s'), [ 'a\nb' ], 'a\nb');
console.log({ a: 1n, b: Symbol.iterator, c: [[1, 2, [3, 4, [5]]]], d: new (class extends Map {})() });
console.log({ aaaaaaaaaaaaaaaaaaaa: 1, bbbbbbbbbbbbbbbbbbbbbbbbb: 2, cccccccccccccccccccc: 3, ddddddddddd: 4 });
console.log(['a', 'bb', 'ccc', 'dddd', 'eeeee', 'ffffff', 'ggggggg', 'h'], [1.5, 2, 300, 4, 5, 6, 7, 8]);
"""
    node = subprocess.run(
        ["node", "-e", program], capture_output=True, text=True, check=True
    ).stdout
    with serving(tmp_path, "module.exports = () => {" + program + "}") as server:
        status, _, text = server.event()
        assert status == 204, text
        ours = server.log().split("\n", 1)[1]
    assert ours.splitlines() == node.splitlines()


def print_both(tmp_path, program):
    """What Node prints, and what a function with the same body does."""
    node = subprocess.run(
        ["node", "-e", program], capture_output=True, text=True, check=True
    ).stdout
    limits = {"timeoutMs": 60000, "logBytes": 1 << 30}
    source = "module.exports = () => {" + program + "};"
    with serving(tmp_path, source, limits=limits) as server:
        status, _, text = server.event()
        assert status == 204, text
        return node.splitlines(), server.log().split("\n", 1)[1].splitlines()


@pytest.mark.skipif(shutil.which("node") is None, reason="compares with node")
def test_console_prints_many_values_as_node(tmp_path):
    program = (pathlib.Path(__file__).parent / "console_values.js").read_text()
    expected, printed = print_both(tmp_path, program)
    assert printed == expected


@pytest.mark.skipif(shutil.which("node") is None, reason="compares with node")
def test_values_shown_by_the_worker_and_by_the_prelude_are_the_same(tmp_path):
    """console.dir() never takes the worker's short way."""
    program = (pathlib.Path(__file__).parent / "console_values.js").read_text()
    program = program.replace("console.log(v);", "console.dir(v);", 1)
    expected, printed = print_both(tmp_path, program)
    assert printed == expected


def children_of(process):
    text = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {int(pid) for pid in text.split()}


def until(condition, what):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_several_processes_behind_one_port(tmp_path):
    code = "module.exports = () => { console.log('called'); return 'here'; };"
    with serving(tmp_path, code, options=["--workers", "3"]) as server:
        until(lambda: len(children_of(server.process)) == 3, "three workers")
        for _ in range(50):
            assert server.call("GET")[2] == b"here"
        victim = min(children_of(server.process))
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in children_of(server.process), "it is gone")
        until(lambda: len(children_of(server.process)) == 3, "another one in its place")
        workers = children_of(server.process)
        assert "starts again" in server.log()
        for _ in range(50):  # its socket has been there all the time
            assert server.call("GET")[2] == b"here"
    assert not any(pathlib.Path(f"/proc/{pid}/stat").exists() for pid in workers)


def adopted(tmp_path, code):
    """A worker that is given its socket and the pipe for its reports: (process, port, pipe's end)."""
    source = tmp_path / "bundle.json"
    source.write_text(bundle(code))
    listener = socket.create_server(("127.0.0.1", 0))
    reading, writing = os.pipe()
    fds = (listener.fileno(), writing)
    command = [WORKER, "serve", "--bundle", source]
    command += ["--listen", f"fd:{fds[0]}", "--report", f"fd:{fds[1]}"]
    process = subprocess.Popen(command, pass_fds=fds, stdout=subprocess.PIPE)
    os.close(writing)
    port = listener.getsockname()[1]
    listener.close()
    return process, port, os.fdopen(reading)


def test_a_socket_and_a_report_pipe_that_were_given(tmp_path):
    process, port, reports = adopted(
        tmp_path, "module.exports = (c, e) => { console.log('seen'); return {n: e.data.n}; };"
    )
    assert json.loads(reports.readline()) == {"report": "ready"}
    status, _, body = Server(process, port, None).event(b'{"n":5}')
    assert (status, body) == (200, b'{"n":5}')
    line = json.loads(reports.readline())
    assert (line["report"], line["text"], line["event"]) == ("log", "seen", EVENT["ce-id"])
    process.terminate()
    assert process.wait(5) == 0
    assert process.stdout.read() == b""
    assert reports.read() == '{"report":"draining"}\n'


def test_what_is_under_way_is_answered_before_the_end(tmp_path):
    process, port, reports = adopted(tmp_path, "module.exports = context => ({got: context.body});")
    assert "ready" in reports.readline()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        process.terminate()
        time.sleep(0.05)  # it may end wrongly in this time; nothing waits for it otherwise
        assert process.poll() is None
        connection.sendall(b"[]")
        answer = b""
        while part := connection.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b'{"got":[]}')
    assert process.wait(5) == 0


@pytest.mark.parametrize("words", [["--listen", "fd:99"], ["--report", "fd:99"], ["--report", "1"]])
def test_descriptors_that_are_not_there(tmp_path, words):
    (tmp_path / "bundle.json").write_text(bundle("module.exports = () => 1;"))
    command = [WORKER, "serve", "--bundle", tmp_path / "bundle.json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert done.returncode == 1 and "descriptor" in done.stderr


def test_bad_start(tmp_path):
    def start(content, *more):
        source = tmp_path / "b.json"
        source.write_text(content)
        return subprocess.run(
            [WORKER, "serve", "--bundle", source, "--listen", "127.0.0.1:0", *more],
            capture_output=True,
            text=True,
            timeout=20,
        )

    done = start(bundle("const a = 1;\nlet b = ;"))
    assert done.returncode == 2 and "index.js:2:9: SyntaxError" in done.stdout
    assert "runtime must be js or wasm" in start(bundle("1", runtime="ruby")).stdout
    assert "no JSON" in start("{").stdout
    assert "limits.timeoutMs must be a number" in start(bundle("1", limits={"timeoutMs": 0})).stdout
    assert (
        "not among the function's files"
        in start(bundle({"a.js": "", "b.js": ""}, main="c.js")).stdout
    )
    assert (
        "needs its compiled module"
        in start(bundle({}, runtime="wasm", wasm={"function": "f"})).stdout
    )
    assert start(bundle("let b = ;"), "--workers", "2").returncode == 2
    assert start(bundle("1"), "--workers", "0").returncode == 1
    assert subprocess.run([WORKER, "serve"], capture_output=True).returncode == 1
    assert subprocess.run([WORKER, "zygote"], capture_output=True).returncode == 1


# ---- the zygote ----

START, KILL, READY, STARTED, EXITED = 1, 2, 3, 4, 5


class Zygote:
    def __init__(self, tmp_path, program=WORKER, wrapper=()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(10)
        self.socket, self.folder, self.reports = ours, tmp_path, {}
        self.process = subprocess.Popen(
            [*wrapper, "/bin/bash", "-c", f'exec "$0" zygote 3<&{theirs.fileno()}', program],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        assert self.receive() == (READY, 0, 0)

    def receive(self):
        return struct.unpack("=IiQ", self.socket.recv(64))

    def start(self, number, content, module=None):
        """module: descriptor of a compiled module, for wasm."""
        memory = os.memfd_create("bundle")
        os.write(memory, content.encode())
        path = str(self.folder / f"{number}.sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(path)
        listener.listen(64)
        reader, writer = os.pipe()
        fds = array.array("i", [memory, listener.fileno(), writer])
        if module is not None:
            fds.append(module)
        self.socket.sendmsg(
            [struct.pack("=IiQ", START, 0, number)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        )
        os.close(memory)
        os.close(writer)
        listener.close()
        kind, pid, worker = self.receive()
        assert (kind, worker) == (STARTED, number) and pid > 0
        self.reports[number] = os.fdopen(reader)
        return pid, path

    def report(self, number):
        assert select.select([self.reports[number]], [], [], 10)[0]
        return json.loads(self.reports[number].readline())

    def kill(self, number, sig):
        self.socket.send(struct.pack("=IiQ", KILL, sig, number))

    def close(self):
        self.socket.close()
        assert self.process.wait(5) == 0


def call_unix(path, body=b"{}", headers=EVENT):
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(path)
    connection.request("POST", "/", body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


def alive(pid):
    return (
        os.path.exists(f"/proc/{pid}")
        and " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    )


@pytest.fixture
def zygote(tmp_path):
    z = Zygote(tmp_path)
    yield z
    z.socket.close()
    z.process.wait(5)


def test_zygote_runs_workers(zygote):
    pids = {}
    for number in (7, 8):
        pids[number], path = zygote.start(
            number,
            bundle(
                f"module.exports = () => {{ console.log('in', {number}); return 'worker {number}'; }};"
            ),
        )
        assert zygote.report(number) == {"report": "ready"}
        assert call_unix(path) == (200, f"worker {number}".encode())
        line = zygote.report(number)
        assert (
            line["report"] == "log" and line["text"] == f"in {number}" and line["level"] == "info"
        )
        assert line["event"] == EVENT["ce-id"] and abs(line["time"] / 1e9 - time.time()) < 60
    zygote.kill(7, signal.SIGTERM)
    assert zygote.receive() == (EXITED, 0, 7)
    zygote.kill(8, signal.SIGKILL)
    kind, status, worker = zygote.receive()
    assert (kind, worker) == (EXITED, 8) and os.WTERMSIG(status) == signal.SIGKILL
    zygote.close()


def test_zygote_reports_what_does_not_load(zygote):
    zygote.start(1, bundle("let x = 1;\nthrow new Error('at load');"))
    failed = zygote.report(1)
    assert failed["report"] == "failed" and failed["message"] == "Error: at load"
    assert (failed["file"], failed["line"]) == ("index.js", 2)
    kind, status, worker = zygote.receive()
    assert (kind, worker) == (EXITED, 1) and os.WEXITSTATUS(status) == 2


def test_worker_ends_orderly_after_a_forced_stop(zygote):
    _, path = zygote.start(
        1,
        bundle(
            "module.exports = () => { const a = []; a.length = 4294967295; a.indexOf(1); };",
            limits={"timeoutMs": 50},
        ),
    )
    zygote.report(1)
    for _ in range(3):
        assert call_unix(path)[0] == 504
        assert zygote.report(1)["limit"] == "time"
    zygote.kill(1, signal.SIGTERM)
    assert zygote.receive() == (EXITED, 0, 1)


def test_workers_die_with_the_zygote(zygote):
    pid, path = zygote.start(1, bundle("module.exports = () => 'x';"))
    zygote.report(1)
    zygote.process.kill()
    zygote.process.wait()
    deadline = time.monotonic() + 5
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_zygote_ends_with_its_socket(zygote):
    pid, _ = zygote.start(
        1, bundle("module.exports = () => { for (;;); };", limits={"timeoutMs": 60000})
    )
    zygote.report(1)
    zygote.close()
    deadline = time.monotonic() + 5
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_long_log_lines_are_split(zygote):
    _, path = zygote.start(
        1,
        bundle(
            "module.exports = () => { console.log('é\"'.repeat(5000)); console.log('line\\n'.repeat(2000)); };"
        ),
    )
    zygote.report(1)
    assert call_unix(path)[0] == 204
    text = ""
    while len(text) < 10000:
        text += zygote.report(1)["text"]
    assert text == 'é"' * 5000
    lines = []
    while len(lines) < 2000:
        lines += zygote.report(1)["text"].split("\n")
    assert lines[:2000] == ["line"] * 2000


def read_as_root(path):
    """The zygote and its workers are not dumpable, so only root reads their memory's sizes."""
    if os.geteuid() == 0:
        return path.read_text()
    if shutil.which("sudo") is not None:
        done = subprocess.run(["sudo", "-n", "cat", path], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout
    pytest.skip("the right to read sizes of other processes is missing: root, or sudo without a password")


def private_bytes(pid):
    rollup = read_as_root(pathlib.Path(f"/proc/{pid}/smaps_rollup"))
    return sum(int(n) for n in re.findall(r"^(?:Private_Dirty):\s+(\d+)", rollup, re.M)) * 1024


def test_memory_of_workers(zygote):
    if "asan" in str(WORKER) or os.environ.get("SLUICE_SANITIZED"):
        pytest.skip("sanitizers need memory of their own")
    pids = [zygote.process.pid]
    for number in (1, 2):
        pid, path = zygote.start(number, bundle(SEED))
        zygote.report(number)
        for _ in range(50):
            call_unix(path, b'{"msg":1}')
        pids.append(pid)
    assert sum(private_bytes(pid) for pid in pids) < 6 << 20
