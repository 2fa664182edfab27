// SPDX-License-Identifier: Apache-2.0
// WritableStream and TransformStream (WHATWG Streams §5, §6), the strategies for counting, and the
// streams that transform: text, compression.

{
  const SECRET = Symbol('inside');
  let sinkOf; // of a stream
  const invalid = message => withCode(new TypeError(`Invalid state: ${message}`), 'ERR_INVALID_STATE');

  // Chunks go one at a time; a close is the last one.
  class Sink {
    state = 'writable'; // erroring and errored, closed
    error = undefined;
    writer = undefined;
    queue = []; // {chunk, size, done} or {close: true, done}
    total = 0;
    started = false;
    busy = false;
    closing = false;
    abortController = web.AbortController && new web.AbortController();

    constructor(strategy, { write, close, abort }) {
      Object.assign(this, { strategy, writeTo: write, closeTo: close, abortTo: abort });
    }

    get desired() {
      return this.state === 'errored' || this.state === 'erroring' ? null : this.state === 'closed' ? 0 : this.strategy.mark - this.total;
    }

    get full() { return this.state === 'writable' && !this.closing && this.desired <= 0; }

    start(result) {
      this.updateReady();
      Promise.resolve(result).then(() => {
        this.started = true;
        this.advance();
      }, error => {
        this.started = true;
        this.fail(error);
      });
    }

    updateReady() {
      if (this.writer === undefined) return;
      if (this.full) this.writer.wait();
      else if (this.state === 'writable') this.writer.ready.resolve(undefined);
    }

    fail(error) {
      if (this.state !== 'writable') return;
      this.state = 'erroring';
      this.error = error;
      this.writer?.refuse(error);
      if (!this.busy && this.started) this.finishError();
    }

    finishError() {
      this.state = 'errored';
      for (const entry of this.queue.splice(0)) entry.done.reject(this.error);
      this.total = 0;
      const { aborting } = this;
      this.aborting = undefined;
      if (aborting !== undefined) {
        Promise.resolve().then(() => this.abortTo?.(aborting.reason)).then(() => aborting.done.resolve(undefined), error => aborting.done.reject(error));
      }
      this.writer?.closed.reject(this.error);
    }

    async advance() {
      if (!this.started || this.busy) return;
      if (this.state === 'erroring') {
        this.finishError();
        return;
      }
      const entry = this.queue[0];
      if (entry === undefined || this.state !== 'writable') return;
      this.busy = true;
      try {
        await (entry.close ? this.closeTo?.() : this.writeTo?.(entry.chunk));
        this.queue.shift();
        this.busy = false;
        if (entry.close) {
          this.finishClose();
          entry.done.resolve(undefined);
          return;
        }
        this.total -= entry.size;
        entry.done.resolve(undefined);
        this.updateReady();
      } catch (error) {
        this.queue.shift();
        this.busy = false;
        entry.done.reject(error);
        if (this.state === 'writable') this.fail(error);
      }
      this.advance();
    }

    finishClose() {
      this.state = 'closed';
      this.aborting?.done.resolve(undefined);
      this.writer?.ready.resolve(undefined);
      this.writer?.closed.resolve(undefined);
    }

    write(chunk) {
      if (this.state === 'errored' || this.state === 'erroring') return Promise.reject(this.error);
      if (this.closing || this.state === 'closed') return Promise.reject(invalid('WritableStream is closed'));
      let size;
      try {
        size = checkSize(this.strategy.size(chunk));
      } catch (error) {
        this.fail(error);
        return Promise.reject(error);
      }
      const done = deferred();
      this.queue.push({ chunk, size, done });
      this.total += size;
      this.updateReady();
      this.advance();
      return done.promise;
    }

    close() {
      if (this.state === 'errored') return Promise.reject(this.error);
      if (this.closing || this.state === 'closed') return Promise.reject(invalid('Failure closing WritableStream'));
      const done = deferred();
      this.closing = true;
      this.queue.push({ close: true, size: 0, done });
      if (this.state === 'writable') this.writer?.ready.resolve(undefined);
      this.advance();
      return done.promise;
    }

    async abort(reason) {
      if (this.state === 'closed' || this.state === 'errored') return undefined;
      this.abortController?.abort(reason);
      if (this.aborting !== undefined) return this.aborting.done.promise;
      this.aborting = { reason, done: deferred() };
      const { promise } = this.aborting.done;
      if (this.state === 'writable') this.fail(reason);
      else if (!this.busy && this.started) this.finishError();
      return promise;
    }
  }

  class WritableStreamDefaultController {
    #sink;

    constructor(permit, sink) {
      if (permit !== SECRET) throw illegalConstructor();
      this.#sink = sink;
    }

    get signal() { return this.#sink.abortController.signal; }
    error(error = undefined) { this.#sink.fail(error); }
  }
  exposeClass('WritableStreamDefaultController', WritableStreamDefaultController);

  class WritableStreamDefaultWriter {
    #sink;
    #ends = { // what the sink knows of its writer
      ready: deferred(),
      closed: deferred(),
      isWaiting: true,
      wait() {
        if (this.isWaiting) return;
        this.ready = deferred();
        this.isWaiting = true;
      },
      refuse(error) {
        this.ready.reject(error);
        this.ready = deferred();
        this.ready.reject(error);
      },
    };

    constructor(stream) {
      if (!(stream instanceof WritableStream)) throw withCode(new TypeError('The "stream" argument must be an instance of WritableStream.'), 'ERR_INVALID_ARG_TYPE');
      const sink = sinkOf(stream);
      if (sink.writer !== undefined) throw invalid('WritableStream is locked');
      this.#sink = sink;
      const ends = this.#ends;
      const { resolve } = ends.ready;
      ends.ready.resolve = value => {
        ends.isWaiting = false;
        resolve(value);
      };
      ends.wait = () => {
        if (ends.isWaiting) return;
        ends.ready = deferred();
        ends.isWaiting = true;
        const settle = ends.ready.resolve;
        ends.ready.resolve = value => {
          ends.isWaiting = false;
          settle(value);
        };
      };
      sink.writer = ends;
      if (sink.state === 'erroring' || sink.state === 'errored') ends.ready.reject(sink.error);
      else if (!sink.full) ends.ready.resolve(undefined);
      if (sink.state === 'closed') ends.closed.resolve(undefined);
      if (sink.state === 'errored') ends.closed.reject(sink.error);
    }

    #need() {
      if (this.#sink === undefined) throw invalid('Writer is not bound to a WritableStream');
      return this.#sink;
    }

    get closed() { return this.#ends.closed.promise; }
    get ready() { return this.#ends.ready.promise; }
    get desiredSize() { return this.#need().desired; }
    async write(chunk = undefined) { return this.#need().write(chunk); }
    async close() { return this.#need().close(); }
    async abort(reason = undefined) { return this.#need().abort(reason); }

    releaseLock() {
      if (this.#sink === undefined) return;
      const error = invalid('Writer has been released');
      this.#ends.refuse(error);
      if (this.#sink.state === 'closed' || this.#sink.state === 'errored') this.#ends.closed = deferred();
      this.#ends.closed.reject(error);
      this.#sink.writer = undefined;
      this.#sink = undefined;
    }
  }
  exposeClass('WritableStreamDefaultWriter', WritableStreamDefaultWriter);

  class WritableStream {
    #sink;

    constructor(underlying = {}, strategy = {}) {
      if (underlying?.type !== undefined) throw withCode(new RangeError(`The property 'sink.type' is invalid: ${underlying.type}`), 'ERR_INVALID_ARG_VALUE');
      let controller;
      const write = streamMethod(underlying, 'write');
      const close = streamMethod(underlying, 'close');
      const abort = streamMethod(underlying, 'abort');
      const start = streamMethod(underlying, 'start');
      this.#sink = new Sink(streamStrategy(strategy, 1), { write: write && (chunk => write(chunk, controller)), close, abort });
      controller = new WritableStreamDefaultController(SECRET, this.#sink);
      this.#sink.start(start?.(controller));
    }

    static {
      sinkOf = stream => stream.#sink;
    }

    get locked() { return this.#sink.writer !== undefined; }
    getWriter() { return new WritableStreamDefaultWriter(this); }

    async close() {
      if (this.locked) throw invalid('WritableStream is locked');
      return this.#sink.close();
    }

    async abort(reason = undefined) {
      if (this.locked) throw invalid('WritableStream is locked');
      return this.#sink.abort(reason);
    }
  }
  exposeClass('WritableStream', WritableStream);
  showAs(WritableStream, function () { return `WritableStream { locked: ${this.locked}, state: '${sinkOf(this).state}' }`; });

  class TransformStreamDefaultController {
    #ends;

    constructor(permit, ends) {
      if (permit !== SECRET) throw illegalConstructor();
      this.#ends = ends;
    }

    get desiredSize() { return this.#ends.reading.desiredSize; }
    enqueue(chunk = undefined) { this.#ends.enqueue(chunk); }
    error(error = undefined) { this.#ends.fail(error); }
    terminate() { this.#ends.terminate(); }
  }
  exposeClass('TransformStreamDefaultController', TransformStreamDefaultController);

  class TransformStream {
    #readable;
    #writable;

    constructor(transformer = {}, writableStrategy = {}, readableStrategy = {}) {
      const transform = streamMethod(transformer, 'transform');
      const flush = streamMethod(transformer, 'flush');
      const start = streamMethod(transformer, 'start');
      const cancel = streamMethod(transformer, 'cancel');
      let wanted = deferred(); // the reading side has room
      const ends = {
        reading: undefined,
        writing: undefined,
        enqueue: chunk => {
          ends.reading.enqueue(chunk);
          if (ends.reading.desiredSize <= 0 && ends.settled) {
            ends.settled = false;
            wanted = deferred();
          }
        },
        settled: false,
        fail: error => {
          ends.reading.error(error);
          ends.writing.error(error);
          wanted.resolve(undefined);
        },
        terminate: () => {
          ends.reading.close();
          ends.writing.error(invalid('TransformStream has been terminated'));
          wanted.resolve(undefined);
        },
      };
      const controller = new TransformStreamDefaultController(SECRET, ends);
      const begun = deferred();
      this.#readable = new web.ReadableStream({
        start(c) {
          ends.reading = c;
          return begun.promise;
        },
        pull() {
          ends.settled = true;
          wanted.resolve(undefined);
        },
        async cancel(reason) {
          try {
            await cancel?.(reason);
          } finally {
            ends.writing.error(reason);
            wanted.resolve(undefined);
          }
        },
      }, { highWaterMark: 0, ...readableStrategy });
      this.#writable = new WritableStream({
        start(c) {
          ends.writing = c;
          return begun.promise;
        },
        async write(chunk) {
          await wanted.promise;
          try {
            if (transform !== undefined) await transform(chunk, controller);
            else ends.enqueue(chunk);
          } catch (error) {
            ends.fail(error);
            throw error;
          }
        },
        async close() {
          try {
            await flush?.(controller);
          } catch (error) {
            ends.fail(error);
            throw error;
          }
          try {
            ends.reading.close();
          } catch {
            // It was terminated, or has failed.
          }
        },
        async abort(reason) {
          await cancel?.(reason);
          ends.reading.error(reason);
        },
      }, writableStrategy);
      begun.resolve(start?.(controller));
    }

    get readable() { return this.#readable; }
    get writable() { return this.#writable; }
  }
  exposeClass('TransformStream', TransformStream);

  class CountQueuingStrategy {
    #mark;
    constructor({ highWaterMark }) { this.#mark = Number(highWaterMark); }
    get highWaterMark() { return this.#mark; }
    get size() { return () => 1; }
  }
  exposeClass('CountQueuingStrategy', CountQueuingStrategy);

  class ByteLengthQueuingStrategy {
    #mark;
    constructor({ highWaterMark }) { this.#mark = Number(highWaterMark); }
    get highWaterMark() { return this.#mark; }
    get size() { return chunk => chunk.byteLength; }
  }
  exposeClass('ByteLengthQueuingStrategy', ByteLengthQueuingStrategy);

  // A class with the two ends of a transform.
  class Pair {
    #transform;
    constructor(transformer) { this.#transform = new TransformStream(transformer); }
    get readable() { return this.#transform.readable; }
    get writable() { return this.#transform.writable; }
  }

  function exposePair(name, Class) {
    for (const end of ['readable', 'writable']) Object.defineProperty(Class.prototype, end, { ...Object.getOwnPropertyDescriptor(Pair.prototype, end), enumerable: true });
    exposeClass(name, Class);
  }

  class TextEncoderStream extends Pair {
    constructor() {
      let high = ''; // a surrogate that waits for its partner
      super({
        transform(chunk, controller) {
          let text = high + chunk;
          high = /[\ud800-\udbff]$/.test(text) ? text.at(-1) : '';
          if (high !== '') text = text.slice(0, -1);
          if (text !== '') controller.enqueue(encodeUtf8(text));
        },
        flush(controller) { if (high !== '') controller.enqueue(encodeUtf8(high)); },
      });
    }

    get encoding() { return 'utf-8'; }
  }
  exposePair('TextEncoderStream', TextEncoderStream);

  class TextDecoderStream extends Pair {
    #decoder;
    constructor(label = 'utf-8', options = {}) {
      const decoder = new web.TextDecoder(label, options);
      super({
        transform(chunk, controller) {
          const text = decoder.decode(chunk, { stream: true });
          if (text !== '') controller.enqueue(text);
        },
        flush(controller) {
          const text = decoder.decode();
          if (text !== '') controller.enqueue(text);
        },
      });
      this.#decoder = decoder;
    }

    get encoding() { return this.#decoder.encoding; }
    get fatal() { return this.#decoder.fatal; }
    get ignoreBOM() { return this.#decoder.ignoreBOM; }
  }
  exposePair('TextDecoderStream', TextDecoderStream);

  const FORMATS = ['gzip', 'deflate', 'deflate-raw'];

  // The worker keeps no state between calls: all chunks are worked on when the last one has come.
  function collecting(format, run) {
    const number = FORMATS.indexOf(`${format}`);
    if (number < 0) throw withCode(new TypeError(`Unsupported compression format: ${format}`), 'ERR_INVALID_ARG_VALUE');
    const chunks = [];
    return {
      transform(chunk) { chunks.push(new Uint8Array(needBytes(chunk, 'a chunk'))); },
      flush(controller) {
        const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
        let at = 0;
        for (const chunk of chunks.splice(0)) {
          all.set(chunk, at);
          at += chunk.length;
        }
        const out = run(number, all);
        if (out === undefined) throw withCode(new TypeError(`the bytes are not a whole ${format} stream`), 'ERR_INVALID_ARG_VALUE');
        if (out.length > 0) controller.enqueue(out);
      },
    };
  }

  class CompressionStream extends Pair {
    constructor(format) { super(collecting(format, host.deflate)); }
  }
  exposePair('CompressionStream', CompressionStream);

  class DecompressionStream extends Pair {
    constructor(format) { super(collecting(format, host.inflate)); }
  }
  exposePair('DecompressionStream', DecompressionStream);
}
