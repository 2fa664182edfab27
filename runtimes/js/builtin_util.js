// SPDX-License-Identifier: Apache-2.0
// node:util, and node:assert beside it.

function isSame(a, b, seen = new Map()) {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (a instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (a instanceof RegExp && String(a) !== String(b)) return false;
  if (a instanceof Error && (a.message !== b.message || a.name !== b.name)) return false;
  if (a instanceof Map || a instanceof Set) {
    const left = [...a], right = [...b];
    return left.length === right.length && left.every(one => right.some(other => isSame(one, other, new Map(seen))));
  }
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every(name => Object.hasOwn(b, name) && isSame(a[name], b[name], seen));
}

function makeUtil() {
  const promisified = Symbol.for('nodejs.util.promisify.custom');
  const promisify = original => original[promisified] ?? function (...values) {
    return new Promise((resolve, reject) => original.call(this, ...values, (error, value) => error ? reject(error) : resolve(value)));
  };
  promisify.custom = promisified;

  const callbackify = original => function (...values) {
    const callback = values.pop();
    original.apply(this, values).then(value => queueMicrotask(() => callback(null, value)), error => queueMicrotask(() => callback(error)));
  };

  function inherits(constructor, parent) {
    Object.defineProperty(constructor, 'super_', { value: parent, writable: true, configurable: true });
    Object.setPrototypeOf(constructor.prototype, parent.prototype);
  }

  const isTypedArray = value => ArrayBuffer.isView(value) && !(value instanceof DataView);
  const isOf = constructor => value => value instanceof constructor;
  const types = {
    isTypedArray, isUint8Array: isOf(Uint8Array), isArrayBufferView: ArrayBuffer.isView, isArrayBuffer: isOf(ArrayBuffer), isAnyArrayBuffer: isOf(ArrayBuffer),
    isDataView: isOf(DataView), isDate: isOf(Date), isRegExp: isOf(RegExp), isPromise: isOf(Promise), isMap: isOf(Map), isSet: isOf(Set),
    isWeakMap: isOf(WeakMap), isWeakSet: isOf(WeakSet), isNativeError: isOf(Error),
    isAsyncFunction: value => typeof value === 'function' && value.constructor.name === 'AsyncFunction',
    isGeneratorFunction: value => typeof value === 'function' && value.constructor.name === 'GeneratorFunction',
  };

  const { inspect, format } = web;
  inspect.custom = Symbol.for('nodejs.util.inspect.custom');
  return {
    inspect, format, promisify, callbackify, inherits, types, isDeepStrictEqual: (a, b) => isSame(a, b), isArray: Array.isArray,
    deprecate: original => original, debuglog: () => Object.assign(() => {}, { enabled: false }), TextEncoder: globalThis.TextEncoder, TextDecoder: globalThis.TextDecoder,
  };
}

function makeAssert() {
  class AssertionError extends Error {
    constructor({ message, actual, expected, operator }) {
      super(message ?? `${web.inspect(actual)} ${operator} ${web.inspect(expected)}`);
      this.name = 'AssertionError';
      Object.assign(this, { code: 'ERR_ASSERTION', actual, expected, operator });
    }
  }

  function check(good, message, actual, expected, operator) {
    if (good) return;
    if (message instanceof Error) throw message;
    throw new AssertionError({ message, actual, expected, operator });
  }

  function fits(error, expected) {
    if (expected === undefined) return true;
    if (expected instanceof RegExp) return expected.test(String(error));
    if (typeof expected === 'object') return Object.entries(expected).every(([name, value]) => value instanceof RegExp ? value.test(error[name]) : isSame(error[name], value));
    return expected.prototype !== undefined && error instanceof expected || expected.call({}, error) === true;
  }

  function checkThrown(error, expected, message) {
    if (!fits(error, typeof expected === 'string' ? undefined : expected)) throw error;
    return message;
  }

  const assert = (value, message) => check(value, message, value, true, '==');
  Object.assign(assert, {
    AssertionError, ok: assert,
    fail: message => check(false, message ?? 'Failed', undefined, undefined, 'fail'),
    equal: (a, b, message) => check(a == b || Object.is(a, b), message, a, b, '=='), // eslint-disable-line eqeqeq
    notEqual: (a, b, message) => check(a != b, message, a, b, '!='), // eslint-disable-line eqeqeq
    strictEqual: (a, b, message) => check(Object.is(a, b), message, a, b, 'strictEqual'),
    notStrictEqual: (a, b, message) => check(!Object.is(a, b), message, a, b, 'notStrictEqual'),
    deepEqual: (a, b, message) => check(isSame(a, b), message, a, b, 'deepEqual'),
    deepStrictEqual: (a, b, message) => check(isSame(a, b), message, a, b, 'deepStrictEqual'),
    notDeepEqual: (a, b, message) => check(!isSame(a, b), message, a, b, 'notDeepEqual'),
    notDeepStrictEqual: (a, b, message) => check(!isSame(a, b), message, a, b, 'notDeepStrictEqual'),
    match: (text, pattern, message) => check(pattern.test(text), message, text, pattern, 'match'),
    doesNotMatch: (text, pattern, message) => check(!pattern.test(text), message, text, pattern, 'doesNotMatch'),
    ifError: value => { if (value !== null && value !== undefined) throw value; },
    throws: (run, expected, message) => {
      try {
        run();
      } catch (error) {
        return checkThrown(error, expected, message);
      }
      return check(false, message ?? 'Missing expected exception.', undefined, expected, 'throws');
    },
    doesNotThrow: run => { run(); },
    rejects: async (run, expected, message) => {
      try {
        await (typeof run === 'function' ? run() : run);
      } catch (error) {
        return checkThrown(error, expected, message);
      }
      return check(false, message ?? 'Missing expected rejection.', undefined, expected, 'rejects');
    },
  });
  assert.strict = assert;
  return assert;
}
