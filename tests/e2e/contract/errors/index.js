// Throws in every way; ?case= chooses, and `later` rejects instead.
const failure = (code, message = 'went wrong') => Object.assign(new Error(message), { code });

const cases = {
  plain: new Error('went wrong'),
  type: new TypeError('of another kind'),
  empty: new Error(''),
  wide: new Error('größer als €'),
  lines: new Error('first\nsecond'),
  code404: failure(404),
  code503: failure(503),
  code400Text: failure('400'),
  codeZero: failure(0),
  codeNull: failure(null),
  codeName: failure('ENOENT', 'no such file'),
  code200: failure(200),
  code302: failure(302),
  codeHigh: failure(999),
  text: 'only a text',
  number: 17,
  null: null,
  undefined: undefined,
  object: { message: 'an object', code: 422 },
  bare: { reason: 'no message' },
  cause: new Error('outer', { cause: new Error('inner') }),
  messageObject: { message: { deep: 1 } },
};

function fail(value) { throw value; }

module.exports = {
  handle(context, body) {
    const { case: name, later } = context.query;
    if (name === 'reference') return missing.property; // eslint-disable-line no-undef
    return later ? Promise.reject(cases[name]) : fail(cases[name]);
  },
};
