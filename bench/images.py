# SPDX-License-Identifier: Apache-2.0
"""What the images of the templates hold, unpacked: the files of their layers."""

import json
import os
import subprocess
import tarfile

from harness import BenchError
from results import Result


def sluice(bench, folder, *words):
    done = subprocess.run([bench.build / 'sluice', 'function', *words], cwd=folder, text=True,
                          capture_output=True, env={**os.environ, 'XDG_CACHE_HOME': str(folder)})
    if done.returncode != 0:
        raise BenchError(f'sluice function {words[0]}: {done.stderr.strip()}')


def blob(layout, descriptor):
    return layout / 'blobs' / 'sha256' / descriptor['digest'].removeprefix('sha256:')


def files_of(layout):
    """Bytes of each file that a container would see."""
    index = json.loads((layout / 'index.json').read_text())
    manifest = json.loads(blob(layout, index['manifests'][0]).read_text())
    sizes = {}
    for layer in manifest['layers']:
        with tarfile.open(blob(layout, layer)) as archive:
            sizes.update({member.name: member.size for member in archive if member.isfile()})
    return sizes


def size_of(runtime):
    def measure(bench, name):
        folder = bench.make_folder(name)
        sluice(bench, folder, 'new', '--runtime', runtime, 'greeter')
        sluice(bench, folder, 'build', 'greeter', '-t', 'greeter:1', '--out', 'image')
        files = files_of(folder / 'image')
        largest = sorted(files.items(), key=lambda item: -item[1])[:8]
        yield Result(name, 'MB', sum(files.values()) / 1e6, None, None, {'largest': dict(largest)})
    return measure
