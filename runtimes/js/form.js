// SPDX-License-Identifier: Apache-2.0
// Query strings and application/x-www-form-urlencoded: flat for queries, as Node's querystring
// reads them; nested by brackets for bodies, as the package qs does.

const FORM_FIELDS_MAX = 1000;
const FORM_DEPTH_MAX = 5;
const FORM_INDEX_MAX = 20;

function decodeComponent(text) {
  if (!text.includes('%') && !text.includes('+')) return text;
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

// Also for names that the object's prototype has.
function define(object, name, value) {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

// Repeated names become arrays.
function parseQuery(text, query = {}) {
  if (text === '') return query;
  for (const part of text.split('&')) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const name = decodeComponent(at < 0 ? part : part.slice(0, at));
    const value = at < 0 ? '' : decodeComponent(part.slice(at + 1));
    if (!Object.hasOwn(query, name)) define(query, name, value);
    else if (Array.isArray(query[name])) query[name].push(value);
    else query[name] = [query[name], value];
  }
  return query;
}

// 'a[b][]' is ['a', 'b', '']; what is nested too deep stays one name.
function formPath(name) {
  const open = name.indexOf('[');
  if (open < 0) return [name];
  const path = open > 0 ? [name.slice(0, open)] : [];
  let rest = name.slice(open);
  for (let depth = 0; depth < FORM_DEPTH_MAX; depth++) {
    const segment = /^\[([^[\]]*)\]/.exec(rest);
    if (segment === null) break;
    path.push(segment[1]);
    rest = rest.slice(segment[0].length);
  }
  if (rest !== '') path.push(rest);
  return path;
}

const isIndex = name => /^(0|[1-9]\d?)$/.test(name) && Number(name) <= FORM_INDEX_MAX;
const isTable = value => typeof value === 'object' && value !== null && !Array.isArray(value);

function toTable(array) {
  return Object.fromEntries(Object.entries(array));
}

// What is at the place after the value has been put below it.
function place(here, path, at, value) {
  if (at === path.length) return here === undefined ? value : [].concat(here, value);
  const name = path[at];
  const asArray = name === '' || isIndex(name);
  if (here === undefined) here = asArray ? [] : {};
  else if (!isTable(here) && !Array.isArray(here)) here = asArray ? [here] : [here, {}];
  if (Array.isArray(here) && !asArray) {
    const last = here[here.length - 1];
    if (isTable(last) && here.length > 1) {
      place(last, path, at, value);
      return here;
    }
    here = toTable(here);
  }
  if (name === '') {
    if (Array.isArray(here)) here.push(place(undefined, path, at + 1, value));
    else define(here, String(Object.keys(here).length), place(undefined, path, at + 1, value));
  } else {
    define(here, name, place(Object.hasOwn(here, name) ? here[name] : undefined, path, at + 1, value));
  }
  return here;
}

// Without the holes that indices left.
function compact(value) {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.filter(() => true).map(compact);
  for (const name of Object.keys(value)) value[name] = compact(value[name]);
  return value;
}

function parseForm(text) {
  const form = {};
  for (const part of text.split('&', FORM_FIELDS_MAX)) {
    const bracket = part.indexOf(']=');
    const at = bracket >= 0 ? bracket + 1 : part.indexOf('=');
    const path = formPath(decodeComponent(at < 0 ? part : part.slice(0, at)));
    if (path.length === 0 || path[0] === '' || path.some(name => name in Object.prototype)) continue;
    place(form, path, 0, at < 0 ? '' : decodeComponent(part.slice(at + 1)));
  }
  return compact(form);
}

web.define = define;
web.parseQuery = parseQuery;
web.parseForm = parseForm;
