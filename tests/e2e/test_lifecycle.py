# SPDX-License-Identifier: Apache-2.0
"""How functions come, stay and go: scale to zero, cold starts, rolling replacement under load,
overload, crash loops, many deploys."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import daemon
import processes
import waiting
from daemon import condition
from wire import binary_event

HELLO = "module.exports = (context, event) => ({hello: event.data.msg});"
SPIN = """
module.exports = (context, event) => {
    const end = Date.now() + event.data.ms;
    while (Date.now() < end) ;
    return {done: event.data.n};
};
"""




def reason(shared, place, name="f"):
    return condition(shared.get("Function", name, place)).get("reason")


# ---- scale ----


def test_no_process_while_idle_and_a_cold_start(server):
    server.apply(daemon.namespace("n"))
    server.apply(daemon.function("f", "n", HELLO, scale={"idle": "PT0.2S"}))
    server.wait_ready_condition("Function", "f", "n")
    waiting.until(lambda: not processes.workers(server.pid))
    pids = set()
    for number in range(3):
        body = server.send("/functions/n/f/", binary_event(), b'{"msg":"%d"}' % number)
        assert body.json() == {"hello": str(number)}
        now = set(processes.workers(server.pid))
        assert now and not now & pids
        pids |= now
        waiting.until(lambda: not processes.workers(server.pid))
    assert all(not processes.alive(pid) for pid in pids)
    metrics = server.metrics()
    assert metrics["sluice_cold_starts_total"] == 3
    assert 0 < metrics["sluice_cold_start_seconds_total"] < 30
    assert metrics["sluice_functions_ready"] == 1


def test_a_trigger_starts_an_idle_function(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    code = "module.exports = (c, e) => { console.log('took', e.id); };"
    server.apply(daemon.function("f", "n", code, scale={"idle": "PT0.2S"}))
    server.wait_ready_condition("Function", "f", "n")
    server.apply(daemon.trigger("t", "n", "f"))
    server.wait_ready_condition("Trigger", "t", "n")
    waiting.until(lambda: not processes.workers(server.pid))
    server.send("/n/default", binary_event(id="e1"))
    waiting.until(lambda: "took e1" in server.cli("logs", "f", "-n", "n").stdout)
    waiting.until(lambda: not processes.workers(server.pid))


def test_scale_is_changed_live(server):
    server.apply(daemon.namespace("n"))

    def scale(**values):
        server.apply(daemon.function("f", "n", HELLO, scale=values))

    scale(min=2, max=3)
    waiting.until(lambda: len(processes.workers(server.pid)) == 2)
    server.wait_ready_condition("Function", "f", "n")
    before = set(processes.workers(server.pid))
    scale(min=3, max=3)
    waiting.until(lambda: len(processes.workers(server.pid)) == 3)
    assert before < set(processes.workers(server.pid))  # they were not replaced
    found = server.wait_ready_condition("Function", "f", "n")
    assert found["status"]["servingGeneration"] == found["metadata"]["generation"] == 2
    scale(min=0, max=1, idle="PT0.2S")
    waiting.until(lambda: not processes.workers(server.pid))


# ---- replacement ----


def test_twenty_versions_under_load_drop_nothing(shared, place, deploy):
    """2,000 requests: each is answered by some version."""
    called = deploy("module.exports = () => 'v0';")
    versions = 20

    def ask(_):
        answer = called.event()
        return answer.status, answer.body

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, n) for n in range(2000)]
        for version in range(1, versions + 1):
            code = f"module.exports = () => 'v{version}';"
            shared.apply(daemon.function("f", place, code))
            target = version * len(asked) // (versions + 1)
            waiting.until(lambda t=target: sum(a.done() for a in asked) >= t, 60)
        answers = [a.result() for a in asked]
    known = {b"v%d" % n for n in range(versions + 1)}
    assert {status for status, _ in answers} == {200}
    assert {body for _, body in answers} <= known
    waiting.until(lambda: called.event().body == b"v%d" % versions)


# ---- overload ----


def test_overload_is_refused_and_told_so(shared, deploy):
    limits = {"concurrency": 1, "queue": 2, "timeout": "PT10S"}
    called = deploy(SPIN, limits=limits, scale={"max": 1})
    rejected = shared.metrics()["sluice_function_calls_rejected_total"]

    def ask(number):
        return called.event(json.dumps({"ms": 700, "n": number}).encode())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    by_status = sorted(answer.status for answer in answers)
    assert by_status[:3] == [200] * 3 and set(by_status[3:]) == {503}, by_status
    refused = [answer for answer in answers if answer.status == 503]
    for answer in refused:
        assert answer.headers["retry-after"] == answer.headers["client-retry"] == "1"
        assert "waiting already" in answer.json()["error"]["message"]
    total = shared.metrics()["sluice_function_calls_rejected_total"]
    assert total == rejected + len(refused)


def test_deliveries_to_a_busy_function_are_held(server):
    """More events than it can take at once: all come, none is an attempt that failed."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    limits = {"concurrency": 1, "queue": 1}
    code = "module.exports = (c, e) => { const t = Date.now(); while (Date.now() - t < 5) ; console.log('took', e.id, '.'); };"
    server.apply(daemon.function("f", "n", code, limits=limits, scale={"max": 1}))
    server.wait_ready_condition("Function", "f", "n")
    server.apply(daemon.trigger("t", "n", "f"))
    server.wait_ready_condition("Trigger", "t", "n")
    for number in range(100):
        server.send("/n/default", binary_event(id=f"e{number}"))
    waiting.until(lambda: server.metrics()["sluice_deliveries_done_total"] == 100, 30)
    metrics = server.metrics()
    assert metrics["sluice_attempts_failed_total"] == 0
    assert metrics["sluice_function_calls_waited_total"] > 0
    logs = server.cli("logs", "f", "-n", "n").stdout
    assert all(f"took e{number} ." in logs for number in range(100))


def test_memory_in_use_refuses_calls(make_daemon):
    server = make_daemon("--overload-memory", "64Ki").start()
    server.apply(daemon.namespace("n"), daemon.function("f", "n", HELLO))
    server.wait_ready_condition("Function", "f", "n")
    answer = server.send("/functions/n/f/", binary_event(), b'{"msg":"x"}')
    assert answer.status == 503 and "memory" in answer.json()["error"]["message"]
    assert answer.headers["retry-after"] and answer.headers["client-retry"]
    assert server.http.get("/health/readiness").status == 200


def test_a_web_page_that_is_let_in_reaches_the_function(make_daemon):
    server = make_daemon("--allow-origin", "https://page.example").start()
    code = "exports.handle = c => ({body: String(c.headers.origin)}); exports.cors = () => ['https://page.example'];"
    server.apply(daemon.namespace("n"), daemon.function("f", "n", code))
    server.wait_ready_condition("Function", "f", "n")
    good = server.http.get("/functions/n/f/", headers={"Origin": "https://page.example"})
    assert (good.status, good.body) == (200, b"https://page.example")
    assert good.headers["access-control-allow-origin"] == "https://page.example"
    assert server.http.get("/functions/n/f/", headers={"Origin": "https://other"}).status == 403


# ---- crashes ----


def kill_workers(server):
    for pid in processes.workers(server.pid):
        os.kill(pid, signal.SIGKILL)


def test_a_crash_loop_is_seen_and_recovers(server):
    server.apply(daemon.namespace("n"))
    server.apply(daemon.function("f", "n", HELLO, scale={"min": 1}))
    server.wait_ready_condition("Function", "f", "n")

    def crash_until(accept):
        def once():
            kill_workers(server)
            return accept()

        return waiting.until(once, 30)

    crash_until(lambda: reason(server, "n") == "CrashLoopBackOff")
    found = server.get("Function", "f", "n")
    assert "signal 9" in condition(found)["message"]
    assert "next start is at" in condition(found)["message"]
    assert found["status"]["restarts"] >= 2 and "signal 9" in found["status"]["lastExit"]
    refused = server.send("/functions/n/f/", binary_event(), b'{"msg":"x"}')
    if refused.status == 503:
        assert refused.headers["retry-after"] and refused.headers["client-retry"]
    server.wait_condition("Function", "f", "n", daemon.is_ready)
    answer = server.send("/functions/n/f/", binary_event(), b'{"msg":"x"}')
    assert answer.json() == {"hello": "x"}
    metrics = server.metrics()
    assert metrics["sluice_worker_restarts_crash_total"] == found["status"]["restarts"]


def test_one_crash_costs_no_wait(server):
    """Calls that come after it wait for the next worker, not for a back-off."""
    server.apply(daemon.namespace("n"), daemon.function("f", "n", HELLO))
    server.wait_ready_condition("Function", "f", "n")
    kill_workers(server)

    def works():
        return server.send("/functions/n/f/", binary_event(), b'{"msg":"x"}').status == 200

    begun = time.monotonic()
    waiting.until(works)
    assert time.monotonic() - begun < 5


# ---- many ----

BROKEN = [
    "const b = ;",
    "throw new Error('at load');",
    "module.exports = 5;",
    "for (;;) ;",
    "const a = []; for (;;) a.push(new Array(1000).fill(1));",
]


@pytest.mark.slow
def test_many_deploys_of_broken_code(server):
    """200 of them: a sound function answers all the while, and nothing is left of them."""
    server.apply(daemon.namespace("n"), daemon.function("good", "n", HELLO))
    server.wait_ready_condition("Function", "good", "n")
    limits = {"timeout": "PT0.2S", "memory": "16Mi"}
    slowest = most = 0
    for number in range(200):
        code = BROKEN[number % len(BROKEN)]
        # some new, some a next version of one that is broken already
        name = f"f{number % 120}"
        server.apply(daemon.function(name, "n", f"// {number}\n{code}", limits=limits))
        begun = time.monotonic()
        answer = server.send("/functions/n/good/", binary_event(), b'{"msg":"x"}')
        slowest = max(slowest, time.monotonic() - begun)
        assert answer.status == 200
        most = max(most, len(processes.workers(server.pid)))
    waiting.until(lambda: server.metrics()["sluice_functions_failed"] == 120, 120)
    metrics = server.metrics()
    assert (metrics["sluice_functions"], metrics["sluice_functions_ready"]) == (121, 1)
    assert slowest < 5 * daemon.TIME_FACTOR, f"a call took {slowest:.1f} s"
    assert most < 64, f"{most} workers at a time"
    waiting.until(lambda: len(processes.workers(server.pid)) <= 1)
    memory = processes.proportional_memory([server.pid, *processes.descendants(server.pid)])
    assert memory < daemon.MEMORY_FACTOR * 64 * 1024 * 1024, f"{memory >> 20} MiB"


def test_idle_functions_cost_little(server):
    """150 deployed functions that nobody calls: under 100 KiB each, aim 20."""
    count = 150
    server.apply(daemon.namespace("n"), daemon.function("warm", "n", HELLO, scale={"idle": "PT0.1S"}))
    server.wait_ready_condition("Function", "warm", "n")

    def settled(functions):
        metrics = server.metrics()
        return metrics["sluice_functions_ready"] == functions and metrics["sluice_workers"] == 0

    def memory():
        return processes.proportional_memory([server.pid, *processes.descendants(server.pid)])

    waiting.until(lambda: settled(1))
    before = memory()
    for number in range(count):
        code = HELLO + f"// {number}"
        server.apply(daemon.function(f"f{number}", "n", code, scale={"idle": "PT0.1S"}))
    waiting.until(lambda: settled(1 + count), 60)
    each = (memory() - before) / count
    assert each < daemon.MEMORY_FACTOR * 100 * 1024, f"{each / 1024:.1f} KiB each"


# ---- kill -9 of the broker ----


def test_killed_in_the_middle_of_deploys(server):
    server.apply(daemon.namespace("n"))
    for number in range(30):
        server.apply(daemon.function(f"f{number}", "n", f"module.exports = () => '{number}';"))
    server.kill()
    waiting.until(lambda: not server.children_left(0.1))
    server.restart()
    for number in range(30):
        server.wait_ready_condition("Function", f"f{number}", "n")
        assert server.send(f"/functions/n/f{number}/", binary_event()).body == str(number).encode()
