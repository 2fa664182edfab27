# SPDX-License-Identifier: Apache-2.0
"""A manifest of many documents: several are on their way at a time, and none of that shows."""

import json
import re

import pytest

import daemon

COUNT = 1500


def document(index, space, uri="http://127.0.0.1:9/"):
    return {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": f"t{index}", "namespace": space},
        "spec": {
            "broker": "default",
            "filter": {"attributes": {"type": f"k{index}"}},
            "subscriber": {"uri": uri},
        },
    }


def text_of(documents):
    return "".join(f"---\n{json.dumps(each)}\n" for each in documents)


def names_in(output):
    return re.findall(r"^trigger\S*/(\S+) ", output, re.MULTILINE)


def syncs(server):
    return server.metrics()["sluice_store_syncs_total"]


@pytest.mark.slow
def test_many_share_syncs_and_are_shown_in_order(shared, place):
    documents = [document(index, place) for index in range(COUNT)]
    before = syncs(shared)
    first = shared.cli("apply", "-f", "-", stdin=text_of(documents))
    assert names_in(first.stdout) == [f"t{index}" for index in range(COUNT)]
    assert first.stdout.count(" created") == COUNT
    # Each is a write, and its status another.
    assert syncs(shared) - before < COUNT
    again = shared.cli("apply", "-f", "-", stdin=text_of(documents))
    assert again.stdout.count(" unchanged") == COUNT


def test_errors_name_their_lines_in_order(shared, place):
    documents = [document(index, place) for index in range(200)]
    shared.cli("apply", "-f", "-", stdin=text_of(documents))
    bad = (7, 60, 61, 199)
    for index in bad:
        documents[index]["spec"]["broker"] = "another"  # which the server refuses
    result = shared.cli("apply", "-f", "-", stdin=text_of(documents), check=False)
    assert result.returncode == 1
    complaints = re.findall(r"stdin:(\d+): trigger/(\S+): spec\.broker: ", result.stderr)
    assert complaints == [(str(2 * index + 2), f"t{index}") for index in bad], result.stderr
    assert names_in(result.stdout) == [f"t{index}" for index in range(200) if index not in bad]


def test_the_same_object_twice(shared, place):
    documents = [document(index % 3, place, f"http://127.0.0.1:9/{index}") for index in range(60)]
    result = shared.cli("apply", "-f", "-", stdin=text_of(documents))
    assert names_in(result.stdout) == [f"t{index % 3}" for index in range(60)]
    for index in range(3):
        kept = shared.get("Trigger", f"t{index}", place)
        assert kept["spec"]["subscriber"]["uri"] == f"http://127.0.0.1:9/{57 + index}"


def test_what_others_need_comes_first(shared):
    space = "many-kinds"
    documents = [document(0, space), daemon.broker("default", space), document(1, space)]
    documents += [daemon.namespace(space), document(2, space)]
    result = shared.cli("apply", "-f", "-", stdin=text_of(documents))
    lines = [line.rsplit(" ", 1)[0].rsplit("/", 1)[1] for line in result.stdout.splitlines()]
    assert lines == [space, "t0", "default", "t1", "t2"]
    shared.delete("Namespace", space)


def test_no_server_is_said_once(shared):
    documents = [document(index, "default") for index in range(100)]
    result = shared.cli(
        "apply", "-f", "-", stdin=text_of(documents), check=False, env={"SLUICE_SERVER": "127.0.0.1:9"}
    )
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.count("no server answers") == 1, result.stderr
