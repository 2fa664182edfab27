# SPDX-License-Identifier: Apache-2.0
"""fetch in js functions: under the broker and alone, against servers of the test's own."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

import daemon
import processes
import waiting
from called import Called
from origin import Certificate, Origin
from test_web import in_node, needs_node
from test_worker import WORKER, Server, Zygote, bundle, call_unix, serving

# Answers what the code in the query's or body's "code" gives: a test says what it does in one place.
RUN = """
const AsyncFunction = (async () => {}).constructor;
exports.handle = async (context, body) => {
  const { code, ...values } = JSON.parse(body);
  try {
    return { value: await new AsyncFunction(...Object.keys(values), code)(...Object.values(values)) };
  } catch (e) {
    return { error: e?.name, message: e?.message, code: e?.cause?.code, cause: e?.cause?.message };
  }
};
"""


class Runner:
    def __init__(self, server, isolation="event"):
        self.server, self.isolation = server, isolation

    def run(self, code, **values):
        body = json.dumps({"code": code, **values}).encode()
        status, _, answer = self.server.call(body=body, headers={"content-type": "text/plain"})
        assert status == 200, answer
        return json.loads(answer)

    def value(self, code, **values):
        answer = self.run(code, **values)
        assert "error" not in answer, answer
        return answer.get("value")


@pytest.fixture(scope="module")
def origin():
    with Origin() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module", params=["event", "instance"])
def runner(request, origin, tmp_path_factory):
    """A function server alone, whose function may call the origin."""
    folder = tmp_path_factory.mktemp("fetch")
    allow = {"allow": [origin.place, "127.0.0.1:1", f"localhost:{origin.port}"]}
    with serving(folder, RUN, network=allow, isolation=request.param) as server:
        yield Runner(server, request.param)


def fetchers(pid):
    return [p for p in processes.descendants(pid) if "sluice-fetcher" in processes.command(p)]


# ---- what it gives ----


def test_answer(runner, origin):
    code = """
      const r = await fetch(url + '/echo?a=b#part', {method: 'put', headers: {'X-One': 'yes'}, body: 'grüß'});
      return {status: r.status, ok: r.ok, text: r.statusText, url: r.url, type: r.type, redirected: r.redirected,
              kind: r.headers.get('Content-Type'), said: await r.json(), used: r.bodyUsed};
    """
    got = runner.value(code, url=origin.url)
    said = got.pop("said")
    assert got == {
        "status": 200,
        "ok": True,
        "text": "OK",
        "url": f"{origin.url}/echo?a=b",
        "type": "basic",
        "redirected": False,
        "kind": "application/json",
        "used": True,
    }
    headers = dict(said["headers"])
    assert (said["method"], said["path"]) == ("PUT", "/echo?a=b")
    assert said["sha256"] == hashlib.sha256("grüß".encode()).hexdigest()
    assert headers["x-one"] == "yes" and headers["content-type"] == "text/plain;charset=UTF-8"


def test_failing_status(runner, origin):
    code = "const r = await fetch(url); return [r.status, r.ok, r.statusText, await r.text()];"
    got = runner.value(code, url=f"{origin.url}/nothing")
    assert got == [404, False, "Nothing Here", "there is nothing here"]


@pytest.mark.parametrize(
    "body,kind,sent",
    [
        ("'text'", "text/plain;charset=UTF-8", b"text"),
        ("new Uint8Array([0, 255, 1])", None, b"\0\xff\1"),
        ("new Uint8Array([9, 0, 255, 1, 9]).subarray(1, 4)", None, b"\0\xff\1"),
        ("new Uint16Array([1, 2]).buffer", None, b"\1\0\2\0"),
        ("new URLSearchParams({a: 'b c', d: 'ü'})", "application/x-www-form-urlencoded;charset=UTF-8", b"a=b+c&d=%C3%BC"),
        ("(async function* () { yield 'one '; yield new Uint8Array([50]); })()", None, b"one 2"),
        ("new Response('again').body", None, b"again"),
        ("{toString() { return 'made'; }}", "text/plain;charset=UTF-8", b"made"),
        ("null", None, b""),
    ],
)
def test_bodies(runner, origin, body, kind, sent):
    code = f"return (await fetch(url, {{method: 'POST', body: {body}, duplex: 'half'}})).json();"
    said = runner.value(code, url=f"{origin.url}/echo")
    assert said["text"].encode("latin-1") == sent
    assert dict(said["headers"]).get("content-type") == kind


def test_reading(runner, origin):
    code = """
      const get = () => fetch(url + '/chunked');
      const parts = [];
      for await (const part of (await get()).body) parts.push(...part);
      const reader = (await get()).body.getReader();
      const first = await reader.read();
      const last = await reader.read();
      const r = await get();
      const copy = r.clone();
      const twice = await r.text().then(() => r.text()).catch(e => e.name + ': ' + e.message);
      return {text: await (await get()).text(), bytes: (await (await get()).bytes()).length,
        buffer: (await (await get()).arrayBuffer()).byteLength, parts: parts.length,
        read: [first.done, first.value.length, last.done], copy: await copy.text(), twice,
        head: (await fetch(url + '/echo', {method: 'HEAD'})).body, none: (await fetch(url + '/status?code=204')).body};
    """
    assert runner.value(code, url=origin.url) == {
        "text": "first second third",
        "bytes": 18,
        "buffer": 18,
        "parts": 18,
        "read": [False, 18, True],
        "copy": "first second third",
        "twice": "TypeError: Body is unusable: Body has already been read",
        "head": None,
        "none": None,
    }


def test_headers_of_answers(runner, origin):
    code = """
      const {headers} = await fetch(url + '/headers');
      let changed;
      try { headers.set('a', 'b'); } catch (e) { changed = e.name; }
      return [headers.getSetCookie(), headers.get('x-twice'), headers.get('x-latin'), headers.has('nothing'), changed];
    """
    got = runner.value(code, url=origin.url)
    assert got == [["a=1; Path=/", "b=2"], "one, two", "grüß", False, "TypeError"]
    code = "return (await fetch(url, {headers: [['x-latin', 'grüß'], ['x-two', '1'], ['x-two', '2']]})).json();"
    sent = runner.value(code, url=f"{origin.url}/echo")["headers"]
    assert ["x-latin", "gr\xfc\xdf"] in sent and ["x-two", "1, 2"] in sent


def test_request_objects(runner, origin):
    code = """
      const one = new Request(url + '/echo', {method: 'POST', body: '{"a":1}', headers: {'content-type': 'application/json'}});
      const two = one.clone();
      const said = [await (await fetch(one)).json(), await (await fetch(two, {method: 'PUT'})).json()];
      const again = await fetch(one).catch(e => e.name);
      const plain = await (await fetch(new URL(url + '/echo'))).json();
      return {said: said.map(s => [s.method, s.text]), again, plain: plain.method, used: one.bodyUsed};
    """
    assert runner.value(code, url=origin.url) == {
        "said": [["POST", '{"a":1}'], ["PUT", '{"a":1}']],
        "again": "TypeError",
        "plain": "GET",
        "used": True,
    }


def test_redirects(runner, origin):
    code = "const r = await fetch(url, {redirect}); return [r.status, r.redirected, r.url, r.headers.get('location')];"
    to, end = f"{origin.url}/turn?n=2", f"{origin.url}/turn?n=0"
    assert runner.value(code, url=to, redirect="follow") == [200, True, end, None]
    assert runner.value(code, url=to, redirect="manual") == [302, False, to, "?n=1"]
    failed = runner.run(code, url=to, redirect="error")
    assert (failed["message"], failed["cause"]) == ("fetch failed", "unexpected redirect")
    failed = runner.run(code, url=f"{origin.url}/turn?n=30", redirect="follow")
    assert failed["cause"] == "redirect count exceeded"


# What both must give: url is one server, other another one.
AS_IN_NODE = r"""
(async r => [r.status, r.ok, r.statusText, r.url, r.type, r.redirected, r.bodyUsed, await r.text()])(await fetch(url + '/nothing?x#y'))
(await fetch(url + '/chunked')).text()
(await fetch(url + '/status?code=204')).body
(await fetch(url + '/status?code=205')).text()
(await fetch(url + '/status?code=304')).body
(r => [r.status, r.body, r.headers.get('content-type')])(await fetch(url + '/echo', { method: 'HEAD' }))
[...(await fetch(url + '/headers')).headers]
(await fetch(url + '/headers')).headers.set('a', 'b')
(await fetch(url + '/headers')).clone().headers.get('x-twice')
sent(await fetch(url + '/echo?a b=ü'))
sent(await fetch(url + '/a/../echo/./'))
sent(await fetch(url + '/echo', { method: 'POST' }))
sent(await fetch(url + '/echo', { method: 'PUT' }))
sent(await fetch(url + '/echo', { method: 'PATCH', body: 'x' }))
sent(await fetch(url + '/echo', { method: 'patch', body: 'x' }))
sent(await fetch(url + '/echo', { method: 'DELETE', body: 'x' }))
sent(await fetch(url + '/echo', { method: 'POST', body: '' }))
sent(await fetch(url + '/echo', { method: 'POST', body: 'grüß' }))
sent(await fetch(url + '/echo', { method: 'POST', body: new Uint8Array([0, 255]) }))
sent(await fetch(url + '/echo', { method: 'POST', body: new URLSearchParams({ a: 'b c' }) }))
sent(await fetch(url + '/echo', { method: 'POST', body: 'x', headers: { 'Content-Type': 'a/b', 'X-Own': ' y ' } }))
sent(await fetch(url + '/echo', { headers: [['x-own', 'a'], ['X-Own', 'b']] }))
sent(await fetch(new Request(url + '/echo', { method: 'POST', body: 'x', headers: { 'x-own': '1' } }), { headers: { 'x-own': '2' } }))
sent(await fetch({ toString: () => url + '/echo' }))
arrived(await fetch(url + '/turn?n=3'))
arrived(await fetch(url + '/turn?n=20'))
arrived(await fetch(url + '/turn?n=21'))
arrived(await fetch(url + '/turn?n=1', { redirect: 'manual' }))
arrived(await fetch(url + '/turn?n=1', { redirect: 'error' }))
arrived(await fetch(url + '/status?code=302'))
arrived(await fetch(url + '/redirect?to=/turn%3Fn=0'))
arrived(await fetch(url + '/redirect?to=turn%3Fn=0%23part'))
(await fetch(url + '/redirect?to=ftp://h/').catch(e => [e.name, e.message]))
(await fetch(url + '/redirect?to=http://').catch(e => [e.name, e.message]))
sent(await fetch(url + '/redirect?code=301&to=/echo', { method: 'POST', body: 'x' }))
sent(await fetch(url + '/redirect?code=302&to=/echo', { method: 'PUT', body: 'x' }))
sent(await fetch(url + '/redirect?code=303&to=/echo', { method: 'PUT', body: 'x' }))
sent(await fetch(url + '/redirect?code=307&to=/echo', { method: 'POST', body: 'x' }))
sent(await fetch(url + '/redirect?code=308&to=/echo', { method: 'POST', body: 'x', headers: { 'content-type': 'a/b' } }))
sent(await fetch(url + '/redirect?to=/echo', { headers: { authorization: 'a', cookie: 'b', 'x-own': 'c' } }))
sent(await fetch(url + '/redirect?to=' + other + '/echo', { headers: { authorization: 'a', cookie: 'b', 'x-own': 'c' } }))
fetch(closed).catch(e => [e.name, e.message, e.cause.code])
fetch(url + '/die').then(r => r.text()).catch(e => e.name)
fetch(url + '/junk').catch(e => [e.name, e.message])
fetch(url + '/wait', { signal: AbortSignal.timeout(30) }).catch(e => [e.name, e instanceof DOMException])
((c, p) => (c.abort(), p.catch(e => e.name)))(...(c => [c, fetch(url + '/wait', { signal: c.signal })])(new AbortController()))
((c, p) => (c.abort('why'), p.catch(e => e)))(...(c => [c, fetch(url + '/wait', { signal: c.signal })])(new AbortController()))
"""

HARNESS = """
const NAMES = ['authorization', 'content-length', 'content-type', 'cookie', 'x-own'];
const sent = async r => { const { method, path, headers, text } = await r.json(); return [method, path, headers.filter(h => NAMES.includes(h[0])).sort(), text]; };
const arrived = async r => [r.status, r.url, r.redirected, r.headers.get('location'), await r.text()];
const evaluate = async (code, { url, other, closed }) => {
  try {
    return [await new (async () => {}).constructor('url', 'other', 'closed', 'sent', 'arrived', `return (${code})`)(url, other, closed, sent, arrived)];
  } catch (e) {
    return { error: e.name, message: e.message === 'fetch failed' ? e.message : '', cause: e.cause?.message };
  }
};
const all = async ({ lines, ...places }) => { const out = []; for (const line of lines) out.push(JSON.stringify(await evaluate(line, places))); return out; };
"""


@needs_node
def test_as_in_node(tmp_path, origin):
    lines = AS_IN_NODE.strip().splitlines()
    with Origin() as other:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            closed = f"127.0.0.1:{taken.getsockname()[1]}"
        values = {"lines": lines, "url": origin.url, "other": other.url, "closed": f"http://{closed}"}
        node = in_node(tmp_path, HARNESS, "all(value)", values)
        code = HARNESS + "exports.handle = (context, value) => all(value);"
        allow = {"allow": [origin.place, other.place, closed]}
        with serving(tmp_path, code, network=allow) as server:
            json_type = {"content-type": "application/json"}
            ours = json.loads(server.call(body=json.dumps(values), headers=json_type)[2])
    assert len(node) == len(ours) == len(lines)
    different = [f"{c}\n  node: {a}\n  ours: {b}" for c, a, b in zip(lines, node, ours) if a != b]
    assert not different, "\n".join(different)


# ---- what fails ----


def test_failures(runner, origin):
    code = "return (await fetch(url)).text();"
    for url, name in [
        (f"{origin.url}/die", "ECONNRESET"),
        (f"{origin.url}/junk", "EPROTO"),
        ("http://127.0.0.1:1/", "ECONNREFUSED"),
    ]:
        failed = runner.run(code, url=url)
        assert (failed["error"], failed["message"]) == ("TypeError", "fetch failed"), url
        assert failed["code"] == name, url
    for url in ["nonsense", "/path", "http://user:pass@127.0.0.1/", "ftp://127.0.0.1/", "data:,x", "http://"]:
        assert runner.run(code, url=url)["error"] == "TypeError", url


def test_cause_is_told(tmp_path):
    """To whoever called, in the log, and as console.log shows it."""
    code = """
    exports.handle = async context => {
      try { await fetch('http://127.0.0.1:1/'); } catch (e) { console.log(e); throw e; }
    };
    """
    with serving(tmp_path, code, network={"allow": ["127.0.0.1:1"]}) as server:
        status, _, answer = server.call("GET")
        told = "fetch failed: http://127.0.0.1:1: nobody listens there"
        assert status == 500 and told in answer.decode(), answer
        assert told in server.log()
        assert re.search(r"^TypeError: fetch failed\n(.*\n)* *\[cause\]: Error: http://127.0.0.1:1: nobody", server.log(), re.M)
        assert "code: 'ECONNREFUSED'" in server.log() and "index.js:3:" in server.log()


def test_not_allowed(runner, origin):
    code = "return (await fetch(url)).text();"
    with Origin() as other:
        for url, name in [
            (f"{other.url}/echo", other.place),
            ("http://127.0.0.1/", "127.0.0.1:80"),
            ("https://api.github.com/", "api.github.com:443"),
            (f"{origin.url}/redirect?to={other.url}/echo", other.place),
            ("http://127.0.0.1:65535", "127.0.0.1:65535"),
            (f"http://[::1]:{origin.port}/", f"[::1]:{origin.port}"),
            ("http://0x7f.2:1/", "127.0.0.2:1"),
        ]:
            failed = runner.run(code, url=url)
            assert failed["error"] == "TypeError", url
            assert failed["message"].startswith(f"{name} is not in the function's spec.network.allow"), failed
        assert other.seen == []
    # other ways to write what is listed are that
    for url in [f"http://2130706433:{origin.port}/echo", f"http://LOCALHOST.:{origin.port}/echo"]:
        assert "error" not in runner.run(code, url=url)


def test_no_list_at_all(tmp_path):
    for name, more in [("without", {}), ("empty", {"network": {"allow": []}})]:
        (tmp_path / name).mkdir()
        with serving(tmp_path / name, RUN, **more) as server:
            failed = Runner(server).run("return fetch('http://127.0.0.1:1/');")
            assert failed["error"] == "TypeError" and "spec.network.allow" in failed["message"]
            assert fetchers(server.process.pid) == []


def test_bad_requests(runner, origin):
    cases = {
        "fetch()": "TypeError",
        "fetch(url, {method: 'TRACE'})": "TypeError",
        "fetch(url, {method: 'G T'})": "TypeError",
        "fetch(url, {body: 'x'})": "TypeError",
        "fetch(url, {headers: {'a b': 'c'}})": "TypeError",
        "fetch(url, {headers: {a: 'b\\r\\nc: d'}})": "TypeError",
        "fetch(url, {headers: {a: '\\u0100'}})": "TypeError",
        "fetch(url, {redirect: 'maybe'})": "TypeError",
        "fetch(url, {signal: {}})": "TypeError",
        "fetch(url, {headers: Object.fromEntries(Array.from({length: 129}, (_, i) => ['x' + i, 'y']))})": "TypeError",
        "fetch(url, {headers: {a: 'x'.repeat(70000)}})": "TypeError",
        "fetch(url + 'x'.repeat(70000))": "TypeError",
    }
    for call, name in cases.items():
        failed = runner.run(f"return {call};", url=f"{origin.url}/echo")
        assert failed.get("error") == name, (call, failed)


def test_too_large(tmp_path, origin):
    with serving(
        tmp_path, RUN, network={"allow": [origin.place]}, limits={"fetchBytes": 65536}
    ) as server:
        runner = Runner(server)
        code = "return (await (await fetch(url)).bytes()).length;"
        assert runner.value(code, url=f"{origin.url}/bytes?n=65536") == 65536
        failed = runner.run(code, url=f"{origin.url}/bytes?n=65792")
        assert (failed["message"], failed["code"]) == ("fetch failed", "EMSGSIZE")
        code = "return (await fetch(url, {method: 'POST', body: new Uint8Array(size)})).status;"
        assert runner.value(code, url=f"{origin.url}/echo", size=65536) == 200
        failed = runner.run(code, url=f"{origin.url}/echo", size=65537)
        assert "spec.limits.fetchBytes (65536)" in failed["message"]


def test_16_mebibytes(runner, origin):
    """Both ways within the usual memory: what S3 objects need."""
    size = 16 << 20
    code = """
      const body = await (await fetch(url + '/bytes?n=' + size)).bytes();
      const said = await (await fetch(url + '/echo', {method: 'PUT', body})).json();
      return [body.length, said.length, said.sha256];
    """
    want = hashlib.sha256(bytes(range(256)) * (size // 256)).hexdigest()
    assert runner.value(code, url=origin.url, size=size) == [size, size, want]


def test_more_than_there_is_room_for(runner, origin):
    """Ends that call and no other."""
    code = "return (await Promise.all([1, 2, 3, 4, 5].map(async () => (await fetch(url)).bytes()))).length;"
    body = json.dumps({"code": code, "url": f"{origin.url}/bytes?n={16 << 20}"}).encode()
    status, _, answer = runner.server.call(body=body, headers={"content-type": "text/plain"})
    assert b"memory" in answer, (status, answer)
    assert runner.value("return (await fetch(url)).status;", url=f"{origin.url}/echo") == 200


# ---- time, abort, many ----


def test_abort(runner):
    code = """
      const controller = new AbortController();
      const waiting = fetch(url, {signal: controller.signal});
      setTimeout(() => controller.abort(), 50);
      const first = await waiting.catch(e => e.name);
      const second = await fetch(url, {signal: AbortSignal.timeout(50)}).catch(e => e.name);
      const third = await fetch(url, {signal: AbortSignal.abort('why')}).catch(e => e);
      const fourth = await fetch(url, {signal: AbortSignal.any([AbortSignal.timeout(50), controller.signal])}).catch(e => e.name);
      return [first, second, third, fourth];
    """
    with Origin() as other, serving_one(other) as server:
        got = Runner(server).value(code, url=f"{other.url}/wait")
        assert got == ["AbortError", "TimeoutError", "why", "AbortError"]
        waiting.until(lambda: other.left == 2)  # nobody waits for what was given up
        assert len(other.seen) == 2


def serving_one(origin, **more):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-fetch-"))
    return serving(folder, RUN, network={"allow": [origin.place]}, **more)


@pytest.mark.parametrize("isolation", ["event", "instance"])
def test_time_limit(isolation):
    with Origin() as other:
        limits = {"timeoutMs": 300}
        with serving_one(other, isolation=isolation, limits=limits) as server:
            body = json.dumps({"code": "return fetch(url);", "url": f"{other.url}/wait"}).encode()
            status, _, answer = server.call(body=body, headers={"content-type": "text/plain"})
            assert status in (500, 504) and b"time" in answer, (status, answer)
            waiting.until(lambda: other.left == 1)
            got = Runner(server).value("return (await fetch(url)).status;", url=f"{other.url}/echo")
            assert got == 200


def test_many_of_one_call(runner):
    code = """
      const all = Array.from({length: 50}, async (_, i) => (await fetch(`${url}/echo?${i}`)).json());
      return (await Promise.all(all)).map(said => said.path);
    """
    with Origin() as other, serving_one(other) as server:
        got = Runner(server).value(code, url=other.url)
        assert got == [f"/echo?{i}" for i in range(50)]


@pytest.mark.parametrize("isolation", ["event", "instance"])
def test_many_calls_that_wait(isolation):
    """50 calls wait at the same time, each for its own answer, and then all are answered."""
    code = "const r = await fetch(url + '/wait'); const s = await fetch(`${url}/echo?${i}`); return [i, await r.text(), (await s.json()).path];"
    limits = {"concurrency": 50}
    with Origin() as other, serving_one(other, isolation=isolation, limits=limits) as server:
        runner = Runner(server)
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            calls = [pool.submit(runner.value, code, url=other.url, i=i) for i in range(50)]
            # 32 connections to a server at most; the others follow
            waiting.until(lambda: other.waiting == 32)
            other.release()
            got = [call.result(20) for call in calls]
        assert got == [[i, "waited", f"/echo?{i}"] for i in range(50)]


def test_nothing_of_one_call_is_in_the_next(runner, origin):
    code = "globalThis.kept = (globalThis.kept ?? 0) + 1; await fetch(url); return kept;"
    first = runner.value(code, url=f"{origin.url}/echo")
    again = runner.value(code, url=f"{origin.url}/echo")
    assert again == (first if runner.isolation == "event" else first + 1)


def test_at_load_and_in_init(tmp_path, origin):
    code = """
    const first = await fetch(`${process.env.ORIGIN}/echo?load`);
    const loaded = (await first.json()).path;
    let inited;
    export async function init() { inited = (await (await fetch(`${process.env.ORIGIN}/echo?init`)).json()).path; }
    export const handle = async () => ({ loaded, inited, now: (await (await fetch(`${process.env.ORIGIN}/echo?now`)).json()).path });
    """
    more = {"network": {"allow": [origin.place]}, "env": {"ORIGIN": origin.url}, "main": "index.mjs"}
    with serving(tmp_path, {"index.mjs": code}, **more) as server:
        got = json.loads(server.call()[2])
        assert got == {"loaded": "/echo?load", "inited": "/echo?init", "now": "/echo?now"}


# ---- the process that does it ----


def test_killed_fetcher(tmp_path):
    """What was under way fails, and the server ends so that a new one takes over."""
    with Origin() as other:
        source = tmp_path / "bundle.json"
        source.write_text(bundle(RUN, network={"allow": [other.place]}))
        out = (tmp_path / "out").open("w+b")
        process = subprocess.Popen(
            [WORKER, "serve", "--bundle", source, "--listen", "127.0.0.1:0", "--workers", "2"],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            text = waiting.until(
                lambda: re.search(r"listening on 127\.0\.0\.1:(\d+)", (tmp_path / "out").read_text())
            )
            runner = Runner(Server(process, int(text.group(1)), tmp_path / "out"))
            waiting.until(lambda: len(fetchers(process.pid)) == 2)
            before = fetchers(process.pid)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                call = pool.submit(runner.run, "return fetch(url);", url=f"{other.url}/wait")
                waiting.until(lambda: other.waiting == 1)
                for pid in before:
                    os.kill(pid, signal.SIGKILL)
                failed = call.result(10)
            assert (failed["error"], failed["code"]) == ("TypeError", "ECONNRESET"), failed

            def works():
                try:
                    return (
                        runner.run("return (await fetch(url)).status;", url=f"{other.url}/echo").get("value") == 200
                    )
                except OSError:
                    return False

            waiting.until(works)
            new = waiting.until(lambda: set(fetchers(process.pid)) - set(before))
            assert new
        finally:
            process.terminate()
            assert process.wait(15) == 0
            out.close()


def test_killed_fetcher_of_a_single_server(tmp_path):
    with Origin() as other:
        source = tmp_path / "bundle.json"
        source.write_text(bundle(RUN, network={"allow": [other.place]}))
        with pytest.raises(AssertionError, match="ended: 3"):
            with serving(tmp_path, RUN, network={"allow": [other.place]}) as server:
                runner = Runner(server)
                [fetcher] = fetchers(server.process.pid)
                os.kill(fetcher, signal.SIGKILL)
                failed = runner.run("return fetch(url);", url=f"{other.url}/echo")
                assert failed["cause"] == "the process that does this function's requests has ended"
                server.process.wait(15)


def test_fetcher_ends_with_its_worker(tmp_path, origin):
    zygote = Zygote(tmp_path)
    code = "exports.handle = async () => (await fetch(process.env.ORIGIN + '/echo')).json();"
    allowed = {"network": {"allow": [origin.place]}, "env": {"ORIGIN": origin.url}}
    pid, path = zygote.start(1, bundle(code, **allowed))
    assert zygote.report(1) == {"report": "ready"}
    status, body = call_unix(path)
    assert status == 200 and json.loads(body)["path"] == "/echo"
    [fetcher] = waiting.until(lambda: fetchers(zygote.process.pid))
    # the worker has a network of its own, the fetcher the test's
    network = os.readlink("/proc/self/ns/net")
    assert os.readlink(f"/proc/{fetcher}/ns/net") == network
    assert os.readlink(f"/proc/{pid}/ns/net") != network
    targets = {os.path.basename(t).split(":")[0] for t in processes.descriptors(pid, pooled=True)}
    assert not any(t.startswith("net") for t in targets), targets
    zygote.kill(1, signal.SIGKILL)
    assert zygote.receive()[0] == 5
    assert not processes.wait_gone(processes.identified([fetcher]), 5)
    assert processes.children(zygote.process.pid) == []  # not even a zombie
    zygote.close()


def test_without_root(tmp_path, origin):
    """Who cannot go back to a network that was left has a process that stayed there."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-fetch-"))
    folder.chmod(0o755)
    for program in ("sluice-worker", "sluice-fetcher"):
        shutil.copy(WORKER.parent / program, folder)
    wrapper = ["setpriv", "--reuid", "65533", "--regid", "65533", "--clear-groups"]
    zygote = Zygote(tmp_path, folder / "sluice-worker", wrapper if os.geteuid() == 0 else ())
    code = "exports.handle = async () => (await fetch(process.env.ORIGIN + '/echo')).json();"
    allowed = {"network": {"allow": [origin.place]}, "env": {"ORIGIN": origin.url}}
    for number in (1, 2):
        pid, path = zygote.start(number, bundle(code, **allowed))
        assert zygote.report(number) == {"report": "ready"}
        status, body = call_unix(path)
        assert status == 200 and json.loads(body)["path"] == "/echo"
    network = os.readlink("/proc/self/ns/net")
    assert len(fetchers(zygote.process.pid)) == 2
    assert all(os.readlink(f"/proc/{f}/ns/net") == network for f in fetchers(zygote.process.pid))
    assert os.readlink(f"/proc/{zygote.process.pid}/ns/net") != network
    everyone = processes.identified(processes.descendants(zygote.process.pid))
    zygote.close()
    assert not processes.wait_gone(everyone, 5)


def test_no_fetcher_there(tmp_path):
    shutil.copy(WORKER, tmp_path / "sluice-worker")
    (tmp_path / "bundle.json").write_text(bundle(RUN, network={"allow": ["h:80"]}))
    done = subprocess.run(
        [tmp_path / "sluice-worker", "serve", "--bundle", tmp_path / "bundle.json", "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2 and "sluice-fetcher beside sluice-worker" in done.stdout


# ---- https ----


def test_https(certificate, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    with Origin(certificate=certificate) as secure:
        url = f"https://localhost:{secure.port}"
        allow = {"allow": [f"localhost:{secure.port}"]}
        with serving(tmp_path, RUN, network=allow) as server:
            runner = Runner(server)
            code = """
              const r = await fetch(url + '/echo', {method: 'POST', body: new Uint8Array([1, 2, 3])});
              const turned = await fetch(url + '/turn?n=2');
              return [r.status, (await r.json()).length, turned.url, await turned.text()];
            """
            got = runner.value(code, url=url)
            assert got == [200, 3, f"{url}/turn?n=0", "arrived"]
            code = "return (await Promise.all(Array.from({length: 20}, () => fetch(url)))).map(r => r.status);"
            assert runner.value(code, url=f"{url}/echo") == [200] * 20


# ---- under the broker ----


def test_under_the_broker(make_daemon, origin):
    server = make_daemon().start()
    server.create(daemon.namespace("ns"))
    code = """
    exports.handle = async (context, event) => {
      const r = await fetch(event.data.url);
      return { said: (await r.json()).path };
    };
    """
    document = {
        "apiVersion": "sluice.dev/v1",
        "kind": "Function",
        "metadata": {"name": "f", "namespace": "ns"},
        "spec": {
            "runtime": "js",
            "codeSource": {"index.js": code},
            "network": {"allow": [origin.place]},
        },
    }
    server.create(document)
    server.wait_ready_condition("Function", "f", "ns")
    function = Called(server, "ns", "f")
    answer = function.event(json.dumps({"url": f"{origin.url}/echo?x"}).encode())
    assert (answer.status, answer.json()) == (200, {"said": "/echo?x"})
    answer = function.event(b'{"url":"http://127.0.0.1:1/"}')
    assert answer.status == 500 and b"127.0.0.1:1 is not in the function's spec.network.allow" in answer.body
    # a fetcher that is killed costs one call; the next worker has a new one
    [fetcher] = fetchers(server.pid)
    os.kill(fetcher, signal.SIGKILL)
    answer = function.event(json.dumps({"url": f"{origin.url}/echo"}).encode())
    assert answer.status == 500 and b"has ended" in answer.body
    works = lambda: function.event(json.dumps({"url": f"{origin.url}/echo"}).encode()).status == 200
    waiting.until(works)
    assert fetchers(server.pid) != [fetcher]
