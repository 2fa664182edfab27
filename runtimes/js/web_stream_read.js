// SPDX-License-Identifier: Apache-2.0
// ReadableStream (WHATWG Streams §4) with the default controller and reader. A stream of type bytes
// is one of chunks, too: there are no readers that bring their own buffer.

// A promise with its ends.
function deferred() {
  const made = Promise.withResolvers();
  made.promise.catch(() => {});
  return made;
}

function streamMethod(source, name) {
  const method = source?.[name];
  if (method === undefined) return undefined;
  if (typeof method !== 'function') throw withCode(new TypeError(`${name} must be a function`), 'ERR_INVALID_ARG_TYPE');
  return (...values) => method.apply(source, values);
}

function streamStrategy(strategy, fallback) {
  const { highWaterMark = fallback, size } = strategy ?? {};
  const mark = Number(highWaterMark);
  if (Number.isNaN(mark) || mark < 0) throw withCode(new RangeError(`highWaterMark is ${highWaterMark}: it must be a number from 0 on`), 'ERR_INVALID_ARG_VALUE');
  if (size !== undefined && typeof size !== 'function') throw withCode(new TypeError('size must be a function'), 'ERR_INVALID_ARG_TYPE');
  return { mark, size: size === undefined ? () => 1 : chunk => size(chunk) };
}

function checkSize(size) {
  const number = Number(size);
  if (!(number >= 0 && number < Infinity)) throw withCode(new RangeError(`the size of a chunk is ${size}: it must be a number from 0 on`), 'ERR_INVALID_ARG_VALUE');
  return number;
}

const ASYNC_ITERATOR_PROTOTYPE = Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}).prototype);

{
  const SECRET = Symbol('inside');
  let stateOf; // of a stream

  // What the controller, the reader and the pipes of a stream work on.
  class Source {
    state = 'readable';
    error = undefined;
    reader = undefined; // a ReadableStreamDefaultReader
    requests = []; // of reads: {resolve, reject}
    disturbed = false;
    queue = [];
    total = 0;
    started = false;
    closing = false;
    pulling = false;
    pullAgain = false;

    constructor(strategy, pull, cancel) {
      Object.assign(this, { strategy, pullFrom: pull, cancelFrom: cancel });
    }

    get desired() {
      return this.state === 'errored' ? null : this.state === 'closed' ? 0 : this.strategy.mark - this.total;
    }

    get open() { return this.state === 'readable' && !this.closing; }

    start(result) {
      Promise.resolve(result).then(() => {
        this.started = true;
        this.pullIfNeeded();
      }, error => this.fail(error));
    }

    pullIfNeeded() {
      if (!this.open || !this.started || this.pullFrom === undefined) return;
      if (this.requests.length === 0 && !(this.desired > 0)) return;
      if (this.pulling) {
        this.pullAgain = true;
        return;
      }
      this.pulling = true;
      let pulled;
      try {
        pulled = Promise.resolve(this.pullFrom());
      } catch (error) {
        pulled = Promise.reject(error);
      }
      pulled.then(() => {
        this.pulling = false;
        if (!this.pullAgain) return;
        this.pullAgain = false;
        this.pullIfNeeded();
      }, error => this.fail(error));
    }

    enqueue(chunk) {
      if (!this.open) throw withCode(new TypeError('Invalid state: Controller is already closed'), 'ERR_INVALID_STATE');
      if (this.requests.length > 0) {
        this.requests.shift().resolve({ value: chunk, done: false });
      } else {
        let size;
        try {
          size = checkSize(this.strategy.size(chunk));
        } catch (error) {
          this.fail(error);
          throw error;
        }
        this.queue.push([chunk, size]);
        this.total += size;
      }
      this.pullIfNeeded();
    }

    close() {
      if (!this.open) throw withCode(new TypeError('Invalid state: Controller is already closed'), 'ERR_INVALID_STATE');
      this.closing = true;
      if (this.queue.length === 0) this.end();
    }

    end() {
      this.state = 'closed';
      this.pullFrom = this.cancelFrom = undefined;
      for (const request of this.requests.splice(0)) request.resolve({ value: undefined, done: true });
      this.reader?.closing.resolve(undefined);
    }

    fail(error) {
      if (this.state !== 'readable') return;
      this.state = 'errored';
      this.error = error;
      this.queue = [];
      this.total = 0;
      this.pullFrom = this.cancelFrom = undefined;
      for (const request of this.requests.splice(0)) request.reject(error);
      this.reader?.closing.reject(error);
    }

    read() {
      this.disturbed = true;
      if (this.state === 'errored') return Promise.reject(this.error);
      if (this.queue.length > 0) {
        const [value, size] = this.queue.shift();
        this.total = Math.max(this.total - size, 0);
        if (this.closing && this.queue.length === 0) this.end();
        else this.pullIfNeeded();
        return Promise.resolve({ value, done: false });
      }
      if (this.state === 'closed') return Promise.resolve({ value: undefined, done: true });
      const request = Promise.withResolvers();
      this.requests.push(request);
      this.pullIfNeeded();
      return request.promise;
    }

    async cancel(reason) {
      this.disturbed = true;
      if (this.state === 'closed') return;
      if (this.state === 'errored') throw this.error;
      const { cancelFrom } = this;
      this.queue = [];
      this.total = 0;
      this.end();
      await cancelFrom?.(reason);
    }
  }

  class ReadableStreamDefaultController {
    #source;

    constructor(permit, source) {
      if (permit !== SECRET) throw illegalConstructor();
      this.#source = source;
    }

    get desiredSize() { return this.#source.desired; }
    close() { this.#source.close(); }
    enqueue(chunk = undefined) { this.#source.enqueue(chunk); }
    error(error = undefined) { this.#source.fail(error); }
  }
  exposeClass('ReadableStreamDefaultController', ReadableStreamDefaultController);

  class ReadableStreamDefaultReader {
    #source;
    #closing;

    constructor(stream) {
      if (!(stream instanceof ReadableStream)) throw withCode(new TypeError('The "stream" argument must be an instance of ReadableStream.'), 'ERR_INVALID_ARG_TYPE');
      const source = stateOf(stream);
      if (source.reader !== undefined) throw withCode(new TypeError('Invalid state: ReadableStream is locked'), 'ERR_INVALID_STATE');
      this.#source = source;
      this.#closing = deferred();
      source.reader = { closing: this.#closing };
      if (source.state === 'closed') this.#closing.resolve(undefined);
      if (source.state === 'errored') this.#closing.reject(source.error);
    }

    #released() {
      return withCode(new TypeError('Invalid state: The reader is not attached to a stream'), 'ERR_INVALID_STATE');
    }

    get closed() { return this.#closing.promise; }
    async read() {
      if (this.#source === undefined) throw this.#released();
      return this.#source.read();
    }

    async cancel(reason = undefined) {
      if (this.#source === undefined) throw this.#released();
      return this.#source.cancel(reason);
    }

    releaseLock() {
      if (this.#source === undefined) return;
      const error = withCode(new TypeError('Invalid state: Reader released'), 'ERR_INVALID_STATE');
      for (const request of this.#source.requests.splice(0)) request.reject(error);
      if (this.#source.state !== 'readable') this.#closing = deferred();
      this.#closing.reject(error);
      this.#source.reader = undefined;
      this.#source = undefined;
    }
  }
  exposeClass('ReadableStreamDefaultReader', ReadableStreamDefaultReader);

  class ReadableStream {
    #source;

    constructor(underlying = {}, strategy = {}) {
      if (typeof underlying !== 'object' || underlying === null) throw withCode(new TypeError('The "source" argument must be of type object.'), 'ERR_INVALID_ARG_TYPE');
      const { type } = underlying;
      if (type !== undefined && `${type}` !== 'bytes') throw withCode(new TypeError(`The property 'source.type' is invalid: ${type}`), 'ERR_INVALID_ARG_VALUE');
      const pull = streamMethod(underlying, 'pull');
      const cancel = streamMethod(underlying, 'cancel');
      const start = streamMethod(underlying, 'start');
      let controller;
      this.#source = new Source(streamStrategy(strategy, type === undefined ? 1 : 0), pull && (() => pull(controller)), cancel);
      controller = new ReadableStreamDefaultController(SECRET, this.#source);
      this.#source.start(start?.(controller));
    }

    static {
      stateOf = stream => stream.#source;
    }

    static from(iterable) {
      const iterate = iterable?.[Symbol.asyncIterator] ?? iterable?.[Symbol.iterator];
      if (typeof iterate !== 'function') throw withCode(new TypeError('The "iterable" argument must be iterable.'), 'ERR_ARG_NOT_ITERABLE');
      const iterator = iterate.call(iterable);
      return new ReadableStream({
        async pull(controller) {
          const { value, done } = await iterator.next();
          if (done) controller.close();
          else controller.enqueue(await value);
        },
        async cancel(reason) { await iterator.return?.(reason); },
      }, { highWaterMark: 0 });
    }

    get locked() { return this.#source.reader !== undefined; }

    async cancel(reason = undefined) {
      if (this.locked) throw withCode(new TypeError('Invalid state: ReadableStream is locked'), 'ERR_INVALID_STATE');
      return this.#source.cancel(reason);
    }

    getReader(options = undefined) {
      if (options?.mode !== undefined) throw new DOMException('readers that bring their own buffer (mode: byob) are not supported', 'NotSupportedError');
      return new ReadableStreamDefaultReader(this);
    }

    tee() {
      const reader = this.getReader();
      const branches = [];
      const cancelled = [false, false];
      const reasons = [];
      const ended = deferred();
      let reading = false, again = false;
      const pull = async () => {
        if (reading) {
          again = true;
          return;
        }
        reading = true;
        try {
          const { value, done } = await reader.read();
          reading = false;
          branches.forEach((branch, i) => {
            if (cancelled[i]) return;
            if (done) branch.close();
            else branch.enqueue(value);
          });
          if (done) ended.resolve(undefined);
        } catch (error) {
          for (const branch of branches) branch.error(error);
          ended.resolve(undefined);
        }
        if (again) {
          again = false;
          pull();
        }
      };
      const branch = i => new ReadableStream({
        start(controller) { branches[i] = controller; },
        pull,
        cancel(reason) {
          cancelled[i] = true;
          reasons[i] = reason;
          if (cancelled[0] && cancelled[1]) ended.resolve(reader.cancel([reasons[0], reasons[1]]));
          return ended.promise;
        },
      });
      return [branch(0), branch(1)];
    }

    pipeThrough(pair, options = {}) {
      if (!(pair?.readable instanceof ReadableStream) || !(pair.writable instanceof web.WritableStream)) throw withCode(new TypeError('pipeThrough needs {readable, writable}'), 'ERR_INVALID_ARG_TYPE');
      this.pipeTo(pair.writable, options).catch(() => {});
      return pair.readable;
    }

    async pipeTo(target, { preventClose = false, preventAbort = false, preventCancel = false, signal = undefined } = {}) {
      if (!(target instanceof web.WritableStream)) throw withCode(new TypeError('pipeTo needs a WritableStream'), 'ERR_INVALID_ARG_TYPE');
      const reader = this.getReader();
      const writer = target.getWriter();
      const stopped = deferred();
      if (signal?.aborted) stopped.reject(signal.reason);
      else if (signal !== undefined) web.onAbort(signal, reason => stopped.reject(reason));
      let from = 'source';
      try {
        for (;;) {
          from = 'target';
          await Promise.race([writer.ready, stopped.promise]);
          from = 'source';
          const { value, done } = await Promise.race([reader.read(), stopped.promise, writer.closed.then(() => new Promise(() => {}), error => { from = 'target'; throw error; })]);
          if (done) break;
          writer.write(value).catch(() => {});
        }
        from = 'target';
        if (!preventClose) await writer.close();
        else await writer.ready;
      } catch (error) {
        const both = signal?.aborted === true;
        if ((from === 'source' || both) && !preventAbort) await writer.abort(error).catch(() => {});
        if ((from === 'target' || both) && !preventCancel) await reader.cancel(error).catch(() => {});
        throw error;
      } finally {
        reader.releaseLock();
        writer.releaseLock();
      }
    }

    values({ preventCancel = false } = {}) {
      const reader = this.getReader();
      let finished = false;
      return Object.create(ASYNC_ITERATOR_PROTOTYPE, {
        next: {
          value: async () => {
            if (finished) return { value: undefined, done: true };
            try {
              const result = await reader.read();
              if (result.done) {
                finished = true;
                reader.releaseLock();
              }
              return result;
            } catch (error) {
              finished = true;
              reader.releaseLock();
              throw error;
            }
          },
        },
        return: {
          value: async value => {
            if (finished) return { value, done: true };
            finished = true;
            const cancelled = preventCancel ? undefined : reader.cancel(value);
            reader.releaseLock();
            await cancelled;
            return { value, done: true };
          },
        },
      });
    }
  }
  exposeClass('ReadableStream', ReadableStream);
  Object.defineProperty(ReadableStream.prototype, Symbol.asyncIterator, { value: ReadableStream.prototype.values, configurable: true, writable: true });
  showAs(ReadableStream, function () { return `ReadableStream { locked: ${this.locked}, state: '${stateOf(this).state}', supportsBYOB: false }`; });
  web.streamIsDisturbed = stream => stateOf(stream).disturbed;
}
