# SPDX-License-Identifier: Apache-2.0
"""Images of functions that are programs: built from their runtime's Dockerfile by buildah on a base that
is put together from this machine's own interpreter, and run as a restricted pod would be."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

from command import run
from containers import Podman, under_runc, unpack
from projects import NODE_MODULES, new, packages_of

LEFT_OUT = ("__pycache__", "test", "*.a", "dist-packages", "site-packages", "config-*")
LEFT_OUT += ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "tkinter", "_test*")

# For npm, whose registry no test can rely on: it takes packages from a folder that is mounted.
NPM = """#!/bin/sh
[ "$1" = install ] && [ -f package.json ] || exit 1
mkdir node_modules && to=$PWD/node_modules && cd /packages && exec cp -r --parents {} "$to"
"""


def libraries(*programs):
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    return {pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", said)}


def put(root, path, target=None):
    """A file, or a folder with all that is in it, at the same place below root, or at target."""
    target = root / (target or path.relative_to("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    else:
        shutil.copy2(path.resolve(), target)


class Engine(Podman):
    """buildah and podman with one store."""

    def buildah(self, *words):
        done = subprocess.run(
            ["buildah", *map(str, words)], env=self.env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make_base(self, name, paths, npm=None):
        """What stands in for an image of the registry: these programs and folders, and a shell."""
        root = self.folder / name
        programs = [pathlib.Path(p) for p in ("/bin/sh", "/usr/bin/mkdir", "/usr/bin/cp", *paths)]
        modules = [so for p in programs if p.is_dir() for so in p.rglob("*.so")]
        programs += libraries(*[p for p in programs if p.is_file()], *modules)
        for path in programs:
            put(root, path)
        if npm:
            (root / "usr/bin/npm").write_text(npm)
            (root / "usr/bin/npm").chmod(0o755)
        (root / "tmp").mkdir(mode=0o1777)
        container = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", container, root, "/")
        self.buildah("commit", "--quiet", "--rm", container, f"localhost/{name}:1")
        shutil.rmtree(root)
        return f"localhost/{name}:1"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    subject = Engine(tmp_path_factory.mktemp("engine"))
    yield subject
    subject.close()


def build(engine, project, base, *arguments, options=()):
    words = ["function", "build", str(project), "--engine", "buildah", *arguments]
    for option in ("--isolation=chroot", "--network=host", "--pull-never", f"--build-arg=BASE={base}", *options):
        words += [f"--engine-option={option}"]
    done = run(*words, cwd=engine.folder, timeout=300, env=engine.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "buildah builds the image" in done.stderr
    return done.stdout


EVENT = {
    "ce-id": "7",
    "ce-source": "/door",
    "ce-type": "com.example.visitor",
    "ce-specversion": "1.0",
    "content-type": "application/json",
}


def check(subject):
    """The function of the template, whose environment says how it greets."""
    status, headers, body = subject.call("/", "POST", b'{"name":"Grace"}', EVENT)
    kept = {name.lower(): value for name, value in headers.items()}
    assert (status, kept["ce-type"], json.loads(body)) == (200, "com.example.greeted", {"text": "Moin, Grace!"})
    assert json.loads(subject.call("/?name=Ada")[2]) == {"text": "Moin, Ada!"}
    assert "a greeting for Grace" in subject.log()


def test_a_python_image(engine, tmp_path):
    """In a layout, as other programs read it."""
    plain = pathlib.Path("/usr/bin/python3").resolve()
    base = engine.make_base("python", ["/usr/bin/python3", f"/usr/lib/{plain.name}"])
    said = build(engine, new(tmp_path, "python"), base, "-t", "fn:1", "-o", str(tmp_path / "image"))
    assert f"fn:1 built by buildah, in {tmp_path}/image" in said
    bundle = unpack(tmp_path / "image", "fn:1", tmp_path / "bundle")
    process = json.loads((bundle / "config.json").read_text())["process"]
    assert process["user"] == {"uid": 65532, "gid": 65532}
    with under_runc(bundle, tmp_path, env={"GREETING": "Moin"}) as subject:
        check(subject)
    assert subject.status == 0


def test_a_node_image(engine, tmp_path):
    """In the engine's own store. Node itself, of 100 MB, is mounted and not copied from layer to layer."""
    node = pathlib.Path(shutil.which("node")).resolve()
    mounts = [f"--volume={node}:/usr/bin/node:ro"]
    if pathlib.Path("/usr/share/nodejs").is_dir():  # Debian keeps some of Node's own modules there
        mounts.append("--volume=/usr/share/nodejs:/usr/share/nodejs:ro")
    npm = NPM.format(" ".join(packages_of("faas-js-runtime")))
    base = engine.make_base("node", libraries(node), npm)
    options = [*mounts, f"--volume={NODE_MODULES}:/packages:ro"]
    said = build(engine, new(tmp_path, "node"), base, "-t", "fn:2", options=options)
    assert said.strip() == "fn:2 built by buildah"
    options = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", *mounts]
    with engine.serving("localhost/fn:2", *options, "-e", "GREETING=Moin") as subject:
        check(subject)
    assert subject.status == 0
