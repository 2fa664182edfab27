// SPDX-License-Identifier: Apache-2.0
// CommonJS over the function's files; ECMAScript modules are loaded by the engine.

const loadedModules = new Map();
const WRAPPER = '(function(exports,require,module,__filename,__dirname){';

// A brace too many closes the wrapper, and the parser complains about the wrapper's own end, which
// is no line of the file. Then the bare text says where: it is parsed only, since the first thing
// that it does is to throw.
function compileWrapped(text, name) {
  try {
    return host.compile(`${WRAPPER}${text}\n})`, name);
  } catch (error) {
    const place = /:(\d+):\d+\)?$/m.exec(error.stack);
    if (!(error instanceof SyntaxError) || place === null || Number(place[1]) <= text.split('\n').length) throw error;
    try {
      host.compile('throw 0;'.padEnd(WRAPPER.length) + text, name);
    } catch (bare) {
      throw bare instanceof SyntaxError ? bare : error;
    }
    throw error;
  }
}

function resolveFor(base, specifier) {
  try {
    return host.resolve(base, String(specifier));
  } catch (error) {
    error.code = 'MODULE_NOT_FOUND';
    throw error;
  }
}

const cache = Object.create(null);
let mainModule;

function requireFor(base) {
  const require = specifier => {
    const name = String(specifier);
    return name.startsWith(ABSENT) ? web.absentModule(name.slice(ABSENT.length)) : requireFile(resolveFor(base, name));
  };
  require.resolve = specifier => {
    const name = resolveFor(base, specifier);
    return name.startsWith('node:') ? name : `/${name}`;
  };
  require.cache = cache;
  require.main = mainModule;
  return require;
}

// Specifiers that bundlers put in the place of modules which only Node has.
const ABSENT = 'sluice:absent/';

function requireFile(name) {
  if (name.startsWith('node:')) return web.requireBuiltin(name);
  const known = loadedModules.get(name);
  if (known !== undefined) return known.exports;
  if (host.isModule(name)) throw Object.assign(new Error(`require() of ECMAScript module ${name} is not possible: use import`), { code: 'ERR_REQUIRE_ESM' });
  const text = host.source(name);
  const filename = `/${name}`;
  const path = filename.replace(/\/[^/]*$/, '') || '/';
  const module = { id: filename, path, filename, loaded: false, exports: {}, children: [], paths: [] };
  if (name.endsWith('.json')) {
    module.exports = parse(text);
    loadedModules.set(name, module);
    return module.exports;
  }
  loadedModules.set(name, module);
  cache[filename] = module;
  try {
    const run = compileWrapped(text.startsWith('#!') ? `//${text}` : text, name);
    module.require = requireFor(name);
    run.call(module.exports, module.exports, module.require, module, filename, path);
  } catch (error) {
    loadedModules.delete(name);
    delete cache[filename];
    throw error;
  }
  module.loaded = true;
  return module.exports;
}

// The names that a CommonJS file gives to exports, as far as its text shows them.
function exportNames(text) {
  const names = new Set();
  for (const [, name] of text.matchAll(/(?:^|[^.\w$])(?:module\.)?exports\.([A-Za-z_$][\w$]*)\s*=(?!=)/g)) names.add(name);
  for (const [, name] of text.matchAll(/\bObject\.defineProperty\(\s*exports\s*,\s*['"]([A-Za-z_$][\w$]*)['"]/g)) names.add(name);
  for (const [, body] of text.matchAll(/\b(?:module\.exports\s*=|__toCommonJS\(|__export\(\w+,)\s*\{([^{}]*)/g)) {
    for (const part of body.split(',')) {
      const named = /^\s*(?:async\s+)?\*?\s*([A-Za-z_$][\w$]*)\s*(?:[:(]|$)/.exec(part.replace(/\/\/.*$/gm, ''));
      if (named === null) break;
      names.add(named[1]);
    }
  }
  names.delete('default');
  names.delete('__esModule');
  return names;
}

// An ECMAScript module in the place of a CommonJS file, or of a module of Node's.
function moduleSource(name) {
  const names = name.startsWith('node:') ? Object.keys(web.requireBuiltin(name)) : name.endsWith('.json') ? [] : [...exportNames(host.source(name))];
  const exports = names.map((one, i) => `const e${i} = m[${stringify(one)}]; export { e${i} as ${one} };`);
  return `const m = globalThis[Symbol.for('sluice.require')](${stringify(name)}); export default m; ${exports.join(' ')}`;
}

Object.defineProperty(globalThis, Symbol.for('sluice.require'), { value: requireFile });
