# SPDX-License-Identifier: Apache-2.0
"""Native code planted in a worker: what somebody could do who had broken out of the sandbox. A worker
gets a shared object of the test's own where a compiled module should be, and each of its exports
tries one thing. The system call filter ends the process, or the kernel says no."""

import contextlib
import errno
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

import daemon
from test_worker import EXITED, Zygote, call_unix

SOURCE = pathlib.Path(__file__).parent / "native_attempts.c"
ATTEMPTS = re.findall(r"\bx\((\w+)\)", SOURCE.read_text())
# What ends a worker, or tells of it, rather than gets out of it.
ENDS = {"close_all", "exit", "crash", "abort"}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The shared object; a secret that it must not read; a listener that must not hear of it."""
    folder = tmp_path_factory.mktemp("planted")
    secret, mark = folder / "secret", folder / "mark"
    secret.write_text("SECRET of the test\n")
    secret.chmod(0o666)
    folder.chmod(0o777)
    for above in [folder, *folder.parents][:3]:
        above.chmod(above.stat().st_mode | 0o055)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.setblocking(False)
        module = folder / "planted.so"
        values = {"SECRET": f'"{secret}"', "MARK": f'"{mark}"', "PORT": listener.getsockname()[1], "PARENT": os.getpid()}
        subprocess.run(
            ["gcc", "-w", "-O1", "-D_GNU_SOURCE", "-fPIC", "-shared", f"-I{daemon.ROOT}/src", *(f"-D{n}={v}" for n, v in values.items()),
             str(SOURCE), "-o", str(module)], check=True)
        yield module, secret, mark, listener


class Planted(Zygote):
    def bundle(self, attempt):
        return json.dumps({"namespace": "ns", "name": "f", "runtime": "wasm", "isolation": "event",
                           "wasm": {"module": "m.wasm", "function": attempt, "response": "(result) => `returned ${result}`"}})


@pytest.fixture
def worker(planted, tmp_path):
    zygote = Planted(tmp_path)
    yield zygote, planted
    zygote.socket.close()
    zygote.process.wait(5)


def attempt(worker, name):
    """(wait status or None, answer)"""
    zygote, (module, *_) = worker
    with open(module, "rb") as file:
        _, path = zygote.start(1, zygote.bundle(name), module=file.fileno())
    assert zygote.report(1) == {"report": "ready"}
    try:
        answer = call_unix(path)
    except (OSError, http.client.HTTPException):
        answer = None
    if answer is not None:
        return None, answer
    kind, status, number = zygote.receive()
    assert (kind, number) == (EXITED, 1)
    return status, None


@pytest.mark.parametrize("name", [name for name in ATTEMPTS if name not in ENDS])
def test_native_code_gets_nowhere(worker, name):
    status, answer = attempt(worker, name)
    _, (_, secret, mark, listener) = worker
    if answer is not None:
        code, text = answer
        assert code == 200, answer
        result = int(text.decode().removeprefix("returned "))
        assert result < 0 and -result in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EBADF), (name, result)
    else:
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGSYS, signal.SIGSEGV), (name, status)
    assert secret.read_text() == "SECRET of the test\n" and secret.stat().st_mode & 0o777 == 0o666
    assert not mark.exists()
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert worker[0].process.poll() is None, "the zygote lives"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's workers have a user to leave")
def test_workers_of_root_are_not_root(worker):
    zygote, (module, *_) = worker
    with open(module, "rb") as file:
        pid, _ = zygote.start(1, zygote.bundle("crash"), module=file.fileno())
    assert zygote.report(1) == {"report": "ready"}
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^Uid:(\s+65534){4}$", status, re.M) and re.search(r"^Gid:(\s+65534){4}$", status, re.M), status
    assert re.search(r"^Groups:\s*$", status, re.M), status
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert re.search(rf"^{name}:\s+0+$", status, re.M), status
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M), status


@pytest.mark.parametrize("name", ["close_all", "exit", "crash", "abort"])
def test_a_worker_that_ends_in_the_middle(worker, name):
    """Its caller sees a connection that broke or an error, and the zygote goes on."""
    status, answer = attempt(worker, name)
    assert answer is None or answer[0] >= 500, answer
    assert worker[0].process.poll() is None
