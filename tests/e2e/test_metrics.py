# SPDX-License-Identifier: Apache-2.0
"""GET /metrics: both formats read by others' parsers, and exact counts of known traffic."""

import os
import pathlib
import shutil
import subprocess

import pytest
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as open_parser

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
