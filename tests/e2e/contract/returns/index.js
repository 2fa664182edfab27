// What each kind of return value becomes; ?case= chooses, and `later` a promise of it.
const bytes = Uint8Array.of(0, 1, 254, 255);

class Answer {
  constructor() { this.statusCode = 203; }
  get body() { return 'from a getter'; }
}

const cases = {
  undefined: () => undefined,
  null: () => null,
  empty: () => '',
  zero: () => 0,
  nan: () => NaN,
  false: () => false,
  true: () => true,
  number: () => 42,
  bigint: () => 12n,
  symbol: () => Symbol('s'),
  function: () => () => 1,
  text: () => 'grüß dich',
  textJson: () => '{"a":1}',
  object: () => ({ a: 1, b: [true, null], c: { d: 'ü' } }),
  emptyObject: () => ({}),
  array: () => [1, 'two', { three: 3 }],
  emptyArray: () => [],
  date: () => new Date(0),
  map: () => new Map([[1, 2]]),
  nested: () => ({ when: new Date(0), skip: undefined, no: null }),
  toJSON: () => ({ toJSON: () => ({ shown: true }) }),
  bytes: () => bytes,
  buffer: () => Buffer.from([1, 2, 3]),
  arrayBuffer: () => bytes.buffer,
  bodyText: () => ({ body: 'plain' }),
  bodyEmpty: () => ({ body: '' }),
  bodyNull: () => ({ body: null }),
  bodyUndefined: () => ({ body: undefined, statusCode: 202 }),
  bodyZero: () => ({ body: 0 }),
  bodyFalse: () => ({ body: false }),
  bodyNumber: () => ({ body: 7 }),
  bodyTrue: () => ({ body: true }),
  bodyObject: () => ({ body: { a: 1 } }),
  bodyArray: () => ({ body: [1, 2] }),
  bodyBytes: () => ({ body: bytes }),
  bodyBuffer: () => ({ body: Buffer.from('raw'), headers: { 'content-type': 'image/png' } }),
  bodyBufferPlain: () => ({ body: Buffer.from('raw'), headers: { 'content-type': 'text/plain' } }),
  bodyTextTyped: () => ({ headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: '<p>' }),
  bodyTextPlain: () => ({ headers: { 'content-type': 'text/plain' }, body: 'as is' }),
  bodyObjectPlain: () => ({ headers: { 'content-type': 'text/plain' }, body: { a: 1 } }),
  bodyNumberPlain: () => ({ headers: { 'content-type': 'text/plain' }, body: 5 }),
  bodyNullPlain: () => ({ headers: { 'content-type': 'text/plain' }, body: null }),
  bodyObjectHtml: () => ({ headers: { 'content-type': 'text/html' }, body: { a: 1 } }),
  bodyObjectVendor: () => ({ headers: { 'content-type': 'application/vnd.a+json' }, body: { a: 1 } }),
  bodyTextVendor: () => ({ headers: { 'content-type': 'application/vnd.a+json' }, body: '{"a":1}' }),
  status: () => ({ statusCode: 201, body: { created: true } }),
  statusText: () => ({ statusCode: '418', body: 'short' }),
  statusOnly: () => ({ statusCode: 404 }),
  statusObject: () => ({ statusCode: 409, reason: 'twice' }),
  statusZero: () => ({ statusCode: 0, body: 'zero' }),
  statusNull: () => ({ statusCode: null, body: 'null' }),
  status204: () => ({ statusCode: 204 }),
  status204Body: () => ({ statusCode: 204, body: '' }),
  status304: () => ({ statusCode: 304, headers: { etag: '"x"' }, body: '' }),
  status500: () => ({ statusCode: 500, body: 'own failure' }),
  redirect: () => ({ statusCode: 302, headers: { Location: '/there' }, body: '' }),
  statusBad: () => ({ statusCode: 'abc', body: 'x' }),
  statusHigh: () => ({ statusCode: 700, body: 'x' }),
  statusFraction: () => ({ statusCode: 201.5, body: 'x' }),
  headers: () => ({ headers: { 'X-One': 'yes', 'x-two': 2 }, body: 'h' }),
  headersOnly: () => ({ headers: { 'X-One': 'yes', 'Content-Type': 'text/html' }, note: 'whole' }),
  headersArray: () => ({ headers: { 'set-cookie': ['a=1', 'b=2'] }, body: '' }),
  headersNull: () => ({ headers: null, body: 'x' }),
  headersText: () => ({ headers: 'none', body: 'x' }),
  headersUndefined: () => ({ headers: { 'x-none': undefined }, body: 'x' }),
  headersBoolean: () => ({ headers: { 'x-flag': true }, body: 'x' }),
  headersCors: () => ({ headers: { 'Access-Control-Allow-Origin': 'https://own.example' }, body: 'x' }),
  headersLength: () => ({ headers: { 'content-length': '2' }, body: 'x' }),
  headersBadName: () => ({ headers: { 'a b': '1' }, body: 'x' }),
  headersBadValue: () => ({ headers: { a: '1\r\nb: 2' }, body: 'x' }),
  headersWide: () => ({ headers: { a: '€' }, body: 'x' }),
  headersLatin: () => ({ headers: { a: 'ü' }, body: 'x' }),
  getter: () => new Answer(),
  thenable: () => ({ then(resolve) { resolve({ via: 'then' }); } }),
  frozen: () => Object.freeze({ statusCode: 202, body: 'frozen' }),
  circular: () => {
    const circle = {};
    circle.self = circle;
    return circle;
  },
  error: () => new Error('returned, not thrown'),
};

module.exports = (context, body) => {
  const value = cases[context.query.case];
  return context.query.later ? Promise.resolve().then(() => value()) : value();
};
