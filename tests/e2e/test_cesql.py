# SPDX-License-Identifier: Apache-2.0
"""sluice cesql: value on stdout, kind and place of an error on stderr, exit codes."""

import json

import pytest

from command import run

EVENT = {
    "specversion": "1.0",
    "id": "7",
    "source": "/shop",
    "type": "order.made",
    "hop": "5",
    "ttl": 10,
    "urgent": True,
    "time": "2018-04-26T14:48:09+02:00",
    "data": {"n": 12345678901234567890123},
}


def cesql(expression, event=EVENT, *options):
    return run("cesql", expression, "--event", "-", *options, stdin=json.dumps(event))


@pytest.mark.parametrize(
    "expression, value",
    [
        ("type LIKE 'order.%' AND hop < ttl AND urgent", "true"),
        ("ttl", "10"),
        ("hop", '"5"'),
        ("time", '"2018-04-26T14:48:09+02:00"'),
        ("'a\"ü'", '"a\\"ü"'),
        ("-10", "-10"),  # no option
        ("--10", "10"),
        ("--'10'", "10"),
        ("-ttl", "-10"),
        ("  1 ", "1"),
    ],
)
def test_values(expression, value):
    result = cesql(expression)
    assert (result.returncode, result.stdout, result.stderr) == (0, value + "\n", "")


@pytest.mark.parametrize(
    "expression, value, kind",
    [
        ("ABC(", "false", "parse"),
        ("1 / 0", "0", "math"),
        ("INT('x')", "0", "cast"),
        ("NOWHERE()", "false", "missingFunction"),
        ("LEFT('abc', -1)", '"abc"', "functionEvaluation"),
        ("missing", "false", "missingAttribute"),
        ("-missing", "0", "missingAttribute"),
    ],
)
def test_errors(expression, value, kind):
    result = cesql(expression)
    assert (result.returncode, result.stdout) == (1, value + "\n")
    first, shown, carets = result.stderr.splitlines()
    assert first.startswith(f"error: {kind}: ")
    assert shown == "  " + expression and set(carets.strip()) == {"^"}
    whole = json.loads(cesql(expression, EVENT, "-o", "json").stdout)
    assert whole["value"] == json.loads(value) and whole["error"]["kind"] == kind
    assert first == f"error: {kind}: {whole['error']['message']}, at column {whole['error']['column']}"


def test_generic_error():
    result = cesql("LENGTH(CONCAT(big, big))", {**EVENT, "big": "x" * 40000})
    assert (result.returncode, result.stdout) == (1, "0\n")
    assert result.stderr.startswith("error: generic: ")


def test_place_in_several_lines():
    result = cesql("type = 'ü' OR\n  'ü' = 1")
    assert result.stderr.splitlines()[1:] == ["    'ü' = 1", "    ^^^"]


def test_whole_result_as_json():
    result = cesql("ttl + 1", EVENT, "--output=json")
    assert json.loads(result.stdout) == {"value": 11, "type": "Integer", "error": None}


def test_without_event(tmp_path):
    result = run("cesql", "EXISTS id AND EXISTS time")
    assert (result.returncode, result.stdout) == (0, "false\n")
    part = tmp_path / "part.json"
    part.write_text('{ "subject": "a" }')  # the rest is filled in
    result = run("cesql", "subject = 'a' AND EXISTS type", "--event", str(part))
    assert (result.returncode, result.stdout) == (0, "true\n")


@pytest.mark.parametrize(
    "event, message",
    [("", "no CloudEvent"), ("[1]", "no CloudEvent"), ('{"specversion":"7"}', "specversion")],
)
def test_event_that_is_none(event, message):
    result = run("cesql", "TRUE", "--event", "-", stdin=event)
    assert result.returncode == 2 and result.stdout == "" and message in result.stderr


def test_misuse(tmp_path):
    for arguments in (["cesql"], ["cesql", "1", "2"], ["cesql", "1", "-o", "xml"]):
        result = run(*arguments)
        assert result.returncode == 2 and result.stdout == "", arguments
    result = run("cesql", "1", "--event", str(tmp_path / "none.json"))
    assert result.returncode == 2 and "none.json" in result.stderr
