// SPDX-License-Identifier: Apache-2.0
// What a handler returns becomes the HTTP answer.

// Names that need no look at each character.
const HEADER_NAMES = new Set(['content-type', 'cache-control', 'location', 'etag', 'set-cookie', 'content-language', 'vary',
  'access-control-allow-origin', 'access-control-allow-headers', 'access-control-allow-methods', 'retry-after', 'x-request-id']);

function isHeaderName(name, lower) {
  return HEADER_NAMES.has(lower) || /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name);
}

function isHeaderValue(text) {
  return !text.includes('\n') && !text.includes('\r') && !text.includes('\0');
}

function headerLine(name, lower, value) {
  const text = String(value);
  if (!isHeaderName(name, lower) || !isHeaderValue(text)) throw new TypeError(`the header ${stringify(name)} of the answer has a character that is not allowed`);
  return `${lower}: ${text}\n`;
}

function headerLines(headers, fallback) {
  let lines = '';
  let hasType = false;
  if (typeof headers === 'object' && headers !== null) {
    const names = Object.keys(headers);
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      const value = headers[name];
      if (value === undefined || value === null) continue;
      const lower = name.toLowerCase();
      if (lower === 'content-type') hasType = true;
      if (Array.isArray(value)) for (const one of value) lines += headerLine(name, lower, one);
      else lines += headerLine(name, lower, value);
    }
  }
  return hasType ? lines : `${lines}content-type: ${fallback}\n`;
}

// The headers of an answer that is JSON, whatever they say themselves.
function jsonLines(headers) {
  if (typeof headers !== 'object' || headers === null) return JSON_LINES;
  return headerLines(Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'content-type')), JSON_TYPE);
}

function statusOf(value) {
  if (!value) return 200;
  const status = parseInt(value, 10);
  if (!(status >= 200 && status <= 599)) throw new RangeError(`the answer has statusCode ${inspect(value)}: it must be a number from 200 to 599`);
  return status;
}

function text(value) {
  return value.isWellFormed() ? value : value.toWellFormed();
}

const JSON_TYPE = 'application/json; charset=utf-8';
const JSON_LINES = `content-type: ${JSON_TYPE}\n`;

function replyJson(status, lines, value) {
  if (!host.replyJson(status, lines, value)) host.reply(status, lines, stringify(value) ?? 'null');
}

function answerObject(result) {
  const status = statusOf(result.statusCode);
  const { headers, body } = result;
  if (body === undefined) {
    replyJson(status, jsonLines(headers), result);
  } else if (isBytes(body)) {
    host.reply(status, headerLines(headers, 'application/octet-stream'), toBytes(body));
  } else {
    const lines = headerLines(headers, JSON_TYPE);
    if (typeof body === 'object') replyJson(status, lines, body);
    else host.reply(status, lines, typeof body === 'string' ? text(body) : stringify(body) ?? '');
  }
}

// Names and values with NUL between.
function extensionText(event) {
  let out = '';
  for (const name of Object.keys(event)) {
    const value = event[name];
    if (value === undefined || value === null || KNOWN.has(name)) continue;
    out += `\0${name}\0${value instanceof Date ? value.toISOString() : value}`;
  }
  return out;
}

const KNOWN = new Set(['specversion', 'id', 'type', 'source', 'time', 'datacontenttype', 'data', 'data_base64']);

function isJsonText(data) {
  try {
    parse(data);
    return true;
  } catch {
    return false;
  }
}

// Text in the place of JSON is taken for JSON if it can be.
function eventBody(data, contentType) {
  if (data === undefined) return '';
  if (isBytes(data)) return toBytes(data);
  return typeof data === 'string' && (!isJson(contentType) || isJsonText(data)) ? text(data) : stringify(data) ?? '';
}

// The worker reads ordinary events by itself; this is for the others.
function answerEvent(event) {
  if (host.replyEvent(event)) return;
  const { specversion, id, type, source, time } = event;
  const own = Object.hasOwn(event, 'data_base64') ? event.data_base64 : undefined;
  const data = own !== undefined && event.data === undefined ? Uint8Array.fromBase64(own) : event.data;
  let attributes = `specversion\0${specversion}\0id\0${id}\0type\0${type}\0source\0${source}`;
  if (time !== undefined && time !== null) attributes += `\0time\0${time instanceof Date ? time.toISOString() : time}`;
  let contentType = event.datacontenttype;
  if (contentType === undefined && data !== undefined) contentType = isBytes(data) ? 'application/octet-stream' : JSON_TYPE;
  if (contentType !== undefined) attributes += `\0datacontenttype\0${contentType}`;
  attributes += extensionText(event);
  host.replyParts(attributes, eventBody(data, contentType));
}

function answerValue(result) {
  if (typeof result === 'function' || typeof result === 'symbol') throw new TypeError(`the function returned ${inspect(result)}, which is no answer`);
  host.reply(200, JSON_LINES, typeof result === 'bigint' ? String(result) : stringify(result));
}

// Only what answers an event is sent as one: a plain request gets it as JSON.
function answer(context, result) {
  if (!result) {
    host.reply(204, '', '');
  } else if (typeof result === 'string') {
    host.reply(200, 'content-type: text/plain; charset=utf-8\n', text(result));
  } else if (typeof result !== 'object') {
    answerValue(result);
  } else if (context.cloudevent !== undefined && looksLikeEvent(result)) {
    answerEvent(result);
  } else if (isBytes(result)) {
    host.reply(200, 'content-type: application/octet-stream\n', toBytes(result));
  } else if (result instanceof Error) {
    host.fail(result);
  } else {
    answerObject(result);
  }
}

// Several calls wait in this instance, and each is answered under its number.
function settleShared(context, promise) {
  const number = keepCall();
  const finish = (give, value) => {
    const before = host.enter(number);
    if (before === undefined) return;
    try {
      give(value);
    } catch (error) {
      host.fail(error);
    } finally {
      host.leave(before);
    }
  };
  promise.then(value => finish(result => answer(context, result), value), error => finish(host.fail, error));
}

function settle(context, result) {
  if (typeof result === 'object' && result !== null && typeof result.then === 'function') {
    const promise = Promise.resolve(result);
    if (shared) settleShared(context, promise);
    else promise.then(value => answer(context, value)).then(undefined, host.fail);
  } else {
    answer(context, result);
  }
}
