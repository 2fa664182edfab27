// What a handler sees of a plain request.
function shown(value) {
  if (value === undefined) return 'undefined';
  if (ArrayBuffer.isView(value)) return { kind: value.constructor.name, bytes: Array.from(value), text: value.toString() };
  return value;
}

const parts = {
  body: (context, body) => ({ body: shown(body), same: context.body === body }),
  request: ({ method, httpVersion, httpVersionMajor, httpVersionMinor, contentType }) =>
    ({ method, httpVersion, httpVersionMajor, httpVersionMinor, contentType: shown(contentType) }),
  headers: ({ headers }) => headers,
  query: ({ query }) => ({ query, own: Object.keys(query), prototype: Object.getPrototypeOf(query) === Object.prototype }),
  copied: context => ({ name: shown(context.name), n: shown(context.n), has: Object.hasOwn(context, 'name') }),
  overwrite: context => ({ method: context.method, body: shown(context.body) }),
  event: context => ({ has: context.cloudevent !== undefined, inside: 'cloudevent' in context }),
  self() { return { frozen: Object.isFrozen(this), keys: Object.keys(this), type: typeof this }; },
  arguments() { return { count: arguments.length }; },
  log: ({ log }) => ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'child'].map(name => typeof log[name]),
  logged: ({ log }) => { log.info({ a: 1 }, 'with %s', 'format'); return 'logged'; },
  busy: () => { for (const end = Date.now() + 300; Date.now() < end;); return 'late'; },
  raw: context => ({ raw: shown(context.rawBody) }),
  name: context => context.constructor.name,
  keys: context => Object.keys(context).sort(),
  spread: context => { const { method, query } = { ...context }; return { method, query }; },
  write: context => { context.note = 'mine'; context.body = 'replaced'; return { note: context.note, body: context.body }; },
  json: context => { const { method, query, body } = JSON.parse(JSON.stringify({ ...context, log: undefined })); return { method, query, body }; },
};

module.exports = {
  handle(context, body) {
    return parts[context.headers['x-part']].call(this, context, body);
  },
};
