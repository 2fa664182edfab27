// SPDX-License-Identifier: Apache-2.0
// node:events.

function makeEvents() {
  // A function and no class: old code calls it on objects of its own.
  function EventEmitter() {
    this._events ??= Object.create(null);
  }

  const listOf = (emitter, name) => (emitter._events ??= Object.create(null))[name] ??= [];
  const plain = listener => listener.listener ?? listener;

  function add(emitter, name, listener, first) {
    if (typeof listener !== 'function') throw new TypeError('The "listener" argument must be of type function.');
    const list = listOf(emitter, name);
    if (emitter._events.newListener !== undefined) emitter.emit('newListener', name, plain(listener));
    if (first) list.unshift(listener);
    else list.push(listener);
    return emitter;
  }

  function onceOnly(emitter, name, listener) {
    const wrapped = function (...values) {
      emitter.removeListener(name, wrapped);
      return listener.apply(this, values);
    };
    wrapped.listener = listener;
    return wrapped;
  }

  const methods = {
    on(name, listener) { return add(this, name, listener, false); },
    prependListener(name, listener) { return add(this, name, listener, true); },
    once(name, listener) { return add(this, name, onceOnly(this, name, listener), false); },
    prependOnceListener(name, listener) { return add(this, name, onceOnly(this, name, listener), true); },
    removeListener(name, listener) {
      const list = listOf(this, name);
      const at = list.findLastIndex(one => one === listener || one.listener === listener);
      if (at >= 0) this._events[name] = list.toSpliced(at, 1);
      if (this._events[name].length === 0) delete this._events[name];
      return this;
    },
    removeAllListeners(name) {
      if (name === undefined) this._events = Object.create(null);
      else if (this._events !== undefined) delete this._events[name];
      return this;
    },
    emit(name, ...values) {
      const list = this._events?.[name];
      if (list === undefined || list.length === 0) {
        if (name === 'error') throw values[0] instanceof Error ? values[0] : new Error(`Unhandled error. (${web.inspect(values[0])})`);
        return false;
      }
      for (const listener of [...list]) listener.apply(this, values);
      return true;
    },
    listeners(name) { return (this._events?.[name] ?? []).map(plain); },
    rawListeners(name) { return [...this._events?.[name] ?? []]; },
    listenerCount(name) { return this._events?.[name]?.length ?? 0; },
    eventNames() { return Reflect.ownKeys(this._events ?? {}); },
    setMaxListeners() { return this; },
    getMaxListeners() { return EventEmitter.defaultMaxListeners; },
  };
  methods.addListener = methods.on;
  methods.off = methods.removeListener;
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(EventEmitter.prototype, name, { value, writable: true, configurable: true, enumerable: true });
  }

  const once = (emitter, name) => new Promise((resolve, reject) => {
    const done = (...values) => {
      emitter.off('error', fail);
      resolve(values);
    };
    const fail = error => {
      emitter.off(name, done);
      reject(error);
    };
    emitter.once(name, done);
    if (name !== 'error') emitter.once('error', fail);
  });

  return Object.assign(EventEmitter, { EventEmitter, once, defaultMaxListeners: 10 });
}
