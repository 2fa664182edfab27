# SPDX-License-Identifier: Apache-2.0
"""Functions that are processes under sluice-runner, as the broker keeps them: prepared, started,
replaced, ended."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import daemon
import processes
import waiting
from called import Called
from conftest import finish, fresh_folder
from daemon import condition
from sink import Answer
from wire import binary_event

# A runtime of the tests' own: what is tested is how the broker keeps processes, not a contract.
RUNTIME = """
name: tiny
sandbox: process
main: handler.py
command: [/usr/bin/python3, -u, "${runtime}/server.py"]
prepare:
  - {when: install.sh, command: [/bin/sh, "${code}/install.sh"]}
environment: {CODE: "${code}"}
memory: 64Mi
"""
SERVER = """
import os, runpy, socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

code = runpy.run_path(os.environ["CODE"] + "/handler.py")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def take(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        alive = self.path != "/health/liveness" or code.get("alive", bool)() is not None
        answer = b"ok" if self.path.startswith("/health/") else code["handle"](body).encode()
        self.send_response(200 if alive else 503)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = take

    def address_string(self):
        return ""

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
"""
HELLO = """
import os

def handle(body):
    return os.environ.get("WORD", "") + str(os.getuid())
"""


PYTHON = """
import os

def handle(event, context):
    return {"statusCode": 200, "body": os.environ["WORD"]}
"""


@pytest.fixture(name="runtimes", scope="module")
def make_runtimes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runtimes")
    (folder / "tiny").mkdir()
    (folder / "tiny" / "runtime.yaml").write_text(RUNTIME)
    (folder / "tiny" / "server.py").write_text(SERVER)
    for name in ("js", "http", "python", "exec"):
        (folder / name).symlink_to(daemon.ROOT / "runtimes" / name)
    for above in (folder, *folder.parents):
        if above.stat().st_uid == os.getuid() and above != above.parent:
            above.chmod(above.stat().st_mode | 0o111)
    return folder


def options(runtimes):
    return ("--allow-unsandboxed", "--runtimes", str(runtimes))


@pytest.fixture(name="shared", scope="module")
def make_shared(runtimes):
    subject = daemon.Daemon(fresh_folder(), *options(runtimes)).start()
    yield subject
    finish(subject)


def tiny(code=HELLO, install=None, **more):
    files = {"handler.py": code}
    if install is not None:
        files["install.sh"] = install
    return {"runtime": "tiny", "codeSource": files, **more}


def folders(server, place, name="f"):
    return sorted(p.name for p in server.data_dir.glob(f"functions/{place}/{name}.*/*"))


def test_each_has_its_user_and_folder(shared, place, deploy):
    env = [{"name": "WORD", "value": "uid "}]
    first = deploy(name="a", **tiny(env=env)).event()
    assert first.status == 200 and first.body.startswith(b"uid "), first
    second = deploy(name="b", **tiny(env=env)).event()
    third = deploy(name="b", **tiny(HELLO + "\n# another\n", env=env))
    if os.getuid() == 0:
        assert first.body != second.body and b"uid 0" not in (first.body, second.body)
    assert third.event().body == second.body
    waiting.until(lambda: len(folders(shared, place, "b")) == 2)


def test_any_namespace_may_have_programs(shared):
    """Whatever else lies beside the folders of the namespaces."""
    metadata = {"name": "uids"}
    shared.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    shared.apply(daemon.function("f", "uids", **tiny()))
    shared.wait_ready_condition("Function", "f", "uids", 60)
    shared.delete("Namespace", "uids")
    waiting.until(lambda: not folders(shared, "uids"))


def test_no_process_when_idle_and_a_cold_start(shared, deploy):
    called = deploy(**tiny(scale={"idle": "PT0.2S"}))
    assert called.event().status == 200
    runners = lambda: [p for p in processes.descendants(shared.pid) if "runner" in processes.command(p)]  # noqa: E731
    waiting.until(lambda: not runners())
    assert called.event().status == 200
    assert runners()


def test_a_rolling_replacement_drops_nothing(shared, place, deploy):
    code = 'def handle(body):\n    return "v%d"\n'
    called = deploy(**tiny(code % 0))
    running = True

    def hammer(_):
        seen = []
        while running:
            seen.append(called.event())
        return seen

    with ThreadPoolExecutor(3) as pool:
        hammers = [pool.submit(hammer, n) for n in range(3)]
        try:
            for version in (1, 2):
                shared.apply(daemon.function("f", place, **tiny(code % version)))
                waiting.until(lambda v=version: called.event().body == b"v%d" % v, 30)
        finally:
            running = False
        answers = [answer for done in hammers for answer in done.result()]
    assert {answer.status for answer in answers} == {200}


def test_a_failed_prepare_leaves_the_old_version(shared, place, deploy):
    called = deploy(**tiny())
    install = "echo no-such-package-here >&2; exit 7\n"
    shared.apply(daemon.function("f", place, **tiny(install=install)))
    found = shared.wait_condition(
        "Function", "f", place, lambda f: condition(f).get("reason") == "PrepareFailed", 60
    )
    assert "no-such-package-here" in condition(found)["message"], condition(found)
    assert "goes on serving" in condition(found)["message"]
    assert called.event().status == 200
    waiting.until(lambda: len(folders(shared, place)) == 2)


def test_a_call_that_takes_too_long_ends_and_the_next_works(deploy):
    code = """
import time

def handle(body):
    if body == b"hang":
        time.sleep(60)
    return "ok"
"""
    called = deploy(**tiny(code, limits={"timeout": "PT1S"}))
    assert called.event(b"hang", "text/plain").status == 504
    waiting.until(lambda: called.event(b"x", "text/plain").status == 200, 20)
    assert "time" in called.logs()


def test_a_process_that_is_killed_comes_back(shared, deploy):
    called = deploy(**tiny())
    assert called.event().status == 200
    runner = [p for p in processes.children(shared.pid) if "runner" in processes.command(p)]
    os.kill(runner[0], signal.SIGKILL)
    waiting.until(lambda: called.event().status == 200, 20)


def test_a_worker_that_says_it_is_not_alive_is_replaced(shared, deploy):
    """No call fails meanwhile."""
    code = """
calls = 0

def handle(body):
    global calls
    calls += 1
    return str(calls)

def alive():
    return None if calls >= 2 else True
"""
    called = deploy(**tiny(code, health={"period": "PT0.1S", "failures": 2}))
    seen = []

    def starts_anew():
        answer = called.event()
        assert answer.status == 200, answer
        seen.append(int(answer.body))
        return seen.count(1) >= 2

    waiting.until(starts_anew, 20)
    assert shared.metrics()["sluice_worker_restarts_health_total"] >= 1
    assert "/health/liveness answered 503, 2 times in a row" in called.logs()


def test_deleted_with_all_that_is_left(shared, place, deploy):
    deploy(**tiny())
    assert folders(shared, place)
    shared.delete("Function", "f", place)
    waiting.until(lambda: not folders(shared, place))


def test_killed_in_the_middle_of_a_deploy(make_daemon, runtimes):
    """What was prepared in part is prepared anew; what was deleted meanwhile is removed."""
    server = make_daemon(*options(runtimes)).start()
    server.apply(daemon.namespace("n"), daemon.function("f", "n", **tiny()))
    waiting.until(lambda: list(server.data_dir.glob("functions/n/f.*/*")))
    server.kill()
    orphan = server.data_dir / "functions" / "n" / "gone.99" / "x"
    orphan.mkdir(parents=True)
    left = server.data_dir / "functions" / ".gone.1" / "x"
    left.mkdir(parents=True)
    waiting.until(lambda: not server.children_left(0.1))
    server.restart()
    server.wait_ready_condition("Function", "f", "n", 60)
    assert server.send("/functions/n/f/", binary_event()).status == 200
    waiting.until(lambda: not orphan.exists() and not left.exists())
    assert len(folders(server, "n")) == 2
    # what is ready is not prepared again
    server.stop()
    server.restart()
    server.wait_ready_condition("Function", "f", "n")
    assert server.send("/functions/n/f/", binary_event()).status == 200
    assert server.metrics()["sluice_prepares_total"] == 0


def test_as_subscriber_of_a_trigger(shared, place):
    code = 'def handle(body):\n    print("took", body)\n    return ""\n'
    shared.apply(daemon.function("f", place, **tiny(code)))
    shared.apply(daemon.trigger("t", place, "f"))
    shared.wait_ready_condition("Trigger", "t", place, 60)
    shared.send(f"/{place}/default", binary_event(), b'"hello"')
    Called(shared, place, "f").wait_logs("took")


@pytest.mark.parametrize(
    "runtime, files",
    [
        ("python3", {"handler.py": PYTHON}),
        ("exec", {"main": '#!/bin/sh\ncat >/dev/null\necho "$WORD"\n'}),
        ("exec", {"a": '#!/bin/sh\necho "$WORD"\n', "b": "x"}),
    ],
)
def test_given_runtimes(shared, place, runtime, files):
    """Deployed as any function, with an environment from a Secret."""
    metadata = {"name": "s", "namespace": place}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    shared.apply({**secret, "stringData": {"key": "from-secret"}})
    env = [{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}}]
    more = {"command": ["./a"]} if "a" in files else {}
    shared.apply(daemon.function("f", place, runtime=runtime, codeSource=files, env=env, **more))
    shared.wait_ready_condition("Function", "f", place, 60)
    answer = Called(shared, place, "f").event()
    assert (answer.status, answer.body.strip()) == (200, b"from-secret"), answer


CODE = """
import os

def handle(body):
    names = "WORD", "LD_PRELOAD", "NODE_OPTIONS", "PYTHONSTARTUP", "PYTHONHOME"
    return " ".join(os.environ.get(name, "-") for name in names)
"""


def test_keys_of_a_config_map_are_no_code(shared, place, deploy):
    """Who may write a ConfigMap but no program cannot make the program's interpreter run theirs."""
    names = ("WORD", "LD_PRELOAD", "NODE_OPTIONS", "PYTHONSTARTUP", "PYTHONHOME")
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": place}}
    shared.apply({**head, "data": dict.fromkeys(names, "from-map")})
    whole = [{"configMapRef": {"name": "m"}}]
    env = [{"name": "PYTHONSTARTUP", "value": "own"}]
    called = deploy(**tiny(CODE, envFrom=whole, env=env))
    assert called.event().body == b"from-map - - own -"


# ---- http: what serves already ----


def test_http_function_calls_its_url(shared, place, sink, deploy):
    called = deploy(runtime="http", url=sink.url("/base/?a=b"), scale={"min": 2})
    assert called.http("PUT", "below/x?c=d", body=b"data").status == 200
    assert called.event(id="direct").status == 200
    assert sink.wait(1, "/base/below/x?a=b&c=d")[0].body == b"data"
    assert sink.wait(1, "/base/?a=b")[0].id == "direct"
    shared.apply(daemon.trigger("t", place, "f"))
    shared.wait_ready_condition("Trigger", "t", place)
    shared.send(f"/{place}/default", binary_event(id="by-trigger"))
    sink.wait_for(lambda received: received.id == "by-trigger", "/base/?a=b")


def test_http_function_whose_url_does_not_answer(deploy, sink):
    sink.on("/", Answer(delay=5))
    called = deploy(runtime="http", url=sink.url(), limits={"timeout": "PT0.3S"})
    assert called.event().status == 504
    called = deploy(runtime="http", url="http://127.0.0.1:1/")
    waiting.until(lambda: called.event().status == 502)
