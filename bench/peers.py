# SPDX-License-Identifier: Apache-2.0
"""The peers, each started with the settings that make it fastest while it does the same work."""

import contextlib
import json
import pathlib
import subprocess
import time

from harness import (BODY, ROOT, BenchError, Process, accepts, event_headers, find_program,
                     free_port, header_dict, request)

FAAS = 'faas-js-runtime@4.0.1'
NODE = 'node@22'

# One worker: on two cores that the generator shares it is faster than two (README.md).
NGINX_CONFIG = '''
worker_processes 1; daemon off; pid nginx.pid; error_log nginx.err;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
    scgi_temp_path t5;
    server {{ listen 127.0.0.1:{port}; location / {{ return 202; }} }}
}}
'''


def version_of(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().splitlines()[0]


@contextlib.contextmanager
def nginx(bench):
    """Its process and address. It answers 202 to every POST; the body is read, and dropped."""
    folder, port = bench.make_folder('nginx'), free_port()
    (folder / 'nginx.conf').write_text(NGINX_CONFIG.format(port=port))
    command = [find_program('nginx'), '-p', folder, '-c', folder / 'nginx.conf',
               '-e', folder / 'nginx.err']
    with Process(command, folder) as process:
        process.wait_until(lambda: accepts(port))
        yield process, f'127.0.0.1:{port}'


@contextlib.contextmanager
def redis(bench):
    """Its process and address. An answer means that the entry is synced; nothing rewrites the file
    meanwhile."""
    folder, port = bench.make_folder('redis'), free_port()
    command = [find_program('redis-server'), '--bind', '127.0.0.1', '--port', port, '--dir', folder,
               '--save', '', '--appendonly', 'yes', '--appendfsync', 'always',
               '--auto-aof-rewrite-percentage', '0']
    with Process(command, folder) as process:
        process.wait_until(lambda: accepts(port))
        yield process, f'127.0.0.1:{port}'


class NodePeer:
    """faas-js-runtime from npm, and the Node that its package asks for when that can be had."""

    def __init__(self):
        folder = ROOT / 'build' / 'bench-npm'
        self.modules = folder / 'node_modules'
        if not (self.modules / 'faas-js-runtime').is_dir():
            self._install(folder)
        own = self.modules / 'node' / 'bin' / 'node'
        self.node = str(own) if own.exists() else find_program('node', 'nodejs')
        package = json.loads((self.modules / 'faas-js-runtime' / 'package.json').read_text())
        self.name = f'faas-js-runtime {package["version"]} on Node {version_of(self.node, "-v")}'

    @staticmethod
    def _install(folder):
        folder.mkdir(parents=True, exist_ok=True)
        base = [find_program('npm'), 'install', '--no-audit', '--no-fund', '--prefix', folder]
        # Node's own package first; without it, the system's Node with whatever runs on that.
        for packages in ([FAAS, NODE], [FAAS], ['faas-js-runtime']):
            done = subprocess.run(base + packages, capture_output=True, text=True)
            if done.returncode == 0:
                return
        raise BenchError('npm could not install faas-js-runtime: ' + done.stderr.strip()[-300:])

    @contextlib.contextmanager
    def serve(self, bench, source):
        """A function from source (JavaScript text): its process and address, not yet ready."""
        folder, port = bench.make_folder('faas'), free_port()
        (folder / 'index.js').write_text(source)
        command = [self.node, self.modules / 'faas-js-runtime' / 'bin' / 'cli.js',
                   '--port', port, folder / 'index.js']
        with Process(command, folder, env={'NODE_ENV': 'production'}) as process:
            yield process, f'127.0.0.1:{port}'


def first_reply(process, address, path='/', seconds=20):
    """Asks until the function answers an event; the monotonic time of that answer."""
    headers = header_dict(event_headers(ident='first'))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status, _ = request(address, 'POST', path, BODY, headers)
        if 200 <= status < 300:
            return time.monotonic()
        if process.popen.poll() is not None:
            raise process.complain('ended before it answered')
        time.sleep(0.001)
    raise process.complain(f'no answer from {path} after {seconds} s (last status {status})')


@contextlib.contextmanager
def redis_stream(bench):
    """As redis(), with the stream and the group of consumers that queue-redis uses."""
    with redis(bench) as (process, address):
        subprocess.run([find_program('redis-cli'), '-p', address.rpartition(':')[2], 'XGROUP',
                        'CREATE', 'events', 'g', '0', 'MKSTREAM'], check=True, capture_output=True)
        yield process, address


@contextlib.contextmanager
def jetstream(bench):
    """Its process and address."""
    folder, port = bench.make_folder('nats'), free_port()
    command = [find_program('nats-server'), '-a', '127.0.0.1', '-p', port, '-js', '-sd', folder]
    with Process(command, folder) as process:
        process.wait_until(lambda: accepts(port))
        yield process, f'127.0.0.1:{port}'


RABBIT_CONFIG = '''
listeners.tcp.local = 127.0.0.1:{port}
log.file.level = warning
cluster_partition_handling = ignore
'''


@contextlib.contextmanager
def rabbitmq(bench):
    """Its process and address. It runs as whoever runs this, all that it writes is below its folder;
    it and the port mapper that it starts end with the scope."""
    folder, port, mapper = bench.make_folder('rabbit'), free_port(), free_port()
    (folder / 'rabbit.conf').write_text(RABBIT_CONFIG.format(port=port))
    program = max(pathlib.Path('/usr/lib/rabbitmq/lib').glob('rabbitmq_server-*'),
                  default=None)
    if program is None:
        raise BenchError('rabbitmq-server is not installed')
    environment = {
        'HOME': folder, 'RABBITMQ_NODENAME': 'bench@localhost', 'RABBITMQ_CONF_ENV_FILE': '/dev/null',
        'RABBITMQ_CONFIG_FILE': folder / 'rabbit', 'RABBITMQ_MNESIA_BASE': folder / 'mnesia',
        'RABBITMQ_LOG_BASE': folder / 'log', 'RABBITMQ_PID_FILE': folder / 'pid',
        'RABBITMQ_ENABLED_PLUGINS_FILE': folder / 'plugins', 'RABBITMQ_DIST_PORT': free_port(),
        'ERL_EPMD_PORT': mapper, 'ERL_EPMD_ADDRESS': '127.0.0.1',
        'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '-kernel inet_dist_use_interface {127,0,0,1}'}
    environment = {key: str(value) for key, value in environment.items()}
    with Process([program / 'sbin' / 'rabbitmq-server'], folder, env=environment) as process:
        try:
            process.wait_until(lambda: accepts(port), seconds=60)
            yield process, f'127.0.0.1:{port}'
        finally:
            process.popen.terminate()
            process.popen.wait(30)
            subprocess.run([find_program('epmd'), '-port', str(mapper), '-kill'],
                           capture_output=True)
