// SPDX-License-Identifier: Apache-2.0
// Those of Node's modules that need neither files nor a network, for packages that count on them.
// Each is made when it is first asked for.

const builtinModules = {
  assert: makeAssert,
  buffer: () => ({ Buffer: globalThis.Buffer, atob, btoa, Blob: globalThis.Blob, constants: { MAX_LENGTH: 2 ** 31 - 1, MAX_STRING_LENGTH: 2 ** 29 - 24 } }),
  console: () => console,
  events: makeEvents,
  path: makePath,
  'path/posix': () => requireBuiltin('node:path'),
  process: () => process,
  querystring: () => ({
    parse: text => parseQuery(String(text), Object.create(null)), decode: text => parseQuery(String(text), Object.create(null)),
    stringify: writeQuery, encode: writeQuery, escape: encodeURIComponent, unescape: decodeComponent,
  }),
  timers: () => ({ setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate, promises: requireBuiltin('node:timers/promises') }),
  'timers/promises': () => ({
    setTimeout: (delay, value) => new Promise(resolve => setTimeout(resolve, delay, value)),
    setImmediate: value => new Promise(resolve => setImmediate(resolve, value)),
  }),
  url: () => ({ URL: globalThis.URL, URLSearchParams: globalThis.URLSearchParams }),
  util: makeUtil,
};

const madeBuiltins = new Map();

function requireBuiltin(name) {
  let made = madeBuiltins.get(name);
  if (made === undefined) madeBuiltins.set(name, made = builtinModules[name.slice('node:'.length)]());
  return made;
}

function writeQuery(fields) {
  const pair = (name, value) => `${encodeURIComponent(name)}=${encodeURIComponent(typeof value === 'object' || value === undefined ? '' : String(value))}`;
  return Object.entries(fields ?? {}).flatMap(([name, value]) => Array.isArray(value) ? value.map(one => pair(name, one)) : [pair(name, value)]).join('&');
}

// What a package gets that asks for a module which only Node has: an error comes when it is used.
function absentModule(name) {
  const complain = () => {
    throw new Error(`'${name}' is a module which only Node.js has: set \`runtime: node\` in the function's manifest`);
  };
  return new Proxy(function absent() {}, {
    get: (target, key) => typeof key === 'symbol' || key === '__esModule' || key === 'default' || key === 'then' ? undefined : complain(),
    apply: complain,
    construct: complain,
  });
}

web.requireBuiltin = requireBuiltin;
web.absentModule = absentModule;
