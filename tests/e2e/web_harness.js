// SPDX-License-Identifier: Apache-2.0
// Evaluates expressions and gives their results as plain data; the same text runs in Node and in a
// worker (test_web.py puts the expressions in place of CASES).
const bytesIn = v => Array.from(new Uint8Array(v.buffer ?? v, v.byteOffset ?? 0, v.byteLength));
const plain = (v, seen = []) => {
  if (v === undefined) return '<undefined>';
  if (typeof v === 'bigint' || typeof v === 'symbol') return `<${typeof v} ${String(v)}>`;
  if (typeof v === 'function') return `<function ${v.name}>`;
  if (typeof v === 'number' && (!Number.isFinite(v) || Object.is(v, -0))) return `<number ${Object.is(v, -0) ? '-0' : v}>`;
  if (typeof v !== 'object' || v === null) return v;
  if (seen.includes(v)) return `<again ${seen.indexOf(v)}>`;
  seen.push(v);
  const tag = Object.prototype.toString.call(v).slice(8, -1);
  if (tag === 'DOMException') return { error: v.name, code: v.code };
  if (v instanceof Error) return { error: v.name, code: v.code ?? null, cause: 'cause' in v ? plain(v.cause, seen) : '<none>' };
  if (v instanceof ArrayBuffer || ArrayBuffer.isView(v)) return [tag, v.constructor.name, ...bytesIn(v)];
  if (v instanceof Date) return ['Date', v.getTime()];
  if (v instanceof RegExp) return ['RegExp', String(v), v.lastIndex];
  if (v instanceof Map) return ['Map', ...[...v].map(e => plain(e, seen))];
  if (v instanceof Set) return ['Set', ...[...v].map(e => plain(e, seen))];
  if (v instanceof Number || v instanceof String || v instanceof Boolean) return [tag, plain(v.valueOf(), seen)];
  if (Array.isArray(v)) return Array.from(v, (e, i) => i in v ? plain(e, seen) : '<hole>');
  return { '': tag, ...Object.fromEntries(Object.keys(v).map(k => [k, plain(v[k], seen)])) };
};
const tryTo = f => { try { return f(); } catch (e) { return ['thrown', e]; } };
const settled = async f => { try { return await f(); } catch (e) { return ['thrown', e]; } };
const hex = v => Array.from(new Uint8Array(v.buffer ?? v, v.byteOffset ?? 0, v.byteLength), b => b.toString(16).padStart(2, '0')).join('');
const all = async () => {
  const results = [];
  for (const one of cases) {
    try {
      results.push(JSON.stringify(plain(await one())));
    } catch (e) {
      results.push(JSON.stringify(['uncaught', plain(e)]));
    }
  }
  return results;
};
