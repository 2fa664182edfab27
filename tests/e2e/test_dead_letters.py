# SPDX-License-Identifier: Apache-2.0
"""GET /-/dead, a page at a time."""

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
