// SPDX-License-Identifier: Apache-2.0
// Serves functions with the real faas-js-runtime, each on a port of its own, as its command line
// does. Arguments: one JSON text [{ file, port, options }]. Says "ready" once all listen.
'use strict';
const path = require('node:path');
const { createRequire } = require('node:module');

const modules = createRequire(path.join(process.env.PEER_MODULES, 'peer.js'));
const { start } = modules('faas-js-runtime');
const { loadFunction } = modules('faas-js-runtime/lib/function-loader.js');

async function main() {
  for (const { file, port, options } of JSON.parse(process.argv[2])) {
    const exported = await loadFunction(file);
    await start(exported, { port, config: path.dirname(file), ...options });
  }
  console.log('ready');
}

main().catch(error => {
  console.log(`failed: ${error.stack}`);
  process.exit(1);
});
