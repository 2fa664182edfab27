# SPDX-License-Identifier: Apache-2.0
"""What every measurement needs: processes that end with the run, free ports, the load generator,
and what Linux says about a process's memory and time."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
READY_S = 20

# The event of every HTTP row: 40 bytes of JSON, the attributes in headers.
BODY = '{"msg":"forty bytes of JSON: a message"}'
assert len(BODY) == 40


class BenchError(Exception):
    """A row cannot be measured; the text says why."""


class Bench:
    """One run: its options, its folder, and what has to end with it."""

    def __init__(self, build, seconds, rounds):
        self.build = pathlib.Path(build).resolve()
        self.seconds = seconds
        self.rounds = rounds
        self.warmup = min(1.0, seconds / 3)
        self.load_program = self.build / 'bench' / 'sluice-load'
        self.stack = contextlib.ExitStack()
        self.folder = None

    def __enter__(self):
        # Below the build folder, so that ours and Redis write to the same real file system.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='bench-', dir=self.build))
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        if file_system_of(self.folder) in ('tmpfs', 'ramfs', 'overlay'):
            raise BenchError(f'{self.folder} is on {file_system_of(self.folder)}: durable writes '
                             'there mean nothing; choose another folder with --build')
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def target(self, name):
        """A program that is built only for measurements; its path."""
        done = subprocess.run(['ninja', '-C', str(self.build), name], capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f'cannot build {name} in {self.build} (run scripts/build first):\n'
                             f'{done.stdout[-1000:]}{done.stderr[-1000:]}')
        return self.build / name

    def make_folder(self, name):
        return pathlib.Path(tempfile.mkdtemp(prefix=name + '-', dir=self.folder))

    def load(self, *arguments, **options):
        """Runs the generator; options become --name value. Returns its report."""
        command = [str(self.load_program)]
        for name, value in options.items():
            for item in value if isinstance(value, list) else [value]:
                command += ['--' + name, str(item)]
        done = subprocess.run(command + list(arguments), capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(done.stderr.strip())
        report = json.loads(done.stdout)
        if report['good'] == 0:
            raise BenchError(f'no good answer: {report["status"]}, {report["errors"]}')
        return report


class Process:
    """A child with its output in a file; ended when the scope that it was started in ends."""

    def __init__(self, command, folder, env=None):
        self.name = pathlib.Path(command[0]).name
        self.out = pathlib.Path(folder) / (self.name + '.out')
        self.log = pathlib.Path(folder) / (self.name + '.log')
        with open(self.out, 'wb') as out, open(self.log, 'wb') as log:
            self.popen = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=log, cwd=folder,
                                          env=dict(os.environ, **(env or {})))

    def first_line(self):
        """Of its standard output, as soon as it is there."""
        self.wait_until(lambda: b'\n' in self.out.read_bytes())
        return self.out.read_text().splitlines()[0]

    @property
    def pid(self):
        return self.popen.pid

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def complain(self, what):
        tail = self.log.read_text(errors='replace').splitlines()[-8:]
        return BenchError('\n  '.join([f'{self.name}: {what}'] + tail))

    def wait_until(self, is_ready, seconds=READY_S, interval=0.01):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.popen.poll() is not None:
                raise self.complain(f'ended with status {self.popen.returncode}')
            if is_ready():
                return
            time.sleep(interval)
        raise self.complain(f'not ready after {seconds} s')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(('127.0.0.1', port), 1).close()
        return True
    except OSError:
        return False


def request(address, method, path, body=None, headers=None, timeout=10):
    """One HTTP request: (status, body). (0, b'') when nobody answers."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b''
    finally:
        connection.close()


def event_headers(kind='bench.event', source='/bench', ident='{id}', version='1.0'):
    return ['Content-Type: application/json', f'ce-specversion: {version}', f'ce-id: {ident}',
            f'ce-type: {kind}', f'ce-source: {source}']


def header_dict(lines):
    return dict(line.split(': ', 1) for line in lines)


def find_program(*names):
    for name in names:
        found = shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin')
        if found:
            return found
    raise BenchError(f'{names[0]} is not installed')


def file_system_of(path):
    best = ('', '')
    for line in pathlib.Path('/proc/self/mounts').read_text().splitlines():
        _, where, kind = line.split()[:3]
        inside = str(path) == where or str(path).startswith(where.rstrip('/') + '/')
        if inside and len(where) > len(best[0]):
            best = (where, kind)
    return best[1]


def descendants(pid):
    """pid and all processes below it."""
    parents = {}
    for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            text = stat.read_text()
            parents[int(stat.parent.name)] = int(text.rpartition(')')[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found


def pss_kib(pid):
    """Proportional set size of pid and all processes below it: shared pages are split between
    those that share them, so the sum counts each once."""
    total = 0
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f'/proc/{each}/smaps_rollup').read_text().splitlines():
                if line.startswith(('Pss:', 'SwapPss:')):
                    total += int(line.split()[1])
    return total


def cpu_seconds(pid):
    """CPU time of all threads of pid, to the nanosecond (the clock behind clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def tree_cpu_seconds(pid):
    return sum(cpu_seconds(each) for each in descendants(pid))


def interleave(bench, ours, peer, rounds=None):
    """Medians of ours() and peer() in turn, and all values; who comes first changes each round."""
    values = ([], [])
    for turn in range(rounds or bench.rounds):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            values[which].append((ours, peer)[which]())
    return statistics.median(values[0]), statistics.median(values[1]), values
