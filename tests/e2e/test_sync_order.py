# SPDX-License-Identifier: Apache-2.0
"""A trace of the system calls: the sync that covers an event returned before its 202 was written. A
kill cannot show that, since the page cache survives it."""

import re
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass

import pytest

import daemon
import waiting
from wire import RawConnection, binary_event, raw_request

LINE = re.compile(r"^(?P<thread>\d+) +(?P<time>\d+\.\d+) (?P<rest>.*)$")
BEGIN = re.compile(r"^(?P<call>\w+)\((?P<arguments>.*)$")
RESUMED = re.compile(r"^<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)$")
UNFINISHED = " <unfinished ...>"
RESULT = re.compile(r"\)\s+= (?P<result>-?\d+|\?).*$")

WRITES = {"write", "pwrite64", "writev", "pwritev", "pwritev2"}
SENDS = {"sendto", "sendmsg", "write", "writev"}
RECEIVES = {"recvfrom", "recvmsg", "read", "readv"}
SYNCS = {"fsync", "fdatasync", "sync_file_range", "msync"}


@dataclass
class Call:
    name: str
    text: str  # arguments and result
    began: int  # number of the line
    ended: int
    result: int

    @property
    def descriptor(self):
        found = re.match(r"(\d+)", self.text)
        return int(found.group(1)) if found else -1


def calls_of(lines):
    """strace -f output as calls, with the lines on which each began and ended."""
    open_calls, calls = {}, []
    for number, line in enumerate(lines):
        found = LINE.match(line)
        if not found:
            continue
        thread, rest = found["thread"], found["rest"]
        resumed = RESUMED.match(rest)
        if resumed:
            name, text, began = open_calls.pop(thread, (resumed["call"], "", number))
            text += resumed["rest"]
        else:
            begin = BEGIN.match(rest)
            if not begin:
                continue
            name, text, began = begin["call"], begin["arguments"], number
            if text.endswith(UNFINISHED):
                open_calls[thread] = (name, text[: -len(UNFINISHED)], began)
                continue
        result = RESULT.search(text)
        value = int(result["result"]) if result and result["result"] != "?" else -1
        calls.append(Call(name, text, began, number, value))
    return calls


@pytest.fixture
def traced(server, tmp_path):
    if not shutil.which("strace"):
        pytest.fail("strace is missing: scripts/setup installs it")
    output = tmp_path / "trace"
    names = ",".join(sorted(WRITES | SENDS | RECEIVES | SYNCS))
    command = ["strace", "-f", "-ttt", "-s", "100000", "-e", f"trace={names}"]
    with open(tmp_path / "strace.err", "w") as err:
        tracer = subprocess.Popen([*command, "-o", str(output), "-p", str(server.pid)], stderr=err)
    waiting.until(lambda: "attached" in (tmp_path / "strace.err").read_text())
    yield server, output
    tracer.send_signal(signal.SIGINT)
    tracer.wait(30)


def post_many(server, client, count, acknowledged):
    with RawConnection(server.address, 30) as connection:
        for number in range(count):
            id = f"probe-{client}-{number}-end"
            headers = [("Host", "localhost"), ("Content-Length", "2"), *binary_event(id=id).items()]
            connection.send(raw_request("POST", "/n/default", headers, b"{}"))
            if connection.response().status == 202:
                acknowledged.append(id)


def is_acceptance(call):
    return call.name in SENDS and "HTTP/1.1 202" in call.text


def all_calls(output, answers):
    """The calls, once the tracer has written as many answers."""
    calls = calls_of(output.read_text(errors="replace").splitlines())
    return calls if sum(map(is_acceptance, calls)) >= answers else None


def test_each_202_follows_the_sync_of_its_event(traced):
    server, output = traced
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.wait_ready_condition("Broker", "default", "n")
    acknowledged = []
    threads = [
        threading.Thread(target=post_many, args=(server, n, 40, acknowledged)) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(acknowledged) == 240
    calls = waiting.until(lambda: all_calls(output, 240), 30, "a trace of 240 answers")
    assert any(call.name in SYNCS for call in calls), "no sync at all"
    for id in acknowledged:
        check_order(id, calls)


def check_order(id, calls):
    """receive of the request on a socket < write to the log < sync of that file < 202 on the socket."""
    request = next(
        c for c in calls if c.name in RECEIVES and id in c.text and "ce-id" in c.text.lower()
    )
    write = next(
        (
            c
            for c in calls
            if c.name in WRITES and id in c.text and "HTTP/1.1" not in c.text and c.result > 0
        ),
        None,
    )
    assert write, f"{id}: no write to a file holds it"
    answer = next(
        c
        for c in calls
        if is_acceptance(c) and c.descriptor == request.descriptor and c.began > request.ended
    )
    covering = [
        c
        for c in calls
        if c.name in SYNCS
        and c.descriptor == write.descriptor
        and c.began > write.ended
        and c.result == 0
        and c.ended < answer.began
    ]
    assert (
        covering
    ), f"{id}: written on line {write.ended}, answered on {answer.began}, no sync between"
