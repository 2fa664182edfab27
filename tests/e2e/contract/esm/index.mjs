// An ECMAScript module with imports of both kinds.
import { greet, default as polite } from './greeting.mjs';
import old from './old.cjs';
import * as data from './values.mjs';

const loaded = await Promise.resolve('top level await');

export const init = () => { data.list.push('init'); };
export async function handle(context, body) {
  const { lazy } = await import('./lazy.mjs');
  return { greeting: greet('you'), polite, old, list: data.list, loaded, lazy, strict: this === undefined ? 'none' : typeof this };
}
