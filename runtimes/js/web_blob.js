// SPDX-License-Identifier: Apache-2.0
// Blob, File and FormData (W3C File API, XMLHttpRequest §4), and multipart/form-data (RFC 7578).

{
  let contentOf; // the bytes of a blob
  let makeBlob;

  const typeOf = type => {
    const text = `${type}`;
    return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : '';
  };

  function joined(parts) {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  function bytesOfPart(part, endings) {
    if (part instanceof Blob) return contentOf(part);
    const bytes = typeof part === 'object' && part !== null ? bytesOf(part) : undefined;
    if (bytes !== undefined) return bytes;
    const text = `${part}`;
    return encodeUtf8(endings === 'native' ? text.replace(/\r\n?|\n/g, '\n') : text);
  }

  class Blob {
    #bytes;
    #type;

    constructor(parts = [], options = {}) {
      if (typeof parts !== 'object' || parts === null || typeof parts[Symbol.iterator] !== 'function') throw withCode(new TypeError('The "sources" argument must be a sequence.'), 'ERR_INVALID_ARG_TYPE');
      if (options !== null && typeof options !== 'object' && typeof options !== 'function') throw withCode(new TypeError('The "options" argument must be of type object.'), 'ERR_INVALID_ARG_TYPE');
      const { type = '', endings = 'transparent' } = options ?? {};
      if (endings !== 'transparent' && endings !== 'native') throw withCode(new TypeError(`The property 'options.endings' is invalid: ${endings}`), 'ERR_INVALID_ARG_VALUE');
      this.#bytes = joined(Array.from(parts, part => bytesOfPart(part, endings)));
      this.#type = typeOf(type);
    }

    static {
      contentOf = blob => blob.#bytes;
      // Blobs never change, so parts of one share its bytes.
      makeBlob = (bytes, type) => {
        const blob = new Blob([], { type });
        blob.#bytes = bytes;
        return blob;
      };
    }

    get size() { return this.#bytes.length; }
    get type() { return this.#type; }

    slice(start = 0, end = this.size, type = '') {
      return makeBlob(this.#bytes.subarray(Number(start), Number(end)), type);
    }

    async arrayBuffer() { return this.#bytes.slice().buffer; }
    async bytes() { return this.#bytes.slice(); }
    async text() { return decodeUtf8(this.#bytes); }

    stream() {
      const bytes = this.#bytes;
      let at = 0;
      return new web.ReadableStream({
        pull(controller) {
          if (at < bytes.length) controller.enqueue(bytes.slice(at, at += 65536));
          if (at >= bytes.length) controller.close();
        },
      }, { highWaterMark: 0 });
    }
  }
  exposeClass('Blob', Blob);
  showAs(Blob, function () { return `${this.constructor.name} { size: ${this.size}, type: ${inspect(this.type)} }`; });

  class File extends Blob {
    #name;
    #lastModified;

    constructor(parts, name, options = {}) {
      needArguments(arguments.length, 2, 'File');
      super(parts, options);
      this.#name = scalarText(name);
      this.#lastModified = options?.lastModified === undefined ? Date.now() : Math.trunc(Number(options.lastModified)) || 0;
    }

    get name() { return this.#name; }
    get lastModified() { return this.#lastModified; }
    get webkitRelativePath() { return ''; }
  }
  exposeClass('File', File);
  web.cloners.set(Blob, blob => makeBlob(contentOf(blob), blob.type));
  web.cloners.set(File, file => new File([file], file.name, { type: file.type, lastModified: file.lastModified }));
  web.blobBytes = blob => contentOf(blob);

  class FormData {
    #list = [];

    constructor(form = undefined) {
      if (form !== undefined) throw withCode(new TypeError('there are no HTML forms to take the fields from'), 'ERR_INVALID_ARG_TYPE');
    }

    static #entry(name, value, filename, count) {
      if (count > 2 && !(value instanceof Blob)) throw withCode(new TypeError('only a Blob has a file name'), 'ERR_INVALID_ARG_TYPE');
      if (!(value instanceof Blob)) return [scalarText(name), scalarText(value)];
      if (value instanceof File && count < 3) return [scalarText(name), value];
      return [scalarText(name), new File([value], count > 2 ? filename : 'blob', { type: value.type, lastModified: value.lastModified })];
    }

    append(name, value, filename = undefined) {
      needArguments(arguments.length, 2, 'append');
      this.#list.push(FormData.#entry(name, value, filename, arguments.length));
    }

    delete(name) {
      needArguments(arguments.length, 1, 'delete');
      name = scalarText(name);
      this.#list = this.#list.filter(entry => entry[0] !== name);
    }

    get(name) {
      needArguments(arguments.length, 1, 'get');
      name = scalarText(name);
      return this.#list.find(entry => entry[0] === name)?.[1] ?? null;
    }

    getAll(name) {
      needArguments(arguments.length, 1, 'getAll');
      name = scalarText(name);
      return this.#list.filter(entry => entry[0] === name).map(entry => entry[1]);
    }

    has(name) {
      needArguments(arguments.length, 1, 'has');
      name = scalarText(name);
      return this.#list.some(entry => entry[0] === name);
    }

    set(name, value, filename = undefined) {
      needArguments(arguments.length, 2, 'set');
      const entry = FormData.#entry(name, value, filename, arguments.length);
      const first = this.#list.findIndex(one => one[0] === entry[0]);
      if (first < 0) this.#list.push(entry);
      else this.#list = this.#list.with(first, entry).filter((one, i) => i <= first || one[0] !== entry[0]);
    }

    forEach(callback, thisValue = undefined) {
      if (typeof callback !== 'function') throw withCode(new TypeError('forEach needs a function'), 'ERR_INVALID_ARG_TYPE');
      for (const [name, value] of this) callback.call(thisValue, value, name, this);
    }

    * entries() { for (let i = 0; i < this.#list.length; i++) yield [...this.#list[i]]; }
    * keys() { for (const [name] of this.entries()) yield name; }
    * values() { for (const [, value] of this.entries()) yield value; }
  }
  exposeClass('FormData', FormData);
  Object.defineProperty(FormData.prototype, Symbol.iterator, { value: FormData.prototype.entries, configurable: true, writable: true });

  const CRLF = '\r\n';
  const escapeName = name => name.replace(/\r\n?|\n/g, CRLF).replace(/[\r\n"]/g, c => c === '"' ? '%22' : c === '\r' ? '%0D' : '%0A');

  // {bytes, type} of a request body. For fetch.
  web.multipart = form => {
    const boundary = `----formdata-sluice-${host.uuid().replaceAll('-', '')}`;
    const parts = [];
    for (const [name, value] of form) {
      const disposition = `--${boundary}${CRLF}Content-Disposition: form-data; name="${escapeName(name)}"`;
      if (typeof value === 'string') {
        parts.push(encodeUtf8(`${disposition}${CRLF}${CRLF}${value.replace(/\r\n?|\n/g, CRLF)}${CRLF}`));
      } else {
        parts.push(encodeUtf8(`${disposition}; filename="${escapeName(value.name)}"${CRLF}Content-Type: ${value.type || 'application/octet-stream'}${CRLF}${CRLF}`), contentOf(value), encodeUtf8(CRLF));
      }
    }
    parts.push(encodeUtf8(`--${boundary}--${CRLF}`));
    return { bytes: joined(parts), type: `multipart/form-data; boundary=${boundary}` };
  };

  const unescapeName = name => name.replace(/%0A|%0D|%22/gi, c => c === '%22' ? '"' : c.toUpperCase() === '%0D' ? '\r' : '\n');
  const badForm = () => new TypeError('Failed to parse body as FormData.');

  function readHeaders(text) {
    const headers = new Map();
    for (const line of text.split(CRLF)) {
      const at = line.indexOf(':');
      if (at <= 0) throw badForm();
      headers.set(line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim());
    }
    return headers;
  }

  function readPart(form, head, content) {
    const headers = readHeaders(decodeUtf8(head));
    const disposition = headers.get('content-disposition') ?? '';
    const name = /^form-data\s*;(?:.*;)?\s*name="([^"]*)"/i.exec(disposition)?.[1];
    if (name === undefined) throw badForm();
    const filename = /;\s*filename="([^"]*)"/i.exec(disposition)?.[1];
    if (filename === undefined) form.append(unescapeName(name), decodeUtf8(content));
    else form.append(unescapeName(name), new File([content], unescapeName(filename), { type: headers.get('content-type') ?? 'text/plain' }));
  }

  // The body of a request or an answer with this content type. For fetch.
  web.readFormData = (bytes, contentType) => {
    const form = new FormData();
    if (/^\s*application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType)) {
      for (const [name, value] of web.readForm(decodeUtf8(bytes))) form.append(name, value);
      return form;
    }
    const boundary = /^\s*multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^\s;"]+))/i.exec(contentType);
    if (boundary === null) throw badForm();
    // Latin-1 keeps places: one character a byte.
    const text = host.decodeText(bytes, TEXT_LATIN1, 0);
    const mark = `--${boundary[1] ?? boundary[2]}`;
    let at = text.indexOf(mark);
    if (at < 0) throw badForm();
    for (;;) {
      at += mark.length;
      if (text.startsWith('--', at)) return form;
      const begin = text.indexOf(CRLF, at) + 2;
      const head = text.indexOf(CRLF + CRLF, begin - 2);
      const end = text.indexOf(CRLF + mark, begin - 2);
      if (begin < 2 || head < 0 || end < head) throw badForm();
      readPart(form, bytes.subarray(begin, head), bytes.subarray(head + 4, Math.max(end, head + 4)));
      at = end + 2;
    }
  };
}
