// SPDX-License-Identifier: Apache-2.0
// URL and URLSearchParams (WHATWG URL). The worker parses and writes, src/worker/web_url*.c.

{
  const HREF = 0, ORIGIN = 1, PROTOCOL = 2, USERNAME = 3, PASSWORD = 4, HOST = 5, HOSTNAME = 6, PORT = 7, PATHNAME = 8, SEARCH = 9, HASH = 10;
  // The numbers of enum url_part.
  const SET = { [PROTOCOL]: 1, [USERNAME]: 2, [PASSWORD]: 3, [HOST]: 4, [HOSTNAME]: 5, [PORT]: 6, [PATHNAME]: 7, [SEARCH]: 8, [HASH]: 9 };
  const PLAIN_FORM = /^[A-Za-z0-9*._-]*$/;
  let setParams; // of URLSearchParams: what a URL does to its own
  let ownParams;

  const parseParts = (url, base) => host.parseUrl(`${url}`, base === undefined ? undefined : `${base}`);

  function partsOf(url, base) {
    const text = `${url}`;
    const parts = parseParts(text, base);
    if (parts !== undefined) return parts.split('\n');
    const error = withCode(new TypeError('Invalid URL'), 'ERR_INVALID_URL');
    error.input = text;
    if (base !== undefined) error.base = `${base}`;
    throw error;
  }

  class URL {
    #parts;
    #params;

    constructor(url, base = undefined) {
      needArguments(arguments.length, 1, 'URL');
      this.#parts = partsOf(url, base);
    }

    static canParse(url, base = undefined) {
      needArguments(arguments.length, 1, 'canParse');
      return parseParts(url, base) !== undefined;
    }

    static parse(url, base = undefined) {
      needArguments(arguments.length, 1, 'parse');
      return URL.canParse(url, base) ? new URL(url, base) : null;
    }

    #set(part, value) {
      this.#parts = host.setUrl(this.#parts[HREF], SET[part], `${value}`).split('\n');
      if (part === SEARCH && this.#params !== undefined) setParams(this.#params, this.#parts[SEARCH].slice(1));
    }

    static {
      // When its parameters change.
      web.setQuery = (url, text) => {
        url.#parts = host.setUrl(url.#parts[HREF], SET[SEARCH], text === '' ? '' : `?${text}`).split('\n');
      };
    }

    get href() { return this.#parts[HREF]; }
    set href(value) {
      this.#parts = partsOf(value);
      if (this.#params !== undefined) setParams(this.#params, this.#parts[SEARCH].slice(1));
    }

    get origin() { return this.#parts[ORIGIN]; }
    get protocol() { return this.#parts[PROTOCOL]; }
    set protocol(value) { this.#set(PROTOCOL, value); }
    get username() { return this.#parts[USERNAME]; }
    set username(value) { this.#set(USERNAME, value); }
    get password() { return this.#parts[PASSWORD]; }
    set password(value) { this.#set(PASSWORD, value); }
    get host() { return this.#parts[HOST]; }
    set host(value) { this.#set(HOST, value); }
    get hostname() { return this.#parts[HOSTNAME]; }
    set hostname(value) { this.#set(HOSTNAME, value); }
    get port() { return this.#parts[PORT]; }
    set port(value) { this.#set(PORT, value); }
    get pathname() { return this.#parts[PATHNAME]; }
    set pathname(value) { this.#set(PATHNAME, value); }
    get search() { return this.#parts[SEARCH]; }
    set search(value) { this.#set(SEARCH, value); }
    get hash() { return this.#parts[HASH]; }
    set hash(value) { this.#set(HASH, value); }

    get searchParams() {
      this.#params ??= ownParams(this, this.#parts[SEARCH].slice(1));
      return this.#params;
    }

    toString() { return this.#parts[HREF]; }
    toJSON() { return this.#parts[HREF]; }
  }
  exposeClass('URL', URL);

  class Shown {}
  Object.defineProperty(Shown, 'name', { value: 'URL' });
  showAs(URL, function () {
    const { href, origin, protocol, username, password, host: hostText, hostname, port, pathname, search, searchParams, hash } = this;
    return Object.assign(new Shown(), { href, origin, protocol, username, password, host: hostText, hostname, port, pathname, search, searchParams, hash });
  });

  const decode = text => /[%+]/.test(text) ? host.formDecode(text) : scalarText(text);
  const encode = text => PLAIN_FORM.test(text) ? text : host.formEncode(text);

  function readForm(text) {
    const list = [];
    for (const pair of text.split('&')) {
      if (pair === '') continue;
      const at = pair.indexOf('=');
      list.push(at < 0 ? [decode(pair), ''] : [decode(pair.slice(0, at)), decode(pair.slice(at + 1))]);
    }
    return list;
  }

  const writeForm = list => list.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
  web.writeForm = writeForm;
  web.readForm = readForm;

  function readInit(init) {
    if (typeof init !== 'object' && typeof init !== 'function') {
      const text = scalarText(init);
      return readForm(text.startsWith('?') ? text.slice(1) : text);
    }
    const iterate = init[Symbol.iterator];
    if (iterate === undefined || iterate === null) {
      const list = new Map();
      for (const name of Reflect.ownKeys(init)) {
        if (Object.prototype.propertyIsEnumerable.call(init, name)) list.set(scalarText(name), scalarText(init[name]));
      }
      return [...list];
    }
    if (typeof iterate !== 'function') throw withCode(new TypeError('Query pairs must be iterable'), 'ERR_ARG_NOT_ITERABLE');
    const list = [];
    for (const pair of init) {
      if (pair === null || (typeof pair !== 'object' && typeof pair !== 'function') || typeof pair[Symbol.iterator] !== 'function') {
        throw withCode(new TypeError('Each query pair must be an iterable [name, value] tuple'), 'ERR_INVALID_TUPLE');
      }
      const both = [...pair];
      if (both.length !== 2) throw withCode(new TypeError('Each query pair must be an iterable [name, value] tuple'), 'ERR_INVALID_TUPLE');
      list.push([scalarText(both[0]), scalarText(both[1])]);
    }
    return list;
  }

  const iteratorPrototype = Object.create(Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())), {
    [Symbol.toStringTag]: { value: 'URLSearchParams Iterator', configurable: true },
  });

  class URLSearchParams {
    #list = [];
    #url; // whose query it is

    constructor(init = undefined) {
      if (init !== undefined && init !== null) this.#list = readInit(init);
    }

    static {
      ownParams = (url, text) => {
        const params = new URLSearchParams();
        params.#url = url;
        params.#list = readForm(text);
        return params;
      };
      setParams = (params, text) => { params.#list = readForm(text); };
    }

    #changed() {
      if (this.#url !== undefined) web.setQuery(this.#url, writeForm(this.#list));
    }

    get size() { return this.#list.length; }

    append(name, value) {
      needArguments(arguments.length, 2, 'append');
      this.#list.push([scalarText(name), scalarText(value)]);
      this.#changed();
    }

    delete(name, value = undefined) {
      needArguments(arguments.length, 1, 'delete');
      name = scalarText(name);
      if (value !== undefined) value = scalarText(value);
      this.#list = this.#list.filter(pair => pair[0] !== name || (value !== undefined && pair[1] !== value));
      this.#changed();
    }

    get(name) {
      needArguments(arguments.length, 1, 'get');
      name = scalarText(name);
      return this.#list.find(pair => pair[0] === name)?.[1] ?? null;
    }

    getAll(name) {
      needArguments(arguments.length, 1, 'getAll');
      name = scalarText(name);
      return this.#list.filter(pair => pair[0] === name).map(pair => pair[1]);
    }

    has(name, value = undefined) {
      needArguments(arguments.length, 1, 'has');
      name = scalarText(name);
      if (value !== undefined) value = scalarText(value);
      return this.#list.some(pair => pair[0] === name && (value === undefined || pair[1] === value));
    }

    set(name, value) {
      needArguments(arguments.length, 2, 'set');
      name = scalarText(name);
      const first = this.#list.findIndex(pair => pair[0] === name);
      if (first < 0) {
        this.#list.push([name, scalarText(value)]);
      } else {
        this.#list[first][1] = scalarText(value);
        this.#list = this.#list.filter((pair, i) => i <= first || pair[0] !== name);
      }
      this.#changed();
    }

    sort() {
      this.#list.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
      this.#changed();
    }

    forEach(callback, thisValue = undefined) {
      needArguments(arguments.length, 1, 'forEach');
      if (typeof callback !== 'function') throw withCode(new TypeError('forEach needs a function'), 'ERR_INVALID_ARG_TYPE');
      for (let i = 0; i < this.#list.length; i++) callback.call(thisValue, this.#list[i][1], this.#list[i][0], this);
    }

    #iterate(pick) {
      let i = 0;
      const next = () => i < this.#list.length ? { value: pick(this.#list[i++]), done: false } : { value: undefined, done: true };
      return Object.create(iteratorPrototype, { next: { value: next } });
    }

    entries() { return this.#iterate(([name, value]) => [name, value]); }
    keys() { return this.#iterate(pair => pair[0]); }
    values() { return this.#iterate(pair => pair[1]); }
    toString() { return writeForm(this.#list); }
  }
  exposeClass('URLSearchParams', URLSearchParams);
  Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, { value: URLSearchParams.prototype.entries, configurable: true, writable: true });
  showAs(URLSearchParams, function () {
    const list = [...this].map(([name, value]) => `${inspect(name)} => ${inspect(value)}`);
    return list.length === 0 ? 'URLSearchParams {}' : `URLSearchParams { ${list.join(', ')} }`;
  });
}
