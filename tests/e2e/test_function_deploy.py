# SPDX-License-Identifier: Apache-2.0
"""`sluice function deploy`, and what becomes of spec.path: packages and TypeScript are bundled, what
only Node.js has is refused before anything is sent."""

import json
import re
import shutil

import pytest

from daemon import ROOT, function
from projects import new, running

ESBUILD = ROOT / "build" / "npm" / "node_modules" / ".bin" / "esbuild"

COMMONJS = "const times = require('times').default;\nexports.shout = function shout(s) { return times(s.toUpperCase() + '!', 2); };\n"
TIMES = "export default (text, n) => text.repeat(n);\nexport const unused = 'never bundled';\n"


def package(folder, name, files, **fields):
    """A package beside the project, for npm to install from there."""
    target = folder / "packages" / name
    target.mkdir(parents=True)
    (target / "package.json").write_text(json.dumps({"name": name, "version": "1.0.0", **fields}))
    for file, text in files.items():
        (target / file).write_text(text)


@pytest.fixture
def project(tmp_path):
    """A function that needs an npm package, which needs another; nothing is installed yet."""
    folder = new(tmp_path, name="shouter")
    shutil.rmtree(folder / "tests")
    (folder / "greeting.js").unlink()
    package(folder, "times", {"index.js": TIMES}, type="module")
    package(folder, "shout", {"index.js": COMMONJS}, dependencies={"times": "file:../times"})
    described = json.loads((folder / "package.json").read_text())
    described["dependencies"] = {"shout": "file:./packages/shout", "times": "file:./packages/times"}
    (folder / "package.json").write_text(json.dumps(described))
    (folder / ".npmrc").write_text("install-links=false\n")  # npm 9 would copy the packages
    (folder / "index.js").write_text(
        "const { shout } = require('shout');\n"
        "module.exports = context => ({said: shout(context.query.text)});\n"
    )
    return folder


def deployed(server, name, namespace="default"):
    answer = server.http.get(server.path_of("Function", name, namespace))
    return answer.json() if answer.status == 200 else None


def call(server, name, path="", namespace="default"):
    return server.http.get(f"/functions/{namespace}/{name}/{path}")


def deploy(server, path, *arguments, **options):
    env = {"SLUICE_ESBUILD": str(ESBUILD), **options.pop("env", {})}
    return server.cli("function", "deploy", str(path), *arguments, env=env, **options)


def test_a_project(shared, tmp_path):
    folder = new(tmp_path, name="greeter")
    result = deploy(shared, folder, "--wait", "--env", "GREETING=Moin")
    assert "function.sluice.dev/greeter created" in result.stdout
    assert "function.sluice.dev/greeter ready" in result.stdout
    assert call(shared, "greeter", "?name=Ada").body == b'{"text":"Moin, Ada!"}'
    stored = deployed(shared, "greeter")["spec"]
    assert sorted(stored["codeSource"]) == ["greeting.js", "index.js", "package.json"]
    assert "path" not in stored and stored["main"] == "index.js"
    # again, and the same by apply: nothing changes; delete needs no code
    assert "unchanged" in deploy(shared, folder, "--env", "GREETING=Moin").stdout
    assert "configured" in shared.cli("apply", "-f", str(folder / "function.yaml")).stdout
    (folder / "index.js").unlink()
    assert "deleted" in shared.cli("delete", "-f", str(folder / "function.yaml")).stdout


def test_packages_are_fetched_and_bundled(shared, project):
    result = deploy(shared, project, "--wait")
    assert f"npm install in {project}\n" in result.stderr and (project / "node_modules").exists()
    assert call(shared, "shouter", "?text=hi").body == b'{"said":"HI!HI!"}'
    source = deployed(shared, "shouter")["spec"]["codeSource"]
    assert list(source) == ["index.cjs"]
    (text,) = source.values()
    # nothing is renamed or minified, so that errors name what the sources name
    assert '"shout")' in text and "// packages/times/index.js" in text
    again = shared.cli("apply", "-f", str(project / "function.yaml"), env={"SLUICE_ESBUILD": str(ESBUILD)})
    assert "unchanged" in again.stdout and "npm" not in again.stderr
    # run, test and build read a project the same way
    with running(project, cwd=project, env={"SLUICE_ESBUILD": str(ESBUILD)}) as subject:
        assert subject.call("/?text=x")[2] == b'{"said":"X!X!"}'


def test_typescript_and_modules(shared, tmp_path):
    (tmp_path / "twice.ts").write_text("export const twice = (n: number): number => 2 * n;\n")
    (tmp_path / "index.ts").write_text(
        "import { twice } from './twice';\n"
        "const ready: number = await Promise.resolve(1);\n"
        "export async function handle(context: any): Promise<object> {\n"
        "  return { n: twice(Number(context.query.n)), ready };\n"
        "}\n"
    )
    deploy(shared, tmp_path / "index.ts", "--wait")
    assert call(shared, "index", "?n=4").body == b'{"n":8,"ready":1}'


def test_imports_that_only_node_has(shared, project):
    main = project / "index.js"
    main.write_text("'use strict';\nconst fs = require('node:fs');\nmodule.exports = () => fs;\n")
    result = deploy(shared, project, check=False)
    assert result.returncode == 1
    for word in ("index.js:2", '"node:fs"', "runtime: node", "function.yaml"):
        assert word in result.stderr, result.stderr
    assert deployed(shared, "nodeonly") is None
    # deep within a package
    main.write_text("exports.handle = require('shout').shout;\n")
    (project / "packages" / "times" / "index.js").write_text(
        "import { x } from './x.js';\nimport { execSync } from 'child_process';\n"
        "export default () => execSync(x);\n"
    )
    (project / "packages" / "times" / "x.js").write_text("export const x = 1;\n")
    result = deploy(shared, project, check=False)
    assert result.returncode == 1
    for word in ("times/index.js:2", '"child_process"', "runtime: node"):
        assert word in result.stderr, result.stderr


def names_of(table):
    """The modules of Node's in that table of the worker's."""
    source = (ROOT / "src" / "worker" / "bundle_builtin.c").read_text()
    return re.findall(r'"([a-z0-9_/]+)"', re.search(rf"{table}\[\] = {{(.*?)}};", source, re.S)[1])


def test_the_command_line_and_the_worker_know_the_same_modules(shared, tmp_path):
    given = names_of("given")
    main = tmp_path / "index.js"
    lines = [f"require('{name}'); require('node:{name}');" for name in given]
    main.write_text("\n".join(lines) + "\nmodule.exports = () => 'all there';\n")
    deploy(shared, main, "--wait")
    assert call(shared, "index").body == b"all there"
    # bundled they are the same
    (tmp_path / "index.mts").write_text(
        "const one: number = await Promise.resolve(1);\nimport path from 'path';\n"
        "import { join } from './old.cjs';\n"
        "export const handle = () => ({ one, a: path.join('a', 'b'), c: join('c', 'd') });\n"
    )
    (tmp_path / "old.cjs").write_text("exports.join = require('path').join;\n")
    deploy(shared, tmp_path / "index.mts", "--wait")
    assert call(shared, "index").body == b'{"one":1,"a":"a/b","c":"c/d"}'
    refused = 0
    for name in names_of("node_only"):
        main.write_text(f"require('node:{name}');\n")
        result = deploy(shared, main, "--dry-run", check=False)
        refused += result.returncode == 1 and f'index.js:1 imports "node:{name}"' in result.stderr
    assert refused == len(names_of("node_only")) > 30


def test_a_package_in_the_place_of_a_module_of_node(shared, tmp_path):
    """events from npm is no import of Node's own."""
    target = tmp_path / "node_modules" / "events"
    target.mkdir(parents=True)
    (target / "package.json").write_text('{"name": "events", "main": "e.js"}')
    (target / "e.js").write_text("exports.mine = 'polyfill';")
    (tmp_path / "index.mjs").write_text(
        "import { mine } from 'events';\nexport const handle = () => ({ mine });\n"
    )
    deploy(shared, tmp_path / "index.mjs", "--wait", "--dry-run")
    deploy(shared, tmp_path / "index.mjs", "--wait")
    assert call(shared, "index").body == b'{"mine":"polyfill"}'


def test_what_goes_wrong_is_told(shared, project, tmp_path):
    # no esbuild: what to do
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "index.ts").write_text("export const handle = (): number => 1;\n")
    result = deploy(shared, bare, check=False, env={"SLUICE_ESBUILD": "/nonexistent/esbuild"})
    assert result.returncode == 1 and "/nonexistent/esbuild" in result.stderr
    # a package that is nowhere
    (bare / "index.ts").write_text("import x from 'not-installed';\nexport const handle = () => x;\n")
    result = deploy(shared, bare, check=False)
    assert result.returncode == 1
    assert "not-installed" in result.stderr and "index.ts:1" in result.stderr
    # npm that fails says why
    described = json.loads((project / "package.json").read_text())
    described["dependencies"] = {"gone": "file:./packages/gone"}
    (project / "package.json").write_text(json.dumps(described))
    (project / "index.js").write_text("module.exports = require('gone');\n")
    result = deploy(shared, project, check=False)
    assert result.returncode == 1 and "npm install in" in result.stderr
    # nothing to start
    (bare / "index.ts").unlink()
    result = deploy(shared, bare, check=False)
    assert result.returncode == 1 and "function new" in result.stderr
    (bare / "notes.md").write_text("# Notes\n")
    result = deploy(shared, bare / "notes.md", check=False)
    assert result.returncode == 1 and "notes.md is neither a manifest nor" in result.stderr
    # no manifest, so no line of it is named
    (bare / "index.js").write_text("exports.handle = () => 1;\n")
    result = deploy(shared, bare, "--runtime", "pyton", check=False)
    assert result.returncode == 1 and "pyton" in result.stderr
    assert result.stderr.startswith(f"sluice: {bare}: function/bare: spec.runtime: ")


def test_links_do_not_lead_out_of_a_project(shared, tmp_path):
    """Somebody else's project does not send what lies beside it."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    for folder in (project / "inner", outside):
        folder.mkdir(parents=True)
    (outside / "key").write_text("private")
    (project / "function.yaml").write_text(
        "apiVersion: sluice.dev/v1\nkind: Function\nmetadata: {name: links}\n"
        "spec: {runtime: exec, path: ., main: main}\n"
    )
    (project / "inner" / "text").write_text("own")
    (project / "main").symlink_to("inner/text")
    assert deploy(shared, project, "--dry-run", check=False).returncode == 0
    for target in (outside / "key", outside):
        (project / "link").symlink_to(target)
        done = deploy(shared, project, "--dry-run", check=False)
        assert done.returncode != 0 and "link is a link that leads out" in done.stderr, done
        (project / "link").unlink()


def test_the_names_that_a_main_file_has(shared, tmp_path):
    """The server looks for the same ones as the command line."""
    code = {"function.js": "exports.handle = () => require('./other');", "other.js": "exports.n = 7;"}
    shared.apply(function("named", "default", runtime="js", codeSource=code))
    shared.wait_ready_condition("Function", "named", "default")
    assert call(shared, "named").json() == {"n": 7}


def test_one_wrong_document_holds_all_back(shared, tmp_path):
    folder = new(tmp_path, name="halves")
    manifest = folder / "function.yaml"
    manifest.write_text(manifest.read_text() + "---\napiVersion: v1\nkind: Namespace\nmetadata: {}\n")
    result = deploy(shared, folder, check=False)
    assert result.returncode == 1 and "metadata.name" in result.stderr
    assert deployed(shared, "halves") is None


def test_a_function_outside_of_the_sandbox(make_daemon, tmp_path):
    folder = new(tmp_path, "python", "greeter")
    server = make_daemon("--allow-unsandboxed").start()
    deploy(server, folder, "--wait")
    assert b"Ada" in call(server, "greeter", "?name=Ada").body
    assert sorted(deployed(server, "greeter")["spec"]["codeSource"]) == ["greeting.py", "handler.py"]


def test_it_is_refused_without_a_token(shared, tmp_path):
    folder = new(tmp_path, "python", "refused")
    result = deploy(shared, folder, check=False)
    assert result.returncode == 1 and "--allow-unsandboxed" in result.stderr
    assert "none or another was shown" in result.stderr
