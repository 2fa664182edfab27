// What a handler sees of an event.
function shown(value) {
  if (value === undefined) return 'undefined';
  if (ArrayBuffer.isView(value)) return { kind: value.constructor.name, bytes: Array.from(value) };
  return value;
}

const attributes = event => Object.fromEntries(Object.entries(event)
  .filter(([name, value]) => value !== undefined && name !== 'data' && name !== 'data_base64' && name !== 'time').sort());

const parts = {
  none: (context, event) => ({ event: context.cloudevent !== undefined, second: shown(event) }),
  attributes: (context, event) => ({ body: { ...attributes(event), same: context.cloudevent === event } }),
  data: (context, event) => ({ data: shown(event.data) }),
  body: context => ({ body: shown(context.body) }),
  identity: (context, event) => ({ same: context.body === event.data }),
  time: (context, event) => ({ time: event.time }),
  hasTime: (context, event) => ({ type: typeof event.time }),
  base64: (context, event) => ({ base64: shown(event.data_base64) }),
  kind: (context, event) => ({ name: event.constructor.name, validate: event.validate(), text: typeof event.toString() }),
  text: (context, event) => ({ body: JSON.parse(event.toString()) }),
  clone: (context, event) => ({ body: attributes(event.cloneWith({ type: 'cloned', extra: 'more' })) }),
  frozen: (context, event) => ({ frozen: Object.isFrozen(event) }),
  absent: (context, event) => ({ has: 'subject' in event }),
  spread: context => ({ body: Object.keys({ ...context }).sort() }),
  headers: ({ headers }) => headers,
  query: context => ({ query: context.query, name: shown(context.name) }),
  reply: (context, event) => event,
  clone_reply: (context, event) => event.cloneWith({ id: 'c', type: 'cloned', data: { was: event.data } }),
  text_reply: () => 'a text',
  none_reply: () => undefined,
  object_reply: () => ({ plain: 'object' }),
  full_reply: () => ({ statusCode: 202, headers: { 'x-own': '1' }, body: { a: 1 } }),
  message_reply: () => ({ headers: { 'ce-id': '1', 'ce-type': 't', 'ce-source': '/s', 'ce-specversion': '1.0', 'content-type': 'application/json; charset=utf-8' }, body: '{"a":1}' }),
  structured_reply: () => ({
    headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' },
    body: JSON.stringify({ specversion: '1.0', id: '1', type: 't', source: '/s', data: { a: 1 } }),
  }),
  literal_reply: () => ({ specversion: '1.0', id: '1', type: 't', source: '/s', data: { a: 1 } }),
  number_reply: () => 42,
  thrown: () => { throw Object.assign(new Error('not today'), { code: 503 }); },
};

module.exports = {
  handle(context, event) {
    return parts[context.headers['x-part']](context, event);
  },
};
