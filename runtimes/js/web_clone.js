// SPDX-License-Identifier: Apache-2.0
// structuredClone (HTML §2.7): what an object is, is asked of its internal slots, not of its names.

{
  const uncurry = method => Function.prototype.call.bind(method);
  const getterOf = (Class, name) => uncurry(Object.getOwnPropertyDescriptor(Class.prototype, name).get);
  const hasSlot = ask => value => {
    try {
      ask(value);
      return true;
    } catch {
      return false;
    }
  };
  const TypedArray = Object.getPrototypeOf(Uint8Array);
  const is = {
    Map: hasSlot(getterOf(Map, 'size')),
    Set: hasSlot(getterOf(Set, 'size')),
    ArrayBuffer: hasSlot(getterOf(ArrayBuffer, 'byteLength')),
    SharedArrayBuffer: hasSlot(getterOf(SharedArrayBuffer, 'byteLength')),
    Date: hasSlot(uncurry(Date.prototype.getTime)),
    RegExp: value => value instanceof RegExp && hasSlot(uncurry(RegExp.prototype.exec))(value),
    Number: hasSlot(uncurry(Number.prototype.valueOf)),
    String: hasSlot(uncurry(String.prototype.valueOf)),
    Boolean: hasSlot(uncurry(Boolean.prototype.valueOf)),
    BigInt: hasSlot(uncurry(BigInt.prototype.valueOf)),
    Symbol: hasSlot(uncurry(Symbol.prototype.valueOf)),
    WeakMap: hasSlot(value => uncurry(WeakMap.prototype.has)(value, value)),
    WeakSet: hasSlot(value => uncurry(WeakSet.prototype.has)(value, value)),
    WeakRef: hasSlot(uncurry(WeakRef.prototype.deref)),
  };
  const mapEntries = uncurry(Map.prototype.entries);
  const setValues = uncurry(Set.prototype.values);
  const typedArrayName = getterOf(TypedArray, Symbol.toStringTag);
  const bufferLength = getterOf(ArrayBuffer, 'byteLength');
  const bufferSlice = uncurry(ArrayBuffer.prototype.slice);
  const bufferTransfer = uncurry(ArrayBuffer.prototype.transfer);
  const isResizable = getterOf(ArrayBuffer, 'resizable');
  const isDetached = getterOf(ArrayBuffer, 'detached');
  const ERRORS = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const { getPrototypeOf, prototype: plain } = Object;
  // Platform objects by their class: (object, clone) to its clone. Other files add theirs.
  const cloners = new Map([
    [DOMException, error => new DOMException(error.message, error.name)],
  ]);
  web.cloners = cloners;

  function refuse(value) {
    let text;
    try {
      text = typeof value === 'object' ? `#<${value.constructor?.name || 'Object'}>` : String(value);
    } catch {
      text = 'the object';
    }
    return new DOMException(`${text} could not be cloned.`, 'DataCloneError');
  }

  function copyBuffer(buffer) {
    if (isDetached(buffer)) throw new DOMException('An ArrayBuffer is detached and could not be cloned.', 'DataCloneError');
    if (!isResizable(buffer)) return bufferSlice(buffer, 0);
    const copy = new ArrayBuffer(bufferLength(buffer), { maxByteLength: buffer.maxByteLength });
    new Uint8Array(copy).set(new Uint8Array(buffer));
    return copy;
  }

  function cloneView(view, clone) {
    const buffer = clone(view.buffer);
    if (view instanceof DataView) return new DataView(buffer, view.byteOffset, view.byteLength);
    const Class = web.typedArrays[typedArrayName(view)];
    return new Class(buffer, view.byteOffset, view.length);
  }
  web.typedArrays = Object.fromEntries([Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float16Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array].map(C => [C.name, C]));

  function cloneError(error, seen, clone) {
    const { name } = error;
    const Class = Object.hasOwn(ERRORS, name) ? ERRORS[name] : Error;
    const made = Object.setPrototypeOf(new Error(), Class.prototype);
    seen.set(error, made);
    const own = Object.getOwnPropertyDescriptor(error, 'message');
    const hide = (key, value) => Object.defineProperty(made, key, { value, writable: true, configurable: true, enumerable: false });
    if (own !== undefined && 'value' in own) hide('message', `${own.value}`);
    if (typeof error.stack === 'string') hide('stack', error.stack);
    if (Object.hasOwn(error, 'cause')) hide('cause', clone(error.cause));
    return made;
  }

  // The slots that a class of the language gives, made anew; undefined: there are none.
  function cloneSlots(value, seen, clone) {
    if (is.Date(value)) return new Date(value.getTime());
    if (is.RegExp(value)) return new RegExp(value.source, value.flags);
    if (is.ArrayBuffer(value)) return copyBuffer(value);
    if (ArrayBuffer.isView(value)) return cloneView(value, clone);
    if (is.Number(value)) return Object(Number.prototype.valueOf.call(value));
    if (is.String(value)) return Object(String.prototype.valueOf.call(value));
    if (is.Boolean(value)) return Object(Boolean.prototype.valueOf.call(value));
    if (is.BigInt(value)) return Object(BigInt.prototype.valueOf.call(value));
    if (is.Symbol(value) || is.WeakMap(value) || is.WeakSet(value) || is.WeakRef(value) || is.SharedArrayBuffer(value)) throw refuse(value);
    if (value instanceof Promise) throw refuse(value);
    return undefined;
  }

  function clonePlatform(value, clone) {
    for (let at = getPrototypeOf(value); at !== null && at !== plain; at = getPrototypeOf(at)) {
      const Class = Object.getOwnPropertyDescriptor(at, 'constructor')?.value;
      const cloner = cloners.get(Class);
      if (cloner !== undefined) return cloner(value, clone);
      if (typeof Class === 'function' && web[Class.name] === Class) throw refuse(value);
    }
    return undefined;
  }

  function copyMembers(from, to, clone) {
    for (const key of Object.keys(from)) {
      if (Object.hasOwn(from, key)) Object.defineProperty(to, key, { value: clone(from[key]), writable: true, enumerable: true, configurable: true });
    }
    return to;
  }

  function cloneObject(value, seen, clone) {
    const prototype = getPrototypeOf(value);
    let copy;
    if (Array.isArray(value)) {
      copy = new Array(value.length);
    } else if (prototype !== plain && prototype !== null) {
      if (is.Map(value)) {
        copy = new Map();
        seen.set(value, copy);
        for (const [key, member] of [...mapEntries(value)]) copy.set(clone(key), clone(member));
        return copy;
      }
      if (is.Set(value)) {
        copy = new Set();
        seen.set(value, copy);
        for (const member of [...setValues(value)]) copy.add(clone(member));
        return copy;
      }
      copy = clonePlatform(value, clone);
      if (copy === undefined && Error.isError(value)) return cloneError(value, seen, clone);
      copy ??= cloneSlots(value, seen, clone);
      if (copy !== undefined) {
        seen.set(value, copy);
        return copy;
      }
    }
    copy ??= {};
    seen.set(value, copy);
    return copyMembers(value, copy, clone);
  }

  function transferred(list) {
    const buffers = [...list];
    for (const buffer of buffers) {
      if (typeof buffer !== 'object' || buffer === null || !is.ArrayBuffer(buffer)) throw new DOMException('Value could not be transferred: only ArrayBuffers can', 'DataCloneError');
      if (isDetached(buffer)) throw new DOMException('An ArrayBuffer is detached and could not be cloned.', 'DataCloneError');
    }
    if (new Set(buffers).size < buffers.length) throw new DOMException('ArrayBuffer occurs in the transfer list twice', 'DataCloneError');
    return buffers;
  }

  exposeGlobal('structuredClone', function structuredClone(value, options = undefined) {
    needArguments(arguments.length, 1, 'structuredClone');
    const seen = new Map();
    const buffers = transferred(options?.transfer ?? []);
    const clone = one => {
      if (typeof one === 'function' || typeof one === 'symbol') throw refuse(one);
      if (typeof one !== 'object' || one === null) return one;
      const known = seen.get(one);
      return known !== undefined ? known : cloneObject(one, seen, clone);
    };
    // A buffer is moved when all has been cloned, so that what fails changes nothing.
    const copy = clone(value);
    for (const buffer of buffers) bufferTransfer(buffer);
    return copy;
  });
}
