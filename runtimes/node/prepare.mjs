// SPDX-License-Identifier: Apache-2.0
// Installs what a function needs: node prepare.mjs CODE PACKAGES
//
// The function's own package.json (and package-lock.json), and faas-js-runtime in the version that
// goes with this Node.js, unless the function asks for one itself. All of it goes to PACKAGES; a link
// CODE/node_modules makes it visible to the function.
import { spawnSync } from "node:child_process";
import { existsSync, copyFileSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { supportedVersion } from "./version.mjs";

const [code, packages] = process.argv.slice(2);
const runtime = "faas-js-runtime";

function npm(...words) {
    const options = ["--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];
    const run = spawnSync("npm", [...words, ...options], { cwd: packages, stdio: ["ignore", "inherit", "inherit"] });
    if (run.error?.code === "ENOENT") {
        console.error("there is no npm: install it (Debian: apt install npm)");
    }
    if (run.status !== 0) {
        process.exit(run.status ?? 1);
    }
}

function readManifest() {
    const path = join(code, "package.json");
    if (!existsSync(path)) {
        return null;
    }
    try {
        return JSON.parse(readFileSync(path, "utf8"));
    } catch (problem) {
        console.error(`package.json:1: ${problem.message}`);
        process.exit(1);
    }
}

const manifest = readManifest();
const wanted = { ...manifest?.dependencies, ...manifest?.optionalDependencies };
const version = supportedVersion();

if (manifest && existsSync(join(code, "package-lock.json"))) {
    copyFileSync(join(code, "package.json"), join(packages, "package.json"));
    copyFileSync(join(code, "package-lock.json"), join(packages, "package-lock.json"));
    npm("ci");
    if (!wanted[runtime]) {
        npm("install", "--no-save", `${runtime}@${version}`);
    }
} else {
    // Scripts of the function's own package stay out: they expect its sources beside them.
    const dependencies = { [runtime]: version, ...manifest?.dependencies };
    const { optionalDependencies, overrides } = manifest ?? {};
    writeFileSync(
        join(packages, "package.json"),
        JSON.stringify({ name: "function", private: true, dependencies, optionalDependencies, overrides }),
    );
    npm("install", "--no-package-lock");
}
if (!existsSync(join(code, "node_modules"))) {
    symlinkSync("../packages/node_modules", join(code, "node_modules"));
}
