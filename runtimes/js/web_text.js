// SPDX-License-Identifier: Apache-2.0
// TextEncoder and TextDecoder (WHATWG Encoding). The worker converts, src/worker/web_text.c.

const TEXT_UTF8 = 0, TEXT_UTF16LE = 1, TEXT_UTF16BE = 2, TEXT_LATIN1 = 3, TEXT_ASCII = 4, TEXT_WINDOWS_1252 = 5,
  TEXT_HEX = 6, TEXT_BASE64 = 7, TEXT_BASE64URL = 8;
const TEXT_FATAL = 1, TEXT_KEEP = 2;

const encodeUtf8 = text => host.encodeText(text, TEXT_UTF8);
const decodeUtf8 = bytes => host.decodeText(bytes, TEXT_UTF8, 0);

{
  const NAMES = ['utf-8', 'utf-16le', 'utf-16be', undefined, undefined, 'windows-1252'];
  const LABELS = {
    [TEXT_UTF8]: 'unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8',
    [TEXT_UTF16LE]: 'csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le',
    [TEXT_UTF16BE]: 'unicodefffe utf-16be',
    [TEXT_WINDOWS_1252]: 'ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252',
  };
  const forms = new Map();
  for (const [form, labels] of Object.entries(LABELS)) for (const label of labels.split(' ')) forms.set(label, Number(form));

  class TextEncoder {
    get encoding() { return 'utf-8'; }

    encode(text = '') {
      return encodeUtf8(`${text}`);
    }

    encodeInto(text, target) {
      needArguments(arguments.length, 2, 'encodeInto');
      if (!(target instanceof Uint8Array)) throw withCode(new TypeError('encodeInto writes into a Uint8Array'), 'ERR_INVALID_ARG_TYPE');
      text = `${text}`;
      // A character has at most one code unit for each of its bytes.
      const bytes = encodeUtf8(text.length > target.length ? text.slice(0, target.length + 1) : text);
      if (bytes.length <= target.length && text.length <= target.length) {
        target.set(bytes);
        return { read: text.length, written: bytes.length };
      }
      let written = Math.min(target.length, bytes.length);
      while (written > 0 && (bytes[written] & 0xc0) === 0x80) written--;
      let read = 0;
      for (let i = 0; i < written; i++) if ((bytes[i] & 0xc0) !== 0x80) read += bytes[i] >= 0xf0 ? 2 : 1;
      target.set(bytes.subarray(0, written));
      return { read, written };
    }
  }
  exposeClass('TextEncoder', TextEncoder);

  // The first byte after a lead byte that is not the whole range of 80 to BF.
  const isSecond = (lead, byte) => byte >= (lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80) &&
    byte <= (lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf);

  // How many bytes at the end wait for more of their character.
  function openBytes(bytes, form) {
    const { length } = bytes;
    if (form === TEXT_WINDOWS_1252) return 0;
    if (form !== TEXT_UTF8) {
      const odd = length % 2;
      const high = length - odd - (form === TEXT_UTF16LE ? 1 : 2);
      return odd + (high >= 0 && (bytes[high] & 0xfc) === 0xd8 ? 2 : 0);
    }
    for (let n = 1; n <= 3 && n <= length; n++) {
      const byte = bytes[length - n];
      if ((byte & 0xc0) === 0x80) continue;
      const needed = byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 && byte < 0xe0 ? 2 : 1;
      return needed > n && (n === 1 || isSecond(byte, bytes[length - n + 1])) ? n : 0;
    }
    return 0;
  }

  function joined(first, second) {
    const all = new Uint8Array(first.length + second.length);
    all.set(first);
    all.set(second, first.length);
    return all;
  }

  class TextDecoder {
    #form;
    #fatal;
    #ignoreBOM;
    #pending; // bytes of the stream's last, unfinished character
    #begun = false; // a stream's byte order mark has passed

    constructor(label = 'utf-8', options = {}) {
      const wanted = `${label}`.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, '').toLowerCase();
      this.#form = forms.get(wanted);
      if (this.#form === undefined) throw withCode(new RangeError(`The "${label}" encoding is not supported`), 'ERR_ENCODING_NOT_SUPPORTED');
      if (options !== null && typeof options !== 'object' && typeof options !== 'function') throw withCode(new TypeError('the options of a TextDecoder must be an object'), 'ERR_INVALID_ARG_TYPE');
      this.#fatal = Boolean(options?.fatal);
      this.#ignoreBOM = Boolean(options?.ignoreBOM);
    }

    get encoding() { return NAMES[this.#form]; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBOM; }

    decode(input = new Uint8Array(0), options = {}) {
      let bytes = needBytes(input, 'what is decoded');
      const stream = Boolean(options?.stream);
      if (this.#pending !== undefined) bytes = joined(this.#pending, bytes);
      this.#pending = undefined;
      if (stream) {
        const open = openBytes(bytes, this.#form);
        if (open > 0) {
          this.#pending = bytes.slice(bytes.length - open);
          bytes = bytes.subarray(0, bytes.length - open);
        }
      }
      let text = host.decodeText(bytes, this.#form, this.#fatal ? TEXT_FATAL : 0);
      if (text === undefined) {
        this.#pending = undefined;
        this.#begun = false;
        throw withCode(new TypeError(`The encoded data was not valid for encoding ${this.encoding}`), 'ERR_ENCODING_INVALID_ENCODED_DATA');
      }
      if (!this.#begun && text !== '') {
        this.#begun = true;
        if (!this.#ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      }
      if (!stream) this.#begun = false;
      return text;
    }
  }
  exposeClass('TextDecoder', TextDecoder);
}
