// SPDX-License-Identifier: Apache-2.0
// What the classes of the Web platform have in common. They are made before the first snapshot and
// keep what changes in their objects, so nothing goes from one event to the next.

// These files are a function of their own, evaluated before the rest of the prelude: so that what
// each event uses lies together in memory. `web` is what both have for each other: users may replace
// what is global. The rest of the prelude puts inspect and print there.
const INSPECT_CUSTOM = Symbol.for('nodejs.util.inspect.custom');
const inspect = (...values) => web.inspect(...values);
const logError = (...values) => web.print(3, values);

// Web IDL: members are enumerable, the class is a global that is not, and objects know their name.
function exposeClass(name, Class, members = Object.getOwnPropertyNames(Class.prototype)) {
  for (const member of members) {
    if (member !== 'constructor') Object.defineProperty(Class.prototype, member, { enumerable: true });
  }
  Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: name, configurable: true });
  exposeGlobal(name, Class);
}

function exposeGlobal(name, value) {
  web[name] = value;
  Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
}

// Like enums of Web IDL: on the class and on its prototype.
function exposeConstants(Class, constants) {
  for (const [name, value] of Object.entries(constants)) {
    for (const object of [Class, Class.prototype]) Object.defineProperty(object, name, { value, enumerable: true });
  }
}

function showAs(Class, show) {
  Object.defineProperty(Class.prototype, INSPECT_CUSTOM, { value: show, configurable: true, writable: true });
}

function needArguments(given, needed, what) {
  if (given < needed) throw withCode(new TypeError(`${what} needs ${needed === 1 ? 'an argument' : `${needed} arguments`}, it got ${given}`), 'ERR_MISSING_ARGS');
}

function withCode(error, code) {
  return Object.defineProperty(error, 'code', { value: code, enumerable: true, configurable: true, writable: true });
}

function illegalConstructor() {
  return withCode(new TypeError('Illegal constructor'), 'ERR_ILLEGAL_CONSTRUCTOR');
}

// Web IDL's USVString.
function scalarText(value) {
  const text = typeof value === 'string' ? value : `${value}`;
  return text.isWellFormed() ? text : text.toWellFormed();
}

// Web IDL's BufferSource as bytes, not copied; undefined: it is none.
function bytesOf(source) {
  if (source instanceof Uint8Array) return source;
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  return source instanceof ArrayBuffer || source instanceof SharedArrayBuffer ? new Uint8Array(source) : undefined;
}

function needBytes(source, what) {
  const bytes = bytesOf(source);
  if (bytes === undefined) throw withCode(new TypeError(`${what} must be an ArrayBuffer or a view of one`), 'ERR_INVALID_ARG_TYPE');
  return bytes;
}
