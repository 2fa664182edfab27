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

function requireFile(name) {
  const known = loadedModules.get(name);
  if (known !== undefined) return known.exports;
  if (host.isModule(name)) throw new Error(`require() of ECMAScript module ${name} is not possible: use import`);
  const text = host.source(name);
  const module = { id: name, filename: `/${name}`, loaded: false, exports: {} };
  if (name.endsWith('.json')) {
    module.exports = parse(text);
    loadedModules.set(name, module);
    return module.exports;
  }
  loadedModules.set(name, module);
  try {
    const run = compileWrapped(text.startsWith('#!') ? `//${text}` : text, name);
    const require = specifier => requireFile(host.resolve(name, String(specifier)));
    run.call(module.exports, module.exports, require, module, `/${name}`, `/${name}`.replace(/\/[^/]*$/, '') || '/');
  } catch (error) {
    loadedModules.delete(name);
    throw error;
  }
  module.loaded = true;
  return module.exports;
}

// What the worker writes for an ECMAScript module that imports a CommonJS file.
Object.defineProperty(globalThis, Symbol.for('sluice.require'), { value: requireFile });
