# SPDX-License-Identifier: Apache-2.0
"""Handlers that wait: hundreds in one worker, each with its own instance, among others that fail;
limits of what waits; stopping while calls wait."""

import concurrent.futures
import http.client
import json
import os
import signal
import socket
import struct
import subprocess

import pytest
import waiting
from test_worker import EVENT, WORKER, bundle, serving

# Each call leaves its mark in every place that it can reach, and looks for it after each wait.
MANY = """
const sleep = (ms, value) => new Promise(resolve => setTimeout(resolve, ms, value));
let mine;
const others = {
  throws: async () => { await sleep(2); throw new RangeError('thrown later'); },
  status: async () => { await sleep(2); throw Object.assign(new Error('teapot'), { code: 418 }); },
  memory: async () => { await sleep(2); const all = []; for (;;) all.push(new Uint8Array(1 << 16)); },
  floating: async () => { Promise.reject(new Error('nobody looks')); await sleep(60000); },
  never: async () => { await new Promise(resolve => setInterval(() => {}, 20)); },
  stuck: () => new Promise(() => {}),
  grows: async () => { const b = new Uint8Array(2 << 20); await sleep(5); return `${b.length}`; },
  quick: () => 'quick',
};
module.exports = async context => {
  const { kind, n } = context.query;
  if (kind !== 'own') return others[kind]();
  const seen = mine;
  mine = n; globalThis.secret = n; Object.prototype.secret = n;
  const list = Array.from({ length: 300 + (n % 7) * 100 }, (_, i) => `${n}.${i}`);
  const order = [];
  for (let i = 0; i < 5; i++) {
    order.push(await sleep((n * 31 + i * 17) % 23, i));
    if (mine !== n || secret !== n || !list.every((v, k) => v === `${n}.${k}`)) return `spoilt at ${i}`;
  }
  delete Object.prototype.secret;
  return { n, seen, order, path: context.path, header: context.headers['x-n'], query: context.query.n };
};
"""

EXPECTED = {
    "throws": (500, b"thrown later"),
    "status": (418, b"teapot"),
    "memory": (500, b"needs more memory"),
    "floating": (500, b"nobody looks"),
    "never": (504, b"longer than its time limit of 6000 ms"),
    "stuck": (500, b"never finishes"),
    "grows": (200, b"2097152"),
    "quick": (200, b"quick"),
}


def test_many_wait_among_failures(tmp_path):
    """200 handlers at once with five timers each, and every sort of failure between them."""
    limits = {"concurrency": 400, "timeoutMs": 6000, "memoryBytes": 67108864}

    def call(job):
        kind, n = job
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", f"/p{n}?kind={kind}&n={n}", headers={"x-n": str(n)})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return job, answer.status, body

    jobs = [("own", n) for n in range(200)]
    for k, kind in enumerate(list(EXPECTED) * 3):
        jobs.insert(k * 8, (kind, k))
    with serving(tmp_path, MANY, limits=limits) as server:
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            for (kind, n), status, body in pool.map(call, jobs):
                if kind == "own":
                    assert status == 200, body
                    want = {"n": str(n), "order": [0, 1, 2, 3, 4], "path": f"/p{n}"}
                    assert json.loads(body) == {**want, "header": str(n), "query": str(n)}
                else:
                    assert (status, EXPECTED[kind][1] in body) == (EXPECTED[kind][0], True), body
        assert server.log().count("UnhandledPromiseRejection: Error: nobody looks\n    at ") == 3


WAITS = """
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
let open; const gate = new Promise(resolve => { open = resolve; });
let calls = 0;
module.exports = async (context, event) => {
  calls++;
  if (context.path === '/open') { open(); return 'opened'; }
  const { log } = context;
  console.log('begun');
  setTimeout(() => {}, 60000);
  await gate;
  log.info(`after ${context.cloudevent.id}`);
  console.log(`whose ${context.cloudevent.id}`);
  return [context.path, context.query.q, context.headers['ce-id'], event.id, calls];
};
"""


def test_calls_share_an_instance(tmp_path):
    """With isolation: instance one call can wake others; each answers with what is its own."""
    with serving(tmp_path, WAITS, isolation="instance", limits={"concurrency": 9}) as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            jobs = [
                pool.submit(server.call, "POST", f"/w{i}?q={i}", b"{}", {**EVENT, "ce-id": f"id{i}"})
                for i in range(8)
            ]
            waiting.until(lambda: server.log().count("begun") == 8)
            assert server.call("POST", "/open")[2] == b"opened"
            for i, job in enumerate(jobs):
                status, _, body = job.result(10)
                assert (status, json.loads(body)[:4]) == (200, [f"/w{i}", str(i), f"id{i}", f"id{i}"])


SLOW = """
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
exports.handle = async context => {
  console.log(`begun ${context.path}`);
  await sleep(Number(context.query.ms ?? 60000));
  return `done ${context.path}`;
};
exports.shutdown = async () => { await sleep(5); console.log('shut down'); };
"""



def test_overload_and_health(tmp_path):
    """Beyond concurrency and queue: 503 that says so; health answers while all calls wait."""
    limits = {"concurrency": 2, "queueLength": 2, "timeoutMs": 3000}
    with serving(tmp_path, SLOW, limits=limits) as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(server.call, "GET", f"/c{i}") for i in range(4)]
            waiting.until(lambda: server.log().count("begun") == 2)
            answers = []

            def refused():
                answers.append(pool.submit(server.call, "GET", "/more?ms=0"))
                done = [a.result() for a in answers if a.done()]
                return next((a for a in done if a[0] == 503), None)

            status, headers, body = waiting.until(refused)
            assert (status, headers["retry-after"], headers["client-retry"]) == (503, "1", "1")
            error = json.loads(body)["error"]
            assert error["kind"] == "overload"
            assert "queue of 2 requests is full" in error["message"]
            assert server.call("GET", "/health/liveness")[0] == 200
            assert server.call("GET", "/health/readiness")[0] in (200, 503)  # the queue may be full
            assert {job.result(20)[0] for job in jobs} <= {503, 504}
        assert server.call("GET", "/after?ms=1")[2] == b"done /after"
        assert server.call("GET", "/health/readiness")[0] == 200


def test_client_that_is_gone(tmp_path):
    """Whoever hangs up while the call waits harms nobody."""
    with serving(tmp_path, SLOW, limits={"timeoutMs": 5000}) as server:
        for count in (1, 2, 3):
            peer = socket.create_connection(("127.0.0.1", server.port))
            peer.sendall(b"GET /gone?ms=50 HTTP/1.1\r\nHost: a\r\n\r\n")
            waiting.until(lambda: server.log().count("begun") == count)
            if count > 1:  # a reset, not an orderly end
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        assert server.call("GET", "/next?ms=60")[2] == b"done /next"


@pytest.mark.parametrize("isolation", ["event", "instance"])
def test_stop_lets_calls_finish(tmp_path, isolation):
    """SIGTERM: what waits is answered, then the function's shutdown is called."""
    with serving(tmp_path, SLOW, isolation=isolation, ends=True) as server:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(server.call, "GET", f"/s{i}?ms=700") for i in range(3)]
            waiting.until(lambda: server.log().count("begun") == 3)
            os.kill(server.process.pid, signal.SIGTERM)
            assert [job.result(10)[2] for job in jobs] == [b"done /s%d" % i for i in range(3)]
        assert server.process.wait(10) == 0
        assert server.log().endswith("shut down\n")


def test_stop_while_loading(tmp_path):
    code = "exports.init = () => { console.log('loading'); return new Promise(r => setTimeout(r, 60000)); };"
    source = tmp_path / "bundle.json"
    source.write_text(bundle(f"{code} exports.handle = () => 1;"))
    command = [WORKER, "serve", "--bundle", source, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "loading\n"
        process.terminate()
        assert process.wait(10) == 2
        assert process.stdout.read() == "it was told to end while it loaded\n"


def test_under_the_broker(deploy):
    """The same in a worker of the broker: more calls than one at a time in one process."""
    function = deploy(
        "const sleep = ms => new Promise(r => setTimeout(r, ms)); let mine = 0;"
        "module.exports = async (context, event) => { mine += event.data; await sleep(50 - event.data);"
        "return { mine, id: context.cloudevent.id }; };"
    )
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda n: function.event(b"%d" % n), range(30)))
    assert [(a.status, a.json()["mine"]) for a in answers] == [(200, n) for n in range(30)]
