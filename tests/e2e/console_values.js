// SPDX-License-Identifier: Apache-2.0
// What test_worker.py prints with Node and in a worker, to compare. Ends with odd values.
const show = v => { console.log(v); console.log('text', v, 1); };
let seed = 42;
const rnd = n => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return (seed >> 8) % n; };
const strings = ['', 'a', 'abc', 'it\'s', 'say "hi"', 'it\'s "x"', 'it\'s "x" `y`', 'a\\b', 'tab\there', 'line\nbreak', 'ü', 'grüße 日本', '😀 smile', '\u0001\u007f\u0085', '\ud800 lone', 'lone \udfff', 'x'.repeat(30), 'word '.repeat(14), 'm'.repeat(75), 'two\nlines that are long enough to be split up into pieces, for sure, and then some more', '\u00a0', '\u2028', '%s %d', 'back`tick'];
const keys = ['a', 'id', 'name', 'b-c', '1', '42', 'with space', '_x', '$d', 'ü', "it's", 'Z9', 'longer_key_name_here', ''];
const numbers = [0, -0, 1, -1, 42, 1.5, -2.25, 1e21, 1e-7, 123456789, NaN, Infinity, -Infinity, 2 ** 31, -(2 ** 31), 0.1 + 0.2, 10n, -3n, 12345678901234567890n];
class Point { constructor(x) { this.x = x; } }
class Empty {}
class Stack extends Array {}
function Old() { this.old = 1; }
const value = d => {
  switch (rnd(d > 3 ? 5 : 13)) {
    case 0: case 1: return strings[rnd(strings.length)];
    case 2: case 3: return numbers[rnd(numbers.length)];
    case 4: return [true, false, null, undefined][rnd(4)];
    case 5: case 6: case 7: { const o = {}; for (let n = rnd(6); n > 0; n--) o[keys[rnd(keys.length)]] = value(d + 1); return o; }
    case 8: { const a = []; for (let n = rnd(10); n > 0; n--) a.push(value(d + 1)); return a; }
    case 9: { const a = []; const k = rnd(2); for (let n = rnd(40); n > 0; n--) a.push(k ? rnd(2000) - 500 : 's'.repeat(rnd(14))); return a; }
    case 10: { const o = Object.create(null); for (let n = rnd(3); n > 0; n--) o[keys[rnd(keys.length)]] = value(d + 1); return o; }
    case 11: { const p = new Point(value(d + 1)); if (rnd(3) === 0) p.y = value(d + 1); return p; }
    case 12: return [new Empty(), new Old(), Stack.from([1, 2]), new Stack(), { get g() { return 1; }, set s(v) {}, get b() { return 1; }, set b(v) {} }, [[], {}], Array.from({ length: 130 }, (_, i) => i * 7), Array.from({ length: 101 }, (_, i) => 'i' + i)][rnd(8)];
  }
};
for (let i = 0; i < 400; i++) { const v = value(0); console.log(`#${i}`); show(v); }
show({ a: { b: { c: { d: 1 } } } }); show({ a: { b: { c: [] } } }); show({ a: { b: { c: {}, d: Object.create(null), e: new Empty(), f: new Point(1), g: Object.assign(Object.create(null), { a: 1 }), h: Stack.from([1]), i: new Map(), j: new Map([[1, 2]]), k: new Set(), l: new Uint8Array(0), m: new Uint8Array(2) } } });
const shared = { s: 1 }; show({ one: shared, two: shared, list: [shared, shared] });
const circle = { n: 1 }; circle.me = circle; circle.deep = { up: circle }; show(circle);
show([, 1]); show([1, , ,]); show(Object.assign([1, 2], { x: 1 })); show({ [Symbol('k')]: 1, a: 2 }); show({ s: Symbol('v') });
show(new (class { get [Symbol.toStringTag]() { return 'Tagged'; } })()); show({ [Symbol.toStringTag]: 'Own', a: 1 });
show({ constructor: 'me', a: 1 }); show({ constructor: function Fake() {}, a: 1 });
show(Object.create({ inherited: 1 })); show(Object.create(Point.prototype));
show(new (class extends Point { constructor() { super(1); this.z = 2; } })()); show(new (class {})());
show(new (class Named { static name = 'Other'; a = 1; })()); show(new Proxy({ a: 1 }, {}));
show({ p: new Proxy([1], {}) }); show({ f() {}, g: () => {}, d: new Date(0), e: /x/ });
show({ [Symbol.for('nodejs.util.inspect.custom')]() { return 'custom!'; } }); show({ in: { [Symbol.for('nodejs.util.inspect.custom')]() { return { shown: 1 }; } } });
show(Object.defineProperty({ a: 1 }, 'hidden', { value: 2, enumerable: false })); show(Object.freeze({ a: [1] }));
console.log('%s', 'a', 1); console.log('%d', 5); console.log('100%', 5); console.log('100%'); console.log('%', { a: 1 }); console.log('%%', 1); console.log('a%', 'b%'); console.log(1, '%s', 'x'); console.log();
console.log('', { a: 1 }); console.log({}, '', []); console.log(null, undefined, true, 1n, -0, 'x'); console.log(['a\nb', 'c'], { 'k\n': 'v\r' });
console.log('a\nb', { a: 'multi\nline' }); console.info({ i: 1 }); console.debug([1]);
console.group('G'); console.log({ a: 1, b: { c: 2 } }, 'x\ny'); console.group(); console.log('two', [1]); console.groupEnd(); console.groupEnd(); console.log('back', { a: 1 });
show([1.5, 2, 300, 4, 5, 6, 7, 8]); show(['1', 2, 3, 4, 5, 6, 7]); show([-0, 1, 2, 3, 4, 5, 6, 7n]); show(Array.from({ length: 7 }, () => ({ a: 1 }))); show(Array.from({ length: 27 }, () => [1, 2])); show(Array.from({ length: 200 }, (_, i) => i === 100 ? 'x' : i)); show(Array.from({ length: 200 }, (_, i) => i === 150 ? 'x' : i));
show(Array.from({ length: 8 }, (_, i) => 'ä'.repeat(i))); show({ list: Array.from({ length: 20 }, (_, i) => i % 3 ? i * 1000 : -i) }); show(Array.from({ length: 120 }, () => 'long item that takes a whole line of the output, nearly'));
show({ a: 'x'.repeat(10001), b: 1 }); show('x'.repeat(10001)); show(['x'.repeat(9999)]);
const wide = {}; for (let i = 0; i < 300; i++) wide['k' + i] = i; show(wide);
Object.prototype.polluted = 1; show({ a: 1 }); delete Object.prototype.polluted;
const trapped = {}; Object.setPrototypeOf(trapped, { constructor: new Proxy(class Far {}, { getOwnPropertyDescriptor(t, k) { console.log({ nested: [k] }); return Reflect.getOwnPropertyDescriptor(t, k); } }) }); console.log(typeof trapped);
