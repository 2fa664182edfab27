# SPDX-License-Identifier: Apache-2.0
"""Fixtures, and what holds after every test: no error line in the broker's log that the test did not
announce, nothing from a sanitizer, no descriptor held, no child left behind."""

import itertools
import pathlib
import re
import signal
import tempfile
import time

import pytest

import daemon
import processes
from called import Called
from conversation import Inbox
from daemon import Daemon, SANITIZER, is_error_line
from sink import Sink

# Descriptors that may come with work and stay for a while: pooled connections, an opened segment.
DESCRIPTOR_SLACK = 12

numbers = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "expects_errors(pattern): error lines the test provokes")
    config.addinivalue_line("markers", "slow: takes several seconds")
    config.addinivalue_line("markers", "alone: not in a process of pytest-xdist")
    config.addinivalue_line("markers", "xdist_group(name): tests that pytest-xdist keeps together")
    processes.become_subreaper()


# Files whose tests do not run beside each other's: programs of functions share user ids, whose
# processes are counted over the whole machine; the README's commands use the port that people use.
TOGETHER = {
    "programs": {"test_process_functions", "test_runtimes", "test_runtimes_confined", "test_admission",
                 "test_function_run", "test_function_test", "test_function_deploy", "test_lifecycle"},
    "port-8080": {"test_demo", "test_readme"},
}
# podman does not see the end of a container that a child of pytest-xdist started.
ALONE = {"test_function_build", "test_runtime_images"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """For pytest-xdist: the tests of a file stay together, since they share a broker."""
    for item in items:
        name = item.path.stem
        group = next((group for group, names in TOGETHER.items() if name in names), name)
        item.add_marker(pytest.mark.xdist_group(group))
        if name in ALONE:
            item.add_marker(pytest.mark.alone)


def pytest_sessionstart(session):
    if not daemon.BINARY.exists():
        pytest.exit(f"{daemon.BINARY} does not exist: build it first (make build)", 2)


def fresh_folder():
    return pathlib.Path(tempfile.mkdtemp(prefix="sluice-e2e-"))


def complaints(subject, expected):
    """What is wrong with what the broker wrote since the last look."""
    for line in subject.log_since_check().splitlines():
        if SANITIZER.search(line):
            yield f"sanitizer: {line}"
        elif is_error_line(line) and not (expected and re.search(expected, line)):
            yield f"error line: {line}"


def leaked_descriptors(subject):
    """Waits for the count to come back; returns what is held beyond the baseline."""
    deadline = time.monotonic() + 3
    while True:
        held = processes.descriptors(subject.pid)
        if len(held) <= len(subject.baseline) + DESCRIPTOR_SLACK:
            return []
        if time.monotonic() > deadline:
            leaked = sorted(set(held) - set(subject.baseline))
            subject.baseline = held  # the next test does not pay for this one
            return leaked
        time.sleep(0.05)


def expected_errors(request):
    mark = request.node.get_closest_marker("expects_errors")
    return mark.args[0] if mark else None


def problems_of(subject, expected):
    found = list(complaints(subject, expected))
    if subject.running and subject.baseline:
        found += [f"descriptor held: {target}" for target in leaked_descriptors(subject)]
    return found


def finish(subject, expected=None):
    """Stops the broker and checks that nothing of it is left."""
    try:
        status = subject.stop()
        found = [f"left behind: {child}" for child in subject.children_left()]
        found += complaints(subject, expected)
        if status not in (0, None, -signal.SIGKILL):
            found.append(f"serve ended with {status}: {subject.log()[-2000:]}")
        assert not found, "\n".join(found)
    finally:
        Daemon.every.remove(subject)
        subject.cleanup()


@pytest.fixture(autouse=True)
def clean_afterwards(request):
    """For the brokers that outlive the test."""
    yield
    expected = expected_errors(request)
    found = [problem for subject in Daemon.every for problem in problems_of(subject, expected)]
    assert not found, "\n".join(found)


@pytest.fixture
def make_daemon(request):
    """Makes brokers that are not started yet; they are ended after the test."""
    made = []

    def make(*arguments, **options):
        made.append(Daemon(fresh_folder(), *arguments, **options))
        return made[-1]

    yield make
    for subject in made:
        finish(subject, expected_errors(request))


@pytest.fixture
def server(make_daemon):
    """A broker of the test's own, running."""
    return make_daemon().start()


@pytest.fixture(scope="module")
def shared():
    """One broker for the tests of a file that leave it as they found it."""
    subject = Daemon(fresh_folder()).start()
    yield subject
    finish(subject)


@pytest.fixture
def sinks():
    """Makes subscribers; they are closed after the test."""
    made = []

    def make():
        made.append(Sink())
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def sink(sinks):
    return sinks()


@pytest.fixture
def place(shared):
    """A namespace of the test's own on the shared broker, with a broker named default; its name."""
    name = f"t{next(numbers)}"
    shared.apply(daemon.namespace(name), daemon.broker("default", name))
    shared.wait_ready_condition("Broker", "default", name)
    yield name
    shared.delete("Namespace", name)


@pytest.fixture
def listening(shared, place, sink):
    """The place with a trigger that gives every event to the sink: (path to post to, sink)."""
    shared.apply(daemon.trigger("all", place, sink.url()))
    shared.wait_ready_condition("Trigger", "all", place)
    yield f"/{place}/default", sink


@pytest.fixture(scope="module")
def wired(shared):
    """The shared broker with the place that the bytes of conversation.py name."""
    shared.apply(daemon.namespace("wire"), daemon.broker("default", "wire"))
    shared.wait_ready_condition("Broker", "default", "wire")
    return shared


@pytest.fixture
def inbox(wired):
    """What is stored there from now on."""
    return Inbox(wired)


@pytest.fixture
def deploy(shared, place):
    """Deploys a function on the shared broker, waits until it is ready; returns how to call it."""

    def make(code=None, name="f", wait=True, **spec):
        shared.apply(daemon.function(name, place, code, **spec))
        if wait:
            shared.wait_ready_condition("Function", name, place)
        return Called(shared, place, name)

    return make
