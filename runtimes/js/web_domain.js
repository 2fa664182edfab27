// SPDX-License-Identifier: Apache-2.0
// Domains with other than ASCII characters (UTS #46, without the tables that it has: what is mapped
// is what lower case and NFKC change) and Punycode (RFC 3492). Asked by src/worker/web_url_host.c.

{
  // In DNS a label has 63 bytes, a domain 253; the work grows with the square.
  const LABEL_MAX = 1000, DOMAIN_MAX = 10000;
  const BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, BIAS = 72, FIRST = 128;
  // As they are now: users may change the prototypes.
  const uncurry = method => Function.prototype.call.bind(method);
  const normalize = uncurry(String.prototype.normalize);
  const lower = uncurry(String.prototype.toLowerCase);
  const split = uncurry(String.prototype.split);
  const test = uncurry(RegExp.prototype.test);

  const IGNORED = /[\u00ad\u034f\u180b-\u180d\u180f\u200b\u2060\u2064\ufe00-\ufe0f\ufeff\u{e0100}-\u{e01ef}]/gu;
  const FORBIDDEN = /[\p{Cc}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\ufffd\u061c\u200e\u200f\u202a-\u202e\u2061-\u2063\u2066-\u206f\u{e0001}-\u{e007f}\u2ff0-\u2fff\u3164\uffa0\u115f\u1160\u17b4\u17b5\u1806\ufff9-\ufffc]/u;
  const MARK_FIRST = /^\p{M}/u;
  const ASCII = /^[\0-\x7f]*$/;

  function adapt(delta, points, first) {
    delta = first ? Math.floor(delta / DAMP) : delta >> 1;
    delta += Math.floor(delta / points);
    let k = 0;
    for (; delta > ((BASE - T_MIN) * T_MAX) >> 1; k += BASE) delta = Math.floor(delta / (BASE - T_MIN));
    return k + Math.floor(((BASE - T_MIN + 1) * delta) / (delta + SKEW));
  }

  const threshold = (k, bias) => Math.min(Math.max(k - bias, T_MIN), T_MAX);
  const digit = value => String.fromCharCode(value + (value < 26 ? 97 : 22));

  function toPunycode(points) {
    const basic = points.filter(c => c < FIRST);
    let out = String.fromCharCode(...basic);
    if (basic.length > 0) out += '-';
    let n = FIRST, delta = 0, bias = BIAS;
    for (let done = basic.length; done < points.length; n++, delta++) {
      const next = points.reduce((least, c) => c >= n && c < least ? c : least, Infinity);
      delta += (next - n) * (done + 1);
      n = next;
      for (const c of points) {
        if (c < n) delta++;
        if (c !== n) continue;
        let q = delta;
        for (let k = BASE; ; k += BASE) {
          const t = threshold(k, bias);
          if (q < t) break;
          out += digit(t + ((q - t) % (BASE - t)));
          q = Math.floor((q - t) / (BASE - t));
        }
        out += digit(q);
        bias = adapt(delta, done + 1, done === basic.length);
        delta = 0;
        done++;
      }
    }
    return out;
  }

  // undefined: it is none.
  function fromPunycode(text) {
    const at = text.lastIndexOf('-');
    const points = Array.from(text.slice(0, Math.max(at, 0)), c => c.charCodeAt(0));
    let n = FIRST, i = 0, bias = BIAS;
    for (let at_ = at > 0 ? at + 1 : at === 0 ? 1 : 0; at_ < text.length;) {
      const before = i;
      for (let weight = 1, k = BASE; ; k += BASE) {
        const c = text.charCodeAt(at_++);
        const value = c >= 97 && c <= 122 ? c - 97 : c >= 48 && c <= 57 ? c - 22 : NaN;
        if (!(value >= 0)) return undefined;
        i += value * weight;
        if (i > 0x7fffffff) return undefined;
        const t = threshold(k, bias);
        if (value < t) break;
        weight *= BASE - t;
      }
      bias = adapt(i - before, points.length + 1, before === 0);
      n += Math.floor(i / (points.length + 1));
      i %= points.length + 1;
      if (n > 0x10ffff || (n >= 0xd800 && n < 0xe000)) return undefined;
      points.splice(i++, 0, n);
    }
    return points;
  }

  // Each character by itself: a final sigma stays the letter that it is.
  function mapped(text) {
    let out = '';
    for (const c of text.replace(IGNORED, '')) out += c === '\u1e9e' ? 'ss' : c === '\u3002' ? '.' : lower(c);
    out = normalize(out, 'NFKC');
    let again = '';
    for (const c of out) again += c === '\u3002' ? '.' : lower(c);
    return normalize(again.replace(IGNORED, ''), 'NFC');
  }

  const isValid = label => !test(FORBIDDEN, label) && !test(MARK_FIRST, label);

  function labelToAscii(label) {
    if (label.length > LABEL_MAX) return test(ASCII, label) && !label.startsWith('xn--') ? label : undefined;
    if (label.startsWith('xn--')) {
      const points = test(ASCII, label) ? fromPunycode(label.slice(4)) : undefined;
      if (points === undefined || points.length === 0) return undefined;
      const text = String.fromCodePoint(...points);
      return !test(ASCII, text) && isValid(text) && mapped(text) === text ? label : undefined;
    }
    if (test(ASCII, label)) return label;
    return isValid(label) ? `xn--${toPunycode(Array.from(label, c => c.codePointAt(0)))}` : undefined;
  }

  host.useDomains(domain => {
    if (domain.length > DOMAIN_MAX) return undefined;
    const labels = [];
    for (const label of split(mapped(domain), '.')) {
      const ascii = labelToAscii(label);
      if (ascii === undefined) return undefined;
      labels.push(ascii);
    }
    return labels.join('.');
  });
}
