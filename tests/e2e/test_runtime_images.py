# SPDX-License-Identifier: Apache-2.0
"""Images of functions that are programs: built from their runtime's Dockerfile by buildah on a base that
is put together from this machine's own interpreter, and run by runc as a restricted pod would be."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from containers import under_runc, unpack
from daemon import BINARY
from command import environment
from projects import new

PLAIN = pathlib.Path("/usr/bin/python3").resolve()


def libraries(*programs):
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    return {pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", said)}


def put(root, path):
    """A file, or a folder with all that is in it, at the same place below root."""
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "test", "*.a"))
    else:
        shutil.copy2(path.resolve(), target)


class Engine:
    """buildah with a store of its own."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        )
        self.env = {"CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"), "TMPDIR": str(folder)}

    def run(self, *words):
        done = subprocess.run(
            ["buildah", *map(str, words)], env={**os.environ, **self.env}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make_base(self, name, *paths):
        root = self.folder / name
        programs = [pathlib.Path(p) for p in ("/bin/sh", "/usr/bin/mkdir", *paths) if pathlib.Path(p).is_file()]
        modules = [so for p in paths if pathlib.Path(p).is_dir() for so in pathlib.Path(p).rglob("*.so")]
        for path in [*map(pathlib.Path, paths), *programs, *libraries(*programs, *modules)]:
            put(root, path)
        (root / "tmp").mkdir(mode=0o1777)
        container = self.run("from", "scratch")
        self.run("copy", "--quiet", container, root, "/")
        self.run("commit", "--quiet", "--rm", container, f"localhost/{name}:1")
        shutil.rmtree(root)
        return f"localhost/{name}:1"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    subject = Engine(tmp_path_factory.mktemp("engine"))
    yield subject
    shutil.rmtree(subject.folder, ignore_errors=True)


def build(engine, project, base, folder):
    words = ["function", "build", str(project), "-t", "fn:1", "-o", "image", "--engine", "buildah"]
    for option in ("--isolation=chroot", "--network=host", "--pull-never", f"--build-arg=BASE={base}"):
        words += [f"--engine-option={option}"]
    done = subprocess.run(
        [BINARY, *words], cwd=folder, capture_output=True, text=True, timeout=300, env=environment(**engine.env)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return unpack(folder / "image", "fn:1", folder / "bundle")


EVENT = {
    "ce-id": "7",
    "ce-source": "/door",
    "ce-type": "com.example.visitor",
    "ce-specversion": "1.0",
    "content-type": "application/json",
}


def check(bundle, folder):
    assert json.loads((bundle / "config.json").read_text())["process"]["user"] == {"uid": 65532, "gid": 65532}
    with under_runc(bundle, folder, env={"GREETING": "Moin"}) as subject:
        status, headers, body = subject.call("/", "POST", b'{"name":"Grace"}', EVENT)
        kept = {name.lower(): value for name, value in headers.items()}
        assert (status, kept["ce-type"], json.loads(body)) == (200, "com.example.greeted", {"text": "Moin, Grace!"})
        assert json.loads(subject.call("/?name=Ada")[2]) == {"text": "Moin, Ada!"}
        assert "a greeting for Grace" in subject.log()
    assert subject.status == 0


def test_a_python_image(engine, tmp_path):
    library = f"/usr/lib/{PLAIN.name}"
    base = engine.make_base("python", "/usr/bin/python3", library)
    check(build(engine, new(tmp_path, runtime="python"), base, tmp_path), tmp_path)
