# SPDX-License-Identifier: Apache-2.0
"""Dead letters: a page at a time, selected, opened, edited, deleted, redriven."""

import json
import urllib.parse

import command
import daemon
import pytest
import waiting
from sink import Answer
from wire import binary_event

PAGE = 512 * 1024


def give_up(server, sink, names, count, data=b"{}"):
    """Dead letters of each of the triggers."""
    sink.on("/", Answer(400))
    for name in names:
        server.apply(daemon.trigger(name, "n", sink.url()))
        server.wait_ready_condition("Trigger", name, "n")
    for number in range(count):
        answer = server.send(
            "/n/default", binary_event(id=str(number)), data, "application/octet-stream"
        )
        assert answer.status == 202
    waiting.until(lambda: server.metrics()["sluice_dead_letters"] == count * len(names), 20)


def pages(server, query):
    """The bodies of all pages."""
    token = ""
    while token is not None:
        answer = server.http.get(f"/-/dead?{query}{token}")
        assert answer.status == 200, answer
        yield answer
        token = answer.json().get("continue")
        token = token and f"&continue={token}"


@pytest.fixture
def own(server):
    server.apply(daemon.namespace("n"), daemon.broker("default", "n"))
    return server


def test_pages_of_so_many(own, sink):
    give_up(own, sink, ["a", "b", "c"], 70)
    for name, total in (("a", 70), ("c", 70), (None, 210)):
        query = f"namespace=n&trigger={name}" if name else "namespace=n"
        found = [answer.json()["items"] for answer in pages(own, query + "&limit=35")]
        assert [len(items) for items in found] == [35] * (total // 35)
        items = sum(found, [])
        assert own.http.get(f"/-/dead?{query}").json() == {"items": items}
        places = [(item["trigger"], item["position"]) for item in items]
        assert len(set(places)) == total
        assert {item["trigger"] for item in items} == ({name} if name else {"a", "b", "c"})
        if name:
            assert places == sorted(places)
    assert own.http.get("/-/dead?namespace=n&trigger=none").json() == {"items": []}
    assert own.http.get("/-/dead?namespace=other&limit=1").json() == {"items": []}


@pytest.mark.parametrize("data, count", [(150_000, 4), (750_000, 12)])
def test_pages_of_so_many_bytes(own, sink, data, count):
    """A page that has them ends; one letter may be more than they are."""
    give_up(own, sink, ["t"], 12, bytes(range(250)) * (data // 250))
    found = list(pages(own, "namespace=n&trigger=t"))
    letter = data * 4 // 3 + 10_000
    assert all(PAGE <= len(answer.body) < PAGE + letter for answer in found)
    assert len(found) == count
    ids = [item["event"]["id"] for answer in found for item in answer.json()["items"]]
    assert ids == [str(number) for number in range(12)]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=", "continue=", "continue=1", "continue=1-x"]
    + ["continue=x-1", "continue=-1", "continue=1-", "continue=4294967296-1", "continue=1-2-3"],
)
def test_refuses_what_is_no_page(shared, query):
    answer = shared.http.get(f"/-/dead?{query}")
    assert answer.status == 400, answer
    assert query.split("=")[0] in answer.error["message"]


def test_a_place_where_nothing_is(shared):
    assert shared.http.get("/-/dead?continue=4294967295-18446744073709551615").json() == {
        "items": []
    }


# ---- selecting ----


def letters(own, **query):
    found = own.http.get("/-/dead?" + urllib.parse.urlencode({"namespace": "n", **query}))
    assert found.status == 200, found
    return [item["event"]["id"] for item in found.json()["items"]]


def test_selects(own, sink):
    """By type, source, code, time, and by a CESQL expression."""
    before = "2001-01-01T00:00:00Z"
    sink.on("/", lambda got: Answer(503 if got.event["type"] == "a" else 404))
    own.apply(daemon.trigger("t", "n", sink.url(), delivery={"retry": 0}))
    own.wait_ready_condition("Trigger", "t", "n")
    for id, type, source in (("1", "a", "/x"), ("2", "a", "/y"), ("3", "b", "/x")):
        headers = binary_event(id=id, type=type, source=source)
        assert own.send("/n/default", headers).status == 202
    waiting.until(lambda: own.metrics()["sluice_dead_letters"] == 3)
    assert letters(own) == ["1", "2", "3"]
    assert letters(own, type="a") == ["1", "2"]
    assert letters(own, source="/x") == ["1", "3"]
    assert letters(own, type="a", source="/x") == ["1"]
    assert letters(own, code="404") == ["3"]
    assert letters(own, code="5xx") == ["1", "2"]
    assert letters(own, since=before) == ["1", "2", "3"]
    assert letters(own, until=before) == []
    assert letters(own, filter='{"exact":{"type":"a","source":"/y"}}') == ["2"]
    assert letters(own, filter="type = 'a' AND source = '/y'") == ["2"]


@pytest.mark.parametrize(
    "query, field",
    [("since=yesterday", "since"), ("until=1", "until"), ("code=6xx", "code"), ("code=", "code")]
    + [("filter={", "filter"), ("namespace=n&tpye=a", "tpye")],
)
def test_refuses_what_selects_nothing(shared, query, field):
    answer = shared.http.get(f"/-/dead?{query}")
    assert answer.status == 400, answer
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize("method, path", [("DELETE", "/-/dead"), ("POST", "/-/redrive")])
def test_what_is_misspelt_means_none(own, sink, method, path):
    """Not: those that the rest of the query means."""
    give_up(own, sink, ["t"], 1)
    answer = own.http.request(method, f"{path}?namespace=n&%74pye=never")
    assert answer.status == 400 and answer.json()["error"]["field"] == "tpye", answer
    assert len(letters(own)) == 1


# ---- one letter ----


@pytest.fixture
def letter(own, sink):
    """A dead letter; its path and its position. The subscriber takes events from now on."""
    give_up(own, sink, ["t"], 1)
    [item] = own.dead("n", "t")
    sink.on("/", Answer(200))
    sink.received.clear()
    return f"/-/dead/n/t/{item['position']}", item


def test_opens_one(own, letter):
    path, item = letter
    assert own.http.get(path).json() == item
    assert item["code"] == 400 and item["attempts"] == 1 and item["event"]["id"] == "0"
    for wrong in ("/-/dead/n/t/4711", "/-/dead/n/none/1", "/-/dead/none/t/1"):
        assert own.http.get(wrong).status == 404
    assert own.http.get("/-/dead/n/t/x").status == 400


def test_redrives_one(own, sink, letter):
    path, _ = letter
    assert own.http.post(path + "/redrive").status == 204
    [got] = sink.wait(1)
    assert got.id == "0"
    waiting.until(lambda: own.metrics()["sluice_deliveries_done_total"] == 1)
    assert own.dead("n", "t") == []
    assert own.http.post(path + "/redrive").status == 404
    assert own.metrics()["sluice_dead_letters_redriven_total"] == 1


def test_edits_one(own, sink, letter):
    path, item = letter
    event = dict(item["event"], id="mended", more="yes")
    answer = own.http.put(path, json.dumps(event).encode())
    assert answer.status == 204, answer
    assert own.http.get(path).json()["event"] == event
    assert own.http.post(path + "/redrive").status == 204
    [got] = sink.wait(1)
    assert got.id == "mended" and got.event["more"] == "yes"
    assert [line["event"]["id"] for line in own.events()] == ["0"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"specversion":"1.0","id":"1"}'])
def test_refuses_what_is_no_event(own, letter, body):
    path, item = letter
    assert own.http.put(path, body).status == 400
    assert own.http.get(path).json() == item


def test_deletes_one(own, letter):
    path, _ = letter
    assert own.http.delete(path).status == 204
    assert own.http.get(path).status == 404
    assert own.metrics()["sluice_dead_letters"] == 0
    assert own.http.delete(path).status == 404


# ---- many ----


def sweep(method, path):
    """What each answer says, until there is no more."""
    said, token = [], ""
    while token is not None:
        answer = method(path + token)
        assert answer.status == 200, answer
        said.append(answer.json())
        token = said[-1].get("continue")
        token = token and f"&continue={token}"
    return said


def test_redrives_many(own, sink):
    give_up(own, sink, ["a", "b"], 300)
    sink.on("/", Answer(200))
    sink.received.clear()
    said = sweep(own.http.post, "/-/redrive?namespace=n&trigger=a")
    assert [one["redriven"] for one in said] == [256, 44]
    waiting.until(lambda: own.metrics()["sluice_deliveries_done_total"] == 300)
    assert sorted(int(got.id) for got in sink.received) == list(range(300))
    assert own.dead("n", "a") == [] and len(own.dead("n", "b")) == 300


def test_deletes_many(own, sink):
    give_up(own, sink, ["a"], 300)
    assert own.http.delete("/-/dead").status == 400
    assert own.http.post("/-/redrive").status == 400
    said = sweep(own.http.delete, "/-/dead?code=400&limit=200")
    assert [one["deleted"] for one in said] == [200, 100]
    assert own.dead("n", "a") == []
    assert own.http.delete("/-/dead?all=true").json() == {"deleted": 0, "skipped": 0}
    waiting.until(lambda: own.metrics()["sluice_dead_letters"] == 0)


# ---- the command line ----


def sluice(own, *arguments, **options):
    env = {"SLUICE_SERVER": own.url, "SLUICE_NAMESPACE": "n", **options.pop("env", {})}
    return command.run(*arguments, env=env, **options)


def test_command_line(own, sink):
    give_up(own, sink, ["t"], 3)
    sink.on("/", Answer(200))
    sink.received.clear()
    listed = sluice(own, "dead", "list", "-o", "json").stdout.splitlines()
    positions = [str(json.loads(line)["position"]) for line in listed]
    table = sluice(own, "dead", "list", "--code", "4xx").stdout.splitlines()
    assert len(table) == 4 and table[0].split()[:3] == ["TIME", "TRIGGER", "POSITION"]
    assert sluice(own, "dead", "list", "--code", "5xx").stdout.count("\n") == 1
    shown = sluice(own, "dead", "show", positions[0]).stdout
    assert "n/t" in shown and '"id": "0"' in shown and "answered 400" in shown
    event = sluice(own, "dead", "show", positions[0], "-o", "json").stdout
    changed = event.replace('"id":"0"', '"id":"mended"')
    edited = sluice(own, "dead", "edit", positions[0], "-f", "-", stdin=changed)
    assert edited.returncode == 0, edited
    assert f"sluice redrive {positions[0]} -n n --trigger t\n" in edited.stderr
    assert sluice(own, "redrive", positions[0]).stdout == "1 redriven\n"
    assert sink.wait(1)[0].id == "mended"
    assert sluice(own, "dead", "delete", positions[1]).stdout == "1 deleted\n"
    assert sluice(own, "redrive").returncode == 2
    again = sluice(own, "redrive", positions[1])
    assert again.returncode == 1 and "no dead letter" in again.stderr and again.stdout == ""
    refused = sluice(own, "dead", "delete", "--code", "5x")
    assert refused.returncode == 1 and "code: must be" in refused.stderr and refused.stdout == ""
    assert sluice(own, "redrive", "--all").stdout == "1 redriven\n"
    assert sink.wait(2)[1].id == "2"


def test_edits_in_an_editor(own, letter):
    path, item = letter
    position = str(item["position"])
    unchanged = sluice(own, "dead", "edit", position, env={"EDITOR": "true"})
    assert unchanged.returncode == 1 and "nothing is changed" in unchanged.stderr
    failed = sluice(own, "dead", "edit", position, env={"EDITOR": "false"})
    assert failed.returncode == 1 and "the editor failed" in failed.stderr
    assert own.http.get(path).json() == item
    edited = sluice(own, "dead", "edit", position, env={"VISUAL": "sed -i s/\"0\"/\"mended\"/"})
    assert edited.returncode == 0, edited
    assert own.http.get(path).json()["event"]["id"] == "mended"
