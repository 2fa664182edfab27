// SPDX-License-Identifier: Apache-2.0
// CommonJS over the function's files; ECMAScript modules are loaded by the engine.

const loadedModules = new Map();
const WRAPPER = '(function(exports,require,module,__filename,__dirname){';

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
    const run = host.compile(`${WRAPPER}${text.startsWith('#!') ? '//' : ''}${text}\n})`, name);
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
