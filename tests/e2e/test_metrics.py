# SPDX-License-Identifier: Apache-2.0
"""GET /metrics: both formats read by others' parsers, and exact counts of known traffic."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest
import waiting
from daemon import broker, namespace, trigger
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as open_parser
from sink import Answer, Sink, reply
from wire import binary_event

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def promtool():
    for candidate in (ROOT / "build" / "promtool", shutil.which("promtool")):
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    raise AssertionError("there is no promtool: scripts/setup test fetches it")


def scrape(server, accept=None, query=""):
    answer = server.http.get("/metrics" + query, headers={"Accept": accept} if accept else {})
    assert answer.status == 200, answer
    return answer


def samples(server, accept=None, query=""):
    """(name, labels) → value, by the parser of prometheus_client for that format."""
    answer = scrape(server, accept, query)
    parser = open_parser if accept else text_parser
    found = {}
    for family in parser.text_string_to_metric_families(answer.body.decode()):
        for each in family.samples:
            labels = {n: str(float(v)) if n == "le" else v for n, v in each.labels.items()}
            key = (each.name, frozenset(labels.items()))
            assert key not in found, key
            found[key] = each.value
    return found


class Scrape:
    """The samples, asked for by name and some of the labels; what fits is added up."""

    def __init__(self, server, accept=None, query=""):
        self.all = samples(server, accept, query)

    def __call__(self, name, **labels):
        fitting = [v for (n, l), v in self.all.items() if n == name and labels.items() <= dict(l).items()]
        return sum(fitting) if fitting else None

    def labels(self, name):
        """The sets of labels of that name's samples."""
        return [dict(l) for n, l in self.all if n == name]


def check_with_promtool(text):
    done = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


@pytest.fixture
def server(make_daemon):
    return make_daemon().start()


def test_formats(server):
    plain = scrape(server)
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    check_with_promtool(plain.body)
    opened = scrape(server, OPENMETRICS)
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert opened.headers["content-type"] == kind
    assert set(samples(server)) == set(samples(server, OPENMETRICS))


OTHERS = [{"not": {"exact": {"type": "good"}}}, {"not": {"exact": {"type": "answer"}}}]
POLICY = {"retry": 2, "backoffPolicy": "linear", "backoffDelay": "PT0.01S"}


@pytest.fixture
def sink():
    with_answers = Sink()
    yield with_answers
    with_answers.close()


def send(server, count, path="/n/default", **event):
    for number in range(count):
        headers = binary_event(id=f"{event['type']}-{number}", **event)
        assert server.http.post(path, b"{}", headers).status == 202


def rest(server):
    """Until nothing is under way."""

    def idle():
        now = server.metrics()
        busy = [f"sluice_{name}" for name in ("deliveries_in_flight", "deliveries_waiting")]
        busy.append("sluice_outcomes_settling")
        busy += [name for name in now if name.startswith("sluice_trigger_lag_positions")]
        ends = ("deliveries_done", "dead_letters", "deliveries_expired")
        done = sum(now[f"sluice_{name}_total"] for name in ends)
        wanted = now["sluice_deliveries_matched_total"]
        return all(now[name] == 0 for name in busy) and done == wanted

    waiting.until(idle, what="the deliveries' end")


@pytest.fixture
def traffic(server, sink):
    """Accepted: 4 of type good, 3 of type poor, 2 of type bad, 1 that comes late, 1 reply. Refused: 2 of no type, 1 that
    has gone round. good: answered 200, one with a reply that nobody wants. poor: 503 twice, then 202.
    bad: 400, final."""
    seen = {}

    def answer(received):
        kind = received.headers["ce-type"]
        tries = seen[received.id] = seen.get(received.id, 0) + 1
        if kind == "poor":
            return Answer(503 if tries < 3 else 202)
        if received.id == "good-0":
            return reply("r", type="answer")
        return Answer(400 if kind == "bad" else 200)

    sink.on("/", answer)
    server.apply(
        namespace("n"),
        broker("default", "n"),
        trigger("good", "n", sink.url(), attributes={"type": "good"}),
        trigger("rest", "n", sink.url(), filters=OTHERS, delivery=POLICY),
        trigger("idle", "n", sink.url(), attributes={"type": "never"}),
    )
    for kind, count in (("good", 4), ("poor", 3), ("bad", 2)):
        send(server, count, type=kind)
    send(server, 1, type="late", expirytime="2020-01-01T00:00:00Z")
    for _ in range(2):
        assert server.http.post("/n/default", b"{}", {"ce-specversion": "1.0"}).status == 400
    headers = binary_event(type="looped", knativebrokerttl="1")
    assert server.http.post("/n/default", b"{}", headers).status == 400
    assert server.http.post("/n/nobody", b"{}", headers).status == 404
    rest(server)
    return server


@pytest.mark.parametrize("accept", [None, OPENMETRICS])
def test_counts(traffic, accept):
    get = Scrape(traffic, accept)
    # our own, for the server and for each broker and trigger
    assert get("sluice_events_taken_total") == 10
    assert get("sluice_events_refused_total") == 4
    assert get("sluice_broker_events_taken_total", namespace="n", broker="default") == 10
    assert get("sluice_broker_replies_total", broker="default") == 1
    assert get("sluice_broker_triggers", broker="default") == 3
    assert get("sluice_broker_requests_refused_total", broker="default", code="400") == 3
    assert get("sluice_broker_ingest_duration_seconds_count", broker="default") == 11
    good = {"namespace": "n", "broker": "default", "trigger": "good"}
    others = {**good, "trigger": "rest"}
    for name, of_good, of_others in (
        ("events_matched", 4, 6),
        ("deliveries_done", 4, 3),
        ("attempts_failed", 0, 8),
        ("retries", 0, 6),
        ("dead_letters", 0, 2),
        ("replies", 1, 0),
        ("deliveries_expired", 0, 1),
    ):
        assert get(f"sluice_trigger_{name}_total", **good) == of_good, name
        assert get(f"sluice_trigger_{name}_total", **others) == of_others, name
    attempts = "sluice_trigger_attempts_total"
    assert get(attempts, code="200", **good) == 4
    assert [get(attempts, code=c, **others) for c in ("503", "202", "400")] == [6, 3, 2]
    assert get("sluice_trigger_attempt_duration_seconds_count", **others) == 11
    assert get("sluice_trigger_wait_duration_seconds_count", **others) == 11
    assert get("sluice_trigger_dead_letters_kept", **others) == 2
    assert get("sluice_trigger_lag_positions", **others) == 0
    assert get("sluice_trigger_oldest_unfinished_seconds", **others) == 0
    assert get("sluice_trigger_ready", **others) == 1
    assert get(attempts, trigger="idle") is None
    # Knative's, before OpenTelemetry
    old = {"namespace_name": "n", "broker_name": "default"}
    count = "mt_broker_ingress_event_count"
    for kind, events in (("good", 4), ("poor", 3), ("bad", 2), ("answer", 1)):
        labels = {"event_type": kind, "response_code": "202", "response_code_class": "2xx", **old}
        assert get(count, **labels) == events
        assert get("mt_broker_ingress_event_dispatch_latencies_count", **labels) == events
    assert get(count, event_type="looped", response_code_class="4xx") == 1
    assert get(count) == 12
    count = "mt_broker_filter_event_count"
    taken = {**old, "trigger_name": "good", "filter_type": "good", "response_code": "200"}
    assert get(count, **taken) == 4
    poor = {**old, "trigger_name": "rest", "filter_type": "any"}
    assert get(count, response_code="503", response_code_class="5xx", **poor) == 6
    assert get(count, response_code="400", response_code_class="4xx", **poor) == 2
    assert get("mt_broker_filter_event_dispatch_latencies_count", **poor) == 11
    assert get("mt_broker_filter_event_processing_latencies_count", **poor) == 11
    # and since
    new = {"kn_broker_name": "default", "kn_broker_namespace": "n", "messaging_system": "knative"}
    count = "kn_eventing_dispatch_duration_seconds_count"
    ingress = {**new, "otel_scope_name": "knative.dev/pkg/broker/ingress"}
    assert get(count, cloudevents_type="poor", http_response_status_code="202", **ingress) == 3
    assert get(count, messaging_destination_name="broker:default.n") == 11
    outgoing = {**new, "otel_scope_name": "knative.dev/pkg/broker/filter"}
    outgoing["messaging_destination_name"] = "trigger:rest.n"
    assert get(count, cloudevents_type="poor", http_response_status_code="503", **outgoing) == 6
    assert get(count, cloudevents_type="poor", http_response_status_code="202", **outgoing) == 3
    assert get(count, cloudevents_type="bad", http_response_status_code="400", **outgoing) == 2
    assert get("kn_eventing_process_duration_seconds_count", **outgoing) == 11


def test_checked_by_promtool(traffic):
    check_with_promtool(scrape(traffic).body)
    for sets, begins in (("sluice", ("sluice_",)), ("kn,mt_broker", ("kn_eventing_", "mt_broker_"))):
        names = {name for name, _ in samples(traffic, query=f"?collect={sets}")}
        assert names and all(name.startswith(begins) for name in names)
    refused = traffic.http.get("/metrics?collect=sluice,nonsense")
    assert refused.status == 400 and "nonsense" in refused.error["message"]


def test_alert_rules(traffic, tmp_path):
    """They are rules, fire when they should, and ask for metrics that there are."""
    rules = ROOT / "examples" / "alerts.yaml"
    shutil.copy(rules, tmp_path / "alerts-under-test.yaml")
    cases = shutil.copy(ROOT / "tests" / "e2e" / "alerts.yaml", tmp_path)
    for command in (["check", "rules", rules], ["test", "rules", cases]):
        done = subprocess.run([promtool(), *command], capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
    asked = set(re.findall(r"\bsluice_[a-z_]+", rules.read_text()))
    there = {name for name, _ in samples(traffic)}
    assert asked and asked <= there, asked - there


@contextlib.contextmanager
def asks_and_never_reads(server):
    """A scrape that stays under way: what it has asked for does not fit into its small buffer."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(server.address)
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield


def test_many_triggers(server):
    """What is too large for one answer comes as a stream, whole, in either format. Who does not read
    it holds up nobody, until there are too many of them."""
    forward = {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "other"}}
    names = [f"t{number:03}" for number in range(400)]
    server.apply(namespace("n"), broker("default", "n"), broker("other", "n"))
    server.apply(*(trigger(name, "n", forward) for name in names))
    send(server, 3, type="good")
    rest(server)
    with contextlib.ExitStack() as stuck:
        for _ in range(4):
            stuck.enter_context(asks_and_never_reads(server))
        for accept in (None, OPENMETRICS):
            answer = scrape(server, accept)
            assert answer.headers["transfer-encoding"] == "chunked"
            lines = answer.body.decode().splitlines()
            assert lines[-1] == "# EOF" if accept else lines[-1][0] != "#"
            told = [line.split()[2] for line in lines if line.startswith("# TYPE")]
            assert len(told) == len(set(told))
            counts = dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")
            for name in names:
                labels = f'{{namespace="n",broker="default",trigger="{name}"}}'
                assert counts[f"sluice_trigger_deliveries_done_total{labels}"] == "3"
        check_with_promtool(scrape(server).body)
        for _ in range(8):
            stuck.enter_context(asks_and_never_reads(server))
        waiting.until(lambda: server.http.get("/metrics").status == 503, what="a refusal")
    waiting.until(lambda: server.http.get("/metrics").status == 200, what="room for a scrape")
