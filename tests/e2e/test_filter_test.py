# SPDX-License-Identifier: Apache-2.0
"""sluice filter test: the tree of a trigger's filter, from manifests and from a server."""

import json

import pytest

from command import environment, run
from test_cli import on_terminal

MANIFEST = """\
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: orders, namespace: shop}
spec:
  broker: default
  filters:
  - exact: {type: order.made}
  - any:
    - prefix: {source: /shop, subject: x}
    - not: {suffix: {source: internal}}
  - cesql: >-
      INT(priority) > 3 AND
      (NOT EXISTS test OR region IN ('eu', 'us'))
  subscriber: {uri: "http://127.0.0.1:9/"}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: old}
spec:
  broker: default
  filter: {attributes: {type: order.made, priority: ""}}
  subscriber: {uri: "http://127.0.0.1:9/"}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: all}
spec:
  broker: default
  subscriber: {uri: "http://127.0.0.1:9/"}
"""

EVENT = {"type": "order.made", "source": "/shop/internal", "priority": "5"}

TREE = """\
✗ trigger shop/orders does not match
  ✗ filters
    ✓ exact: type = order.made
    ✗ any
      ✗ prefix
        ✓ prefix: source = /shop  (the event: /shop/internal)
        ✗ prefix: subject = x  (the event has none)
      ✗ not
        ✓ suffix: source = internal  (the event: /shop/internal)
    ✓ cesql: INT(priority) > 3 AND (NOT EXISTS test OR region IN ('eu', 'us'))
      ✓ AND
        ✓ INT(priority) > 3
        ✓ OR
          ✓ NOT
            ✗ EXISTS test
          - region IN ('eu', 'us')  (missingAttribute: the event has no attribute region)
"""


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "triggers.yaml"
    path.write_text(MANIFEST)
    return str(path)


def tried(*arguments, event=EVENT):
    return run("filter", "test", *arguments, "--event", "-", stdin=json.dumps(event))


def test_shows_what_does_not_match(manifest):
    result = tried("orders", "-f", manifest)
    assert (result.returncode, result.stdout, result.stderr) == (1, TREE, "")


def test_what_matches_ends_with_0(manifest):
    result = tried("old", "all", "-f", manifest)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:2] == ["✓ trigger default/old matches", "  ✓ filter"]
    assert "priority with any value" in result.stdout and "no filter" in result.stdout
    result = tried("orders", "-f", manifest, event={**EVENT, "source": "/a", "test": "1", "region": "eu"})
    assert result.returncode == 0 and "✗ NOT" in result.stdout


def test_all_of_a_manifest(manifest):
    result = tried("-f", manifest)
    assert result.returncode == 1
    assert [line for line in result.stdout.splitlines() if "trigger" in line] == [
        "✗ trigger shop/orders does not match",
        "✓ trigger default/old matches",
        "✓ trigger default/all matches",
    ]


def test_says_what_an_expression_gives(manifest, tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(MANIFEST.split("---")[0].replace("INT(priority) > 3 AND", "priority AND"))
    result = tried("-f", str(path), event={**EVENT, "priority": "high"})
    assert result.returncode == 1
    assert "✗ AND" in result.stdout
    path.write_text(
        MANIFEST.split("---")[1].replace("filter: {attributes", "filters: [{sql: type}]\n  filter: {attributes")
    )
    result = tried("-f", str(path))
    assert '✗ sql: type  ("order.made", no Boolean)' in result.stdout


def test_trouble_is_no_verdict(manifest, tmp_path):
    assert tried().returncode == 2
    assert run("filter", "test", "-f", manifest).returncode == 2
    result = tried("nothere", "-f", manifest)
    assert result.returncode == 2 and "no such trigger" in result.stderr
    result = run("filter", "test", "-f", manifest, "--event", "-", stdin="{")
    assert result.returncode == 2 and result.stdout == ""
    path = tmp_path / "bad.yaml"
    path.write_text(MANIFEST.replace("INT(priority) >", "INT(priority) >>"))
    result = tried("orders", "-f", str(path))
    assert result.returncode == 2
    assert "spec.filters[2].cesql" in result.stderr and "column 16" in result.stderr


def test_colours_on_a_terminal_only(manifest, tmp_path):
    event = tmp_path / "event.json"
    event.write_text(json.dumps(EVENT))
    shown = on_terminal(
        ["filter", "test", "-f", manifest, "--event", str(event)],
        environment(TERM="xterm", NO_COLOR=""),
    )
    assert "\033[32m✓" in shown and "\033[31m✗" in shown
    assert "\033" not in tried("-f", manifest).stdout


def test_trigger_of_a_server(server, tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(MANIFEST.split("---")[0].replace(", namespace: shop", ""))
    url = f"http://{server.address[0]}:{server.address[1]}"
    assert run("apply", "-f", str(path), "--server", url).returncode == 0
    result = tried("orders", "--server", url)
    assert (result.returncode, result.stdout) == (1, TREE.replace("shop/orders", "default/orders"))
    result = tried("nothere", "--server", url)
    assert result.returncode == 2 and "nothere" in result.stderr


def test_expression_that_is_none_is_refused(server, tmp_path):
    """At the API, with the place; a client that does not look first sees it, too."""
    path = tmp_path / "one.json"
    trigger = {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": "bad"},
        "spec": {
            "broker": "default",
            "filters": [{"any": [{"sql": "type == 'a'"}]}],
            "subscriber": {"uri": "http://127.0.0.1:9/"},
        },
    }
    path.write_text(json.dumps(trigger))
    answer = server.http.post(
        "/apis/eventing.knative.dev/v1/namespaces/default/triggers",
        json.dumps(trigger).encode(),
        {"Content-Type": "application/json"},
    )
    assert answer.status == 422
    message = json.loads(answer.body)["message"]
    assert "spec.filters[0].any[0].sql" in message and "column 7: expected a value, found =" in message
