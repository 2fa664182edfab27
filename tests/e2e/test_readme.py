# SPDX-License-Identifier: Apache-2.0
"""The README's tour, command by command: what it shows is what one gets."""

import os
import re
import select
import subprocess

from daemon import BINARY, ROOT
from waiting import until
from wire import binary_event

TEXT = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:8080"
IMPOSSIBLE_HERE = ("make ", "export ", "build/sluice serve")

# What differs from run to run.
VARIABLE = [
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b\d\d:\d\d:\d\d\.\d+", "TIME"),
    (r"\b\d+s\b", "AGE"),
    (r"\b\d+\.\d ms\b", "TIME"),
    (r"sha256:[0-9a-f]{64}", "DIGEST"),
    (r"\b\d+\.\d [kM]B\b", "SIZE"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"(position +|answered with )\d+", r"\1POSITION"),
    (r"[ \t]+", " "),
]


def normalised(text):
    for pattern, name in VARIABLE:
        text = re.sub(pattern, name, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)


def steps():
    """(command, lines that are shown after it), in order."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block.replace("\\\n", ""), flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            if not command.startswith(IMPOSSIBLE_HERE):
                yield command, normalised(shown)


def run(command, server, folder):
    command = command.replace("build/sluice", str(BINARY)).replace(ADDRESS, server.url[7:])
    env = {**os.environ, "SLUICE_SERVER": server.url}
    options = {"shell": True, "cwd": folder, "env": env, "text": True, "executable": "/bin/bash"}
    if command.endswith("&"):
        return subprocess.Popen(f"exec {command[:-1]}", stdout=subprocess.PIPE, **options)
    done = subprocess.run(command, capture_output=True, timeout=60, **options)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def lines_of(process, count):
    return [process.stdout.readline() for _ in range(count)]


def wait_watching(process, server):
    """Sends events until one of them is shown, and leaves none that is to be shown yet."""
    for number in range(300):
        event = binary_event(id=f"marker-{number}", type="marker")
        assert server.send("/tour/default", event).status == 202
        if select.select([process.stdout], [], [], 0.1)[0]:
            break
    while f"marker-{number} " not in process.stdout.readline():
        assert process.poll() is None, "it ended"


def test_the_tour(server, tmp_path):
    manifest = next(block for block in blocks("yaml") if block.startswith("# hello.yaml"))
    (tmp_path / "hello.yaml").write_text(manifest)
    watching, seen = None, 0
    try:
        for command, shown in steps():
            output = run(command, server, tmp_path)
            if isinstance(output, subprocess.Popen):
                watching = output
                wait_watching(watching, server)
                continue
            got = normalised(output)
            if "sluice event " in command:  # what becomes of it takes a moment
                until(lambda: shown == normalised(run(command, server, tmp_path)), what=command)
                continue
            if watching and "send" in command:
                got += normalised("".join(lines_of(watching, len(shown) - len(got))))
            assert [line for line in shown if line not in got] == [], (command, got)
            seen += 1
    finally:
        if watching:
            watching.kill()
            watching.wait()
            watching.stdout.close()
    assert seen >= 5


def test_files_that_it_names_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_nothing_is_left_to_fill_in():
    assert not re.search(r"@[A-Z]+@|TODO|FIXME", TEXT)
