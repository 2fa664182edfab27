// SPDX-License-Identifier: Apache-2.0
// node:path, which is text only.

function makePath() {
  const isAbsolute = path => path.startsWith('/');

  function normalize(path) {
    const parts = [];
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue;
      if (part !== '..') parts.push(part);
      else if (parts.length > 0 && parts.at(-1) !== '..') parts.pop();
      else if (!isAbsolute(path)) parts.push('..');
    }
    const text = (isAbsolute(path) ? '/' : '') + parts.join('/');
    if (text === '') return '.';
    return path.endsWith('/') && text !== '/' ? `${text}/` : text;
  }

  function join(...paths) {
    const joined = paths.filter(path => path !== '').join('/');
    return joined === '' ? '.' : normalize(joined);
  }

  function resolve(...paths) {
    let path = '';
    for (let i = paths.length - 1; i >= 0 && !isAbsolute(path); i--) if (paths[i] !== '') path = path === '' ? paths[i] : `${paths[i]}/${path}`;
    if (!isAbsolute(path)) path = `/${path}`;
    const text = normalize(path);
    return text.length > 1 && text.endsWith('/') ? text.slice(0, -1) : text;
  }

  const trimmed = path => path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;

  function dirname(path) {
    const text = trimmed(path), at = text.lastIndexOf('/');
    return at < 0 ? '.' : at === 0 ? '/' : trimmed(text.slice(0, at));
  }

  function basename(path, suffix) {
    const text = trimmed(path), name = text.slice(text.lastIndexOf('/') + 1);
    return suffix !== undefined && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
  }

  function extname(path) {
    const name = basename(path), at = name.lastIndexOf('.');
    return at <= 0 || name === '..' ? '' : name.slice(at);
  }

  function relative(from, to) {
    const a = resolve(from).split('/').filter(Boolean), b = resolve(to).split('/').filter(Boolean);
    let same = 0;
    while (same < a.length && a[same] === b[same]) same++;
    return [...a.slice(same).map(() => '..'), ...b.slice(same)].join('/');
  }

  function parsePath(path) {
    const base = basename(path), ext = extname(path), root = isAbsolute(path) ? '/' : '';
    const dir = trimmed(path).includes('/') ? dirname(path) : '';
    return { root, dir, base: path === '/' ? '' : base, ext, name: base.slice(0, base.length - ext.length) };
  }

  function formatPath({ dir, root = '', base, name = '', ext = '' }) {
    const file = base ?? name + ext;
    return dir ? dir === root ? dir + file : `${dir}/${file}` : root + file;
  }

  const path = { isAbsolute, normalize, join, resolve, dirname, basename, extname, relative, parse: parsePath, format: formatPath, sep: '/', delimiter: ':' };
  path.posix = path;
  return path;
}
