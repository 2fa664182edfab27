// SPDX-License-Identifier: Apache-2.0
// The function's own checks of its health: liveness(request, reply) and readiness(request, reply).

const HEALTH_CHECKS = ['liveness', 'readiness'];

// What a check may say besides its return value.
class HealthReply {
  statusCode = 200;
  sent = false;
  _headers = {};

  code(status) {
    this.statusCode = status;
    return this;
  }

  status(status) { return this.code(status); }
  type(value) { return this.header('content-type', value); }
  getHeader(name) { return this._headers[String(name).toLowerCase()]; }
  hasHeader(name) { return this.getHeader(name) !== undefined; }

  header(name, value) {
    this._headers[String(name).toLowerCase()] = value;
    return this;
  }

  headers(values) {
    for (const [name, value] of Object.entries(values)) this.header(name, value);
    return this;
  }

  send(value) {
    if (this.sent) return this;
    this.sent = true;
    const status = statusOf(this.statusCode);
    if (value instanceof Error) host.fail(value);
    else if (value === undefined || value === null) host.reply(status, headerLines(this._headers, 'text/plain; charset=utf-8'), '');
    else if (isBytes(value)) host.reply(status, headerLines(this._headers, 'application/octet-stream'), toBytes(value));
    else if (typeof value === 'string') host.reply(status, headerLines(this._headers, 'text/plain; charset=utf-8'), text(value));
    else replyJson(status, headerLines(this._headers, JSON_TYPE), value);
    return this;
  }
}

function healthRequest() {
  const { method, path, query, headers } = host.request();
  return { method, url: query === '' ? path : `${path}?${query}`, path, query: parseQuery(query), headers, params: {}, body: undefined, log: contextLog };
}

// A check that answers by reply.send() returns nothing.
function handleHealth(name) {
  const reply = new HealthReply();
  const finish = value => { if (value !== undefined && value !== reply) reply.send(value); };
  const result = lifecycle[name].call(self, healthRequest(), reply);
  if (typeof result?.then === 'function') Promise.resolve(result).then(finish).then(undefined, host.fail);
  else finish(result);
}

// Tells the worker where the function's checks answer.
function configureHealth(found) {
  for (const name of HEALTH_CHECKS) {
    const { path } = isFunction(found[name]) ? found[name] : {};
    if (isFunction(found[name])) host.configure(`${name}Check`, typeof path === 'string' && path.startsWith('/') ? path : '');
  }
}
