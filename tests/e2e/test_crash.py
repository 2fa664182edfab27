# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: what got a 202 is delivered, and a chain's replies are in the
log exactly once for each cause."""

import collections
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import daemon
import processes
import waiting
from load import Load
from sink import reply
from wire import binary_event

CRASHES = int(os.environ.get("SLUICE_CRASHES", "20"))
SEED = int(os.environ.get("SLUICE_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)

# A chain through a subscriber at a URL, and one through a function. The reply's id names its cause.
ECHO = """
module.exports = (context, event) =>
    context.cloudEventResponse({ cause: event.id }).id(event.id + '.r').type('js.out').source('/f').response();
"""
DELIVERY = {"retry": 50, "backoffPolicy": "linear", "backoffDelay": "PT0.05S"}


def build_chain(server, sink):
    sink.on("/in", lambda received: reply(f"{received.id}.r", type="url.out"))
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.apply(daemon.function("echo", "n", ECHO))
    server.wait_ready_condition("Function", "echo", "n")
    for name, type, subscriber in (
        ("url-in", "url.in", sink.url("/in")),
        ("url-out", "url.out", sink.url("/url-out")),
        ("js-in", "js.in", "echo"),
        ("js-out", "js.out", sink.url("/js-out")),
    ):
        attributes = {"type": type}
        server.apply(
            daemon.trigger(name, "n", subscriber, attributes=attributes, delivery=DELIVERY)
        )
        server.wait_ready_condition("Trigger", name, "n")


def seen_at(sink, path):
    return {received.id for received in sink.at(path)}


def wait_delivered(sink, load, timeout):
    """Every acknowledged event, or rather what its chain made of it, reaches the end."""
    for type, path in (("url.in", "/url-out"), ("js.in", "/js-out")):
        wanted = {f"{id}.r" for id, its_type in load.acknowledged.items() if its_type == type}
        deadline = time.monotonic() + timeout
        while missing := wanted - seen_at(sink, path):
            assert (
                time.monotonic() < deadline
            ), f"seed {SEED}: {len(missing)} of {len(wanted)} lost on the way to {path}: {sorted(missing)[:5]}"
            time.sleep(0.1)
    wanted = {id for id, type in load.acknowledged.items() if type == "url.in"}
    assert not wanted - seen_at(sink, "/in")


def chain_finished(server):
    """Each cause in the log has its reply there."""
    ids = {entry["event"]["id"] for entry in server.events()}
    return all(f"{id}.r" in ids for id in ids if not id.endswith(".r"))


def check_log(server, sink, load):
    """The check by position: causes once, replies once for each cause, batches whole or not at all,
    and nothing delivered that is not in the log."""
    entries = server.events()
    positions = [entry["position"] for entry in entries]
    assert positions == sorted(set(positions)), "positions ascend and are never used twice"
    count = collections.Counter(entry["event"]["id"] for entry in entries)
    twice = [id for id, times in count.items() if times > 1]
    assert not twice, f"seed {SEED}: appended more than once: {twice[:5]}"
    lost = [id for id in load.acknowledged if id not in count]
    assert not lost, f"seed {SEED}: acknowledged and lost: {lost[:5]}"
    strangers = [
        id for id in count if id not in load.sent and id.removesuffix(".r") not in load.sent
    ]
    assert not strangers, f"seed {SEED}: never sent: {strangers[:5]}"
    for ids in load.batches:
        held = [id in count for id in ids]
        assert all(held) or not any(held), f"seed {SEED}: a torn batch: {dict(zip(ids, held))}"
    orphans = [id for id in count if id.endswith(".r") and id.removesuffix(".r") not in count]
    assert not orphans, f"seed {SEED}: replies without a cause: {orphans[:5]}"
    for path in ("/in", "/url-out", "/js-out"):
        ghosts = seen_at(sink, path) - set(count)
        assert (
            not ghosts
        ), f"seed {SEED}: delivered to {path}, and not in the log: {sorted(ghosts)[:5]}"
    times = [entry["time"] for entry in entries]
    assert times == sorted(times), "the log's time never goes backwards"


def crash_once(server, load, dice):
    """Lets it run a while or until it has taken some, kills it; sometimes kills it again while it
    recovers."""
    if dice.random() < 0.5:
        wanted = len(load.acknowledged) + dice.randint(1, 100)
        waiting.until(lambda: len(load.acknowledged) >= wanted, 30, "load")
    else:
        time.sleep(dice.choice([dice.uniform(0, 0.05), dice.uniform(0.05, 0.4)]))
    server.kill()
    while dice.random() < 0.2:
        server.spawn()
        time.sleep(dice.uniform(0, 0.08))
        server.kill()
    server.restart()
    assert processes.cpu_seconds(server.pid) < 2 * daemon.TIME_FACTOR, "recovery needs no repair"


@pytest.mark.slow
def test_kill_of_the_broker_under_load(server, sink):
    print(f"SLUICE_SEED={SEED} SLUICE_CRASHES={CRASHES}")
    dice = random.Random(SEED)
    build_chain(server, sink)
    with Load(server, "/n/default", ["url.in", "js.in"], clients=6) as load:
        for _ in range(CRASHES):
            crash_once(server, load, dice)
        waiting.until(lambda: len(load.acknowledged) > CRASHES * 5, 60, "load")
    assert set(load.refused) <= {429, 503}, collections.Counter(load.refused)
    wait_delivered(sink, load, 60 + CRASHES)
    waiting.until(lambda: chain_finished(server), 60)
    check_log(server, sink, load)
    assert not [
        row for name in ("url-in", "url-out", "js-in", "js-out") for row in server.dead("n", name)
    ]


@pytest.mark.slow
def test_kill_of_workers_under_load(server, sink):
    """Few kills: a worker that is killed again and again is started again later and later."""
    dice = random.Random(SEED)
    build_chain(server, sink)
    with Load(server, "/n/default", ["js.in"], clients=4, pause=0.02) as load:
        for _ in range(3):
            time.sleep(dice.uniform(0.2, 0.5))
            for pid in waiting.until(lambda: processes.workers(server.pid), 30, "a worker"):
                os.kill(pid, signal.SIGKILL)
        waiting.until(lambda: len(load.acknowledged) > 100, 60, "load")
    wait_delivered(sink, load, 60)
    waiting.until(lambda: chain_finished(server), 60)
    check_log(server, sink, load)


def test_kill_while_resources_change(server, sink):
    """Each acknowledged resource is there after the kill, with the version it was given."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    kept, stop = {}, threading.Event()

    def writer(number):
        for turn in range(100000):
            if stop.is_set():
                return
            name = f"t{number}-{turn}"
            try:
                answer = server.create(daemon.trigger(name, "n", sink.url()))
            except OSError:
                return
            if answer.status == 201:
                kept[name] = answer.json()["metadata"]

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    waiting.until(lambda: len(kept) > 100, 60, "100 resources")
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    server.restart()
    listed = server.http.get(server.collection("Trigger", "n")).json()["items"]
    found = {item["metadata"]["name"]: item["metadata"] for item in listed}
    for name, metadata in kept.items():
        assert found[name]["uid"] == metadata["uid"]


def test_a_second_kill_changes_nothing(server, sink):
    """Positions, epochs and what is finished stay as they are over several starts."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.apply(daemon.trigger("t", "n", sink.url()))
    server.wait_ready_condition("Trigger", "t", "n")
    for number in range(10):
        server.send("/n/default", binary_event(id=str(number)))
    sink.wait(10)
    before = server.events()
    for _ in range(3):
        server.kill()
        server.restart()
        assert server.events() == before
    server.send("/n/default", binary_event(id="next"))
    after = server.events()
    assert after[:-1] == before and after[-1]["position"] > before[-1]["position"]


def test_two_brokers_on_one_folder(server):
    address = (server.data_dir / "address").read_text()
    command = [str(daemon.BINARY), "serve", "--data-dir", str(server.data_dir)]
    result = subprocess.run(
        [*command, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=20
    )
    assert result.returncode != 0
    assert str(server.data_dir) in result.stderr, result.stderr
    assert (server.data_dir / "address").read_text() == address
    assert server.http.get("/health/readiness").status == 200


@pytest.mark.slow
def test_start_after_a_million_events(server):
    """Under 2 s of work after any crash."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    server.wait_ready_condition("Broker", "default", "n")
    for batch in range(100):
        events = ",".join(
            f'{{"specversion":"1.0","id":"{batch}-{n}","type":"t","source":"/s","data":{{"n":{n}}}}}'
            for n in range(10000)
        )
        body = f"[{events}]".encode()
        answer = server.send_json("/n/default", body, "application/cloudevents-batch+json")
        assert answer.status == 202, answer
    server.kill()
    server.restart()
    assert processes.cpu_seconds(server.pid) < 2 * daemon.TIME_FACTOR
    last = server.http.get("/metrics").body
    assert last
    server.send("/n/default", binary_event(id="after"))
    tail = server.http.get("/-/events?from=1000000&follow=false").body.splitlines()
    assert json.loads(tail[-1])["event"]["id"] == "after"


@pytest.mark.expects_errors("corrupt|segment|damaged")
def test_damage_below_the_synced_position_is_named(server):
    """Not a torn tail: the broker refuses to start and says which file and where."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    marker = "damage-me-" + "x" * 64
    server.send("/n/default", binary_event(id=marker))
    for number in range(50):
        server.send("/n/default", binary_event(id=str(number)))
    server.kill()
    hits = []
    for path in server.data_dir.rglob("*"):
        if path.is_file() and path.stat().st_size:
            offset = path.read_bytes().find(marker.encode())
            if offset >= 0 and path.suffix != ".mdb":
                hits.append((path, offset))
    assert hits
    for path, offset in hits:
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(b"DAMAGE")
    server.spawn()
    assert server.process.wait(20) != 0
    assert any(path.name in server.log() for path, _ in hits), server.log()[-1000:]
    server.process.returncode = 0


def test_a_torn_tail_is_cut_off(server):
    """What was never acknowledged may be half there: it is not an error, and is not seen."""
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    for number in range(20):
        server.send("/n/default", binary_event(id=str(number)))
    marker = "torn-" + "y" * 64
    server.send("/n/default", binary_event(id=marker))
    server.kill()
    for path in server.data_dir.rglob("*"):
        if path.is_file() and path.suffix != ".mdb" and path.stat().st_size:
            offset = path.read_bytes().find(marker.encode())
            if offset >= 0:
                with open(path, "r+b") as file:
                    file.seek(offset)
                    file.write(b"\0" * 32)
    server.restart()
    ids = [entry["event"]["id"] for entry in server.events()]
    assert ids == [str(number) for number in range(20)]
    server.send("/n/default", binary_event(id="after"))
    server.kill()
    server.restart()
    assert [entry["event"]["id"] for entry in server.events()][20:] == ["after"]
