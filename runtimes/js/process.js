// SPDX-License-Identifier: Apache-2.0
// What of Node's `process` makes sense in a sandbox.

const PROCESS_BEGUN = Date.now();

function hrtime(since) {
  const now = performance.now();
  const seconds = Math.floor(now / 1000), nanoseconds = Math.round((now % 1000) * 1e6);
  if (since === undefined) return [seconds, nanoseconds];
  const borrow = nanoseconds < since[1] ? 1 : 0;
  return [seconds - since[0] - borrow, nanoseconds - since[1] + borrow * 1e9];
}
hrtime.bigint = () => BigInt(Math.round(performance.now() * 1e6));

// Text without its last newline, which the log adds by itself.
const stream = level => ({ isTTY: false, write: value => { host.log(level, String(value).replace(/\n$/, '')); return true; } });

function exitRefused() {
  throw new Error('a function cannot end its process: return or throw instead');
}

function beginProcess(env) {
  const nothing = () => process;
  const process = {
    env: { ...env }, version: 'v22.0.0', versions: {}, platform: 'linux', arch: 'x64', argv: [], argv0: 'sluice', execArgv: [],
    pid: 1, ppid: 0, title: 'sluice', exitCode: undefined, release: { name: 'sluice' }, features: {}, config: {},
    nextTick: (callback, ...values) => queueMicrotask(() => callback(...values)),
    hrtime,
    uptime: () => (Date.now() - PROCESS_BEGUN) / 1000,
    cwd: () => '/',
    umask: () => 0o22,
    memoryUsage: () => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }),
    emitWarning: warning => console.warn(`Warning: ${warning?.message ?? warning}`),
    stdout: stream(INFO), stderr: stream(ERROR),
    exit: exitRefused, abort: exitRefused,
    on: nothing, once: nothing, off: nothing, addListener: nothing, removeListener: nothing, removeAllListeners: nothing,
    listeners: () => [], listenerCount: () => 0, emit: () => false,
  };
  Object.defineProperty(process, Symbol.toStringTag, { value: 'process' });
  for (const name of ['process', 'global']) {
    Object.defineProperty(globalThis, name, { value: name === 'process' ? process : globalThis, writable: true, configurable: true });
  }
}
