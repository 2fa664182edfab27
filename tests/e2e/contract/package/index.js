#!/usr/bin/env node
// require of several files, JSON, cycles and packages.
'use strict';
const first = require('./lib/first');
const { version } = require('./data.json');
const folder = require('./lib');
const plain = require('plain');
const exported = require('exported');
const sub = require('exported/sub');
const thing = require('@scope/thing');
const deep = require('plain/deep/file.js');

function optional(name) {
  try {
    return require(name);
  } catch (error) {
    return error.code;
  }
}

module.exports = {
  handle(context, body) {
    return {
      first: first.name, second: first.second(), version, folder, plain, exported, sub, thing, deep,
      same: require('./lib/first') === first, cached: Object.keys(require.cache ?? {}).length > 0,
      names: [__filename.split('/').pop(), module.exports.handle.name, typeof require.resolve, require.main === module],
      missing: optional('./no-such-file'), absent: optional('no-such-package'),
    };
  },
};
