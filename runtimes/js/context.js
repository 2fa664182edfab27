// SPDX-License-Identifier: Apache-2.0
// The first argument of every handler. Of events, what a handler does not look at is not fetched
// from the worker; plain requests have it all as properties of their own.

const { define, parseQuery, parseForm } = web;

// What the handler has asked for of the current request; a context that outlives its event knows
// nothing of the next one's. Kept here because private fields cost time in each event.
let currentContext;
let currentRequest;
let currentBody;
let hasBody = false;

// With `isolation: instance` several calls share all this. A call whose handler awaits something has
// a number, and what it knows moves here.
let shared = false;
let currentNumber;
const waitingCalls = new WeakMap();

// Gives what run() gives for that call, undefined when it has been answered.
function within(number, run) {
  if (number === undefined) return run();
  const before = host.enter(number);
  if (before === undefined) return undefined;
  try {
    return run();
  } finally {
    host.leave(before);
  }
}

const noRequest = () => ({ method: '', path: '', query: {}, headers: {}, version: '1.1' });

function readRequest() {
  const request = host.request();
  if (request !== undefined) request.query = parseQuery(request.query);
  return request;
}

function requestOf(context) {
  if (context === currentContext) return currentRequest ??= within(currentNumber, readRequest) ?? noRequest();
  const call = waitingCalls.get(context);
  if (call === undefined) return noRequest();
  return call.request ??= within(call.number, readRequest) ?? noRequest();
}

// Of an event, once it is asked for.
function bodyOf(context) {
  const call = context === currentContext ? undefined : waitingCalls.get(context);
  if (call !== undefined) {
    if (!call.hasBody) {
      call.hasBody = true;
      call.body = eventBodyOf(context);
    }
    return call.body;
  }
  if (context !== currentContext) return context.cloudevent?.data;
  if (!hasBody) {
    hasBody = true;
    currentBody = eventBodyOf(context);
  }
  return currentBody;
}

// The number that the worker knows the context's call by, when it has one.
function numberOf(context) {
  return context === currentContext ? currentNumber : waitingCalls.get(context)?.number;
}

// The handler waits: from here on its call is known by its number.
function keepCall() {
  currentNumber = host.call();
  waitingCalls.set(currentContext, { number: currentNumber });
  return currentNumber;
}

// Another call begins.
function leaveCall() {
  const call = waitingCalls.get(currentContext);
  call.request = currentRequest;
  call.body = currentBody;
  call.hasBody = hasBody;
  currentNumber = undefined;
}

function beginCall(context, request) {
  if (currentNumber !== undefined) leaveCall();
  currentContext = context;
  currentRequest = request;
  currentBody = undefined;
  hasBody = false;
}

class Context {
  constructor(event) {
    beginCall(this, undefined);
    if (event !== undefined) this.cloudevent = event;
  }

  get method() { return requestOf(this).method; }
  get path() { return requestOf(this).path; }
  get query() { return requestOf(this).query; }
  get headers() { return requestOf(this).headers; }
  get httpVersion() { return requestOf(this).version; }
  get httpVersionMajor() { return 1; }
  get httpVersionMinor() { return Number(this.httpVersion.slice(2)); }
  get contentType() { return this.headers['content-type']; }
  get log() { return shared ? logOf(numberOf(this) ?? host.call()) : contextLog; }
  get rawBody() {
    const number = numberOf(this);
    return this === currentContext || number !== undefined ? within(number, () => host.body(BODY_TEXT)) ?? '' : '';
  }

  get body() { return bodyOf(this); }

  cloudEventResponse(data) {
    return new CloudEventResponse(data, this.cloudevent?.specversion ?? '1.0');
  }

  toJSON() {
    const { method, path, query, headers, body, cloudevent } = this;
    return { method, path, query, headers, body, cloudevent };
  }

  // The fields of the older contract, whose functions take one parameter.
  addLegacyFields(event) {
    const { method, headers, path, query } = requestOf(this);
    this.__ow_user = '';
    this.__ow_method = method;
    this.__ow_headers = headers;
    this.__ow_path = path === '/' ? '' : path;
    this.__ow_query = Object.setPrototypeOf({ ...query }, null);
    this.__ow_body = event !== undefined ? 'null' : stringify(this.body) ?? 'null';
    if (event !== undefined) this.cloudevent = event;
  }

  // ?name=x is also context.name, but never in the place of something else.
  addQuery() {
    const { query } = requestOf(this);
    for (const name of Object.keys(query)) if (!(name in this)) this[name] = query[name];
  }

  // What the log shows of it.
  shown() {
    const { method, path, query, headers, body, cloudevent } = this;
    return Object.setPrototypeOf({ method, path, query, headers, ...(cloudevent !== undefined ? { cloudevent } : { body }) }, Shown.prototype);
  }
}

// Assigning to one of them makes it the context's own.
for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(Context.prototype))) {
  if (get === undefined) continue;
  Object.defineProperty(Context.prototype, name, { configurable: true, get, set(value) { define(this, name, value); } });
}

// Shows a context under its name without asking it again.
class Shown {}
Object.defineProperty(Shown, 'name', { value: 'Context' });
Object.defineProperty(Context.prototype, INSPECT_CUSTOM, { value: Context.prototype.shown, configurable: true, writable: true });

// Of a request that is no event. A literal is made faster than properties are defined.
function requestContext() {
  const request = readRequest();
  const { method, headers, query, version } = request;
  const context = {
    __proto__: Context.prototype,
    body: readBody(request),
    query,
    headers,
    method,
    httpVersion: version,
    httpVersionMajor: 1,
    httpVersionMinor: version === '1.0' ? 0 : 1,
    contentType: headers['content-type'],
    log: shared ? logOf(host.call()) : contextLog,
  };
  beginCall(context, request);
  context.addQuery();
  return context;
}

// What the caller got wrong; the function is not asked.
class BadRequest extends Error {}

// Forms of host.body().
const BODY_BYTES = 0, BODY_TEXT = 1, BODY_UTF8 = 2;

function bodyText() {
  const text = host.body(BODY_UTF8);
  if (text === undefined) throw new BadRequest('the body is no UTF-8, as its content type promises');
  return text;
}

const BODY_READERS = {
  'application/json': () => {
    const text = bodyText();
    try {
      return parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
    } catch (error) {
      throw new BadRequest(text === '' ? 'the body is empty, but its content type is JSON' : `the body is no JSON: ${error.message}`);
    }
  },
  'text/plain': bodyText,
  'application/x-www-form-urlencoded': () => parseForm(bodyText()),
};

function mediaType(contentType) {
  const end = contentType.indexOf(';');
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

function readBody({ method, headers }) {
  if (method === 'GET' || method === 'HEAD') return undefined;
  const type = headers['content-type'];
  const read = type !== undefined ? BODY_READERS[mediaType(type)] : undefined;
  if (read !== undefined) return read();
  const bytes = asBuffer(host.body(BODY_BYTES));
  return type === undefined && bytes.length === 0 ? undefined : bytes;
}

// Of a structured event the envelope.
function eventBodyOf(context) {
  const type = context.contentType;
  if (type === undefined || !mediaType(type).startsWith('application/cloudevents')) return context.cloudevent?.data;
  return context.rawBody;
}
