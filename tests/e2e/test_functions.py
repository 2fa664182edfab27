# SPDX-License-Identifier: Apache-2.0
"""Sandboxed functions: what they may do, and that what they may not do ends one call only."""

import json
import os
import signal
import time

import pytest

import daemon
import processes
import waiting
from wire import binary_event

HELLO = "module.exports = (context, event) => ({hello: event.data.msg});"


# ---- the JavaScript contract ----


def test_returned_object(deploy):
    answer = deploy(HELLO).event(b'{"msg":"hi"}')
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {"hello": "hi"}


def test_nothing_returned(deploy):
    answer = deploy("module.exports = () => {};").event()
    assert (answer.status, answer.body) == (204, b"")


def test_returned_text(deploy):
    answer = deploy("module.exports = () => 'plain';").event()
    assert (answer.status, answer.body) == (200, b"plain")
    assert answer.headers["content-type"].startswith("text/plain")


def test_status_headers_and_body(deploy):
    code = "module.exports = () => ({statusCode: 418, headers: {'X-A': 'b', 'content-type': 'text/x'}, body: 'tea'});"
    answer = deploy(code).event()
    assert (answer.status, answer.body, answer.headers["x-a"]) == (418, b"tea", "b")
    assert answer.headers["content-type"].startswith("text/x")


def test_cloud_event_response(deploy):
    code = """
    module.exports = (context, event) => context.cloudEventResponse({ got: event.data.msg })
        .version('1.0').id('r1').type('out').source('/f').response();
    """
    answer = deploy(code).event(b'{"msg":"hi"}')
    assert answer.status == 200
    assert (answer.headers["ce-id"], answer.headers["ce-type"], answer.headers["ce-source"]) == (
        "r1",
        "out",
        "/f",
    )
    assert answer.headers["ce-specversion"] == "1.0"
    assert answer.json() == {"got": "hi"}


def test_named_handle_and_async(deploy):
    code = "exports.handle = async (context, event) => { await null; return {id: event.id}; };"
    assert deploy(code).event(id="x").json() == {"id": "x"}


def test_older_form_with_one_argument(deploy):
    """Seed 001: everything is on the context."""
    code = """
    module.exports = function (context) {
        return { method: context.__ow_method, query: typeof context.__ow_query,
                 id: context.cloudevent.id, msg: context.cloudevent.data.msg,
                 header: context.__ow_headers['ce-id'], user: context.__ow_user };
    };
    """
    answer = deploy(code).event(b'{"msg":"m"}', id="x", specversion="0.3").json()
    assert answer == {
        "method": "POST",
        "query": "object",
        "id": "x",
        "msg": "m",
        "header": "x",
        "user": "",
    }


def test_plain_http_call(deploy):
    code = "module.exports = (context, body) => ({method: context.method, query: context.query, got: body});"
    answer = deploy(code).http(
        "POST", "sub/path?a=b", body=b'{"n":1}', headers={"Content-Type": "application/json"}
    )
    assert answer.json() == {"method": "POST", "query": {"a": "b"}, "got": {"n": 1}}
    answer = deploy(code).http("GET", "?x=y")
    assert answer.json()["query"] == {"x": "y"}


def test_binary_data(deploy):
    code = (
        "module.exports = (context, event) => ({length: event.data.length, first: event.data[0]});"
    )
    answer = deploy(code).event(b"\xff\x00\x01", "application/octet-stream")
    assert answer.json() == {"length": 3, "first": 255}


def test_several_files(deploy):
    code = "const { twice } = require('./lib/twice.js'); module.exports = (c, e) => ({n: twice(e.data.n)});"
    lib = "exports.twice = (n) => n * 2;"
    called = deploy(runtime="js", codeSource={"index.js": code, "lib/twice.js": lib})
    assert called.event(b'{"n":21}').json() == {"n": 42}


def test_environment(deploy):
    code = "module.exports = () => ({level: process.env.LEVEL});"
    assert deploy(code, env=[{"name": "LEVEL", "value": "debug"}]).event().json() == {
        "level": "debug"
    }


def test_unknown_function(shared, place):
    assert shared.http.get(f"/functions/{place}/nothing/").status == 404


# ---- isolation ----

COUNTER = "let n = 0; module.exports = () => ({ n: ++n });"
STAIN = """
module.exports = (context, event) => {
    const found = [typeof globalThis.stain, typeof Object.prototype.stain, typeof JSON.stain, [].stain, Math.max.stain].join();
    globalThis.stain = 'secret'; Object.prototype.stain = 'secret'; JSON.stain = 'secret';
    Array.prototype.stain = 'secret'; Math.max.stain = 'secret';
    const kept = []; for (let i = 0; i < 20000; i++) kept.push('secret' + i); globalThis.kept = kept;
    Promise.resolve().then(() => { globalThis.later = 'secret'; });
    return { found, later: typeof globalThis.later, kept: typeof globalThis.kept, random: Math.random() };
};
"""


def test_isolation_event_is_the_default(deploy):
    called = deploy(COUNTER)
    assert [called.event().json()["n"] for _ in range(5)] == [1] * 5


def test_isolation_instance(deploy):
    called = deploy(COUNTER, isolation="instance", scale={"max": 1})
    assert [called.event().json()["n"] for _ in range(5)] == [1, 2, 3, 4, 5]


def test_nothing_of_one_event_is_seen_by_the_next(deploy):
    called = deploy(STAIN)
    answers = [called.event().json() for _ in range(20)]
    assert {answer["found"] for answer in answers} == {"undefined,undefined,undefined,,"}
    assert {(answer["later"], answer["kept"]) for answer in answers} == {("undefined", "object")}


def test_randomness_is_fresh_for_each_event(deploy):
    called = deploy("module.exports = () => ({ r: Math.random() });")
    assert len({called.event().json()["r"] for _ in range(30)}) == 30


def test_isolation_after_a_failed_call(deploy):
    """A call that was ended in the middle leaves nothing either."""
    code = """
    let n = 0;
    module.exports = (context, event) => {
        const seen = typeof globalThis.stain + n; n++; globalThis.stain = 'x';
        if (event.data.how === 'throw') throw new Error('no');
        if (event.data.how === 'loop') for (;;) ;
        if (event.data.how === 'recurse') (function f() { f(); })();
        return { seen };
    };
    """
    called = deploy(code, limits={"timeout": "PT0.2S"})
    for how in ("", "throw", "", "loop", "", "recurse", ""):
        answer = called.event(json.dumps({"how": how}).encode())
        if how:
            assert answer.status >= 500
        else:
            assert answer.json() == {"seen": "undefined0"}


def test_concurrent_calls_are_apart(deploy):
    from concurrent.futures import ThreadPoolExecutor

    code = "let last; module.exports = (c, e) => { const before = last; last = e.id; return {id: e.id, clean: before === undefined}; };"
    called = deploy(code)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: called.event(id=f"i{n}").json(), range(200)))
    assert answers == [{"id": f"i{n}", "clean": True} for n in range(200)]


# ---- misbehaviour: each ends that one call ----

MISBEHAVIOUR = {
    "loop": ("for (;;) ;", "time"),
    "native-loop": ("const a = []; a.length = 4294967295; a.indexOf(1);", "time"),
    "regexp": ("/^(a+)+$/.test('a'.repeat(40) + 'b');", "time"),
    "promise-loop": ("return (async () => { for (;;) await null; })();", "time"),
    "memory": ("const a = []; for (;;) a.push(new Array(1000).fill(a.length));", "memory"),
    "one-string": ("let s = 'x'; for (;;) s += s;", ""),
    "array-buffer": ("const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1));", "memory"),
    "recursion": ("(function f() { f(); })();", "stack"),
    "deep-json": ("JSON.parse('['.repeat(200000));", ""),
    "throw": ("throw new Error('thrown on purpose');", "thrown on purpose"),
    "reject": ("return Promise.reject(new Error('rejected on purpose'));", "rejected on purpose"),
    "throw-null": ("throw null;", ""),
    "throw-getter": ("throw { get message() { for (;;) ; }, toString() { for (;;) ; } };", ""),
    "never": ("return new Promise(() => {});", ""),
    "output": ("return 'x'.repeat(3 << 20);", "limit"),
    "cycle": ("const a = {}; a.a = a; return a;", ""),
}
GUARDED = """
module.exports = (context, event) => {
    if (event.data === null || event.data.calm) return { calm: true };
    %s
};
"""


# These may end by something else as well, but not before their time when all goes well.
ENDED_BY_TIME = {"throw-getter", "never"}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
@pytest.mark.parametrize("isolation", ["event", "instance"])
def test_misbehaviour_ends_one_call(shared, deploy, kind, isolation):
    body, word = MISBEHAVIOUR[kind]
    timeout = "PT0.3S" if word == "time" or kind in ENDED_BY_TIME else "PT15S"
    limits = {"timeout": timeout, "memory": "32Mi", "responseBytes": "1Mi"}
    called = deploy(GUARDED % body, isolation=isolation, limits=limits)
    neighbour = deploy(HELLO, name="neighbour")
    for _ in range(2):
        answer = called.event(b'{"calm":false}')
        assert answer.status >= 500, answer
        assert word.lower() in answer.body.decode().lower() + called.logs().lower(), answer.body
        assert neighbour.event(b'{"msg":"x"}').json() == {"hello": "x"}
        assert called.event(b'{"calm":true}').json() == {"calm": True}
    assert shared.http.get("/health/readiness").status == 200


def test_thrown_error_has_file_line_and_column_in_the_log(deploy):
    code = "module.exports = () => {\n    const a = undefined;\n    return a.b;\n};\n"
    called = deploy(code)
    assert called.event().status == 500
    assert "index.js:3" in called.wait_logs("index.js")


def test_thrown_status_code(deploy):
    code = "module.exports = () => { const e = new Error('gone'); e.code = 410; throw e; };"
    answer = deploy(code).event()
    assert (answer.status, b"gone" in answer.body) == (410, True)


def test_a_slow_call_does_not_stop_other_calls(deploy):
    from concurrent.futures import ThreadPoolExecutor

    code = "module.exports = () => { console.log('begun'); for (;;) ; };"
    slow = deploy(code, name="slow", limits={"timeout": "PT3S"})
    quick = deploy(HELLO, name="quick")
    with ThreadPoolExecutor(4) as pool:
        waiting_calls = [pool.submit(slow.event) for _ in range(3)]
        slow.wait_logs("begun")
        for _ in range(20):
            assert quick.event(b'{"msg":"x"}').status == 200
        assert not any(call.done() for call in waiting_calls), "they were not waited for"
        assert all(call.result().status >= 500 for call in waiting_calls)


def test_no_way_out(deploy):
    """No file, no network, no process, no module of Node's that would give one."""
    code = """
    module.exports = () => {
        const seen = {};
        for (const name of ['fs', 'net', 'child_process', 'node:fs', 'os', 'worker_threads', '/etc/passwd', '../../../../etc/passwd']) {
            try { require(name); seen[name] = true; } catch (e) { }
        }
        for (const name of ['std', 'os', 'WebAssembly', 'Deno', 'Bun', 'XMLHttpRequest', 'scriptArgs'])
            if (typeof globalThis[name] !== 'undefined') seen[name] = true;
        if (typeof process !== 'undefined')
            for (const name of ['binding', 'dlopen', 'kill', 'mainModule']) if (process[name]) seen[name] = true;
        return { seen };
    };
    """
    assert deploy(code).event().json() == {"seen": {}}


def test_request_over_its_limit(deploy):
    called = deploy(HELLO, limits={"requestBytes": "1Ki"})
    assert called.event(b'{"msg":"' + b"x" * 2000 + b'"}').status == 413
    assert called.event(b'{"msg":"x"}').status == 200


# ---- logs ----


def test_logs(shared, deploy):
    code = """
    module.exports = (context, event) => {
        console.log('from console', event.id, { a: 1 }); console.error('an error'); console.warn('a warning');
        context.log.info('from context'); context.log.error({ code: 7 }, 'with fields'); console.log('bare');
    };
    """
    called = deploy(code)
    called.event(id="e1")
    text = called.wait_logs("bare")
    for part in ("from console e1", "an error", "a warning", "from context", "with fields"):
        assert part in text, text


def test_logs_keep_lines_apart(deploy):
    """A log line that looks like another line, or like a report, stays one text."""
    code = r"""
    module.exports = () => {
        console.log('one\ntwo\r\n{"report":"ready"}\n\x1b[31mred\x00end');
        console.log('x'.repeat(20000));
        console.log('last');
    };
    """
    called = deploy(code)
    assert called.event().status == 204
    text = called.wait_logs("last")
    assert "\x1b" not in text and "\0" not in text


def test_a_flood_of_logs_is_bounded(shared, deploy):
    code = "module.exports = () => { for (let i = 0; i < 100000; i++) console.log('flood', i, 'x'.repeat(500)); };"
    called = deploy(code, limits={"timeout": "PT2S"})
    called.event()
    assert len(called.logs()) < 16 * 1024 * 1024
    size = sum(
        f.stat().st_size
        for f in shared.data_dir.rglob("*")
        if f.is_file() and "log" in str(f.parent)
    )
    assert size < 512 * 1024 * 1024
    assert shared.http.get("/health/readiness").status == 200


def test_following_logs(shared, deploy):
    import subprocess

    called = deploy("module.exports = (c, e) => { console.log('line', e.id); };")
    called.event(id="e0")
    called.wait_logs("line e0")
    command = [str(daemon.BINARY), "logs", "-f", "f", "-n", called.place]
    env = {**os.environ, "SLUICE_SERVER": shared.url}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as follower:
        try:
            assert "line e0" in follower.stdout.readline()  # now it follows
            for number in range(1, 4):
                called.event(id=f"e{number}")
                assert f"line e{number}" in follower.stdout.readline()
        finally:
            follower.kill()


# ---- deploys ----


@pytest.mark.parametrize(
    "code, line, column",
    [
        ("const a = 1;\nconst b = ;\nmodule.exports = () => a;\n", 2, 11),
        ("module.exports = (c) => {\n  return 1;\n}}\n", 3, 2),
        ("let x = 'open\n", 1, None),
        ("\n\n\n   }", 4, 4),
    ],
)
def test_syntax_error(deploy, code, line, column):
    text = deploy(code, wait=False).wait_failure()
    assert f"index.js:{line}" in text, text
    if column:
        assert f"index.js:{line}:{column}" in text, text
    assert "SyntaxError" in text


def test_syntax_error_in_another_file(deploy):
    files = {"index.js": "module.exports = require('./lib.js');", "lib.js": "ok();\nvar 1a;\n"}
    text = deploy(runtime="js", codeSource=files, wait=False).wait_failure()
    assert "lib.js:2" in text, text


@pytest.mark.parametrize(
    "code, word",
    [
        ("throw new Error('at load');", "at load"),
        ("for (;;) ;", "time"),
        ("const a = []; for (;;) a.push(new Array(1000).fill(1));", "memory"),
        ("module.exports = 5;", "function"),
        ("require('./missing.js');", "missing.js"),
        ("require('fs');", "fs"),
        (
            "exports.init = () => { throw new Error('in init'); }; exports.handle = () => 1;",
            "in init",
        ),
        ("", "function"),
    ],
)
def test_failing_load(deploy, code, word):
    called = deploy(code, wait=False, limits={"timeout": "PT1S", "memory": "32Mi"})
    assert word in called.wait_failure()
    assert called.event().status == 503


@pytest.mark.parametrize(
    "broken", ["const b = ;", "throw new Error('at load');", "module.exports = 5;"]
)
def test_failed_deploy_leaves_the_running_version_in_place(shared, deploy, broken):
    called = deploy("module.exports = () => 'first';")
    assert called.event().body == b"first"
    deploy(broken, wait=False)
    text = called.wait_failure()
    assert "index.js" in text, text
    for _ in range(5):
        assert called.event().body == b"first"
    deploy("module.exports = () => 'third';")
    waiting.until(lambda: called.event().body == b"third")


def test_failed_deploy_over_a_restart(server):
    """The version that last worked is what runs again, or nothing is lost while it does not."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.apply(daemon.function("f", "n", "module.exports = () => 'first';"))
    server.wait_ready_condition("Function", "f", "n")
    server.stop()
    server.restart()
    server.wait_ready_condition("Function", "f", "n")
    assert server.send("/functions/n/f/", binary_event()).body == b"first"


def test_new_version_takes_over_without_a_failed_call(deploy):
    from concurrent.futures import ThreadPoolExecutor

    called = deploy("module.exports = () => 'v0';")
    running = True

    def hammer(_):
        seen = []
        while running:
            seen.append(called.event())
        return seen

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(hammer, n) for n in range(4)]
        for version in range(1, 6):
            deploy(f"module.exports = () => 'v{version}';")
            time.sleep(0.1)
        waiting.until(lambda: called.event().body == b"v5")
        running = False
        answers = [answer for worker in workers for answer in worker.result()]
    assert {answer.status for answer in answers} == {200}


def test_deleted_function(shared, deploy):
    called = deploy(HELLO)
    shared.delete("Function", "f", called.place)
    waiting.until(lambda: called.event().status == 404)


def test_a_function_nobody_calls_costs_little(server):
    """PSS of broker, zygote and the workers of two functions."""
    server.apply(daemon.namespace("n"))
    server.apply(daemon.function("a", "n", HELLO), daemon.function("b", "n", COUNTER))
    for name in "ab":
        server.wait_ready_condition("Function", name, "n")
    memory = processes.proportional_memory([server.pid, *processes.descendants(server.pid)])
    assert memory < daemon.MEMORY_FACTOR * 64 * 1024 * 1024, f"{memory >> 20} MiB"


# ---- workers that die ----


def test_worker_that_is_killed_comes_back(deploy, shared):
    called = deploy(HELLO)
    before = processes.workers(shared.pid)
    assert before
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    waiting.until(lambda: called.event(b'{"msg":"x"}').status == 200)


def test_event_held_by_a_killed_worker_is_delivered_again(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    code = "module.exports = (c, e) => { console.log('begin', e.id); const t = Date.now(); while (Date.now() - t < 2000) ; console.log('end', e.id); };"
    server.apply(daemon.function("f", "n", code))
    server.wait_ready_condition("Function", "f", "n")
    server.apply(daemon.trigger("t", "n", "f"))
    server.wait_ready_condition("Trigger", "t", "n")
    logs = lambda: server.cli("logs", "f", "-n", "n").stdout  # noqa: E731
    server.send("/n/default", binary_event(id="held"))
    waiting.until(lambda: "begin held" in logs())
    for pid in processes.workers(server.pid):
        os.kill(pid, signal.SIGKILL)
    waiting.until(lambda: "end held" in logs(), 20)
    assert logs().count("begin held") >= 2


@pytest.mark.expects_errors("zygote")
def test_zygote_that_is_killed(server):
    """Without it nothing can be started: it is started again, and what ran runs again."""
    server.apply(daemon.namespace("n"))
    server.apply(daemon.function("f", "n", HELLO))
    server.wait_ready_condition("Function", "f", "n")
    for pid in processes.children(server.pid):
        os.kill(pid, signal.SIGKILL)

    def works():
        try:
            return server.send("/functions/n/f/", binary_event(), b'{"msg":"x"}').status == 200
        except OSError:
            return False

    waiting.until(works, 20)


def test_workers_are_confined(deploy, shared):
    deploy(HELLO)
    for pid in processes.workers(shared.pid):
        status = dict(
            line.split(":\t", 1)
            for line in processes.read(f"/proc/{pid}/status").splitlines()
            if ":\t" in line
        )
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        files = [
            t
            for t in processes.descriptors(pid)
            if t.startswith("/") and not t.startswith(("/dev/", "/memfd"))
        ]
        assert not [t for t in files if "segment" in t or "lock" in t or ".mdb" in t], files


def test_many_functions(server):
    server.apply(daemon.namespace("n"))
    for number in range(30):
        server.apply(daemon.function(f"f{number}", "n", f"module.exports = () => '{number}';"))
    for number in range(30):
        server.wait_ready_condition("Function", f"f{number}", "n")
        assert server.send(f"/functions/n/f{number}/", binary_event()).body == str(number).encode()


def test_deploys_leave_nothing_behind(server):
    """Descriptors and processes after 40 functions that were made, called and deleted."""
    server.apply(daemon.namespace("n"))

    def cycle(number):
        server.apply(daemon.function("f", "n", f"module.exports = () => '{number}';"))
        server.wait_ready_condition("Function", "f", "n")
        assert server.send("/functions/n/f/", binary_event()).body == str(number).encode()
        server.delete("Function", "f", "n")

    for number in range(5):
        cycle(number)
    before = len(processes.descriptors(server.pid, pooled=True))
    for number in range(5, 45):
        cycle(number)
    # the client's pool looks for dead connections once a second
    waiting.until(lambda: len(processes.descriptors(server.pid, pooled=True)) <= before + 8)
    waiting.until(lambda: len(processes.descendants(server.pid)) <= 2)
