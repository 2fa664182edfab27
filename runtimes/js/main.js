// SPDX-License-Identifier: Apache-2.0
// Loading the user's code, and the entries that the worker calls for each request.

let handle;
let lifecycle = {};
let legacy = false;
const self = Object.freeze({});

const isFunction = value => typeof value === 'function';

// The handler, and what has init, shutdown, liveness, readiness and cors besides.
function handlerOf(exported) {
  for (const candidate of [exported, exported?.default]) {
    if (isFunction(candidate)) return [candidate, {}];
    if (isFunction(candidate?.handle)) return [candidate.handle, candidate];
  }
  return [];
}

async function load(settingsText) {
  const settings = parse(settingsText);
  shared = settings.isolation === 'instance';
  defaultSource = `/functions/${settings.namespace ?? 'default'}/${settings.name ?? 'function'}`;
  beginProcess(settings.env);
  configure(settings);
  if (settings.runtime === 'wasm') {
    prepareWasm(settings);
    handle = callWasm;
    return;
  }
  const exported = host.isModule(settings.main) ? await import(settings.main) : requireFile(settings.main);
  const [found, rest] = handlerOf(exported);
  if (found === undefined) throw new TypeError(`${settings.main} must export a function, or an object with a function named handle`);
  handle = found;
  lifecycle = rest;
  legacy = handle.length === 1;
  if (legacy) {
    delete Context.prototype[INSPECT_CUSTOM];
    host.useEvents(plainEventPrototype(), CloudEvent.prototype);
  }
  if (isFunction(lifecycle.init)) await lifecycle.init();
  configureLifecycle(lifecycle);
}

// What an exported WebAssembly function answers comes later, from resumeWasm().
function call(context, value) {
  const result = handle.call(self, context, value);
  if (waiting === undefined) settle(context, result);
}

// What is odd about an event.
const EVENT_BAD_JSON = 1, EVENT_HAS_QUERY = 2, EVENT_IS_BYTES = 4, EVENT_HAS_ORIGIN = 8;

function handleEvent(event, oddities) {
  if (oddities & EVENT_BAD_JSON) {
    host.refuse(400, 'the data of the event is no JSON, but its datacontenttype says so');
    return;
  }
  if (oddities & EVENT_IS_BYTES) asBuffer(event.data);
  const context = new Context(legacy ? undefined : event);
  if (oddities & EVENT_HAS_QUERY) context.addQuery();
  if (legacy) context.addLegacyFields(event);
  if (oddities & EVENT_HAS_ORIGIN) applyCors(context);
  call(context, event);
}

function handleRequest() {
  let context;
  try {
    context = requestContext();
  } catch (error) {
    if (!(error instanceof BadRequest)) throw error;
    host.refuse(400, error.message);
    return;
  }
  if (isPreflight(context)) {
    answerPreflight(context);
    return;
  }
  if (legacy) context.addLegacyFields(undefined);
  if (isFunction(lifecycle.cors)) applyCors(context);
  call(context, context.body);
}

// What the worker needs to read and make values without calling a function for each.
host.prepare(['constructor', 'name', 'prototype', Symbol.toStringTag, INSPECT_CUSTOM], [{}, [], 'text', 7, true, null, undefined, 1.5]);
host.useEvents(CloudEvent.prototype, CloudEvent.prototype);

return {
  load: text => { load(text).then(host.loaded, host.fail); },
  handleEvent,
  handleRequest,
  handleHealth,
  resumeWasm,
  moduleSource,
  fireTimer: web.fireTimer,
  shutdown: () => { (async () => { if (isFunction(lifecycle.shutdown)) await lifecycle.shutdown(); })().then(host.loaded, host.fail); },
};
