// SPDX-License-Identifier: Apache-2.0
// Loading the user's code, and the entries that the worker calls for each request.

let handle;
let legacy = false;
const self = Object.freeze({});

function handlerOf(exported) {
  for (const candidate of [exported, exported?.default]) {
    if (typeof candidate === 'function') return [candidate, candidate.init];
    if (typeof candidate?.handle === 'function') return [candidate.handle, candidate.init];
  }
  return [];
}

async function load(settingsText) {
  const settings = parse(settingsText);
  shared = settings.isolation === 'instance';
  defaultSource = `/functions/${settings.namespace ?? 'default'}/${settings.name ?? 'function'}`;
  globalThis.process = { env: { ...settings.env }, version: 'v22.0.0', versions: {}, platform: 'linux', argv: [] };
  if (settings.runtime === 'wasm') {
    prepareWasm(settings);
    handle = callWasm;
    return;
  }
  const exported = host.isModule(settings.main) ? await import(settings.main) : requireFile(settings.main);
  const [found, init] = handlerOf(exported);
  if (found === undefined) throw new TypeError(`${settings.main} must export a function, or an object with a function named handle`);
  handle = found;
  legacy = handle.length === 1;
  if (legacy) {
    delete Context.prototype[INSPECT_CUSTOM];
    host.useEvents(Object.prototype, CloudEvent.prototype);
  }
  if (typeof init === 'function') await init();
}

// What an exported WebAssembly function answers comes later, from resumeWasm().
function call(context, value) {
  const result = handle.call(self, context, value);
  if (waiting === undefined) settle(result);
}

function handleEvent(event, isBad) {
  if (isBad) throw Object.assign(new SyntaxError('the data of the event is no JSON, but its datacontenttype says so'), { code: 400 });
  const context = new Context(legacy ? undefined : event);
  if (legacy) context.addLegacyFields(event);
  call(context, event);
}

function handleRequest() {
  const context = new Context(undefined);
  const { body } = context;
  if (legacy) context.addLegacyFields(undefined);
  call(context, body);
}

// What the worker needs to read and make values without calling a function for each.
host.prepare(['constructor', 'name', 'prototype', Symbol.toStringTag, INSPECT_CUSTOM], [{}, [], 'text', 7, true, null, undefined, 1.5]);
host.useEvents(CloudEvent.prototype, CloudEvent.prototype);

return {
  load: text => { load(text).then(host.loaded, host.fail); },
  handleEvent,
  handleRequest,
  resumeWasm,
  fireTimer: Timeout.fire,
};
