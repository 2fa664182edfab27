// The package cloudevents in a function.
const { CloudEvent, HTTP, emitterFor, httpTransport } = require('cloudevents');

const event = fields => new CloudEvent({ type: 't', source: '/s', id: '7', time: '1999-01-02T03:04:05.678Z', data: { a: 1 }, ...fields });

const parts = {
  event: () => event({}),
  binary: () => HTTP.binary(event({})),
  structured: () => HTTP.structured(event({})),
  clone: () => event({}).cloneWith({ subject: 'x' }),
  bytes: () => event({ data: Uint8Array.of(1, 2), datacontenttype: 'application/octet-stream' }),
  bad: () => new CloudEvent({ source: '/s' }),
  parse: context => ({ body: HTTP.toEvent({ headers: context.headers, body: context.body }).id }),
  http: () => emitterFor(httpTransport('http://localhost:1'))(event({})),
};

module.exports = { handle: (context, body) => parts[context.headers['x-part']](context) };
