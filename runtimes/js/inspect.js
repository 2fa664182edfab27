// SPDX-License-Identifier: Apache-2.0
// Values as text for the log, in the form that Node's util.inspect gives them. The prelude's files
// are joined into one function, whose argument `host` holds what the worker offers.

const { parse, stringify } = JSON;

const INSPECT_CUSTOM = Symbol.for('nodejs.util.inspect.custom');
const LINE_WIDTH = 80;
const INLINE_LEVELS = 3;
const ITEMS_MAX = 100;
const STRING_MAX = 10000;
const IDENTIFIER = /^[A-Za-z_][A-Za-z_0-9]*$/;
// Names of properties that come up in most logs; the expression costs a microsecond for each.
const IDENTIFIERS = new Set(['specversion', 'id', 'type', 'source', 'subject', 'time', 'datacontenttype', 'data', 'msg', 'message',
  'name', 'host', 'prefer', 'method', 'path', 'query', 'headers', 'body', 'cloudevent', 'knativearrivaltime', 'traceparent',
  '__ow_user', '__ow_method', '__ow_headers', '__ow_path', '__ow_query', '__ow_body']);
// Nothing to quote or escape: most strings, and looking at each character costs ten times as much.
const PLAIN = /^[ -&(-[\]-~\xa0-\ud7ff\ue000-\uffff]*$/;
const ESCAPES = { '\b': '\\b', '\t': '\\t', '\n': '\\n', '\f': '\\f', '\r': '\\r', '\\': '\\\\' };

function quoteString(text) {
  if (PLAIN.test(text)) return `'${text}'`;
  const quote = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !text.includes('`') ? '`' : "'";
  let out = quote;
  for (const c of text) {
    const code = c.codePointAt(0);
    if (c === quote && quote === "'") out += "\\'";
    else if (ESCAPES[c] !== undefined) out += ESCAPES[c];
    else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) out += '\\x' + code.toString(16).toUpperCase().padStart(2, '0');
    else if (code >= 0xd800 && code < 0xe000) out += '\\u' + code.toString(16);
    else out += c;
  }
  return out + quote;
}

function inspectString(state, text) {
  let tail = '';
  if (text.length > STRING_MAX) {
    const more = text.length - STRING_MAX;
    tail = `... ${more} more character${more > 1 ? 's' : ''}`;
    text = text.slice(0, STRING_MAX);
  }
  if (text.length > 16 && text.length > LINE_WIDTH - state.indent - 4 && /\n./s.test(text)) {
    const lines = text.match(/[^\n]*\n|[^\n]+$/g);
    return lines.map(quoteString).join(` +\n${' '.repeat(state.indent + 2)}`) + tail;
  }
  return quoteString(text) + tail;
}

function inspectPrimitive(state, value) {
  if (typeof value === 'string') return inspectString(state, value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'symbol') return value.toString();
  return Object.is(value, -0) ? '-0' : String(value);
}

function isInstance(object, constructor) {
  try {
    return object instanceof constructor;
  } catch {
    return false;
  }
}

// The class that an object belongs to, null for objects without one.
function classNameOf(object) {
  for (let o = object; o !== null; o = Object.getPrototypeOf(o)) {
    const d = Object.getOwnPropertyDescriptor(o, 'constructor');
    if (d !== undefined && typeof d.value === 'function' && d.value.name !== '' && isInstance(object, d.value)) return d.value.name;
  }
  return null;
}

// "Name " or "[Fallback: null prototype] ", with the size of collections and a differing tag.
function titleOf(object, fallback, size) {
  const name = classNameOf(object);
  const count = size === undefined ? '' : `(${size})`;
  let title = name === null ? `[${fallback}${count}: null prototype] ` : `${name}${count} `;
  const tag = object[Symbol.toStringTag];
  if (typeof tag === 'string' && tag !== '' && !Object.hasOwn(object, Symbol.toStringTag) && tag !== (name ?? fallback)) title += `[${tag}] `;
  return title;
}

function visibleKeys(object) {
  const keys = Object.keys(object);
  const symbols = Object.getOwnPropertySymbols(object);
  if (symbols.length === 0) return keys;
  return [...keys, ...symbols.filter(s => Object.prototype.propertyIsEnumerable.call(object, s))];
}

function inspectProperty(state, object, key, level, bare) {
  const d = Object.getOwnPropertyDescriptor(object, key) ?? { value: object[key] };
  let text;
  if (d.get !== undefined) text = d.set !== undefined ? '[Getter/Setter]' : '[Getter]';
  else if (d.set !== undefined) text = '[Setter]';
  else {
    state.indent += 2;
    text = inspectValue(state, d.value, level);
    state.indent -= 2;
  }
  if (bare) return text;
  const name = typeof key === 'symbol' ? `[${key.toString()}]` : d.enumerable === false ? `[${key}]` : IDENTIFIERS.has(key) || IDENTIFIER.test(key) ? key : quoteString(key);
  return `${name}: ${text}`;
}

function moreItems(count) {
  return `... ${count} more item${count > 1 ? 's' : ''}`;
}

function inspectItems(state, array, level) {
  const out = [];
  const shown = Math.min(array.length, ITEMS_MAX);
  let index = 0;
  for (; index < array.length && out.length < shown; index++) {
    if (Object.hasOwn(array, index)) {
      out.push(inspectProperty(state, array, index, level, true));
      continue;
    }
    let end = index;
    while (end < array.length && end - index < 1e6 && !Object.hasOwn(array, end)) end++;
    out.push(`<${end - index} empty item${end - index > 1 ? 's' : ''}>`);
    index = end - 1;
  }
  if (index < array.length) out.push(moreItems(array.length - index));
  return out;
}

function inspectNumbers(array) {
  const out = Array.from(array.subarray ? array.subarray(0, ITEMS_MAX) : array, x => inspectPrimitive({ indent: 0 }, x));
  if (array.length > ITEMS_MAX) out.push(moreItems(array.length - ITEMS_MAX));
  return out;
}

function inspectCollection(state, collection, level, entry) {
  const out = [];
  state.indent += 2;
  for (const item of collection) {
    if (out.length === ITEMS_MAX) {
      out.push(moreItems(collection.size - ITEMS_MAX));
      break;
    }
    out.push(entry(item));
  }
  state.indent -= 2;
  return out;
}

function inspectBytes(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(50, buffer.byteLength));
  let text = Array.from(bytes, b => b.toString(16).padStart(2, '0')).join(' ');
  if (buffer.byteLength > 50) text += ` ... ${buffer.byteLength - 50} more byte${buffer.byteLength > 51 ? 's' : ''}`;
  return [`[Uint8Contents]: <${text}>`, `byteLength: ${buffer.byteLength}`];
}

function functionText(fn) {
  const source = Function.prototype.toString.call(fn);
  if (source.startsWith('class') && source.endsWith('}')) {
    const parent = Object.getPrototypeOf(fn)?.name;
    return `[class ${fn.name === '' ? '(anonymous)' : fn.name}${parent ? ` extends ${parent}` : ''}]`;
  }
  const kind = classNameOf(fn) ?? 'Function';
  return `[${kind}${fn.name === '' ? ' (anonymous)' : `: ${fn.name}`}]`;
}

function errorText(error) {
  let head;
  try {
    head = Error.prototype.toString.call(error);
  } catch {
    head = 'Error';
  }
  const frames = typeof error.stack === 'string' ? error.stack.split('\n')
    .filter(l => l.trim() !== '' && !l.includes('(sluice:') && !l.includes('(native)')).map(l => `    ${l.trim()}`) : [];
  return frames.length > 0 ? `${head}\n${frames.join('\n')}` : `[${head}]`;
}

// What an object looks like: opening, closing, a text of its own, its items. null: not special.
function describeSpecial(state, v, level) {
  if (Array.isArray(v)) {
    const name = classNameOf(v);
    const prefix = name === 'Array' ? '' : titleOf(v, 'Array', v.length);
    return { open: `${prefix}[`, close: ']', list: true, empty: v.length === 0, items: l => inspectItems(state, v, l),
      keys: visibleKeys(v).filter(k => typeof k === 'symbol' || !/^\d+$/.test(k)) };
  }
  if (ArrayBuffer.isView(v) && !(v instanceof DataView)) {
    return { open: `${titleOf(v, 'TypedArray', v.length)}[`, close: ']', list: true, empty: v.length === 0, items: () => inspectNumbers(v),
      keys: visibleKeys(v).filter(k => typeof k === 'symbol' || !/^\d+$/.test(k)) };
  }
  if (v instanceof Map) {
    return { open: `${titleOf(v, 'Map', v.size)}{`, empty: v.size === 0, items: l => inspectCollection(state, v, l,
      ([k, x]) => `${inspectValue(state, k, l)} => ${inspectValue(state, x, l)}`) };
  }
  if (v instanceof Set) {
    return { open: `${titleOf(v, 'Set', v.size)}{`, empty: v.size === 0, items: l => inspectCollection(state, v, l, x => inspectValue(state, x, l)) };
  }
  if (v instanceof ArrayBuffer) return { open: `${titleOf(v, 'ArrayBuffer')}{`, items: () => inspectBytes(v) };
  if (v instanceof WeakMap || v instanceof WeakSet) return { open: `${titleOf(v, 'Weak')}{`, items: () => ['<items unknown>'] };
  if (typeof v === 'function') return { base: functionText(v) };
  if (v instanceof Error) {
    const keys = visibleKeys(v).filter(k => k !== 'stack' && k !== 'message');
    if (Object.hasOwn(v, 'cause') && !keys.includes('cause')) keys.push('cause');
    return { base: errorText(v), keys };
  }
  if (v instanceof RegExp) return { base: RegExp.prototype.toString.call(v) };
  if (v instanceof Date) return { base: Number.isNaN(v.getTime()) ? 'Invalid Date' : v.toISOString() };
  for (const box of [String, Number, Boolean]) {
    if (v instanceof box) {
      const keys = visibleKeys(v).filter(k => box !== String || typeof k === 'symbol' || !/^\d+$/.test(k));
      return { base: `[${box.name}: ${inspectPrimitive(state, v.valueOf())}]`, keys };
    }
  }
  return null;
}

const { getPrototypeOf } = Object;
const objectPrototype = Object.prototype;

function describeObject(state, v, level) {
  const prototype = getPrototypeOf(v);
  // Most objects are plain ones, and asking for each of the other kinds costs more than showing them.
  if (prototype === objectPrototype && v.constructor === Object && v[Symbol.toStringTag] === undefined) return { open: '{' };
  const special = describeSpecial(state, v, level);
  if (special !== null) return special;
  const title = titleOf(v, 'Object');
  return { open: title === 'Object ' ? '{' : `${title}{` };
}

// Many short items are laid out in columns.
function inColumns(state, items, values) {
  const whole = items.length > ITEMS_MAX ? items.length - 1 : items.length;
  const widths = items.slice(0, whole).map(t => t.length);
  const widest = Math.max(...widths) + 2;
  const total = widths.reduce((sum, w) => sum + w + 2, 0);
  if (widest * 3 + state.indent >= LINE_WIDTH || (total / widest <= 5 && widest > 8)) return items;
  const typical = Math.max(widest - 3 - Math.sqrt(widest - total / items.length), 1);
  const columns = Math.min(Math.round(Math.sqrt(2.5 * typical * whole) / typical),
    Math.floor((LINE_WIDTH - state.indent) / widest), INLINE_LEVELS * 4, 15);
  if (columns <= 1) return items;
  const pads = Array.from({ length: columns }, (_, c) => {
    let width = 0;
    for (let i = c; i < whole; i += columns) width = Math.max(width, widths[i]);
    return width + 2;
  });
  const right = values !== undefined && items.every((_, i) => typeof values[i] === 'number' || typeof values[i] === 'bigint');
  const lines = [];
  for (let row = 0; row < whole; row += columns) {
    const end = Math.min(row + columns, whole);
    let line = '';
    for (let i = row; i < end - 1; i++) line += right ? `${items[i]}, `.padStart(pads[i - row]) : `${items[i]}, `.padEnd(pads[i - row]);
    lines.push(line + (right ? items[end - 1].padStart(pads[end - 1 - row] - 2) : items[end - 1]));
  }
  return whole < items.length ? [...lines, items[whole]] : lines;
}

function layOut(state, items, base, open, close, level, list, value) {
  const count = items.length;
  if (list && count > 6) items = inColumns(state, items, value);
  const before = base === '' ? '' : `${base} `;
  if (state.deepest - level < INLINE_LEVELS && items.length === count) {
    const start = count + state.indent + open.length + base.length + 10;
    const width = items.reduce((sum, t) => sum + t.length, count + start);
    const line = items.join(', ');
    if (width <= LINE_WIDTH && !base.includes('\n') && !line.includes('\n')) return `${before}${open} ${line} ${close}`;
  }
  const gap = `\n${' '.repeat(state.indent)}`;
  return `${before}${open}${gap}  ${items.join(`,${gap}  `)}${gap}${close}`;
}

function inspectObject(state, v, level) {
  const look = describeObject(state, v, level);
  const keys = look.keys ?? visibleKeys(v);
  const open = look.open ?? '{';
  const close = look.close ?? '}';
  if (keys.length === 0 && (look.items === undefined || look.empty)) return look.base ?? `${open}${close}`;
  if (level > state.depth) {
    const title = (look.list ? titleOf(v, 'Array') : titleOf(v, 'Object')).trim();
    return title.startsWith('[') ? title : `[${title}]`;
  }
  level += 1;
  state.seen.push(v);
  state.deepest = level;
  const items = look.items !== undefined ? look.items(level) : [];
  for (const key of keys) items.push(inspectProperty(state, v, key, level, false));
  state.seen.pop();
  let base = look.base ?? '';
  const reference = state.circular.get(v);
  if (reference !== undefined) base = base === '' ? `<ref *${reference}>` : `<ref *${reference}> ${base}`;
  if (items.length === 0) return `${base === '' ? '' : `${base} `}${open}${close}`;
  return layOut(state, items, base, open, close, level, look.list, v);
}

function inspectValue(state, v, level) {
  if ((typeof v !== 'object' && typeof v !== 'function') || v === null) return inspectPrimitive(state, v);
  const custom = state.custom ? v[INSPECT_CUSTOM] : undefined;
  if (typeof custom === 'function') {
    const shown = custom.call(v, state.depth - level, {}, inspect);
    if (shown !== v) return typeof shown === 'string' ? shown : inspectValue(state, shown, level);
  }
  if (state.seen.includes(v)) {
    if (!state.circular.has(v)) state.circular.set(v, state.circular.size + 1);
    return `[Circular *${state.circular.get(v)}]`;
  }
  return inspectObject(state, v, level);
}

function inspect(value, options) {
  const depth = options?.depth === null ? Infinity : options?.depth ?? 2;
  return inspectValue({ seen: [], circular: new Map(), indent: 0, deepest: 0, depth, custom: options?.customInspect !== false }, value, 0);
}

function formatDirective(letter, value) {
  switch (letter) {
    case 's':
      if (typeof value === 'object' && value !== null && !(value instanceof Error)) return inspect(value, { depth: 0 });
      return typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? '-0' : String(value);
    case 'd': return typeof value === 'bigint' ? `${value}n` : typeof value === 'object' || typeof value === 'symbol' ? 'NaN' : String(Number(value));
    case 'i': return typeof value === 'bigint' ? `${value}n` : typeof value === 'object' || typeof value === 'symbol' ? 'NaN' : String(parseInt(value, 10));
    case 'f': return typeof value === 'symbol' ? 'NaN' : String(parseFloat(value));
    case 'j':
      try {
        return String(stringify(value));
      } catch {
        return '[Circular]';
      }
    case 'c': return '';
    default: return inspect(value, { depth: letter === 'o' ? 4 : 2 });
  }
}

// console.log's arguments as one text.
function format(...values) {
  let text = '';
  let next = 0;
  if (typeof values[0] === 'string') {
    next = 1;
    text = values.length === 1 ? values[0] : values[0].replace(/%([sdifjoOc%])/g, (whole, letter) => {
      if (letter === '%') return '%';
      return next < values.length ? formatDirective(letter, values[next++]) : whole;
    });
  }
  for (; next < values.length; next++) {
    if (next > 0) text += ' ';
    text += typeof values[next] === 'string' ? values[next] : inspect(values[next]);
  }
  return text;
}
