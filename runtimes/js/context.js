// SPDX-License-Identifier: Apache-2.0
// The first argument of every handler. What a handler does not look at is not fetched from the
// worker.

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

const noRequest = () => ({ method: '', path: '', query: Object.create(null), headers: {} });

function readRequest() {
  const request = host.request();
  if (request !== undefined) request.query = decodeForm(request.query);
  return request;
}

function requestOf(context) {
  if (context === currentContext) return currentRequest ??= within(currentNumber, readRequest) ?? noRequest();
  const call = waitingCalls.get(context);
  if (call === undefined) return noRequest();
  return call.request ??= within(call.number, readRequest) ?? noRequest();
}

function bodyOf(context) {
  const call = context === currentContext ? undefined : waitingCalls.get(context);
  if (call !== undefined) {
    if (!call.hasBody) {
      call.hasBody = true;
      call.body = within(call.number, () => readBody(context));
    }
    return call.body;
  }
  if (context !== currentContext) return undefined;
  if (!hasBody) {
    hasBody = true;
    currentBody = within(currentNumber, () => readBody(context));
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

class Context {
  constructor(event) {
    if (currentNumber !== undefined) leaveCall();
    currentContext = this;
    currentRequest = currentBody = undefined;
    hasBody = false;
    if (event !== undefined) this.cloudevent = event;
  }

  get method() { return requestOf(this).method; }
  get path() { return requestOf(this).path; }
  get query() { return requestOf(this).query; }
  get headers() { return requestOf(this).headers; }
  get httpVersion() { return '1.1'; }
  get httpVersionMajor() { return 1; }
  get httpVersionMinor() { return 1; }
  get contentType() { return this.headers['content-type']; }
  get log() { return shared ? logOf(numberOf(this) ?? host.call()) : contextLog; }
  get rawBody() {
    const number = numberOf(this);
    return this === currentContext || number !== undefined ? within(number, () => host.body(true)) ?? '' : '';
  }

  get body() {
    return this.cloudevent !== undefined ? this.cloudevent.data : bodyOf(this);
  }

  cloudEventResponse(data) {
    return new CloudEventResponse(data, this.cloudevent?.specversion ?? '1.0');
  }

  // The fields of the older contract, whose functions take one parameter.
  addLegacyFields(event) {
    const { method, headers, path, query } = requestOf(this);
    this.__ow_user = '';
    this.__ow_method = method;
    this.__ow_headers = headers;
    this.__ow_path = path === '/' ? '' : path;
    this.__ow_query = query;
    this.__ow_body = event !== undefined ? 'null' : stringify(this.body) ?? 'null';
    if (event !== undefined) this.cloudevent = event;
  }

  // What the log shows of it.
  shown() {
    const { method, path, query, headers, body, cloudevent } = this;
    return Object.setPrototypeOf({ method, path, query, headers, ...(cloudevent !== undefined ? { cloudevent } : { body }) }, Shown.prototype);
  }
}

// Shows a context under its name without asking it again.
class Shown {}
Object.defineProperty(Shown, 'name', { value: 'Context' });
Object.defineProperty(Context.prototype, INSPECT_CUSTOM, { value: Context.prototype.shown, configurable: true, writable: true });

// Repeated names become arrays, as in Node.
function queryOf(pairs) {
  const query = Object.create(null);
  for (const [name, value] of pairs) {
    if (query[name] === undefined) query[name] = value;
    else if (Array.isArray(query[name])) query[name].push(value);
    else query[name] = [query[name], value];
  }
  return query;
}

function decodeForm(text) {
  if (text === '') return Object.create(null);
  const decode = part => {
    try {
      return decodeURIComponent(part.replaceAll('+', ' '));
    } catch {
      return part;
    }
  };
  return queryOf(text.split('&').filter(p => p !== '').map(p => {
    const at = p.indexOf('=');
    return at < 0 ? [decode(p), ''] : [decode(p.slice(0, at)), decode(p.slice(at + 1))];
  }));
}

function readBody(context) {
  const type = context.contentType ?? '';
  if (isJson(type)) {
    const text = host.body(true);
    if (text === '' && (context.method === 'GET' || context.method === 'HEAD')) return undefined;
    try {
      return parse(text);
    } catch (error) {
      throw Object.assign(new SyntaxError(`the body is no JSON: ${error.message}`), { code: 400 });
    }
  }
  if (/^text\//i.test(type)) return host.body(true);
  if (/^application\/x-www-form-urlencoded/i.test(type)) return decodeForm(host.body(true));
  const bytes = host.body(false);
  return bytes.length === 0 ? undefined : bytes;
}
