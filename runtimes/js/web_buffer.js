// SPDX-License-Identifier: Apache-2.0
// Buffer as Node has it: the part of it that packages written for Node and for browsers use. Bytes
// and texts are converted by src/worker/web_text.c.

{
  const FORMS = { 'utf8': TEXT_UTF8, 'utf-8': TEXT_UTF8, 'utf16le': TEXT_UTF16LE, 'utf-16le': TEXT_UTF16LE, 'ucs2': TEXT_UTF16LE, 'ucs-2': TEXT_UTF16LE,
    'latin1': TEXT_LATIN1, 'binary': TEXT_LATIN1, 'ascii': TEXT_ASCII, 'hex': TEXT_HEX, 'base64': TEXT_BASE64, 'base64url': TEXT_BASE64URL };
  const LENGTH_MAX = 0x7fffffff;

  const wrongType = message => withCode(new TypeError(message), 'ERR_INVALID_ARG_TYPE');
  const outOfRange = (name, value) => withCode(new RangeError(`The value of "${name}" is out of range. Received ${String(value)}`), 'ERR_OUT_OF_RANGE');

  function formOf(encoding) {
    if (encoding === undefined || encoding === null || encoding === '') return TEXT_UTF8;
    const form = FORMS[encoding] ?? FORMS[`${encoding}`.toLowerCase()];
    if (form === undefined) throw withCode(new TypeError(`Unknown encoding: ${encoding}`), 'ERR_UNKNOWN_ENCODING');
    return form;
  }

  const encode = (text, encoding) => host.encodeText(text, formOf(encoding));

  function checkSize(size) {
    if (typeof size !== 'number') throw wrongType('The "size" argument must be of type number.');
    if (!(size >= 0 && size <= LENGTH_MAX)) throw outOfRange('size', size);
    return size;
  }

  const clampTo = (value, length, fallback) => {
    if (value === undefined) return fallback;
    const at = Math.trunc(Number(value)) || 0;
    return at < 0 ? Math.max(length + at, 0) : Math.min(at, length);
  };

  class Buffer extends Uint8Array {
    static poolSize = 8192;

    // new Buffer(text) is old, and still in use.
    constructor(value = 0, offsetOrEncoding = undefined, length = undefined) {
      if (typeof value === 'string') super(encode(value, offsetOrEncoding).buffer);
      else super(value, offsetOrEncoding, length);
    }

    static of(...values) { return Buffer.from(values); }

    static from(value, encodingOrOffset = undefined, length = undefined) {
      if (typeof value === 'string') return over(encode(value, encodingOrOffset));
      if (typeof value !== 'object' && typeof value !== 'function' || value === null) throw wrongType('The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object.');
      if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
        const offset = Math.trunc(Number(encodingOrOffset)) || 0;
        if (offset > value.byteLength) throw withCode(new RangeError('"offset" is outside of buffer bounds'), 'ERR_BUFFER_OUT_OF_BOUNDS');
        const count = length === undefined ? value.byteLength - offset : Math.max(Math.trunc(Number(length)) || 0, 0);
        if (count > value.byteLength - offset) throw withCode(new RangeError('"length" is outside of buffer bounds'), 'ERR_BUFFER_OUT_OF_BOUNDS');
        return new Buffer(value, offset, count);
      }
      const primitive = value.valueOf?.();
      if (primitive !== undefined && primitive !== null && primitive !== value && (typeof primitive === 'string' || typeof primitive === 'object')) return Buffer.from(primitive, encodingOrOffset, length);
      if (value.type === 'Buffer' && Array.isArray(value.data)) return over(Uint8Array.from(value.data));
      if (typeof value.length === 'number') return over(ArrayBuffer.isView(value) ? Uint8Array.from(value) : Uint8Array.from(Array.prototype.slice.call(value)));
      if (typeof value[Symbol.toPrimitive] === 'function') {
        const text = value[Symbol.toPrimitive]('string');
        if (typeof text === 'string') return over(encode(text, encodingOrOffset));
      }
      throw wrongType('The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object.');
    }

    static alloc(size, fill = undefined, encoding = undefined) {
      const buffer = new Buffer(checkSize(size));
      if (fill !== undefined && fill !== 0 && size > 0) buffer.fill(fill, encoding);
      return buffer;
    }

    static allocUnsafe(size) { return new Buffer(checkSize(size)); }
    static allocUnsafeSlow(size) { return new Buffer(checkSize(size)); }
    static isBuffer(value) { return value instanceof Buffer; }
    static isEncoding(encoding) { return typeof encoding === 'string' && encoding !== '' && FORMS[encoding.toLowerCase()] !== undefined; }

    static byteLength(value, encoding = undefined) {
      if (typeof value === 'string') return encode(value, encoding === undefined || FORMS[`${encoding}`.toLowerCase()] === undefined ? 'utf8' : encoding).length;
      if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return value.byteLength;
      throw wrongType('The "string" argument must be of type string or an instance of Buffer or ArrayBuffer.');
    }

    static concat(list, totalLength = undefined) {
      if (!Array.isArray(list)) throw wrongType('The "list" argument must be an instance of Array.');
      for (const one of list) if (!(one instanceof Uint8Array)) throw wrongType('The members of the "list" argument must be instances of Buffer or Uint8Array.');
      const length = totalLength === undefined ? list.reduce((sum, one) => sum + one.length, 0) : checkSize(totalLength);
      const all = new Buffer(length);
      let at = 0;
      for (const one of list) {
        if (at >= length) break;
        all.set(one.length > length - at ? one.subarray(0, length - at) : one, at);
        at += one.length;
      }
      return all;
    }

    static compare(a, b) {
      if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) throw wrongType('Buffer.compare() needs two instances of Buffer or Uint8Array.');
      const length = Math.min(a.length, b.length);
      for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
      return Math.sign(a.length - b.length);
    }

    get parent() { return this.buffer; }
    get offset() { return this.byteOffset; }

    toString(encoding = undefined, start = undefined, end = undefined) {
      const form = formOf(encoding);
      const from = Math.min(Math.max(Math.trunc(Number(start)) || 0, 0), this.length);
      const to = end === undefined ? this.length : Math.min(Math.max(Math.trunc(Number(end)) || 0, 0), this.length);
      if (from >= to) return '';
      return host.decodeText(from === 0 && to === this.length ? this : this.subarray(from, to), form, TEXT_KEEP);
    }

    toLocaleString(...values) { return this.toString(...values); }
    toJSON() { return { type: 'Buffer', data: Array.from(this) }; }

    equals(other) {
      if (!(other instanceof Uint8Array)) throw wrongType('The "otherBuffer" argument must be an instance of Buffer or Uint8Array.');
      return this === other || (this.length === other.length && Buffer.compare(this, other) === 0);
    }

    compare(target, targetStart = 0, targetEnd = target.length, start = 0, end = this.length) {
      return Buffer.compare(this.subarray(start, end), target.subarray(targetStart, targetEnd));
    }

    slice(start = undefined, end = undefined) { return this.subarray(start, end); }

    subarray(start = undefined, end = undefined) {
      const from = clampTo(start, this.length, 0);
      const to = clampTo(end, this.length, this.length);
      return new Buffer(this.buffer, this.byteOffset + from, Math.max(to - from, 0));
    }

    copy(target, targetStart = 0, start = 0, end = this.length) {
      if (!(target instanceof Uint8Array)) throw wrongType('The "target" argument must be an instance of Buffer or Uint8Array.');
      if (targetStart >= target.length || start >= end) return 0;
      const count = Math.min(end - start, this.length - start, target.length - targetStart);
      target.set(this.subarray(start, start + count), targetStart);
      return count;
    }

    fill(value, offset = undefined, end = undefined, encoding = undefined) {
      if (typeof offset === 'string') [encoding, offset, end] = [offset, undefined, undefined];
      else if (typeof end === 'string') [encoding, end] = [end, undefined];
      const from = offset ?? 0, to = end ?? this.length;
      if (from < 0 || from > this.length) throw outOfRange('offset', from);
      if (to < 0 || to > this.length) throw outOfRange('end', to);
      if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
        Uint8Array.prototype.fill.call(this, Number(value) & 255, from, to);
        return this;
      }
      const pattern = typeof value === 'string' ? encode(value, encoding) : value;
      if (pattern.length === 0) {
        if (typeof value !== 'string' || value !== '') throw withCode(new TypeError(`The argument 'value' is invalid. Received '${value}'`), 'ERR_INVALID_ARG_VALUE');
        Uint8Array.prototype.fill.call(this, 0, from, to);
        return this;
      }
      for (let i = from; i < to; i++) this[i] = pattern[(i - from) % pattern.length];
      return this;
    }

    write(text, offset = undefined, length = undefined, encoding = undefined) {
      if (typeof text !== 'string') throw wrongType('The "string" argument must be of type string.');
      if (typeof offset === 'string') [encoding, offset, length] = [offset, undefined, undefined];
      else if (typeof length === 'string') [encoding, length] = [length, undefined];
      const at = offset ?? 0;
      if (at < 0 || at > this.length) throw outOfRange('offset', at);
      const room = Math.min(length ?? this.length - at, this.length - at);
      const form = formOf(encoding);
      const bytes = host.encodeText(text, form);
      let count = Math.min(bytes.length, room);
      if (form === TEXT_UTF8) while (count > 0 && count < bytes.length && (bytes[count] & 0xc0) === 0x80) count--;
      if (form === TEXT_UTF16LE) count -= count % 2;
      this.set(count === bytes.length ? bytes : bytes.subarray(0, count), at);
      return count;
    }

    #find(value, from, encoding, step) {
      if (typeof from === 'string') [encoding, from] = [from, undefined];
      let needle = value;
      if (typeof value === 'string') needle = encode(value, encoding);
      else if (typeof value === 'number') needle = [value & 255];
      else if (!(value instanceof Uint8Array)) throw wrongType('The "value" argument must be one of type number or string or an instance of Buffer or Uint8Array.');
      const start = Number(from);
      let at = from === undefined || Number.isNaN(start) ? (step > 0 ? 0 : this.length) : Math.trunc(start);
      if (at < 0) at += this.length;
      if (at < 0) {
        if (step < 0) return -1;
        at = 0;
      }
      if (needle.length === 0) return Math.min(at, this.length);
      if (step < 0) at = Math.min(at, this.length - needle.length);
      for (; at >= 0 && at <= this.length - needle.length; at += step) {
        let i = 0;
        while (i < needle.length && this[at + i] === needle[i]) i++;
        if (i === needle.length) return at;
      }
      return -1;
    }

    indexOf(value, from = undefined, encoding = undefined) { return this.#find(value, from, encoding, 1); }
    lastIndexOf(value, from = undefined, encoding = undefined) { return this.#find(value, from, encoding, -1); }
    includes(value, from = undefined, encoding = undefined) { return this.indexOf(value, from, encoding) !== -1; }

    #swap(size) {
      if (this.length % size !== 0) throw withCode(new RangeError(`Buffer size must be a multiple of ${size * 8}-bits`), 'ERR_INVALID_BUFFER_SIZE');
      for (let i = 0; i < this.length; i += size) Uint8Array.prototype.reverse.call(this.subarray(i, i + size));
      return this;
    }

    swap16() { return this.#swap(2); }
    swap32() { return this.#swap(4); }
    swap64() { return this.#swap(8); }

    #place(offset, size) {
      if (typeof offset !== 'number') throw wrongType('The "offset" argument must be of type number.');
      if (!Number.isInteger(offset) || offset < 0 || offset + size > this.length) {
        if (Number.isInteger(offset) && this.length < size) throw withCode(new RangeError('Attempt to access memory outside buffer bounds'), 'ERR_BUFFER_OUT_OF_BOUNDS');
        throw outOfRange('offset', offset);
      }
      return offset;
    }

    static {
      const view = buffer => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
      const define = (names, value) => { for (const name of names) Object.defineProperty(Buffer.prototype, name, { value, writable: true, configurable: true }); };
      const number = (name, kind, size, low, high) => {
        for (const [end, little] of size === 1 ? [['', true]] : [['LE', true], ['BE', false]]) {
          const names = prefix => name.startsWith('UInt') || name.startsWith('BigUInt') ? [`${prefix}${name}${end}`, `${prefix}${name.replace('UInt', 'Uint')}${end}`] : [`${prefix}${name}${end}`];
          define(names('read'), function (offset = 0) { return view(this)[`get${kind}`](this.#place(offset, size), little); });
          define(names('write'), function (value, offset = 0) {
            if (typeof low === 'bigint' && typeof value !== 'bigint') throw wrongType('The "value" argument must be of type bigint.');
            if (typeof low !== 'bigint') value = Number(value);
            if (low !== undefined && (value < low || value > high)) throw outOfRange('value', value);
            view(this)[`set${kind}`](this.#place(offset, size), value, little);
            return offset + size;
          });
        }
      };
      for (const bits of [8, 16, 32]) {
        number(`UInt${bits}`, `Uint${bits}`, bits / 8, 0, 2 ** bits - 1);
        number(`Int${bits}`, `Int${bits}`, bits / 8, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1);
      }
      number('BigUInt64', 'BigUint64', 8, 0n, 2n ** 64n - 1n);
      number('BigInt64', 'BigInt64', 8, -(2n ** 63n), 2n ** 63n - 1n);
      number('Float', 'Float32', 4);
      number('Double', 'Float64', 8);

      const checkBytes = count => {
        if (typeof count !== 'number') throw wrongType('The "byteLength" argument must be of type number.');
        if (!(count >= 1 && count <= 6)) throw outOfRange('byteLength', count);
      };
      for (const little of [true, false]) {
        const end = little ? 'LE' : 'BE';
        const readUnsigned = function (offset, count) {
          checkBytes(count);
          this.#place(offset, count);
          let value = 0;
          for (let i = 0; i < count; i++) value = value * 256 + this[little ? offset + count - 1 - i : offset + i];
          return value;
        };
        const readSigned = function (offset, count) {
          const value = readUnsigned.call(this, offset, count);
          return value >= 2 ** (8 * count - 1) ? value - 2 ** (8 * count) : value;
        };
        const write = signed => function (value, offset, count) {
          checkBytes(count);
          this.#place(offset, count);
          value = Number(value);
          const low = signed ? -(2 ** (8 * count - 1)) : 0;
          if (value < low || value > low + 2 ** (8 * count) - 1) throw outOfRange('value', value);
          let rest = value < 0 ? value + 2 ** (8 * count) : value;
          for (let i = 0; i < count; i++, rest = Math.floor(rest / 256)) this[little ? offset + i : offset + count - 1 - i] = rest % 256;
          return offset + count;
        };
        define([`readUInt${end}`, `readUint${end}`], readUnsigned);
        define([`readInt${end}`], readSigned);
        define([`writeUInt${end}`, `writeUint${end}`], write(false));
        define([`writeInt${end}`], write(true));
      }
    }
  }

  // The bytes are nobody else's, so they need not be copied.
  const over = bytes => new Buffer(bytes.buffer, bytes.byteOffset, bytes.length);

  showAs(Buffer, function () {
    const shown = Array.from(Uint8Array.prototype.subarray.call(this, 0, 50), byte => byte.toString(16).padStart(2, '0')).join(' ');
    const more = this.length - 50;
    return `<Buffer${shown === '' ? '' : ` ${shown}`}${more > 0 ? ` ... ${more} more byte${more > 1 ? 's' : ''}` : ''}>`;
  });
  exposeGlobal('Buffer', Buffer);
}
