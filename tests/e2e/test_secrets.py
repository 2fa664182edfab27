# SPDX-License-Identifier: Apache-2.0
"""Secrets and ConfigMaps: as resources, and as what a function's environment is made of."""

import base64
import json
import shutil

import pytest

import daemon
import waiting
from daemon import condition
from wire import binary_event

SHOW = "module.exports = () => ({a: process.env.A, b: process.env.B, c: process.env.C});"


def secret(name, place, texts, **members):
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": place}}
    return {**head, "stringData": texts, **members}


def config(name, place, texts, **members):
    metadata = {"name": name, "namespace": place}
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return {**head, "data": texts, **members}


def from_key(variable, kind, name, key, **more):
    return {"name": variable, "valueFrom": {kind: {"name": name, "key": key, **more}}}


def call(shared, place):
    answer = shared.send(f"/functions/{place}/f/", binary_event())
    return answer.json() if answer.status == 200 else answer.status


def test_environment_from_secret_and_config_map(shared, place):
    shared.apply(secret("s", place, {"key": "from-secret"}), config("m", place, {"B": "from-map"}))
    env = [{"name": "C", "value": "plain"}, from_key("A", "secretKeyRef", "s", "key")]
    whole = [{"configMapRef": {"name": "m"}}, {"secretRef": {"name": "none", "optional": True}}]
    shared.apply(daemon.function("f", place, SHOW, env=env, envFrom=whole))
    shared.wait_ready_condition("Function", "f", place)
    assert call(shared, place) == {"a": "from-secret", "b": "from-map", "c": "plain"}


def test_what_is_missing_is_named_and_waited_for(shared, place):
    env = [
        from_key("A", "secretKeyRef", "s", "key"),
        from_key("B", "configMapKeyRef", "m", "key"),
        from_key("C", "secretKeyRef", "absent", "key", optional=True),
    ]
    shared.apply(daemon.function("f", place, SHOW, env=env))

    def wait_reason(reason, *words):
        found = shared.wait_condition(
            "Function", "f", place, lambda f: condition(f).get("reason") == reason
        )
        assert condition(found)["status"] == "False"
        assert all(word in condition(found)["message"] for word in words), condition(found)

    wait_reason("SecretNotFound", "spec.env[0].valueFrom", " s ", place)
    assert call(shared, place) == 503
    shared.apply(secret("s", place, {"other": "x"}))
    wait_reason("KeyNotFound", "secret s", "key")
    shared.apply(secret("s", place, {"key": "x"}))
    wait_reason("ConfigMapNotFound", " m ")
    shared.apply(config("m", place, {"key": "y"}))
    shared.wait_condition("Function", "f", place, daemon.is_ready)
    assert call(shared, place) == {"a": "x", "b": "y"}


def test_a_changed_value_rolls_the_function(shared, place):
    """Nothing is dropped meanwhile; a change of another key rolls nothing."""
    shared.apply(secret("s", place, {"key": "v0", "other": "x"}))
    env = [from_key("A", "secretKeyRef", "s", "key")]
    shared.apply(daemon.function("f", place, SHOW, env=env))
    shared.wait_ready_condition("Function", "f", place)
    starts = shared.metrics()["sluice_worker_starts_total"]
    shared.apply(secret("s", place, {"key": "v0", "other": "y"}))
    assert call(shared, place) == {"a": "v0"}
    assert shared.metrics()["sluice_worker_starts_total"] == starts
    for version in range(1, 4):
        shared.apply(secret("s", place, {"key": f"v{version}"}))

        def rolled(version=version):
            answer = call(shared, place)
            assert answer in ({"a": f"v{version - 1}"}, {"a": f"v{version}"}), answer
            return answer == {"a": f"v{version}"}

        waiting.until(rolled)


def test_a_secret_that_goes_leaves_the_running_version(shared, place):
    shared.apply(secret("s", place, {"key": "v0"}))
    env = [from_key("A", "secretKeyRef", "s", "key")]
    shared.apply(daemon.function("f", place, SHOW, env=env))
    shared.wait_ready_condition("Function", "f", place)
    shared.delete("Secret", "s", place)
    found = shared.wait_condition(
        "Function", "f", place, lambda f: condition(f).get("reason") == "SecretNotFound"
    )
    assert "goes on serving" in condition(found)["message"]
    assert call(shared, place) == {"a": "v0"}


def test_bytes_that_are_no_text(shared, place):
    document = secret("s", place, {}, data={"key": base64.b64encode(b"\xff\0").decode()})
    shared.apply(document)
    env = [from_key("A", "secretKeyRef", "s", "key")]
    shared.apply(daemon.function("f", place, SHOW, env=env))
    shared.wait_condition(
        "Function", "f", place, lambda f: condition(f).get("reason") == "ValueNotText"
    )


def test_values_are_shown_to_nobody_who_did_not_ask(shared, place):
    """Neither in tables nor in the log, nor in what a refusal says."""
    shared.apply(secret("s", place, {"key": "swordfish"}))
    env = [from_key("A", "secretKeyRef", "s", "key"), from_key("B", "secretKeyRef", "s", "none")]
    shared.apply(daemon.function("f", place, SHOW, env=env))
    table = shared.cli("get", "secrets", "-n", place).stdout
    words = [line.split()[:3] for line in table.splitlines()]
    assert words == [["NAME", "TYPE", "DATA"], ["s", "Opaque", "1"]]
    asked = json.loads(shared.cli("get", "secret", "s", "-n", place, "-o", "json").stdout)
    hidden = base64.b64encode(b"swordfish").decode()
    assert asked["data"] == {"key": hidden} and "stringData" not in asked
    bad = shared.create(secret("t", place, {}, data={"key": "swordfish!"}))
    assert bad.status == 422 and b"swordfish" not in bad.body and b"base64" in bad.body
    function = json.dumps(shared.get("Function", "f", place))
    for text in (table, shared.log(), function):
        assert "swordfish" not in text and hidden not in text


def test_immutable_and_large(shared, place):
    shared.apply(config("m", place, {"a": "1"}, immutable=True))
    answer = shared.replace(config("m", place, {"a": "2"}, immutable=True))
    assert answer.status == 422 and "immutable" in answer.json()["message"]
    answer = shared.create(config("big", place, {"a": "x" * (1 << 20), "b": "y"}))
    assert answer.status == 422 and "1 MiB" in answer.json()["message"]
    assert shared.create(config("fits", place, {"a": "x" * (1 << 20)})).status == 201


def test_patch_with_text(shared, place):
    shared.apply(secret("s", place, {"a": "1", "b": "2"}))
    path = shared.path_of("Secret", "s", place)
    patch = json.dumps({"stringData": {"b": "3"}, "data": {"a": None}})
    answer = shared.http.request(
        "PATCH", path, patch, {"Content-Type": "application/merge-patch+json"}
    )
    assert answer.status == 200
    assert answer.json()["data"] == {"b": base64.b64encode(b"3").decode()}


def test_environment_over_a_restart(server):
    server.apply(daemon.namespace("n"), secret("s", "n", {"key": "kept"}))
    env = [from_key("A", "secretKeyRef", "s", "key")]
    server.apply(daemon.function("f", "n", SHOW, env=env))
    server.wait_ready_condition("Function", "f", "n")
    server.stop()
    server.restart()
    server.wait_ready_condition("Function", "f", "n")
    assert call(server, "n") == {"a": "kept"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on PATH")
def test_kubectl_create(shared, place, tmp_path):
    from test_kubectl import Kubectl

    kubectl = Kubectl(shared.url, place, tmp_path)

    def create(*words):
        if kubectl.minor >= 27:
            kubectl.run("create", *words)
        else:  # sends these without a Content-Type, which a web page could do, too
            made = kubectl.run("create", *words, "--dry-run=client", "-o", "json")
            kubectl.run("create", "-f", "-", stdin=made)

    (tmp_path / "file.txt").write_bytes(b"\xffbytes")
    create("secret", "generic", "g", "--from-literal=k=v=w", "--from-literal=e=")
    create("configmap", "c", "--from-literal=k=v", f"--from-file={tmp_path}/file.txt")
    login = ["--docker-server=r", "--docker-username=u", "--docker-password=p"]
    create("secret", "docker-registry", "d", *login)
    assert shared.get("Secret", "g", place)["data"] == {
        "k": base64.b64encode(b"v=w").decode(),
        "e": "",
    }
    made = shared.get("ConfigMap", "c", place)
    assert made["data"] == {"k": "v"}
    assert made["binaryData"] == {"file.txt": base64.b64encode(b"\xffbytes").decode()}
    registry = shared.get("Secret", "d", place)
    assert registry["type"] == "kubernetes.io/dockerconfigjson"
    kept = json.loads(base64.b64decode(registry["data"][".dockerconfigjson"]))
    assert kept["auths"]["r"]["username"] == "u"
    rows = [words[:3] for words in kubectl.words("get", "secrets")]
    assert rows[1:] == [["d", registry["type"], "1"], ["g", "Opaque", "2"]]
    kubectl.run("delete", "secret", "g", "d")
    assert shared.http.get(shared.path_of("Secret", "g", place)).status == 404
