# SPDX-License-Identifier: Apache-2.0
"""`sluice function build`: images of js and wasm functions without a container engine, run by runc
and podman as a restricted pod would run them."""

import hashlib
import json
import subprocess
import tarfile
import time

import pytest

from command import run
from containers import Podman, under_runc, unpack
from projects import new, running

EVENT = {
    "ce-id": "7",
    "ce-source": "/door",
    "ce-type": "com.example.visitor",
    "ce-specversion": "1.0",
    "content-type": "application/json",
}

# Whatever a function can show of where it runs.
PROBE = """
let count = 0;
exports.handle = async (context, event) => {
  count++;
  console.log('called', context.method, context.query.q ?? '-');
  if (context.query.q === 'throw') throw new Error('as asked');
  if (context.query.q === 'loop') for (;;);
  if (context.query.q === 'bytes') return new Uint8Array([0, 255, 7]);
  if (context.cloudevent) return context.cloudEventResponse({got: event.data, count})
    .id('fixed').type('probe').source('/probe').response();
  return {count, body: undefined, sent: context.body ?? null, greeting: process.env.GREETING};
};
"""

REQUESTS = [
    ("/", "GET", None, {}),
    ("/some/path?q=1", "PUT", b'{"a":[1,2]}', {"content-type": "application/json"}),
    ("/", "POST", b'{"name":"Grace"}', EVENT),
    ("/", "POST", b"{broken", {"content-type": "application/json"}),
    ("/?q=throw", "GET", None, {}),
    ("/?q=loop", "GET", None, {}),
    ("/?q=bytes", "GET", None, {}),
    ("/health/liveness", "GET", None, {}),
]


def build(folder, *arguments, cwd, **env):
    result = run("function", "build", str(folder), *arguments, cwd=cwd, env=env)
    assert result.returncode == 0, result.stderr
    return result.stdout


def unpacked_bytes(rootfs):
    return sum(p.stat().st_size for p in rootfs.rglob("*") if p.is_file() and not p.is_symlink())


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """A project, its image unpacked: (folder, bundle)"""
    folder = tmp_path_factory.mktemp("probe")
    project = new(folder, name="probe")
    (project / "index.js").write_text(PROBE)
    manifest = (project / "function.yaml").read_text()
    manifest += "  env: [{name: GREETING, value: Hello}]\n"
    (project / "function.yaml").write_text(manifest.replace("PT10S", "PT0.2S"))
    build(project, "-t", "probe:1", "-o", "image", cwd=folder)
    return project, unpack(folder / "image", "probe:1", folder / "bundle")


def shown(answer):
    status, headers, body = answer
    kept = {k.lower(): v for k, v in headers.items() if k.lower() not in ("date", "ce-time")}
    return status, kept, body


def test_the_image_answers_as_the_worker_does(probe, tmp_path):
    project, bundle = probe
    with running(project, cwd=tmp_path) as here, under_runc(bundle, tmp_path) as there:
        for path, method, body, headers in REQUESTS:
            expected = shown(here.call(path, method, body, headers))
            assert shown(there.call(path, method, body, headers)) == expected, path
        assert "called POST -" in there.log()
    assert there.status == 0


def test_as_a_restricted_pod(probe, tmp_path):
    _, bundle = probe
    config = json.loads((bundle / "config.json").read_text())
    assert config["process"]["user"] == {"uid": 65532, "gid": 65532}
    with under_runc(bundle, tmp_path, env={"GREETING": "Moin"}) as subject:
        # the port and the variables that the container was given
        assert json.loads(subject.call()[2])["greeting"] == "Moin"
        assert f"listening on 0.0.0.0:{subject.port}" in subject.log()
        assert "does without" not in subject.log()


def test_in_a_container_that_forbids_the_confinement(probe, tmp_path):
    calls = ["landlock_create_ruleset", "landlock_restrict_self", "seccomp"]
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }
    with under_runc(probe[1], tmp_path, seccomp=profile) as subject:
        assert subject.call()[0] == 200
        assert "does without the system call filter: Operation not permitted" in subject.log()


def test_what_is_under_way_is_finished_at_the_end(probe, tmp_path):
    with under_runc(probe[1], tmp_path) as subject:
        started = time.monotonic()
    assert subject.status == 0 and time.monotonic() - started < 5


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    subject = Podman(tmp_path_factory.mktemp("podman"))
    yield subject
    subject.close()


def test_podman_with_its_own_profile(probe, podman):
    project, _ = probe
    archive = podman.folder / "probe.tar"
    build(project, "-t", "probe:2", "-o", archive, cwd=podman.folder)
    assert "localhost/probe:2" in podman.run("load", "-i", str(archive))
    with podman.serving("localhost/probe:2", "--read-only", "--cap-drop", "all") as subject:
        assert subject.call("/", "POST", b'{"n":1}', EVENT)[2] == b'{"got":{"n":1},"count":1}'
        assert "does without" not in subject.log()
    assert subject.status == 0


def test_a_wasm_image(tmp_path):
    project = new(tmp_path, "wasm", "divisor")
    build(project, "-t", "divisor", "-o", "image", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path))
    bundle = unpack(tmp_path / "image", "divisor:latest", tmp_path / "bundle")
    assert unpacked_bytes(bundle / "rootfs") < 4_000_000
    with under_runc(bundle, tmp_path) as subject:
        assert subject.call("/", "POST", b'{"a":12,"b":18}', EVENT)[2] == b'{"gcd":6}'


def test_layout_and_size(probe, tmp_path):
    project, bundle = probe
    assert unpacked_bytes(bundle / "rootfs") < 6_000_000
    answer = build(project, "-t", "a/b:c", "-o", "x", "--output", "json", cwd=tmp_path)
    said = json.loads(answer)
    assert said["unpackedBytes"] == unpacked_bytes(bundle / "rootfs")
    inspected = subprocess.run(
        ["skopeo", "inspect", "oci:x:a/b:c"], cwd=tmp_path, capture_output=True, check=True
    )
    seen = json.loads(inspected.stdout)
    assert seen["Digest"] == said["digest"] and seen["Os"] == "linux"
    assert seen["Labels"]["dev.sluice.runtime"] == "js"
    # another implementation reads every blob, checks its digest, and writes the same
    copy = ["skopeo", "copy", "-q", "oci:x:a/b:c", "oci:y:a/b:c"]
    subprocess.run(copy, cwd=tmp_path, check=True)
    for blob in (tmp_path / "x" / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        if tarfile.is_tarfile(blob):
            with tarfile.open(blob) as layer:
                names = [member.name for member in layer]
                assert names == sorted(names)
                assert {(m.uid, m.gid, m.mtime) for m in layer} == {(0, 0, 0)}


def test_the_same_bytes_each_time(probe, tmp_path):
    project, _ = probe
    for name in ("one.tar", "two.tar"):
        build(project, "-t", "probe:1", "-o", name, cwd=tmp_path)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    # a layout that is there is replaced, and with it all that was in it
    for tag in ("probe:1", "probe:2"):
        build(project, "-t", tag, "-o", "layout", cwd=tmp_path)
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    names = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
    assert names == ["probe:2"]


def test_what_cannot_be_built(probe, tmp_path):
    project, _ = probe
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    cases = [
        ([], 2, "-t NAME:TAG"),
        (["-t", "BAD NAME", "-o", "x"], 2, "-t NAME:TAG"),
        (["-t", "x"], 2, "--out"),
        (["-t", "x", "-o", "full"], 1, "no image layout"),
    ]
    for arguments, code, word in cases:
        result = run("function", "build", str(project), *arguments, cwd=tmp_path)
        assert (result.returncode, word in result.stderr) == (code, True), result.stderr
    assert (tmp_path / "full" / "mine").read_text() == "precious"


def test_an_image_that_fetches(sink, tmp_path):
    """With its own HTTP client, in two processes behind one port."""
    project = new(tmp_path, name="fetcher")
    (project / "index.js").write_text(
        "exports.handle = async context => {\n"
        "  const answer = await fetch(context.query.url, { method: 'POST', body: 'hello' });\n"
        "  return { status: answer.status };\n};\n"
    )
    host = sink.url().split("/")[2]
    manifest = (project / "function.yaml").read_text()
    manifest += f'  network: {{allow: ["{host}"]}}\n'
    (project / "function.yaml").write_text(manifest)
    build(project, "-t", "f:1", "-o", "image", cwd=tmp_path)
    bundle = unpack(tmp_path / "image", "f:1", tmp_path / "bundle")
    with under_runc(bundle, tmp_path, arguments=["--workers", "2"]) as subject:
        status, _, body = subject.call(f"/?url={sink.url()}")
        assert (status, body) == (200, b'{"status":200}'), subject.log()
        refused = subject.call("/?url=http://127.0.0.2:1/")
        assert refused[0] == 500 and b"127.0.0.2" in refused[2]


def test_without_a_container_engine(tmp_path):
    project = new(tmp_path, "python")
    empty = tmp_path / "bin"
    empty.mkdir()
    result = run("function", "build", str(project), "-t", "x", cwd=tmp_path, env={"PATH": str(empty)})
    assert result.returncode == 1
    assert "buildah, podman and docker" in result.stderr and "apt install buildah" in result.stderr
