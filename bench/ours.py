# SPDX-License-Identifier: Apache-2.0
"""sluice as it is measured: the broker with its resource API, and a function's worker alone."""

import contextlib
import http.client
import json
import re
import time

from harness import BenchError, Process, request

KINDS = {
    'Namespace': '/api/v1/namespaces',
    'Broker': '/apis/eventing.knative.dev/v1/namespaces/{namespace}/brokers',
    'Trigger': '/apis/eventing.knative.dev/v1/namespaces/{namespace}/triggers',
    'Function': '/apis/sluice.dev/v1/namespaces/{namespace}/functions',
}
API_VERSIONS = {'Namespace': 'v1', 'Broker': 'eventing.knative.dev/v1',
                'Trigger': 'eventing.knative.dev/v1', 'Function': 'sluice.dev/v1'}


def resource(kind, name, namespace='bench', **spec):
    metadata = {'name': name} if kind == 'Namespace' else {'name': name, 'namespace': namespace}
    made = {'apiVersion': API_VERSIONS[kind], 'kind': kind, 'metadata': metadata}
    return {**made, 'spec': spec} if spec else made


def function(name, source, isolation, **more):
    return resource('Function', name, runtime='js', codeSource={'index.js': source},
                    isolation=isolation, **more)


def trigger(name, event_type, subscriber, broker='default', namespace='bench'):
    return resource('Trigger', name, namespace, broker=broker, subscriber=subscriber,
                    filter={'attributes': {'type': event_type}})


class Sluice:
    """A running `sluice serve`."""

    def __init__(self, process, address, program):
        self.process, self.address, self.program = process, address, program
        self.connection = http.client.HTTPConnection(address, timeout=30)

    def call(self, method, path, body=None):
        headers = {'Content-Type': 'application/json'} if body is not None else {}
        text = json.dumps(body) if body is not None else None
        self.connection.request(method, path, text, headers)
        response = self.connection.getresponse()
        return response.status, response.read()

    def create(self, made):
        """Creates one resource; nothing waits for its conditions."""
        path = KINDS[made['kind']].format(namespace=made['metadata'].get('namespace'))
        status, body = self.call('POST', path, made)
        if status not in (200, 201):
            raise BenchError(f'{made["kind"]} {made["metadata"]["name"]}: {status} '
                             + body.decode(errors='replace')[:300])

    def wait_ready(self, made, seconds=60):
        metadata = made['metadata']
        path = KINDS[made['kind']].format(namespace=metadata.get('namespace'))
        end = time.monotonic() + seconds
        conditions = []
        while time.monotonic() < end:
            status, body = self.call('GET', f'{path}/{metadata["name"]}')
            if status == 200:
                conditions = json.loads(body).get('status', {}).get('conditions', [])
                if any(c['type'] == 'Ready' and c['status'] == 'True' for c in conditions):
                    return
            time.sleep(0.01)
        raise BenchError(f'{made["kind"]} {metadata["name"]} is not ready: {conditions}')

    def apply(self, *resources):
        for each in resources:
            self.create(each)
        for each in resources:
            if each['kind'] != 'Namespace':
                self.wait_ready(each)

    def metric(self, name, **labels):
        """Sum of the samples of a metric that carry these labels."""
        _, body = self.call('GET', '/metrics')
        total, seen = 0.0, False
        for match in re.finditer(rf'^{name}(?:\{{(.*?)\}})? (\S+)', body.decode(), re.M):
            have = dict(re.findall(r'(\w+)="(.*?)"', match[1] or ''))
            if all(have.get(key) == value for key, value in labels.items()):
                total, seen = total + float(match[2]), True
        if not seen and not labels:
            raise BenchError(f'/metrics has no {name}')
        return total


@contextlib.contextmanager
def serve(bench, *options):
    """`sluice serve` with a new data folder on the disk."""
    folder = bench.make_folder('sluice')
    program = bench.build / 'sluice'
    command = [program, 'serve', '--data-dir', folder / 'data', '--listen', '127.0.0.1:0',
               '--quiet', *options]
    address_file = folder / 'data' / 'address'
    with Process(command, folder) as process:
        process.wait_until(lambda: address_file.exists() and address_file.read_text().strip())
        address = address_file.read_text().strip().removeprefix('http://')
        process.wait_until(lambda: request(address, 'GET', '/health/readiness')[0] == 200)
        yield Sluice(process, address, program)


@contextlib.contextmanager
def serve_function(bench, source, isolation, workers=1):
    """A function server alone on TCP, without broker and zygote: its process and address."""
    folder = bench.make_folder('worker')
    bundle = folder / 'bundle.json'
    bundle.write_text(json.dumps({
        'namespace': 'bench', 'name': 'bench', 'uid': 'bench', 'generation': 1, 'runtime': 'js',
        'isolation': isolation, 'env': {}, 'files': {'index.js': source}, 'main': 'index.js',
        'limits': {'memoryBytes': 64 << 20, 'timeoutMs': 30000, 'requestBytes': 1 << 20,
                   'responseBytes': 1 << 20, 'logBytes': 1 << 20}}))
    command = [bench.build / 'sluice-worker', 'serve', '--bundle', bundle,
               '--listen', '127.0.0.1:0', '--workers', str(workers)]
    with Process(command, folder) as process:
        line = process.first_line()
        match = re.match(r'listening on (\S+)$', line)
        if not match:
            raise process.complain(f'did not say where it listens but {line!r}')
        yield process, match[1]
