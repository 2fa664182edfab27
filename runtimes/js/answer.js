// SPDX-License-Identifier: Apache-2.0
// What a handler returns becomes the HTTP answer.

function headerLines(headers, fallback) {
  let lines = '';
  let hasType = false;
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (value === undefined || value === null) continue;
    const lower = name.toLowerCase();
    if (lower === 'content-type') hasType = true;
    for (const one of Array.isArray(value) ? value : [value]) {
      const text = String(one);
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[\0\r\n]/.test(text)) throw new TypeError(`the header ${stringify(name)} of the answer has a character that is not allowed`);
      lines += `${lower}: ${text}\n`;
    }
  }
  return hasType ? lines : `${lines}content-type: ${fallback}\n`;
}

function statusOf(value) {
  if (value === undefined) return 200;
  const status = Number(value);
  if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError(`the answer has statusCode ${inspect(value)}: it must be a number from 200 to 599`);
  return status;
}

function text(value) {
  return value.isWellFormed() ? value : value.toWellFormed();
}

const JSON_TYPE = 'application/json; charset=utf-8';

function answerObject(result) {
  const status = statusOf(result.statusCode);
  const { body } = result;
  if (body === undefined || Array.isArray(result)) {
    const json = stringify(result) ?? 'null';
    host.reply(status, `content-type: ${JSON_TYPE}\n`, json);
  } else if (isBytes(body)) {
    host.reply(status, headerLines(result.headers, 'application/octet-stream'), toBytes(body));
  } else {
    const lines = headerLines(result.headers, JSON_TYPE);
    host.reply(status, lines, typeof body === 'string' ? text(body) : body === null ? '' : stringify(body));
  }
}

function answer(result) {
  if (result === undefined || result === null || result === '' || result === false || result === 0) {
    host.reply(204, '', '');
  } else if (typeof result === 'string') {
    host.reply(200, 'content-type: text/plain; charset=utf-8\n', text(result));
  } else if (typeof result !== 'object') {
    host.reply(200, `content-type: ${JSON_TYPE}\n`, typeof result === 'bigint' ? String(result) : stringify(result) ?? 'null');
  } else if (looksLikeEvent(result)) {
    host.replyEvent(stringify(result.constructor === CloudEvent ? result : CloudEvent.prototype.toJSON.call(result)));
  } else if (isBytes(result)) {
    host.reply(200, 'content-type: application/octet-stream\n', toBytes(result));
  } else {
    answerObject(result);
  }
}

function settle(result) {
  if (typeof result === 'object' && result !== null && typeof result.then === 'function') {
    Promise.resolve(result).then(answer).then(undefined, host.fail);
  } else {
    answer(result);
  }
}
