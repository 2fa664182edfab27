// SPDX-License-Identifier: Apache-2.0
// What came in: a notification of IBM Cloud Object Storage about an object, as an event or as the body
// of a plain POST.
import { Refusal } from './refusal.js';

const TEXTS = ['bucket', 'endpoint', 'key', 'operation'];
const NOTIFICATION_TEXTS = ['bucket_name', 'content_type', 'event_type', 'format', 'object_etag', 'object_length', 'object_name',
  'request_id', 'request_time'];
const KEY_BYTES = 1024;

// The extra properties that other versions of the notification have do not matter.
function problemsOf(body) {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return ['the body must be a JSON object'];
  const problems = [];
  const check = (object, path, names) => {
    for (const name of names) {
      if (object[name] === undefined) problems.push(`${path}${name} is missing`);
      else if (typeof object[name] !== 'string') problems.push(`${path}${name} must be a string`);
    }
  };
  check(body, '', TEXTS);
  const { notification } = body;
  if (notification === undefined) problems.push('notification is missing');
  else if (typeof notification !== 'object' || notification === null || Array.isArray(notification)) problems.push('notification must be an object');
  else check(notification, 'notification.', NOTIFICATION_TEXTS);
  return problems;
}

function checkNames(bucket, key) {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket)) throw new Refusal(400, 'bucket is no name of a bucket');
  // eslint-disable-next-line no-control-regex
  if (key === '' || new TextEncoder().encode(key).length > KEY_BYTES || /[\u0000-\u001f\u007f]/.test(key)) {
    throw new Refusal(400, `key must have 1 to ${KEY_BYTES} bytes and no control characters`);
  }
  if (key.split('/').some(part => part === '.' || part === '..')) throw new Refusal(400, 'key has a part . or ..');
}

// Undefined: about something else than a stored core dump.
export function readNotice(context, event) {
  if (context.cloudevent === undefined && context.method !== 'POST') {
    throw new Refusal(405, `${context.method} is not supported: send the notification as an event or with POST`);
  }
  const body = context.cloudevent !== undefined ? event.data : context.body;
  const problems = problemsOf(body);
  if (problems.length > 0) throw new Refusal(400, 'this is no notification of Object Storage', problems);
  const { bucket, key, operation } = body;
  checkNames(bucket, key);
  if (!/^Object:(Write|Copy|CompleteMultipartUpload|.*Write.*)$/.test(operation)) return undefined;
  if (key.endsWith('-event.json')) return { bucket, key, form: 'event' };
  return key.endsWith('.zip') ? { bucket, key, form: 'zip' } : undefined;
}
