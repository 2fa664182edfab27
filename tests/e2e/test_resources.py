# SPDX-License-Identifier: Apache-2.0
"""The resource API in Kubernetes' wire form, and the errors of manifests through the command line."""

import json
import re

import pytest

import daemon
import waiting
from daemon import broker, function, namespace, trigger
from tally import Tally

JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}


def status_of(answer, code, reason):
    """The answer is a Kubernetes Status of that kind."""
    assert answer.status == code, answer
    body = answer.json()
    assert (body["kind"], body["apiVersion"], body["status"]) == ("Status", "v1", "Failure")
    assert (body["code"], body["reason"]) == (code, reason)
    assert body["message"]
    return body


# ---- discovery ----


def test_discovery(shared):
    assert shared.http.get("/api").json()["versions"] == ["v1"]
    groups = {group["name"] for group in shared.http.get("/apis").json()["groups"]}
    assert {"eventing.knative.dev", "sluice.dev"} <= groups
    listed = {}
    for path in ("/api/v1", "/apis/eventing.knative.dev/v1", "/apis/sluice.dev/v1"):
        document = shared.http.get(path).json()
        assert document["kind"] == "APIResourceList"
        listed.update({resource["name"]: resource for resource in document["resources"]})
    assert {"namespaces", "brokers", "triggers", "functions"} <= set(listed)
    for name in ("namespaces", "brokers", "triggers", "functions"):
        assert {"create", "get", "list", "update", "delete"} <= set(listed[name]["verbs"])
    assert listed["namespaces"]["namespaced"] is False
    assert listed["triggers"]["namespaced"] is True
    assert listed["triggers"]["kind"] == "Trigger"


def test_version(shared):
    assert shared.http.get("/version").json()["gitVersion"]


# ---- create, get, list, replace, delete ----


def test_create(shared, place):
    answer = shared.create(trigger("t", place, "http://127.0.0.1:1/"))
    assert answer.status == 201
    made = answer.json()
    metadata = made["metadata"]
    assert (metadata["name"], metadata["namespace"], metadata["generation"]) == ("t", place, 1)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert metadata["resourceVersion"].isdecimal()
    assert made["spec"]["broker"] == "default"
    assert shared.get("Trigger", "t", place)["metadata"]["uid"] == metadata["uid"]


def test_create_twice(shared, place):
    shared.create(trigger("t", place, "http://127.0.0.1:1/"))
    status_of(shared.create(trigger("t", place, "http://127.0.0.1:1/")), 409, "AlreadyExists")


def test_get_unknown(shared, place):
    found = status_of(shared.http.get(shared.path_of("Trigger", "x", place)), 404, "NotFound")
    assert found["message"] == 'triggers.eventing.knative.dev "x" not found'
    assert (found["details"]["name"], found["details"]["kind"]) == ("x", "triggers")


def test_unknown_resource_type(shared, place):
    assert (
        shared.http.get(f"/apis/eventing.knative.dev/v1/namespaces/{place}/widgets").status == 404
    )
    assert shared.http.get(f"/apis/nothing.dev/v1/namespaces/{place}/brokers").status == 404


def test_list(shared, place):
    for name in ("b", "a", "c"):
        shared.apply(trigger(name, place, "http://127.0.0.1:1/"))
    listed = shared.http.get(shared.collection("Trigger", place)).json()
    assert (listed["kind"], listed["apiVersion"]) == ("TriggerList", "eventing.knative.dev/v1")
    assert listed["metadata"]["resourceVersion"].isdecimal()
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a", "b", "c"]
    everywhere = shared.http.get(shared.collection("Trigger", None)).json()["items"]
    assert {"a", "b", "c"} <= {
        i["metadata"]["name"] for i in everywhere if i["metadata"]["namespace"] == place
    }


def test_list_of_nothing(shared, place):
    assert shared.http.get(shared.collection("Function", place)).json()["items"] == []


def test_replace(shared, place):
    shared.create(trigger("t", place, "http://127.0.0.1:1/"))
    made = shared.wait_ready_condition("Trigger", "t", place)
    made["spec"]["subscriber"]["uri"] = "http://127.0.0.1:2/"
    answer = shared.replace(made)
    assert answer.status == 200, answer
    after = answer.json()["metadata"]
    assert after["generation"] == 2 and after["uid"] == made["metadata"]["uid"]
    assert int(after["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert after["creationTimestamp"] == made["metadata"]["creationTimestamp"]


def test_replace_with_a_stale_version(shared, place):
    shared.create(trigger("t", place, "http://127.0.0.1:1/"))
    made = shared.wait_ready_condition("Trigger", "t", place)
    made["metadata"]["labels"] = {"a": "b"}
    assert shared.replace(made).status == 200
    made["metadata"]["labels"] = {"a": "c"}
    status_of(shared.replace(made), 409, "Conflict")


def test_replace_without_a_version_is_unconditional(shared, place):
    shared.create(trigger("t", place, "http://127.0.0.1:1/"))
    assert shared.replace(trigger("t", place, "http://127.0.0.1:3/")).status == 200
    assert shared.get("Trigger", "t", place)["spec"]["subscriber"]["uri"] == "http://127.0.0.1:3/"


def test_replace_that_changes_nothing_keeps_the_version(shared, place):
    shared.apply(trigger("t", place, "http://127.0.0.1:1/"))
    before = shared.wait_ready_condition("Trigger", "t", place)["metadata"]
    after = shared.replace(trigger("t", place, "http://127.0.0.1:1/")).json()["metadata"]
    assert (after["resourceVersion"], after["generation"]) == (before["resourceVersion"], 1)


def test_replace_of_labels_keeps_the_generation(shared, place):
    document = trigger("t", place, "http://127.0.0.1:1/")
    shared.apply(document)
    document["metadata"]["labels"] = {"a": "b"}
    assert shared.replace(document).json()["metadata"]["generation"] == 1


def test_replace_unknown(shared, place):
    status_of(shared.replace(trigger("x", place, "http://127.0.0.1:1/")), 404, "NotFound")


def test_replace_under_another_name(shared, place):
    shared.apply(trigger("t", place, "http://127.0.0.1:1/"))
    document = json.dumps(trigger("other", place, "http://127.0.0.1:1/"))
    answer = shared.http.put(shared.path_of("Trigger", "t", place), document, JSON)
    assert answer.status == 400, answer


def test_immutable_field(shared, place):
    shared.apply(trigger("t", place, "http://127.0.0.1:1/"))
    answer = shared.replace(trigger("t", place, "http://127.0.0.1:1/", broker="second"))
    assert answer.status == 422
    assert "spec.broker" in answer.json()["message"]


def test_delete(shared, place):
    shared.apply(trigger("t", place, "http://127.0.0.1:1/"))
    assert shared.delete("Trigger", "t", place).status == 200
    status_of(shared.delete("Trigger", "t", place), 404, "NotFound")
    status_of(shared.http.get(shared.path_of("Trigger", "t", place)), 404, "NotFound")


def test_delete_of_a_namespace_deletes_what_is_in_it(server, sink):
    server.apply(namespace("n"), broker("default", "n"), trigger("t", "n", sink.url()))
    server.apply(function("f", "n", "module.exports = () => 1;"))
    assert server.delete("Namespace", "n").status == 200
    waiting.until(lambda: server.http.get(server.path_of("Broker", "default", "n")).status == 404)
    server.apply(namespace("n"), broker("default", "n"), trigger("new", "n", sink.url("/new")))
    server.wait_ready_condition("Trigger", "new", "n")
    server.send(
        "/n/default", {"ce-id": "1", "ce-type": "t", "ce-source": "s", "ce-specversion": "1.0"}
    )
    Tally(server, fresh=True).wait(done=1, matched=1)
    assert len(sink.at("/new")) == 1
    assert sink.at("/") == [], "an old trigger does not come back with the name"


def test_made_again_under_the_same_name(server, sink):
    """A trigger that is made again is another one: its past is not its predecessor's."""
    server.apply(namespace("n"), broker("default", "n"), trigger("t", "n", sink.url()))
    server.wait_ready_condition("Trigger", "t", "n")
    event = {"ce-type": "t", "ce-source": "s", "ce-specversion": "1.0"}
    server.send("/n/default", {"ce-id": "1", **event})
    sink.wait(1)
    first = server.get("Trigger", "t", "n")["metadata"]["uid"]
    server.delete("Trigger", "t", "n")
    server.apply(trigger("t", "n", sink.url()))
    server.wait_ready_condition("Trigger", "t", "n")
    assert server.get("Trigger", "t", "n")["metadata"]["uid"] != first
    server.send("/n/default", {"ce-id": "2", **event})
    Tally(server, fresh=True).wait(done=2, matched=2)
    assert [received.id for received in sink.at("/")] == ["1", "2"]


def test_create_in_an_unknown_namespace(shared):
    status_of(shared.create(broker("b", "nowhere")), 404, "NotFound")


def test_namespace_of_path_and_body_differ(shared, place):
    answer = shared.http.post(
        shared.collection("Broker", place), json.dumps(broker("b", "other")), JSON
    )
    assert answer.status == 400


def test_injection_label_makes_a_default_broker(server):
    server.apply(namespace("n", **{"knative-eventing-injection": "enabled"}))
    waiting.until(lambda: server.http.get(server.path_of("Broker", "default", "n")).status == 200)
    server.wait_ready_condition("Broker", "default", "n")


@pytest.mark.parametrize(
    "name",
    [
        "api",
        "apis",
        "openapi",
        "version",
        "functions",
        "webhook",
        "task",
        "admin",
        "mon",
        "build",
        "health",
        "metrics",
        "livez",
        "readyz",
        "healthz",
        "-",
        "console",
        "docs",
        ".well-known",
    ],
)
def test_reserved_namespace_names(shared, name):
    answer = shared.create(namespace(name))
    assert answer.status == 422, answer
    assert "name" in answer.json()["message"]


def test_yaml_body(shared, place):
    text = f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: from-yaml, namespace: {place}}}
spec: {{}}
"""
    assert shared.http.post(shared.collection("Broker", place), text, YAML).status == 201
    shared.wait_ready_condition("Broker", "from-yaml", place)


def test_table(shared, place):
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    shared.wait_ready_condition("Broker", "default", place)
    table = shared.http.get(shared.collection("Broker", place), headers={"Accept": accept}).json()
    assert table["kind"] == "Table"
    names = [column["name"].lower() for column in table["columnDefinitions"]]
    assert names[0] == "name" and "ready" in names and "url" in names
    row = dict(zip(names, table["rows"][0]["cells"]))
    assert (row["name"], row["ready"]) == ("default", "True")
    assert table["rows"][0]["object"]["metadata"]["namespace"] == place


# ---- status ----


def test_status_of_a_broker(shared, place):
    found = shared.wait_ready_condition("Broker", "default", place)
    assert found["status"]["address"]["url"] == f"{shared.url}/{place}/default"
    ready = daemon.condition(found)
    assert ready["lastTransitionTime"].endswith("Z")
    assert found["status"]["observedGeneration"] == 1


def test_status_of_a_trigger(shared, place):
    shared.apply(trigger("t", place, "http://127.0.0.1:1/x"))
    found = shared.wait_ready_condition("Trigger", "t", place)
    assert found["status"]["subscriberUri"] == "http://127.0.0.1:1/x"


def test_status_of_a_function(shared, place):
    shared.apply(function("f", place, "module.exports = () => 1;"))
    found = shared.wait_ready_condition("Function", "f", place)
    assert found["status"]["address"]["url"].rstrip("/") == f"{shared.url}/functions/{place}/f"


def test_status_sent_by_a_client_is_ignored(shared, place):
    document = trigger("t", place, "http://127.0.0.1:1/")
    document["status"] = {"conditions": [{"type": "Ready", "status": "True"}], "nonsense": True}
    assert shared.create(document).status == 201
    assert "nonsense" not in shared.get("Trigger", "t", place).get("status", {})


def test_resources_survive_a_restart(server):
    server.apply(namespace("n"), broker("default", "n"), trigger("t", "n", "http://127.0.0.1:1/"))
    server.apply(function("f", "n", "module.exports = () => 1;"))
    for kind, name in (("Broker", "default"), ("Trigger", "t"), ("Function", "f")):
        server.wait_ready_condition(kind, name, "n")
    before = {
        kind: server.get(kind, name, "n")
        for kind, name in (("Broker", "default"), ("Trigger", "t"), ("Function", "f"))
    }
    server.stop()
    server.restart()
    for kind, old in before.items():
        new = server.wait_ready_condition(kind, old["metadata"]["name"], "n")
        assert new["spec"] == old["spec"]
        assert new["metadata"]["uid"] == old["metadata"]["uid"]
        assert new["metadata"]["creationTimestamp"] == old["metadata"]["creationTimestamp"]


# ---- bad documents through the API ----


def with_spec(document, **spec):
    document["spec"].update(spec)
    return document


BAD = [
    (lambda n: with_spec(broker("b", n), nonsense=1), "spec.nonsense"),
    (lambda n: with_spec(trigger("t", n, "http://x/"), borker="default"), "spec.borker"),
    (lambda n: {**broker("b", n), "extra": 1}, "extra"),
    (lambda n: broker("B_b", n), "metadata.name"),
    (lambda n: broker("-b", n), "metadata.name"),
    (lambda n: broker("b" * 300, n), "metadata.name"),
    (lambda n: broker("", n), "metadata.name"),
    (lambda n: trigger("t", n, {}), "spec.subscriber"),
    (lambda n: trigger("t", n, {"uri": "no url"}), "spec.subscriber.uri"),
    (lambda n: trigger("t", n, {"uri": "ftp://x/"}), "spec.subscriber.uri"),
    (lambda n: trigger("t", n, {"uri": 5}), "spec.subscriber.uri"),
    (lambda n: trigger("t", n, {"ref": {"kind": "Function"}}), "spec.subscriber.ref"),
    (lambda n: trigger("t", n, "http://x/", delivery={"retry": -1}), "spec.delivery.retry"),
    (lambda n: trigger("t", n, "http://x/", delivery={"retry": "3"}), "spec.delivery.retry"),
    (lambda n: trigger("t", n, "http://x/", delivery={"retry": 1.5}), "spec.delivery.retry"),
    (
        lambda n: trigger("t", n, "http://x/", delivery={"backoffPolicy": "random"}),
        "spec.delivery.backoffPolicy",
    ),
    (
        lambda n: trigger("t", n, "http://x/", delivery={"backoffDelay": "5 s"}),
        "spec.delivery.backoffDelay",
    ),
    (lambda n: trigger("t", n, "http://x/", delivery={"timeout": "PT0S"}), "spec.delivery.timeout"),
    (lambda n: trigger("t", n, "http://x/", attributes={"Type": "x"}), "spec.filter.attributes"),
    (lambda n: trigger("t", n, "http://x/", attributes={"type": 5}), "spec.filter.attributes"),
    (
        lambda n: trigger(
            "t", n, "http://x/", filters=[{"exact": {"type": "a"}, "prefix": {"type": "b"}}]
        ),
        "spec.filters[0]",
    ),
    (lambda n: trigger("t", n, "http://x/", filters=[{"exact": {"type": ""}}]), "spec.filters[0]"),
    (lambda n: trigger("t", n, "http://x/", filters=[{"like": {"type": "a"}}]), "spec.filters[0]"),
    (lambda n: function("f", n), "spec.runtime"),
    (lambda n: function("f", n, runtime="cobol"), "spec.runtime"),
    (lambda n: function("f", n, runtime="js"), "codeSource"),
    (lambda n: function("f", n, runtime="js", codeSource={}), "spec.codeSource"),
    (lambda n: function("f", n, runtime="js", codeSource={"../x.js": ""}), "spec.codeSource"),
    (lambda n: function("f", n, runtime="js", codeSource={"index.js": 5}), "spec.codeSource"),
    (lambda n: function("f", n, "1", isolation="none"), "spec.isolation"),
    (lambda n: function("f", n, "1", limits={"memory": "lots"}), "spec.limits.memory"),
    (lambda n: function("f", n, "1", limits={"memory": "1"}), "spec.limits.memory"),
    (lambda n: function("f", n, "1", limits={"timeout": "0"}), "spec.limits.timeout"),
    (lambda n: function("f", n, "1", env=[{"name": "1 A"}]), "spec.env[0].name"),
    (lambda n: function("f", n, runtime="wasm", moduleBase64="!"), "spec.moduleBase64"),
]


@pytest.mark.parametrize("index", range(len(BAD)))
def test_bad_document(shared, place, index):
    make, field = BAD[index]
    document = make(place)
    path = shared.collection(document["kind"], place)
    answer = shared.http.post(path, json.dumps(document), JSON)
    assert answer.status in (400, 422), answer
    body = answer.json()
    assert body["kind"] == "Status" and body["reason"] in ("Invalid", "BadRequest")
    assert field in body["message"] or field in json.dumps(body.get("details", {})), body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff",
        b"{}",
        b'{"kind":"Broker"}',
        b'{"apiVersion":1,"kind":2}',
        b'{"apiVersion":"eventing.knative.dev/v1","kind":"Broker","metadata":[]}',
        b'{"apiVersion":"eventing.knative.dev/v1","kind":"Broker","metadata":{"name":"a","name":"b"}}',
        b'{"apiVersion":"eventing.knative.dev/v1","kind":"Trigger","metadata":{"name":"a"}}',
        b'{"apiVersion":"eventing.knative.dev/v9","kind":"Broker","metadata":{"name":"a"}}',
        b"[" * 100000,
        b'{"a":' * 100000,
    ],
)
def test_bad_json(shared, place, body):
    answer = shared.http.post(shared.collection("Broker", place), body, JSON)
    assert answer.status in (400, 413, 422), answer
    assert answer.json()["kind"] == "Status"


def test_body_over_the_limit(shared, place):
    answer = shared.http.post(shared.collection("Broker", place), b" " * (33 << 20), JSON)
    assert answer.status == 413


# ---- manifests through the command line: file, line, field ----

MANIFESTS = [
    ("tab", "apiVersion: v1\nkind: Namespace\nmetadata:\n\tname: x\n", 4, ""),
    ("colon", "apiVersion: v1\nkind: Namespace\nmetadata: name: x\n", 3, ""),
    ("unclosed", "apiVersion: v1\nkind: Namespace\nmetadata: {name: x\n", None, ""),
    ("unknown-kind", "apiVersion: v1\nkind: Widget\nmetadata: {name: x}\n", None, "kind"),
    (
        "unknown-version",
        "apiVersion: v9\nkind: Namespace\nmetadata: {name: x}\n",
        None,
        "v9",
    ),
    ("no-kind", "apiVersion: v1\nmetadata: {name: x}\n", None, "kind"),
    ("no-name", "apiVersion: v1\nkind: Namespace\nmetadata: {}\n", 3, "metadata.name"),
    ("duplicate", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: x\n  name: y\n", 5, "name"),
    (
        "unknown-field",
        "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: x}\nspec:\n  retries: 3\n",
        5,
        "spec.retries",
    ),
    (
        "type",
        "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: x}\nspec:\n  delivery:\n    retry: many\n",
        6,
        "spec.delivery.retry",
    ),
    (
        "range",
        "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: x}\nspec:\n  delivery:\n    retry: -5\n",
        6,
        "spec.delivery.retry",
    ),
    (
        "second",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: ok}\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: NO\n",
        8,
        "metadata.name",
    ),
    ("scalar", "just text\n", 1, ""),
    ("json", '{"apiVersion": "v1",\n "kind": "Namespace",\n "metadata": {"name": "x",}}\n', 3, ""),
    (
        "missing-module",
        "apiVersion: sluice.dev/v1\nkind: Function\nmetadata: {name: f}\nspec:\n  runtime: wasm\n  module: nowhere.wasm\n  function: add\n",
        6,
        "nowhere.wasm",
    ),
    (
        "anchors",
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n"
            for n in range(9)
        ),
        None,
        "",
    ),
    ("deep", "[" * 200 + "]" * 200 + "\n", 1, ""),
]


@pytest.mark.parametrize("name, text, line, field", MANIFESTS, ids=[m[0] for m in MANIFESTS])
def test_manifest_errors(shared, place, tmp_path, name, text, line, field):
    file = tmp_path / f"{name}.yaml"
    file.write_text(text)
    result = shared.cli("apply", "-f", str(file), "-n", place, check=False, timeout=10)
    assert result.returncode == 1, result
    assert f"{name}.yaml" in result.stderr, result.stderr
    assert field in result.stderr, result.stderr
    if line:
        assert re.search(rf"{name}\.yaml:{line}\b", result.stderr), result.stderr
    assert len(result.stderr.splitlines()) < 8


def test_binary_manifest(shared, tmp_path):
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xff\xfe\0\1garbage")
    result = shared.cli("apply", "-f", str(file), check=False)
    assert result.returncode == 1 and "x.yaml" in result.stderr


def test_good_documents_beside_a_bad_one_are_applied(shared, place, tmp_path):
    file = tmp_path / "m.yaml"
    file.write_text(
        f"apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {{name: good, namespace: {place}}}\n"
        "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: BAD}\n"
    )
    result = shared.cli("apply", "-f", str(file), "-n", place, check=False)
    assert result.returncode == 1
    assert shared.get("Broker", "good", place)


def test_conditions_say_what_to_do(shared, place):
    shared.apply(trigger("t", place, "missing"))
    found = shared.wait_condition(
        "Trigger", "t", place, lambda t: daemon.condition(t).get("status") in ("False", "Unknown")
    )
    ready = daemon.condition(found)
    assert ready["reason"] and "missing" in str(found["status"]["conditions"])


@pytest.mark.parametrize("uri", ["http://h:99999/", "http://[h]/", "http://:80/"])
def test_a_url_that_cannot_be_called(shared, place, uri):
    answer = shared.create(trigger("t", place, uri))
    assert answer.status == 422, answer
    assert f'spec.subscriber.uri: must be a URL' in answer.json()["message"], answer
    assert uri in answer.json()["message"]
