// SPDX-License-Identifier: Apache-2.0
// fetch, Headers, Request and Response (Fetch standard). The requests themselves are done by another
// process, and which destinations are allowed is judged there (src/worker/fetch.c, src/fetcher).

{
  const { parse, stringify } = JSON;
  const NULL_BODY = new Set([101, 103, 204, 205, 304]);
  const REDIRECTS = new Set([301, 302, 303, 307, 308]);
  const REDIRECT_MODES = ['follow', 'error', 'manual']; // as enum fetcher_redirect
  const NOT_ALLOWED = 1, BAD_REQUEST = 2; // as enum fetcher_problem
  const NORMALIZED = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT']);
  const FORBIDDEN = new Set(['CONNECT', 'TRACE', 'TRACK']);
  const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

  // As undici's, whose errors of this kind have no code.
  function need(given, needed, what) {
    if (given < needed) throw new TypeError(`${what}: ${needed} argument${needed > 1 ? 's' : ''} required, but only ${given} present.`);
  }

  // ---- Headers ----

  function byteText(value, what) {
    const text = `${value}`;
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 255) throw new TypeError(`${what} has a character at index ${i} that is no byte: ${text.charCodeAt(i)} is greater than 255`);
    }
    return text;
  }

  function headerName(name) {
    const text = byteText(name, 'the name of a header');
    if (!TOKEN.test(text)) throw new TypeError(`${stringify(text)} is no name of a header`);
    return text.toLowerCase();
  }

  function headerValue(value, name) {
    const text = byteText(value, `the value of the header ${name}`).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '');
    if (/[\0\n\r]/.test(text)) throw new TypeError(`the value of the header ${name} has a character that is not allowed`);
    return text;
  }

  let listOf; // of Headers: [name, value]…, names in lower case
  let freeze;

  class Headers {
    #list = [];
    #immutable = false;

    constructor(init = undefined) {
      if (init === undefined) return;
      if (init === null || (typeof init !== 'object' && typeof init !== 'function')) throw new TypeError('headers must be an object, a list of pairs or Headers');
      if (init instanceof Headers) {
        this.#list = init.#list.map(pair => [...pair]);
      } else if (typeof init[Symbol.iterator] === 'function') {
        for (const pair of init) {
          const [name, value, ...more] = pair;
          if (value === undefined || more.length > 0) throw new TypeError('each of a list of headers must be a pair of name and value');
          this.append(name, value);
        }
      } else {
        for (const name of Reflect.ownKeys(init)) if (Object.getOwnPropertyDescriptor(init, name)?.enumerable) this.append(name, init[name]);
      }
    }

    static {
      listOf = headers => headers.#list;
      freeze = headers => {
        headers.#immutable = true;
        return headers;
      };
    }

    #change() {
      if (this.#immutable) throw new TypeError('these headers are immutable');
    }

    append(name, value) {
      need(arguments.length, 2, 'Headers.append');
      const key = headerName(name);
      const text = headerValue(value, key);
      this.#change();
      this.#list.push([key, text]);
    }

    set(name, value) {
      need(arguments.length, 2, 'Headers.set');
      const key = headerName(name);
      const text = headerValue(value, key);
      this.#change();
      const at = this.#list.findIndex(pair => pair[0] === key);
      this.#list = this.#list.filter((pair, i) => pair[0] !== key || i === at);
      if (at < 0) this.#list.push([key, text]);
      else this.#list[at][1] = text;
    }

    delete(name) {
      need(arguments.length, 1, 'Headers.delete');
      const key = headerName(name);
      this.#change();
      this.#list = this.#list.filter(pair => pair[0] !== key);
    }

    get(name) {
      need(arguments.length, 1, 'Headers.get');
      const key = headerName(name);
      const values = this.#list.filter(pair => pair[0] === key);
      return values.length > 0 ? values.map(pair => pair[1]).join(', ') : null;
    }

    has(name) {
      need(arguments.length, 1, 'Headers.has');
      const key = headerName(name);
      return this.#list.some(pair => pair[0] === key);
    }

    getSetCookie() {
      return this.#list.filter(pair => pair[0] === 'set-cookie').map(pair => pair[1]);
    }

    // Sorted, of each name once, but for cookies.
    #sorted() {
      const pairs = [];
      for (const name of [...new Set(this.#list.map(pair => pair[0]))].sort()) {
        if (name === 'set-cookie') for (const cookie of this.getSetCookie()) pairs.push([name, cookie]);
        else pairs.push([name, this.get(name)]);
      }
      return pairs;
    }

    forEach(callback, self = undefined) {
      need(arguments.length, 1, 'Headers.forEach');
      if (typeof callback !== 'function') throw new TypeError('Headers.forEach needs a function');
      for (const [name, value] of this.#sorted()) callback.call(self, value, name, this);
    }

    *entries() { yield* this.#sorted(); }
    *keys() { for (const [name] of this.#sorted()) yield name; }
    *values() { for (const [, value] of this.#sorted()) yield value; }
  }
  Object.defineProperty(Headers.prototype, Symbol.iterator, { value: Headers.prototype.entries, writable: true, configurable: true });
  exposeClass('Headers', Headers);
  showAs(Headers, function (depth) {
    return depth < 0 ? '[Headers]' : `Headers ${inspect(Object.fromEntries([...this].map(([name]) => [name, name === 'set-cookie' ? this.getSetCookie() : this.get(name)])))}`;
  });

  // ---- bodies ----

  // What an init's body is: {bytes or text, later, type}.
  function extract(body) {
    if (body === undefined || body === null) return null;
    if (typeof body === 'string') return { text: scalarText(body), type: 'text/plain;charset=UTF-8' };
    if (body instanceof web.URLSearchParams) return { text: String(body), type: 'application/x-www-form-urlencoded;charset=UTF-8' };
    if (body instanceof web.FormData) return web.multipart(body);
    if (body instanceof web.Blob) return { bytes: web.blobBytes(body), type: body.type === '' ? undefined : body.type };
    const bytes = bytesOf(body);
    if (bytes !== undefined) return { bytes: bytes.slice() };
    if (typeof body[Symbol.asyncIterator] === 'function') return { later: () => gather(body) };
    return { text: scalarText(body), type: 'text/plain;charset=UTF-8' };
  }

  async function gather(chunks) {
    const parts = [];
    let length = 0;
    for await (const chunk of chunks) {
      const bytes = typeof chunk === 'string' ? encodeUtf8(chunk) : needBytes(chunk, 'a part of a body');
      parts.push(bytes);
      length += bytes.length;
    }
    const whole = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  // Text or bytes as they are.
  async function contentOf(body) {
    if (body.later !== undefined) {
      body.bytes = bytesOf(await body.later());
      body.later = undefined;
    }
    return body.text ?? body.bytes;
  }

  async function take(state) {
    if (state.body === null) return '';
    if (state.used) throw new TypeError('Body is unusable: Body has already been read');
    state.used = true;
    return contentOf(state.body);
  }

  async function takeBytes(state) {
    const content = await take(state);
    return typeof content === 'string' ? encodeUtf8(content) : content;
  }

  // Bodies come whole, so there is one part.
  function streamOf(state) {
    return new web.ReadableStream({
      async pull(controller) {
        const bytes = await takeBytes(state);
        if (bytes.length > 0) controller.enqueue(bytes);
        controller.close();
      },
      cancel() { state.used = true; },
    }, { highWaterMark: 0 });
  }

  function lockedCheck(state) {
    if (state.stream?.locked) throw new TypeError('Body is unusable: Body is locked by a reader');
  }

  // A mark that is ignored at the beginning of a text (Encoding standard, "UTF-8 decode").
  async function takeText(state) {
    const content = await take(state);
    const text = typeof content === 'string' ? content : decodeUtf8(content);
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }

  class Body {
    #state = { body: null, used: false, stream: undefined };

    constructor(body) {
      this.#state.body = body;
    }

    static stateOf(object) { return object.#state; }

    get body() {
      const state = this.#state;
      if (state.body === null) return null;
      return state.stream ??= streamOf(state);
    }

    get bodyUsed() { return this.#state.used; }

    async text() {
      lockedCheck(this.#state);
      return takeText(this.#state);
    }

    async json() {
      lockedCheck(this.#state);
      return parse(await takeText(this.#state));
    }

    async bytes() {
      lockedCheck(this.#state);
      return takeBytes(this.#state);
    }

    async arrayBuffer() {
      const bytes = await this.bytes();
      const { buffer } = bytes;
      return bytes.length === buffer.byteLength ? buffer : buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    }

    async blob() {
      const type = this.headers.get('content-type') ?? '';
      return new web.Blob([await this.bytes()], { type });
    }

    async formData() {
      const type = this.headers.get('content-type') ?? '';
      return web.readFormData(await this.bytes(), type);
    }
  }
  const { stateOf } = Body;
  delete Body.stateOf;

  function copyBody(object) {
    const state = stateOf(object);
    if (state.used || state.stream?.locked) throw new TypeError(`${object.constructor.name}.clone: Body has already been consumed.`);
    return state.body;
  }

  function addType(headers, body) {
    if (body?.type !== undefined && !headers.has('content-type')) headers.append('content-type', body.type);
  }

  // Members of Body belong to both classes, which have no common ancestor that can be seen.
  function exposeBodyClass(name, Class) {
    const members = Object.getOwnPropertyDescriptors(Body.prototype);
    delete members.constructor;
    Object.defineProperties(Class.prototype, members);
    Object.setPrototypeOf(Class.prototype, Object.prototype);
    exposeClass(name, Class);
  }

  // console.log shows these members under the name of the class.
  function showMembers(Class, members) {
    class Shown {}
    Object.defineProperty(Shown, 'name', { value: Class.name });
    showAs(Class, function () {
      const shown = new Shown();
      for (const member of members) shown[member] = this[member];
      return shown;
    });
  }

  // ---- Request ----

  function methodOf(value) {
    const method = `${value}`;
    const upper = method.toUpperCase();
    if (!TOKEN.test(method) || FORBIDDEN.has(upper)) throw new TypeError(`'${method}' is not a valid HTTP method.`);
    return NORMALIZED.has(upper) ? upper : method;
  }

  function parsed(input) {
    try {
      return new web.URL(input);
    } catch (error) {
      throw new TypeError(`Failed to parse URL from ${input}`, { cause: error });
    }
  }

  function urlOf(input) {
    const url = parsed(input);
    if (url.username !== '' || url.password !== '') throw new TypeError(`Request cannot be constructed from a URL that includes credentials: ${input}`);
    return url;
  }

  function redirectOf(value) {
    const mode = `${value}`;
    if (!REDIRECT_MODES.includes(mode)) throw new TypeError(`redirect must be follow, error or manual, it is '${mode}'`);
    return mode;
  }

  let partsOf;

  class Request extends Body {
    #parts;

    constructor(input, init = undefined) {
      need(arguments.length, 1, 'Request');
      const options = init ?? {};
      const from = input instanceof Request ? input.#parts : undefined;
      const method = options.method !== undefined ? methodOf(options.method) : from?.method ?? 'GET';
      const url = from !== undefined ? from.url : urlOf(`${input}`);
      const signal = options.signal !== undefined ? options.signal : from?.signal;
      if (signal !== undefined && signal !== null && !(signal instanceof web.AbortSignal)) throw new TypeError('signal must be an AbortSignal');
      const headers = new Headers(options.headers ?? from?.headers);
      const given = options.body ?? null;
      if (given !== null && (method === 'GET' || method === 'HEAD')) throw new TypeError('Request with GET/HEAD method cannot have body.');
      const body = given !== null ? extract(given) : from !== undefined ? copyBody(input) : null;
      if (given === null && body !== null) {
        if (method === 'GET' || method === 'HEAD') throw new TypeError('Request with GET/HEAD method cannot have body.');
        stateOf(input).used = true;
      }
      super(body);
      if (given !== null) addType(headers, body);
      const redirect = options.redirect !== undefined ? redirectOf(options.redirect) : from?.redirect ?? 'follow';
      this.#parts = { method, url, headers, redirect, signal: signal ?? undefined };
    }

    static {
      partsOf = request => request.#parts;
    }

    get method() { return this.#parts.method; }
    get url() { return this.#parts.url.href; }
    get headers() { return this.#parts.headers; }
    get redirect() { return this.#parts.redirect; }
    get signal() { return this.#parts.signal ??= new web.AbortController().signal; }
    get destination() { return ''; }
    get referrer() { return 'about:client'; }
    get referrerPolicy() { return ''; }
    get mode() { return 'cors'; }
    get credentials() { return 'same-origin'; }
    get cache() { return 'default'; }
    get integrity() { return ''; }
    get keepalive() { return false; }
    get duplex() { return 'half'; }

    clone() {
      const body = copyBody(this);
      const { method, redirect, signal, headers } = this.#parts;
      const made = new Request(this.url, { method, redirect, signal, headers });
      stateOf(made).body = body;
      return made;
    }
  }
  exposeBodyClass('Request', Request);
  showMembers(Request, ['method', 'url', 'headers', 'redirect', 'bodyUsed']);

  // ---- Response ----

  let makeResponse;

  class Response extends Body {
    #parts;

    constructor(body = null, init = undefined) {
      const { status = 200, statusText = '', headers: given } = init ?? {};
      const number = Number(status);
      if (!(number >= 200 && number <= 599) || !Number.isInteger(number)) throw new RangeError('init["status"] must be in the range of 200 to 599, inclusive.');
      const words = byteText(statusText, 'statusText');
      if (/[\0-\x08\n-\x1f\x7f]/.test(words)) throw new TypeError('Invalid statusText');
      const headers = new Headers(given);
      const content = extract(body);
      if (content !== null && NULL_BODY.has(number)) throw new TypeError(`Response constructor: Invalid response status code ${number}`);
      super(content);
      addType(headers, content);
      this.#parts = { type: 'default', status: number, statusText: words, headers, url: '', redirected: false };
    }

    static {
      makeResponse = (parts, body) => {
        const made = new Response();
        made.#parts = parts;
        stateOf(made).body = body;
        return made;
      };
    }

    static error() {
      return makeResponse({ type: 'error', status: 0, statusText: '', headers: freeze(new Headers()), url: '', redirected: false }, null);
    }

    static json(data, init = undefined) {
      need(arguments.length, 1, 'Response.json');
      const text = stringify(data);
      if (text === undefined) throw new TypeError('Value is not JSON serializable');
      const headers = new Headers(init?.headers);
      if (!headers.has('content-type')) headers.set('content-type', 'application/json');
      return new Response(text, { ...init, headers });
    }

    static redirect(url, status = 302) {
      need(arguments.length, 1, 'Response.redirect');
      const { href } = parsed(`${url}`);
      if (!REDIRECTS.has(Number(status))) throw new RangeError(`Invalid status code ${status}`);
      return makeResponse({ type: 'default', status: Number(status), statusText: '', headers: freeze(new Headers({ location: href })), url: '', redirected: false }, null);
    }

    get type() { return this.#parts.type; }
    get url() { return this.#parts.url; }
    get redirected() { return this.#parts.redirected; }
    get status() { return this.#parts.status; }
    get ok() { return this.#parts.status >= 200 && this.#parts.status <= 299; }
    get statusText() { return this.#parts.statusText; }
    get headers() { return this.#parts.headers; }

    clone() {
      const body = copyBody(this);
      return makeResponse({ ...this.#parts, headers: new Headers(this.#parts.headers) }, body);
    }
  }
  exposeBodyClass('Response', Response);
  showMembers(Response, ['status', 'statusText', 'headers', 'bodyUsed', 'ok', 'redirected', 'type', 'url']);

  // ---- fetch ----

  function responseOf(answer, method) {
    const headers = new Headers();
    const list = listOf(headers);
    const parts = answer.headers.split('\0');
    for (let i = 0; i + 1 < parts.length; i += 2) list.push([parts[i].toLowerCase(), parts[i + 1]]);
    const bodiless = method === 'HEAD' || NULL_BODY.has(answer.status);
    return makeResponse({
      type: 'basic', status: answer.status, statusText: answer.reason, headers: freeze(headers), url: answer.url, redirected: answer.redirected,
    }, bodiless ? null : { bytes: answer.body });
  }

  // Errors come when the caller is not on the stack any more: they get the stack of its call.
  function placed(error, stack) {
    return Object.defineProperty(error, 'stack', { value: stack, writable: true, configurable: true });
  }

  function stackOfCall() {
    return new Error().stack.split('\n').filter(line => !line.includes('(sluice:')).join('\n');
  }

  // As Node's, whose cause says more; what only the function's author can change says so at once.
  function errorOf({ problem, code, message }, stack) {
    if (problem === NOT_ALLOWED || problem === BAD_REQUEST) return placed(new TypeError(message), stack);
    const cause = placed(new Error(message), stack);
    if (code !== '') cause.code = code;
    return placed(new TypeError('fetch failed', { cause }), stack);
  }

  async function contentOfRequest(request) {
    const state = stateOf(request);
    if (state.body === null) return undefined;
    if (state.used || state.stream?.locked) throw new TypeError('Cannot construct a Request with a Request object that has already been used.');
    state.used = true;
    return contentOf(state.body);
  }

  function begin({ method, url, headers, redirect }, content, stack) {
    let lines = '';
    for (const [name, value] of headers.entries()) lines += `${name}\0${value}\0`;
    const { href, hash } = url;
    try {
      return host.fetch(method, hash === '' ? href : href.slice(0, href.length - hash.length), lines, content, REDIRECT_MODES.indexOf(redirect));
    } catch (error) {
      throw placed(new TypeError(error.message), stack);
    }
  }

  function send(parts, content, stack) {
    const promise = begin(parts, content, stack);
    const number = host.fetchNumber();
    return new Promise((resolve, reject) => {
      let over = false;
      promise.then(answer => {
        over = true;
        if (answer.problem !== undefined) reject(errorOf(answer, stack));
        else resolve(responseOf(answer, parts.method));
      }, reject);
      if (parts.signal !== undefined) {
        web.onAbort(parts.signal, reason => {
          if (over) return;
          over = true;
          host.endFetch(number);
          reject(reason);
        });
      }
    });
  }

  async function fetch(input, init = undefined) {
    need(arguments.length, 1, 'fetch');
    const request = new Request(input, init);
    const parts = partsOf(request);
    const stack = stackOfCall();
    parts.signal?.throwIfAborted();
    const { protocol } = parts.url;
    if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError('fetch failed', { cause: new Error(`${protocol} URLs are not fetched: http: and https: are`) });
    const content = await contentOfRequest(request);
    parts.signal?.throwIfAborted();
    return send(parts, content, stack);
  }
  exposeGlobal('fetch', fetch);
}
