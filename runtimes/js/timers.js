// SPDX-License-Identifier: Apache-2.0
// setTimeout and its relatives as Node has them: the times are the worker's (src/worker/timer.c),
// the callbacks wait here. A function is served until it is stopped, so ref() and unref() change
// nothing but what hasRef() says.

const timers = new Map();
const DELAY_MAX = 2147483647;

class Timeout {
  #callback;
  #values;
  #delay;
  #repeats;
  #number;
  #ref = true;

  constructor(callback, delay, repeats, values) {
    this.#callback = callback;
    this.#values = values;
    this.#delay = delay;
    this.#repeats = repeats;
    this.#start();
  }

  #start() {
    this.#number = host.startTimer(this.#delay, this.#repeats);
    timers.set(this.#number, this);
  }

  static fire(number) {
    const timer = timers.get(number);
    if (timer === undefined) return;
    if (!timer.#repeats) timers.delete(number);
    timer.#callback.apply(timer, timer.#values);
  }

  close() {
    host.stopTimer(this.#number);
    timers.delete(this.#number);
    return this;
  }

  refresh() {
    this.close();
    this.#start();
    return this;
  }

  ref() { this.#ref = true; return this; }
  unref() { this.#ref = false; return this; }
  hasRef() { return this.#ref; }
  [Symbol.toPrimitive]() { return this.#number; }
}

class Immediate extends Timeout {}

function callbackOf(value) {
  if (typeof value === 'function') return value;
  throw Object.assign(new TypeError(`The "callback" argument must be of type function. Received ${inspect(value)}`), { code: 'ERR_INVALID_ARG_TYPE' });
}

function delayOf(value) {
  const delay = Number(value);
  if (delay > DELAY_MAX) {
    web.print(2, [`TimeoutOverflowWarning: ${delay} does not fit into a 32-bit signed integer.\nTimeout duration was set to 1.`]);
    return 1;
  }
  return delay >= 1 ? Math.trunc(delay) : 1;
}

function clear(timer) {
  if (timer instanceof Timeout) timer.close();
  else if (typeof timer === 'number' || typeof timer === 'string') timers.get(Number(timer))?.close();
}

const timerFunctions = {
  setTimeout: (callback, delay, ...values) => new Timeout(callbackOf(callback), delayOf(delay), false, values),
  setInterval: (callback, delay, ...values) => new Timeout(callbackOf(callback), delayOf(delay), true, values),
  setImmediate: (callback, ...values) => new Immediate(callbackOf(callback), 0, false, values),
  clearTimeout: timer => clear(timer),
  clearInterval: timer => clear(timer),
  clearImmediate: timer => clear(timer),
};
for (const [name, value] of Object.entries(timerFunctions)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: true });
}
web.fireTimer = Timeout.fire;
