// SPDX-License-Identifier: Apache-2.0
// GitHub's REST API, as far as a pull request needs it.
import { Refusal } from './refusal.js';

const VERSION = '2022-11-28';

export class GitHub {
  constructor({ api, token }) {
    this.api = api;
    this.token = token;
  }

  // The answer's JSON. Statuses in expected are given back as {status, body}, others end the event.
  async call(method, path, body, expected = []) {
    let response;
    try {
      response = await fetch(`${this.api}${path}`, {
        method,
        headers: {
          accept: 'application/vnd.github+json',
          authorization: `Bearer ${this.token}`,
          'user-agent': 'sluice-coredump-pull-request',
          'x-github-api-version': VERSION,
          ...(body !== undefined ? { 'content-type': 'application/json' } : {}),
        },
        body: body !== undefined ? JSON.stringify(body) : undefined,
      });
    } catch (error) {
      throw new Refusal(503, `GitHub cannot be reached: ${error.cause?.message ?? error.message}`);
    }
    const text = await response.text();
    let value;
    try {
      value = text === '' ? undefined : JSON.parse(text);
    } catch {
      throw new Refusal(503, `GitHub's answer to ${method} ${path} is no JSON (${response.status})`);
    }
    if (expected.includes(response.status)) return { status: response.status, body: value };
    if (response.ok) return { status: response.status, body: value };
    throw this.#refusal(method, path, response, value);
  }

  #refusal(method, path, response, body) {
    const what = `GitHub answered ${response.status} to ${method} ${path}: ${String(body?.message ?? '').slice(0, 200)}`;
    const limited = response.status === 429 || (response.status === 403 && (response.headers.get('x-ratelimit-remaining') === '0' || response.headers.has('retry-after')));
    if (limited || response.status >= 500 || response.status === 409) return new Refusal(503, what);
    if (response.status === 401) return new Refusal(403, `${what}: check GIT_TOKEN`);
    return new Refusal(response.status === 404 ? 404 : 422, what);
  }
}
