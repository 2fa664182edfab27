# SPDX-License-Identifier: Apache-2.0
"""What a function under sluice-runner cannot do: read what is not its own, reach what is not in its
allow-list, take more than its limits, outlive its worker. As root (own user ids), and not as root
(user namespaces)."""

import concurrent.futures
import contextlib
import http.client
import http.server
import os
import pathlib
import shutil
import socket
import tempfile
import textwrap
import threading

import pytest

import processes
import runtimes
import waiting
from runtimes import ROOT, UID, echo_server, run_to_end, serving

# Runs any code that a request brings, and says what came of it.
ANYTHING = """
import traceback
def handle(event, context):
    space = {}
    try:
        exec(event.body.decode(), space)
        return {"body": {"result": space.get("result")}}
    except BaseException as problem:
        return {"body": {"error": type(problem).__name__, "errno": getattr(problem, "errno", None), "text": str(problem)}}
"""
FILES = {"handler.py": ANYTHING}
NOBODY = 65534


def ask(served, code, **more):
    return served.call("/", "POST", textwrap.dedent(code).encode(), **more).json


@pytest.fixture(scope="module")
def folder():
    """Where every user may come."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sluice-confined-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def as_nobody(folder, **more):
    """Not as root: what there is of the runner is made readable, and the user changed."""
    programs = folder / "programs"
    if not programs.exists():
        programs.mkdir()
        shutil.copy(runtimes.RUNNER, programs / "sluice-runner")
        shutil.copytree(runtimes.RUNTIMES, programs / "runtimes")
    place = folder / "nobody"
    place.mkdir(exist_ok=True)
    os.chown(place, NOBODY, NOBODY)
    wrapper = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env", f"TMPDIR={place}"]
    kept = runtimes.RUNNER, runtimes.RUNTIMES
    runtimes.RUNNER, runtimes.RUNTIMES = programs / "sluice-runner", programs / "runtimes"
    try:
        with serving(place, "python", FILES, wrapper=wrapper, **more) as served:
            yield served
    finally:
        runtimes.RUNNER, runtimes.RUNTIMES = kept


@pytest.fixture(scope="module", params=["root", "user"])
def confined(request, folder):
    limits = {"timeoutMs": 20000, "memoryBytes": 1 << 30, "concurrency": 4}
    if request.param == "root" and not ROOT:
        pytest.skip("not started by root: functions have no user ids of their own")
    if request.param == "user" and not ROOT:
        with serving(folder / "own", "python", FILES, limits=limits) as served:
            yield served
    elif request.param == "user":
        with as_nobody(folder, limits=limits) as served:
            yield served
    else:
        with serving(folder / "root", "python", FILES, limits=limits) as served:
            yield served


def test_files(confined, folder):
    secret = folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o644)
    other = folder / "other-function" / "code"
    other.mkdir(parents=True, exist_ok=True)
    (other / "handler.py").write_text("x")
    outside = ["/etc/shadow", "/root", "/home", "/var/lib", "/proc/1/environ", "/proc/1/root/etc/passwd", "/sys"]
    for path in [*outside, str(secret), str(other), "/function", "/run", "/boot", "/dev/sda", "/dev/kmsg"]:
        answer = ask(confined, f"import os\nos.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read()")
        assert answer.get("error") in ("FileNotFoundError", "PermissionError"), (path, answer)
    for path in ["/function/code/x", "/function/packages/x", "/function/runtime/x", "/usr/x", "/x", "/etc/x", "/var/tmp/../x"]:
        answer = ask(confined, f"open({path!r}, 'w')")
        assert answer.get("error") in ("OSError", "PermissionError", "FileNotFoundError"), (path, answer)
    assert ask(confined, "open('/tmp/x', 'w').write('y')\nresult = open('/tmp/x').read()") == {"result": "y"}
    assert not pathlib.Path("/tmp/x").exists()
    assert "function" in ask(confined, "result = open('/etc/passwd').read()")["result"]
    assert str(folder) not in ask(confined, "result = open('/etc/passwd').read()")["result"]
    # a program that was written cannot be started, and nothing there is set-user-id
    code = "import os, subprocess\nopen('/tmp/p', 'w').write('#!/bin/sh\\n')\nos.chmod('/tmp/p', 0o755)\nsubprocess.run('/tmp/p')"
    assert ask(confined, code)["error"] == "PermissionError"
    # more than the private folder holds
    assert ask(confined, "f = open('/tmp/big', 'wb')\nfor i in range(100): f.write(bytes(1 << 20))\nf.flush()")["errno"] == 28


def test_processes(confined):
    seen = ask(confined, "import os\nresult = sorted(int(n) for n in os.listdir('/proc') if n.isdigit())")["result"]
    assert seen[0] <= 2 and len(seen) <= 3
    assert ask(confined, "import os\nresult = [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()]")["result"][0] != 0
    pid = confined.process.pid
    for victim in (pid, 1, os.getpid()):
        ask(confined, f"import os\nos.kill({victim}, 9)")
    assert processes.alive(pid) and confined.call().status == 200
    groups = "import os\nresult = open('/proc/self/status').read()"
    status = dict(line.split(":\t", 1) for line in ask(confined, groups)["result"].splitlines())
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0" * 16 or status["CapEff"] == "0" * 16
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


CALLS = {
    "ptrace": "c.ptrace(16, 1, 0, 0)",
    "process_vm_readv": "c.syscall(310, 1, 0, 0, 0, 0, 0)",
    "mount": "c.mount(b'none', b'/tmp', b'tmpfs', 0, 0)",
    "umount2": "c.umount2(b'/proc', 0)",
    "pivot_root": "c.syscall(155, b'/tmp', b'/tmp')",
    "chroot": "c.chroot(b'/tmp')",
    "unshare a user namespace": "c.unshare(0x10000000)",
    "unshare a mount namespace": "c.unshare(0x00020000)",
    "setns": "c.setns(0, 0)",
    "clone a user namespace": "c.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "clone3": "c.syscall(435, 0, 0)",
    "keyctl": "c.syscall(250, 0, -3, 0, 0, 0)",
    "add_key": "c.syscall(248, b'user', b'x', b'y', 1, -3)",
    "bpf": "c.syscall(321, 0, 0, 0)",
    "userfaultfd": "c.syscall(323, 0)",
    "perf_event_open": "c.syscall(298, 0, 0, -1, -1, 0)",
    "io_uring_setup": "c.syscall(425, 1, 0)",
    "kexec_load": "c.syscall(246, 0, 0, 0, 0)",
    "init_module": "c.syscall(175, 0, 0, b'')",
    "open_by_handle_at": "c.syscall(304, 0, 0, 0)",
    "personality": "c.syscall(135, 0x0040000)",
    "reboot": "c.syscall(169, 0, 0, 0, 0)",
    "setuid": "c.setuid(0)",
    "mknod": "c.mknod(b'/tmp/n', 0o20600, 0x103)",
    "netlink": "c.socket(16, 3, 0)",
    "netlink, with bits above": "c.syscall(41, 0x100000010, 2, 0)",
    "packet": "c.socket(17, 2, 0)",
    "vsock": "c.socket(40, 1, 0)",
    "alg": "c.socket(38, 5, 0)",
    "raw": "c.socket(2, 3, 1)",
    "raw IPv6": "c.socket(10, 3, 58)",
    "input into a terminal": "c.ioctl(0, 0x5412, b'x')",
}


@pytest.mark.parametrize("name", CALLS)
def test_system_calls(confined, name):
    code = f"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nn = {CALLS[name]}\nresult = [n, ctypes.get_errno()]"
    result, errno = ask(confined, code)["result"]
    assert result == -1, "it was let through"
    # EPERM, EACCES, ENOSYS, EAFNOSUPPORT; EINVAL: a user that the user namespace does not have
    assert errno in (1, 13, 38, 97) or (name, errno) == ("setuid", 22), os.strerror(errno)


TRY = """
import socket
def attempt(family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(5)
        s.connect(address)
        s.sendall(b"ping")
        return s.recv(100).decode()
"""


def test_network_without_a_list(confined):
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(b"\0sluice-test-abstract-%d" % os.getpid())
    abstract.listen()
    with echo_server() as (port, taken), echo_server(socket.AF_INET6, "::1") as (port6, taken6):
        own = socket.gethostbyname(socket.gethostname()) if ROOT else "127.0.0.1"
        for target in [
            f"socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {port})",
            f"socket.AF_INET, socket.SOCK_STREAM, ('localhost', {port})",
            f"socket.AF_INET, socket.SOCK_STREAM, ('{own}', {port})",
            f"socket.AF_INET6, socket.SOCK_STREAM, ('::1', {port6})",
            f"socket.AF_INET6, socket.SOCK_STREAM, ('::ffff:127.0.0.1', {port})",
            "socket.AF_INET, socket.SOCK_STREAM, ('1.1.1.1', 443)",
            "socket.AF_INET, socket.SOCK_DGRAM, ('8.8.8.8', 53)",
            "socket.AF_INET6, socket.SOCK_DGRAM, ('2001:4860:4860::8888', 53)",
            f"socket.AF_UNIX, socket.SOCK_STREAM, '\\0sluice-test-abstract-{os.getpid()}'",
            "socket.AF_UNIX, socket.SOCK_STREAM, '/run/docker.sock'",
        ]:
            answer = ask(confined, f"{TRY}\nresult = attempt({target})")
            assert answer.get("error") in (
                "ConnectionRefusedError",
                "OSError",
                "FileNotFoundError",
                "PermissionError",
                "TimeoutError",
            ), (target, answer)
        assert not taken and not taken6
    abstract.close()
    names = ask(confined, "import socket\nresult = socket.getaddrinfo('registry.example.com', 443)")
    assert names["error"] == "gaierror"
    devices = ask(confined, "result = open('/proc/net/dev').read()")["result"]
    assert [line.split(":")[0].strip() for line in devices.splitlines()[2:] if ":" in line][:1] == ["lo"]
    assert ask(confined, "result = open('/proc/net/route').read()")["result"].count("\n") <= 1


def test_network_with_a_list(folder):
    with echo_server() as (port, taken), echo_server() as (other, untouched), echo_server(
        socket.AF_INET6, "::1"
    ) as (port6, _):
        allow = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port6}", "192.0.2.7:80", "name.invalid:443"]
        with serving(folder / "list", "python", FILES, network={"allow": allow}) as served:
            for target in [
                f"socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {port})",
                f"socket.AF_INET, socket.SOCK_STREAM, ('localhost', {port})",
                f"socket.AF_INET6, socket.SOCK_STREAM, ('::1', {port6})",
            ]:
                answer = ask(served, f"{TRY}\nresult = attempt({target})")
                assert answer.get("result", "").startswith("hello from outside\n"), (target, answer)
            for target in [
                f"socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {other})",
                f"socket.AF_INET, socket.SOCK_STREAM, ('localhost', {other})",
                f"socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.2', {port})",
                "socket.AF_INET, socket.SOCK_STREAM, ('192.0.2.8', 80)",
                "socket.AF_INET, socket.SOCK_STREAM, ('192.0.2.7', 81)",
                f"socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', {port})",
            ]:
                assert "error" in ask(served, f"{TRY}\nresult = attempt({target})"), target
            assert not untouched
            # what is allowed and not there breaks, and does not hang
            answer = ask(served, f"{TRY}\nresult = attempt(socket.AF_INET, socket.SOCK_STREAM, ('name.invalid', 443))")
            assert answer.get("error") == "ConnectionResetError" or answer == {"result": ""}, answer
            # much, in both directions, and the end of each direction for itself
            bulk = f"""
                import socket, threading
                s = socket.create_connection(("127.0.0.1", {port}))
                sent = bytes(range(256)) * 20000
                def send():
                    s.sendall(sent)
                    s.shutdown(socket.SHUT_WR)
                threading.Thread(target=send).start()
                got = b"".join(iter(lambda: s.recv(65536), b""))
                result = got == b"hello from outside\\n" + sent
            """
            assert ask(served, bulk) == {"result": True}
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                assert list(pool.map(lambda _: ask(served, bulk), range(4))) == [{"result": True}] * 4


class Named(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"{self.headers['Host']} {self.path} {self.headers.get('Proxy-Authorization')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.skipif(not ROOT, reason="a hosts file of its own needs a mount namespace")
def test_network_with_wildcards(folder):
    """*.suffix:port goes through a proxy that the function is told of in its environment."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost api.sluice.test deep.api.sluice.test sluice.test other.test\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Named)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    get = "import urllib.request\nresult = urllib.request.urlopen('http://{}', timeout=5).read().decode()"
    connect = """
        import socket
        s = socket.create_connection(("127.83.255.254", 3128), 5)
        s.sendall({!r})
        result = s.recv(1000).decode()
    """
    try:
        allow = [f"*.sluice.test:{port}"]
        options = ("--uid", str(UID)) if ROOT else ()
        with serving(folder / "wild", "python", FILES, *options, wrapper=wrapper, network={"allow": allow}) as served:
            for name in ("api.sluice.test", "deep.api.sluice.test", "API.sluice.test"):
                answer = ask(served, get.format(f"{name}:{port}/a?b=c"))
                assert answer["result"].lower() == f"{name.lower()}:{port} /a?b=c none", answer
            for name in ("sluice.test", "other.test", "xsluice.test", "127.0.0.1", "api.sluice.test.other.test"):
                answer = ask(served, get.format(f"{name}:{port}/"))
                assert answer["error"] in ("HTTPError", "URLError"), (name, answer)
            assert "error" in ask(served, get.format("api.sluice.test:1/"))
            waiting.until(lambda: f"no way to other.test:{port}" in served.log() or "no way to " in served.log())
            tunnel = f"CONNECT api.sluice.test:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            assert ask(served, connect.format(tunnel))["result"].startswith("HTTP/1.1 200 ")
            for head, status in [
                (f"CONNECT other.test:{port} HTTP/1.1\r\nHost: x\r\n\r\n", 403),
                (f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n", 403),
                ("CONNECT api.sluice.test HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                (f"GET https://api.sluice.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                ("GET / HTTP/1.1\r\nHost: api.sluice.test\r\n\r\n", 400),
                ("nonsense\r\n\r\n", 400),
                ("GET / HTTP/1.1\r\nX: " + "y" * 20000, 400),
            ]:
                answer = ask(served, connect.format(head.encode()))
                assert answer["result"].startswith(f"HTTP/1.1 {status} "), (head[:60], answer)
    finally:
        server.shutdown()
        server.server_close()


def test_fork_bomb(confined):
    code = """
        import os, time
        started = []
        try:
            while len(started) < 5000:
                started.append(os.fork())
                if started[-1] == 0:
                    time.sleep(30)
                    os._exit(0)
        except OSError as problem:
            result = [len(started), problem.errno]
        finally:
            for pid in started:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
    """
    started, errno = ask(confined, code)["result"]
    assert errno == 11 and started < 1500
    assert ask(confined, "result = 1") == {"result": 1}


def test_memory_bomb(folder):
    limits = {"memoryBytes": 32 << 20, "timeoutMs": 20000}
    with serving(folder / "bytes", "python", FILES, limits=limits) as served:
        # at once: refused to the program, which lives on
        assert ask(served, "x = bytearray(2 << 30)")["error"] == "MemoryError"
        assert ask(served, "result = 1") == {"result": 1}
    process = runtimes.start(folder / "bomb", "python", FILES, limits=limits)
    log = folder / "bomb" / "out"
    try:
        waiting.until(lambda: "listening on" in log.read_text(), runtimes.START)
        port = int(log.read_text().split("listening on 127.0.0.1:")[1].split()[0])
        bomb = b"import os\nx = []\nwhile True:\n    os.fork()\n    x.append(bytearray(1 << 20))\n"
        with contextlib.suppress(OSError, http.client.HTTPException):
            runtimes.Served(process, log, port).call("/", "POST", bomb)
        waiting.until(lambda: process.poll() is not None or resident(process.pid) < (400 << 20), 20)
    finally:
        family = processes.identified(processes.descendants(process.pid))
        process.kill()
        process.wait()
        assert not processes.wait_gone(family, 10)


def resident(pid):
    total = 0
    for other in processes.descendants(pid):
        fields = processes.read(f"/proc/{other}/statm").split()
        total += int(fields[1]) * 4096 if len(fields) > 1 else 0
    return total


def test_nothing_outlives_its_worker(folder):
    """Children that left their session, their parent and their process group, and a runner that is
    killed with no chance to clean up."""
    code = """
        import os, time
        for i in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(300)
                os._exit(0)
    """
    groups = []
    for signal_number in (9, 15):
        process = runtimes.start(folder / f"end-{signal_number}", "python", FILES)
        log = folder / f"end-{signal_number}" / "out"
        try:
            waiting.until(lambda: "listening on" in log.read_text(), runtimes.START)
            port = int(log.read_text().split("listening on 127.0.0.1:")[1].split()[0])
            ask(runtimes.Served(process, log, port), code)
            family = processes.identified(processes.descendants(process.pid))
            assert len(family) >= 5
            groups.append(min(pid for pid, _ in family))
            process.send_signal(signal_number)
            process.wait(10)
            assert not processes.wait_gone(family, 10)
        finally:
            process.kill()
            process.wait()
    # the second took away what the first, which was killed, could not
    left = {path.name for path in pathlib.Path("/sys/fs/cgroup").glob("**/sluice-*")}
    assert not left & {f"sluice-{pid}" for pid in groups}


def test_two_functions_do_not_see_each_other(folder):
    with serving(folder / "a", "python", FILES) as a, serving(folder / "b", "python", FILES) as b:
        ask(a, "open('/tmp/mine', 'w').write('x')\nopen('/dev/shm/mine', 'w').write('x')")
        seen = "import os\nresult = [os.listdir('/tmp'), os.listdir('/dev/shm')]"
        assert ask(a, seen) == {"result": [["mine"], ["mine"]]}
        assert ask(b, seen) == {"result": [[], []]}
        code = "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 8000))\ns.listen()\nimport builtins\nbuiltins.kept = s"
        assert ask(a, code) == {"result": None}
        assert ask(b, f"{TRY}\nattempt(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', 8000))")["error"] == "ConnectionRefusedError"


@pytest.mark.skipif(not ROOT, reason="capabilities can only be taken from root")
def test_less_confinement_is_told_or_refused(folder):
    """A root without the capabilities that namespaces need: refused, unless less is asked for."""
    drop = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
    uid = ("--uid", str(UID))
    status, out = run_to_end(folder / "full", "python", FILES, *uid, wrapper=drop)
    assert status == 2 and "cannot start a process in namespaces of its own: Operation not permitted" in out
    code = "import os\nresult = [os.getuid(), open('/proc/self/status').read().count('Seccomp:\\t2')]"
    options = (*uid, "--confine", "partial")
    (folder / "partial").mkdir(exist_ok=True)
    with serving(folder / "partial", "python", FILES, *options, wrapper=drop, env={"TMPDIR": str(folder)}) as served:
        assert "not confined by: namespaces for files, processes and network" in served.log()
        assert ask(served, code)["result"] == [UID, 1]
        assert ask(served, "open('/etc/shadow')")["error"] == "PermissionError"
        assert ask(served, f"import os\nos.listdir({str(folder)!r})")["error"] == "PermissionError"
    env = {"SLUICE_CONFINE": "none", "TMPDIR": str(folder)}
    process = runtimes.start(folder / "none", "python", FILES, *uid, "--confine", "none", env=env)
    try:
        log = folder / "none" / "out"
        waiting.until(lambda: "listening on" in log.read_text(), runtimes.START)
        port = int(log.read_text().split("listening on 127.0.0.1:")[1].split()[0])
        assert ask(runtimes.Served(process, log, port), code)["result"] == [UID, 0]
    finally:
        process.terminate()
        process.wait(10)
