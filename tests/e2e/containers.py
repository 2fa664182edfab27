# SPDX-License-Identifier: Apache-2.0
"""Images in an OCI layout, run by runc (unpacked by umoci) or podman, without a registry."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Container:
    def __init__(self, process, port, log):
        self.process, self.port, self.log_file = process, port, log

    def log(self):
        return self.log_file.read_text()

    def wait_ready(self, timeout=30):
        deadline = time.monotonic() + timeout
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            try:
                if self.call("/health/readiness")[0] == 200:
                    return self
            except OSError:
                time.sleep(0.02)

    def call(self, path="/", method="GET", body=None, headers=None):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


@contextlib.contextmanager
def _started(command, port, log, env=None, stop=None):
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env
        )
    subject = Container(process, port, pathlib.Path(log))
    try:
        yield subject.wait_ready()
        process.terminate()
        subject.status = process.wait(20)
    finally:
        if process.poll() is None:
            if stop:
                stop()
            process.kill()
            process.wait()


def unpack(layout, reference, folder):
    """The root file system and a configuration for runc."""
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:{reference}", folder],
        check=True,
        capture_output=True,
    )
    return pathlib.Path(folder)


def _knative_like(config, port, env, seccomp):
    """What a restricted pod gives: no rights, no capabilities, nothing that can be written to."""
    process = config["process"]
    process["terminal"] = False
    process["env"] += [f"PORT={port}", *(f"{k}={v}" for k, v in (env or {}).items())]
    process["capabilities"] = {kind: [] for kind in process["capabilities"]}
    process["noNewPrivileges"] = True
    config["root"]["readonly"] = True
    linux = config["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "network"]
    if seccomp:
        linux["seccomp"] = seccomp
    config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/sys")]


@contextlib.contextmanager
def under_runc(bundle, folder, env=None, seccomp=None, arguments=()):
    """Runs an unpacked image; ends with its exit status in .status."""
    port, state = free_port(), folder / "runc"
    config = json.loads((bundle / "config.json").read_text())
    _knative_like(config, port, env, seccomp)
    run = folder / f"run-{port}"
    run.mkdir()
    config["process"]["args"] += arguments
    config["root"]["path"] = str((bundle / "rootfs").resolve())
    (run / "config.json").write_text(json.dumps(config))
    name = f"sluice-{os.getpid()}-{port}"
    command = ["runc", "--root", str(state), "run", "--bundle", str(run), name]
    remove = ["runc", "--root", str(state), "delete", "--force", name]
    with _started(command, port, run / "log", stop=lambda: subprocess.run(remove)) as subject:
        yield subject


class Podman:
    """A store of its own in a folder; what it may not have here (higher limits) is left out."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]\n'
        )
        (folder / "storage.conf").write_text(
            '[storage]\ndriver = "overlay"\n'
            f'graphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        )
        self.env = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "TMPDIR": str(folder),
        }

    def run(self, *arguments):
        done = subprocess.run(
            ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def serving(self, image, *options):
        port = free_port()
        name = f"sluice-{os.getpid()}-{port}"
        words = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "run", "--rm"]
        words += ["--name", name, "--network", "host", "-e", f"PORT={port}", *options, image]
        stop = lambda: self.run("rm", "--force", name)  # noqa: E731
        with _started(words, port, self.folder / f"log-{port}", self.env, stop) as subject:
            yield subject

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
