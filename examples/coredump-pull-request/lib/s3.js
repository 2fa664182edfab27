// SPDX-License-Identifier: Apache-2.0
// Reads from S3: GET with ranges, signed with AWS Signature Version 4.
import { Refusal } from './refusal.js';

const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const encoder = new TextEncoder();

function hex(bytes) {
  return Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('');
}

async function sha256(text) {
  return hex(await crypto.subtle.digest('SHA-256', encoder.encode(text)));
}

async function hmac(key, text) {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, encoder.encode(text)));
}

// RFC 3986's unreserved characters stay; encodeURIComponent() leaves five more.
function encodePath(path) {
  return path.split('/').map(part => encodeURIComponent(part).replace(/[!'()*]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)).join('/');
}

// The headers that sign a GET of url with these headers, at this time.
export async function sign(settings, url, headers, now) {
  const time = now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${time.slice(0, 8)}/${settings.region}/s3/aws4_request`;
  const all = { ...headers, host: url.host, 'x-amz-content-sha256': EMPTY_SHA256, 'x-amz-date': time };
  const names = Object.keys(all).sort();
  const request = ['GET', url.pathname, '', ...names.map(name => `${name}:${all[name].trim()}`), '', names.join(';'), EMPTY_SHA256].join('\n');
  const text = ['AWS4-HMAC-SHA256', time, scope, await sha256(request)].join('\n');
  let key = encoder.encode(`AWS4${settings.secret}`);
  for (const part of scope.split('/')) key = await hmac(key, part);
  const { host, ...rest } = all;
  return {
    ...rest,
    authorization: `AWS4-HMAC-SHA256 Credential=${settings.accessKey}/${scope}, SignedHeaders=${names.join(';')}, Signature=${hex(await hmac(key, text))}`,
  };
}

export class Bucket {
  constructor(settings, name) {
    if (settings.buckets !== undefined && !settings.buckets.includes(name)) throw new Refusal(403, `the bucket ${name} is not among the ALLOWED_BUCKETS`);
    this.settings = settings;
    this.name = name;
  }

  // range: as in the header Range. etag: the object must not have changed. {bytes, total, etag}
  async get(key, range, etag) {
    const url = new URL(`${this.settings.endpoint}/${encodePath(this.name)}/${encodePath(key)}`);
    const headers = { range, ...(etag !== undefined ? { 'if-match': etag } : {}) };
    let response;
    try {
      response = await fetch(url, { headers: await sign(this.settings, url, headers, new Date()), redirect: 'error' });
    } catch (error) {
      throw new Refusal(503, `Object Storage cannot be reached: ${error.cause?.message ?? error.message}`);
    }
    if (response.status !== 206 && response.status !== 200) await this.#refuse(key, response);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
    return { bytes, total: total !== undefined ? Number(total) : bytes.length, etag: response.headers.get('etag') ?? undefined };
  }

  async #refuse(key, response) {
    const what = `${this.name}/${key}: Object Storage answered ${response.status}`;
    const code = /<Code>([A-Za-z]{1,60})<\/Code>/.exec(await response.text())?.[1] ?? '';
    if (response.status === 404) throw new Refusal(404, `${what} ${code}`);
    if (response.status === 416) throw new Refusal(422, `${this.name}/${key} is empty`);
    if (response.status === 412) throw new Refusal(503, `${what}: the object was replaced while it was read`);
    if (response.status === 403 && code !== 'RequestTimeTooSkewed') throw new Refusal(403, `${what} ${code}: check S3_ACCESS_KEY and S3_SECRET`);
    throw new Refusal(response.status < 500 && response.status !== 429 && code !== 'RequestTimeTooSkewed' ? 422 : 503, `${what} ${code}`);
  }
}
