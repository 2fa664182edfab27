// context.cloudEventResponse() and what it builds.
const base = (context, data) => context.cloudEventResponse(data).id('7').type('t').source('/s');

const parts = {
  full: context => base(context, { a: 1 }).version('1.0').response(),
  old: context => base(context, { a: 1 }).version('0.3').response(),
  default: context => context.cloudEventResponse({ a: 1 }).type('t').source('/s').response(),
  text: context => base(context, 'a text').response(),
  json_text: context => base(context, '{"a":1}').response(),
  number: context => base(context, 5).response(),
  true: context => base(context, true).response(),
  null: context => base(context, null).response(),
  none: context => base(context).response(),
  array: context => base(context, [1, 2]).response(),
  bytes: context => base(context, Uint8Array.of(0, 255)).response(),
  no_type: context => context.cloudEventResponse({}).source('/s').response(),
  no_source: context => context.cloudEventResponse({}).id('7').type('t').response(),
  keys: context => ({ body: Object.entries(base(context, 1).response()).filter(([, v]) => v !== undefined).map(([k]) => k).sort() }),
  as_json: context => ({ body: { inside: base(context, { a: 1 }).response() } }),
  kind: context => ({ body: base(context, 1).response().constructor.name }),
  chain: context => {
    const builder = context.cloudEventResponse(1);
    return { body: ['version', 'id', 'type', 'source'].map(name => builder[name]('1.0') === builder) };
  },
  later: async context => { await null; return base(context, { later: true }).response(); },
};

module.exports = {
  handle(context, event) {
    return parts[context.headers['x-part']](context);
  },
};
