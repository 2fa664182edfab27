# SPDX-License-Identifier: Apache-2.0
"""What runs outside of the sandbox wants the admin token, however the object comes to be."""

import json
import subprocess

import pytest

import daemon
from conftest import finish, fresh_folder

TOKEN = "a-token-for-tests-0123456789"
PYTHON = {"runtime": "python", "codeSource": {"handler.py": "def handle(e, c): pass\n"}}
JSON = {"Content-Type": "application/json"}
MANIFEST = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            daemon.function("good", "n", "module.exports = () => 1;"),
            daemon.function("bad", "n", **PYTHON),
        ],
    }
)


@pytest.fixture(name="guarded", scope="module")
def make_guarded(tmp_path_factory):
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(TOKEN + "\n")
    made = daemon.Daemon(fresh_folder(), env={"SLUICE_ADMIN_TOKEN_FILE": str(file)}).start()
    made.apply(daemon.namespace("n"), daemon.function("f", "n", "module.exports = () => 1;"))
    yield made
    finish(made)


def test_refused_without_the_token(guarded):
    document = daemon.function("p", "n", **PYTHON)
    path = guarded.collection("Function", "n")
    patch = {"Content-Type": "application/merge-patch+json"}
    body = json.dumps(document)
    attempts = [
        guarded.create(document),
        guarded.http.post(path + "?dryRun=All", body, JSON),
        guarded.replace(daemon.function("f", "n", **PYTHON)),
        guarded.http.request("PATCH", path + "/f", json.dumps({"spec": PYTHON}), patch),
        guarded.http.post(path, body, {**JSON, "Authorization": f"Bearer {TOKEN}x"}),
        guarded.http.post(path, body, {**JSON, "Authorization": f"Basic {TOKEN}"}),
        guarded.http.post(path, body, {**JSON, "Authorization": "Bearer "}),
    ]
    for number, answer in enumerate(attempts):
        assert (number, answer.status) == (number, 403)
        status = answer.json()
        assert (status["kind"], status["reason"]) == ("Status", "Forbidden")
        assert "--allow-unsandboxed" in status["message"] and "python" in status["message"]
        assert TOKEN not in status["message"]
    assert guarded.get("Function", "f", "n")["spec"]["runtime"] == "js"


def test_taken_with_the_token(guarded):
    path = guarded.collection("Function", "n")
    body = json.dumps(daemon.function("q", "n", **PYTHON))
    headers = {**JSON, "Authorization": f"bearer {TOKEN}"}
    assert guarded.http.post(path + "?dryRun=All", body, headers).status == 201
    assert guarded.http.post(path, body, headers).status == 201
    assert guarded.delete("Function", "q", "n").status == 200


def test_apply_shows_it_and_goes_on(guarded):
    arguments = ("apply", "-f", "-")
    refused = guarded.cli(*arguments, stdin=MANIFEST, check=False)
    assert refused.returncode == 1
    assert "--allow-unsandboxed" in refused.stderr
    assert guarded.get("Function", "good", "n")
    done = guarded.cli(*arguments, stdin=MANIFEST, env={"SLUICE_TOKEN": TOKEN})
    assert "bad" in done.stdout
    guarded.delete("Function", "bad", "n")
    guarded.cli("apply", "--token", TOKEN, "-f", "-", stdin=MANIFEST)
    guarded.delete("Function", "bad", "n")


def test_unknown_runtime_lists_those_there_are(guarded):
    answer = guarded.create(daemon.function("p", "n", **{**PYTHON, "runtime": "pyton"}))
    assert answer.status == 422
    assert "pyton" in answer.json()["message"] and "js, node, python" in answer.json()["message"]


def test_allowed_for_everybody(make_daemon):
    server = make_daemon("--allow-unsandboxed").start()
    server.apply(daemon.namespace("n"))
    assert server.create(daemon.function("p", "n", **PYTHON)).status == 201


@pytest.mark.parametrize("text", [None, "short"])
def test_a_token_file_that_cannot_be_used(tmp_path, text):
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
    command = [str(daemon.BINARY), "serve", "--data-dir", str(tmp_path / "data")]
    command += ["--listen", "127.0.0.1:0", "--admin-token-file", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert "admin token" in ended.stderr and str(file) in ended.stderr
