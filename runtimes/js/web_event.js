// SPDX-License-Identifier: Apache-2.0
// Event, EventTarget and AbortController (WHATWG DOM §2, §3), for a tree of one.

{
  const NONE = 0, CAPTURING_PHASE = 1, AT_TARGET = 2, BUBBLING_PHASE = 3;
  let dispatchOf; // the private parts of an event

  class Event {
    #type;
    #bubbles;
    #cancelable;
    #composed;
    #timeStamp = performance.now();
    #state = { target: null, current: null, phase: NONE, stopped: false, stoppedNow: false, canceled: false, passive: false, dispatching: false };

    constructor(type, init = undefined) {
      needArguments(arguments.length, 1, 'Event');
      if (init !== undefined && init !== null && typeof init !== 'object' && typeof init !== 'function') throw withCode(new TypeError('the options of an Event must be an object'), 'ERR_INVALID_ARG_TYPE');
      this.#type = `${type}`;
      this.#bubbles = Boolean(init?.bubbles);
      this.#cancelable = Boolean(init?.cancelable);
      this.#composed = Boolean(init?.composed);
    }

    static {
      dispatchOf = event => event.#state;
    }

    get type() { return this.#type; }
    get target() { return this.#state.target; }
    get currentTarget() { return this.#state.current; }
    get srcElement() { return this.#state.target; }
    get eventPhase() { return this.#state.phase; }
    get bubbles() { return this.#bubbles; }
    get cancelable() { return this.#cancelable; }
    get composed() { return this.#composed; }
    get defaultPrevented() { return this.#state.canceled; }
    get returnValue() { return !this.#state.canceled; }
    set returnValue(value) { if (!value) this.preventDefault(); }
    get cancelBubble() { return this.#state.stopped; }
    set cancelBubble(value) { if (value) this.#state.stopped = true; }
    get timeStamp() { return this.#timeStamp; }
    get isTrusted() { return false; }

    composedPath() { return this.#state.dispatching ? [this.#state.current] : []; }
    stopPropagation() { this.#state.stopped = true; }

    stopImmediatePropagation() {
      this.#state.stopped = true;
      this.#state.stoppedNow = true;
    }

    preventDefault() {
      if (this.#cancelable && !this.#state.passive) this.#state.canceled = true;
    }
  }
  exposeClass('Event', Event);
  exposeConstants(Event, { NONE, CAPTURING_PHASE, AT_TARGET, BUBBLING_PHASE });
  showAs(Event, function () {
    const { type, defaultPrevented, cancelable, timeStamp } = this;
    return Object.assign(Object.create({ constructor: this.constructor }), { type, defaultPrevented, cancelable, timeStamp });
  });

  class CustomEvent extends Event {
    #detail;
    constructor(type, init = undefined) {
      super(type, init);
      this.#detail = init?.detail ?? null;
    }

    get detail() { return this.#detail; }
  }
  exposeClass('CustomEvent', CustomEvent);

  class EventTarget {
    #listeners = new Map(); // by type: {callback, capture, once, passive, removed}

    addEventListener(type, callback, options = undefined) {
      needArguments(arguments.length, 2, 'addEventListener');
      if (callback === null || callback === undefined) return;
      if (typeof callback !== 'function' && typeof callback !== 'object') throw withCode(new TypeError('a listener must be a function or an object'), 'ERR_INVALID_ARG_TYPE');
      const { capture = false, once = false, passive = false, signal } = typeof options === 'object' && options !== null ? options : { capture: Boolean(options) };
      if (signal !== undefined && !(signal instanceof AbortSignal)) throw withCode(new TypeError('signal must be an AbortSignal'), 'ERR_INVALID_ARG_TYPE');
      if (signal?.aborted) return;
      type = `${type}`;
      let list = this.#listeners.get(type);
      if (list === undefined) this.#listeners.set(type, list = []);
      if (list.some(l => l.callback === callback && l.capture === Boolean(capture))) return;
      list.push({ callback, capture: Boolean(capture), once: Boolean(once), passive: Boolean(passive), removed: false });
      if (signal !== undefined) onAbort(signal, () => this.removeEventListener(type, callback, { capture }));
    }

    removeEventListener(type, callback, options = undefined) {
      needArguments(arguments.length, 2, 'removeEventListener');
      const capture = Boolean(typeof options === 'object' && options !== null ? options.capture : options);
      const list = this.#listeners.get(`${type}`);
      const at = list?.findIndex(l => l.callback === callback && l.capture === capture) ?? -1;
      if (at < 0) return;
      list[at].removed = true;
      this.#listeners.set(`${type}`, list.toSpliced(at, 1));
    }

    dispatchEvent(event) {
      needArguments(arguments.length, 1, 'dispatchEvent');
      if (!(event instanceof Event)) throw withCode(new TypeError('dispatchEvent needs an Event'), 'ERR_INVALID_ARG_TYPE');
      const state = dispatchOf(event);
      if (state.dispatching) throw new DOMException('The event is already being dispatched', 'InvalidStateError');
      Object.assign(state, { target: this, current: this, phase: AT_TARGET, dispatching: true });
      this.#run(event, state);
      Object.assign(state, { current: null, phase: NONE, dispatching: false, stopped: false, stoppedNow: false });
      return !state.canceled;
    }

    #run(event, state) {
      const list = this.#listeners.get(event.type) ?? [];
      for (const listener of [...list.filter(l => l.capture), ...list.filter(l => !l.capture)]) {
        if (listener.removed) continue;
        if (listener.once) this.removeEventListener(event.type, listener.callback, listener);
        state.passive = listener.passive;
        try {
          const { callback } = listener;
          if (typeof callback === 'function') callback.call(this, event);
          else callback.handleEvent(event);
        } catch (error) {
          logError('Uncaught in an event listener:', error);
        }
        state.passive = false;
        if (state.stoppedNow) return;
      }
    }
  }
  exposeClass('EventTarget', EventTarget);

  // A property like onabort: a listener that keeps its place when it is replaced.
  function exposeHandler(Class, type) {
    const handlers = new WeakMap();
    Object.defineProperty(Class.prototype, `on${type}`, {
      get() { return handlers.get(this)?.callback ?? null; },
      set(value) {
        const callback = typeof value === 'function' || (typeof value === 'object' && value !== null) ? value : null;
        let handler = handlers.get(this);
        if (handler === undefined) {
          handler = { callback: null, call: event => { if (typeof handler.callback === 'function') handler.callback.call(this, event); } };
          handlers.set(this, handler);
        }
        if (callback === null) this.removeEventListener(type, handler.call);
        else if (handler.callback === null) this.addEventListener(type, handler.call);
        handler.callback = callback;
      },
      enumerable: true,
      configurable: true,
    });
  }

  let allowed = false; // whether an AbortSignal may be made
  let abort;
  let onAbort;
  let follow;

  class AbortSignal extends EventTarget {
    #aborted = false;
    #reason = undefined;
    #algorithms = []; // run before listeners
    #sources = []; // that abort this one, none of which depends on others
    #dependent = new Set();

    constructor() {
      if (!allowed) throw illegalConstructor();
      super();
    }

    static #make() {
      allowed = true;
      try {
        return new AbortSignal();
      } finally {
        allowed = false;
      }
    }

    static {
      web.makeSignal = () => AbortSignal.#make();
      abort = (signal, reason) => signal.#abort(reason);
      onAbort = (signal, algorithm) => { if (!signal.#aborted) signal.#algorithms.push(algorithm); };
      follow = (signal, sources) => signal.#follow(sources);
    }

    #follow(sources) {
      for (const source of sources) {
        for (const one of source.#sources.length > 0 ? source.#sources : [source]) {
          if (this.#sources.includes(one)) continue;
          this.#sources.push(one);
          one.#dependent.add(this);
        }
      }
    }

    #abort(reason) {
      if (this.#aborted) return;
      const all = [this];
      for (const signal of this.#dependent) if (!signal.#aborted) all.push(signal);
      for (const signal of all) {
        signal.#aborted = true;
        signal.#reason = reason;
      }
      for (const signal of all) {
        const algorithms = signal.#algorithms;
        signal.#algorithms = [];
        signal.#dependent.clear();
        for (const algorithm of algorithms) algorithm(reason);
        signal.dispatchEvent(new Event('abort'));
      }
    }

    static abort(reason = new DOMException('This operation was aborted', 'AbortError')) {
      const signal = AbortSignal.#make();
      signal.#aborted = true;
      signal.#reason = reason;
      return signal;
    }

    static timeout(milliseconds) {
      needArguments(arguments.length, 1, 'timeout');
      const delay = Number(milliseconds);
      if (!(delay >= 0 && delay <= Number.MAX_SAFE_INTEGER)) throw withCode(new RangeError('the time of AbortSignal.timeout() must be a number from 0 on'), 'ERR_OUT_OF_RANGE');
      const signal = AbortSignal.#make();
      setTimeout(() => signal.#abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), delay);
      return signal;
    }

    static any(signals) {
      needArguments(arguments.length, 1, 'any');
      const list = [...signals];
      for (const signal of list) if (!(signal instanceof AbortSignal)) throw withCode(new TypeError('AbortSignal.any() takes AbortSignals'), 'ERR_INVALID_ARG_TYPE');
      const aborted = list.find(signal => signal.#aborted);
      if (aborted !== undefined) return AbortSignal.abort(aborted.#reason);
      const made = AbortSignal.#make();
      follow(made, list);
      return made;
    }

    get aborted() { return this.#aborted; }
    get reason() { return this.#reason; }
    throwIfAborted() { if (this.#aborted) throw this.#reason; }
  }
  exposeClass('AbortSignal', AbortSignal);
  exposeHandler(AbortSignal, 'abort');
  showAs(AbortSignal, function () { return `AbortSignal { aborted: ${this.aborted} }`; });
  // For fetch and streams: runs before listeners do, once. Does nothing when it has been aborted.
  web.onAbort = onAbort;

  class AbortController {
    #signal = web.makeSignal();

    get signal() { return this.#signal; }
    abort(reason = new DOMException('This operation was aborted', 'AbortError')) { abort(this.#signal, reason); }
  }
  exposeClass('AbortController', AbortController);
  showAs(AbortController, function () { return `AbortController { signal: AbortSignal { aborted: ${this.signal.aborted} } }`; });
}

// The engine's clock, and its origin in the time of the world.
{
  const engine = performance;
  const { now } = engine;
  const timeOrigin = Date.now() - now.call(engine);

  class Performance extends web.EventTarget {
    get timeOrigin() { return timeOrigin; }
    now() { return now.call(engine); }
    toJSON() { return { timeOrigin }; }
  }
  exposeClass('Performance', Performance);
  exposeGlobal('performance', new Performance());
}

exposeGlobal('navigator', Object.freeze(Object.defineProperty({ userAgent: 'sluice', hardwareConcurrency: 1, language: 'en-US', languages: Object.freeze(['en-US']), platform: 'linux' }, Symbol.toStringTag, { value: 'Navigator' })));
