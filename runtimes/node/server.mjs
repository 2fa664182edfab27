// SPDX-License-Identifier: Apache-2.0
// Serves a function with faas-js-runtime itself. README.md has the contract.
//
// Where: descriptor SLUICE_LISTEN_FD, a socket that listens already, or port PORT of all addresses.
// What: file SLUICE_MAIN (index.js) of folder SLUICE_CODE.
import { createRequire } from "node:module";
import http from "node:http";
import net from "node:net";
import path from "node:path";

const env = process.env;
const code = env.SLUICE_CODE || process.cwd();
const main = env.SLUICE_MAIN || "index.js";
const timeout = Number(env.SLUICE_TIMEOUT_MS || 30000);
const descriptor = env.SLUICE_LISTEN_FD ? Number(env.SLUICE_LISTEN_FD) : null;

function die(message) {
    console.error(message);
    process.exit(1);
}

// The function's packages come first, so that it decides on the version.
function findRuntime() {
    const places = [path.join(env.SLUICE_PACKAGES || code, "x.js"), path.join(code, "x.js"), import.meta.url];
    for (const place of places) {
        const require = createRequire(place);
        try {
            return { index: require("faas-js-runtime"), loader: require("faas-js-runtime/lib/function-loader.js") };
        } catch (problem) {
            if (problem.code !== "MODULE_NOT_FOUND") {
                throw problem;
            }
        }
    }
    return die("faas-js-runtime is not installed: run the runtime's prepare step");
}

// The server that faas-js-runtime makes listens on a port that it chooses: here on the socket that was
// handed over.
function listenOnDescriptor() {
    const listen = net.Server.prototype.listen;
    net.Server.prototype.listen = function (...words) {
        if (!(this instanceof http.Server)) {
            return listen.apply(this, words);
        }
        net.Server.prototype.listen = listen;
        const done = words.findLast((word) => typeof word === "function");
        this._pipeName ??= "the function's socket"; // what address() says
        return listen.call(this, { fd: descriptor }, done);
    };
}

// faas-js-runtime waits for ever.
function limitTime() {
    const emit = http.Server.prototype.emit;
    http.Server.prototype.emit = function (name, ...words) {
        if (name === "request") {
            limitRequest(words[1]);
        }
        return emit.call(this, name, ...words);
    };
}

function limitRequest(response) {
    const timer = setTimeout(() => {
        if (response.headersSent) {
            response.destroy();
            return;
        }
        const message = `the function took longer than its time limit of ${timeout} ms`;
        console.error(message);
        const error = { status: 504, reason: "Gateway Timeout", kind: "time", message };
        const body = JSON.stringify({ error });
        response.writeHead(504, {
            "Content-Type": "application/json",
            "Content-Length": Buffer.byteLength(body),
            Connection: "close",
        });
        response.end(body);
        // What the function answers later goes nowhere.
        response.writeHead = () => response;
        response.setHeader = () => response;
        response.write = () => true;
        response.end = () => response;
    }, timeout);
    timer.unref();
    response.on("close", () => clearTimeout(timer));
}

// FILE:LINE of the function's code in what an error says about itself.
function position(problem) {
    const stack = String(problem?.stack ?? "");
    const at = stack.indexOf(code + path.sep);
    const match = at < 0 ? null : /^([^:\n]+):(\d+)/.exec(stack.slice(at + code.length + 1));
    return match && !match[1].startsWith("node_modules") ? `${match[1]}:${match[2]}` : `${main}:1`;
}

function fail(problem) {
    console.error(problem);
    const text = problem instanceof Error ? `${problem.name}: ${problem.message}` : String(problem);
    die(`${position(problem)}: ${text.split("\n")[0]}`);
}

function readPort() {
    return Number(env.FUNC_PORT || env.PORT || 8080);
}

try {
    const { index, loader } = findRuntime();
    if (descriptor !== null) {
        listenOnDescriptor();
    }
    limitTime();
    const loaded = await loader.loadFunction(path.join(code, main));
    if (typeof loaded !== "function" && typeof loaded !== "object") {
        throw new TypeError(`${main} exports no function, and no object with handle`);
    }
    await index.start(loaded, {
        logLevel: env.FUNC_LOG_LEVEL || index.defaults.LOG_LEVEL,
        includeRaw: Boolean(env.FUNC_INCLUDE_RAW),
        bodyLimit: Number(env.FUNC_BODY_LIMIT || env.SLUICE_REQUEST_BYTES || index.defaults.BODY_LIMIT),
        port: readPort(),
    });
} catch (problem) {
    fail(problem);
}
