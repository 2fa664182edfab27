# SPDX-License-Identifier: Apache-2.0
"""Stock kubectl against the resource API: the one on PATH, from 1.20 (Debian 12's) on."""

import functools
import json
import os
import re
import shutil
import subprocess

import pytest

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on PATH")

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata:
  name: {place}
  labels:
    knative-eventing-injection: enabled
---
apiVersion: sluice.dev/v1
kind: Function
metadata: {{name: hello, namespace: {place}, labels: {{app: hello}}}}
spec:
  runtime: js
  codeSource:
    index.js: |
      module.exports = () => {{ console.log("printed by hello"); return "hello"; }};
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: hello, namespace: {place}}}
spec:
  filter:
    attributes:
      type: {type}
  subscriber:
    ref: {{apiVersion: v1, kind: Service, name: hello}}
"""


class Kubectl:
    """kubectl for one server and namespace, with a home of its own for its caches."""

    def __init__(self, url, place, home):
        self.place = place
        self.arguments = [KUBECTL, f"--server={url}", f"--namespace={place}"]
        self.environment = {**os.environ, "HOME": str(home), "KUBECONFIG": "/dev/null"}

    def run(self, *arguments, stdin=None, code=0):
        done = subprocess.run(
            [*self.arguments, *arguments],
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    @functools.cached_property
    def minor(self):
        """20 of 1.20"""
        version = json.loads(self.run("version", "--client", "-o", "json"))["clientVersion"]
        return int(re.match(r"\d+", version["minor"])[0])

    def apply(self, type="a", *arguments, code=0):
        manifest = MANIFEST.format(place=self.place, type=type)
        return self.run("apply", *arguments, "-f", "-", stdin=manifest, code=code)

    def words(self, *arguments):
        return [line.split() for line in self.run(*arguments).splitlines()]


@pytest.fixture(name="kubectl")
def make_kubectl(shared, request, tmp_path):
    place = "k-" + request.node.name.replace("_", "-").lower()[:50]
    kubectl = Kubectl(shared.url, place, tmp_path)
    yield kubectl
    kubectl.run("delete", "namespace", place, "--ignore-not-found")


def test_apply_twice_and_delete(kubectl):
    assert [line.split()[-1] for line in kubectl.apply().splitlines()] == ["created"] * 3
    assert [line.split()[-1] for line in kubectl.apply().splitlines()] == ["unchanged"] * 3
    changed = MANIFEST.format(place=kubectl.place, type="b")
    assert "differs" not in kubectl.run("diff", "-f", "-", stdin=changed, code=1)
    assert "configured (server dry run)" in kubectl.apply("b", "--dry-run=server")
    assert [line.split()[-1] for line in kubectl.apply("b").splitlines()][2] == "configured"
    path = "jsonpath={.spec.filter.attributes.type}{.metadata.generation}"
    assert kubectl.run("get", "trigger", "hello", "-o", path) == "b2"
    manifest = MANIFEST.format(place=kubectl.place, type="b")
    assert "deleted (server dry run)" in kubectl.run(
        "delete", "--dry-run=server", "-f", "-", stdin=manifest
    )
    assert kubectl.run("delete", "-f", "-", stdin=manifest).count("deleted") == 3
    assert "not found" in kubectl.run("get", "namespace", kubectl.place, code=1)


def test_columns_as_knative(kubectl):
    kubectl.apply()
    kubectl.run("wait", "--for=condition=Ready", "trigger/hello", "function/hello", "--timeout=30s")
    head, row = kubectl.words("get", "broker")
    assert head == ["NAME", "READY", "REASON", "URL", "AGE"]
    assert row[:2] == ["default", "True"]
    head, row = kubectl.words("get", "trigger", "hello")
    assert head == ["NAME", "READY", "REASON", "BROKER", "SUBSCRIBER_URI", "AGE"]
    assert row[:3] == ["hello", "True", "default"]
    row = kubectl.words("get", "namespace", kubectl.place, "--show-labels")[1]
    assert row[1] == "Active" and row[3] == "knative-eventing-injection=enabled"
    assert kubectl.words("get", "pod", "-l=app=hello")[1][:3] == ["hello", "1/1", "Running"]


def test_changes(kubectl):
    kubectl.apply()
    kubectl.run("label", "trigger", "hello", "a=b")
    assert kubectl.words("get", "trigger", "-l", "a in (b,c)")[1][0] == "hello"
    kubectl.run("annotate", "trigger", "hello", "x=y")
    kubectl.run("patch", "trigger", "hello", "-p", '{"metadata":{"labels":{"z":"1"}}}')
    patch = '[{"op":"add","path":"/spec/delivery","value":{"retry":3}}]'
    kubectl.run("patch", "trigger", "hello", "--type=json", "-p", patch)
    assert kubectl.run("get", "trigger", "hello", "-o=jsonpath={.spec.delivery.retry}") == "3"
    found = kubectl.run("get", "trigger", "hello", "-o", "yaml")
    error = kubectl.run(
        "replace", "-f", "-", stdin=found.replace("broker: default", "broker: other"), code=1
    )
    assert "spec.broker" in error and "cannot be changed" in error


def test_errors(kubectl):
    kubectl.apply()
    wrong = MANIFEST.format(place=kubectl.place, type="a").replace("subscriber:", "subscribr:")
    error = kubectl.run("apply", "-f", "-", stdin=wrong, code=1)
    if kubectl.minor < 25:  # checks by the OpenAPI document before it sends anything
        assert 'ValidationError(Trigger.spec): unknown field "subscribr"' in error
        error = kubectl.run("apply", "--validate=false", "-f", "-", stdin=wrong, code=1)
    assert 'unknown field "spec.subscribr" (did you mean "subscriber"?)' in error
    error = kubectl.run("run", "curl", "--image=curl", code=1)
    assert "write a Function" in error
    assert "may not be deleted" in kubectl.run("delete", "namespace", "default", code=1)


def test_watch_and_wait(kubectl):
    kubectl.apply()
    watching = subprocess.Popen(
        [*kubectl.arguments, "get", "trigger", "-w", "-o", "name"],
        env=kubectl.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout.readline().strip().endswith("/hello")
    kubectl.run("create", "-f", "-", stdin=SECOND.format(place=kubectl.place))
    line = ""
    while not line.endswith("/second"):
        line = watching.stdout.readline().strip()
        assert line
    watching.terminate()
    watching.communicate(timeout=10)
    kubectl.run("delete", "trigger", "second")


SECOND = """
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: second, namespace: {place}}}
spec: {{subscriber: {{uri: "http://127.0.0.1:1/"}}}}
"""


def test_logs(kubectl, shared):
    kubectl.apply()
    kubectl.run("wait", "--for=condition=Ready", "function/hello", "--timeout=30s")
    assert shared.http.get(f"/functions/{kubectl.place}/hello/").status == 200
    assert "printed by hello" in kubectl.run("logs", "hello")
    assert "printed by hello" in kubectl.run("logs", "-l", "app=hello")


def test_explain(kubectl):
    assert "backoffPolicy" in kubectl.run("explain", "trigger.spec.delivery")
    assert "durable, ordered log of events" in kubectl.run("explain", "broker")


def test_create_namespace(kubectl):
    arguments = ["create", "namespace", kubectl.place]
    made = kubectl.run(*arguments, "--dry-run=client", "-o", "json")
    if kubectl.minor < 27:  # sends no Content-Type, which a web page could do, too
        assert "no Content-Type" in kubectl.run(*arguments, code=1)
        arguments = ["create", "-f", "-"]
    assert "created" in kubectl.run(*arguments, stdin=made)


def test_describe_edit_and_lists(kubectl):
    kubectl.apply()
    assert "Broker:  default" in kubectl.run("describe", "trigger", "hello")
    assert kubectl.words("get", "trigger", "-o", "wide")[1][0] == "hello"
    kubectl.environment["KUBE_EDITOR"] = "sed -i 's/type: a$/type: edited/'"
    assert "edited" in kubectl.run("edit", "trigger", "hello")
    path = "jsonpath={.spec.filter.attributes.type}"
    assert kubectl.run("get", "trigger", "hello", "-o", path) == "edited"
    kubectl.environment["KUBE_EDITOR"] = "sed -i 's/^  labels:/&\\n    by: hand/'"
    assert "edited" in kubectl.run("edit", "namespace", kubectl.place)
    assert kubectl.words("get", "namespace", "-l", "by=hand")[1][0] == kubectl.place
    listed = kubectl.run("get", "trigger,function", "-o", "yaml")
    assert "\nkind: List\n" in listed
    assert "trigger.eventing.knative.dev/hello" in kubectl.run("apply", "-f", "-", stdin=listed)
