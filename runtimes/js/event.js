// SPDX-License-Identifier: Apache-2.0
// CloudEvents as functions see them, and the builder of replies.

function isBytes(value) {
  if (typeof value !== 'object' || value === null || value.constructor === Object) return false;
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

function toBytes(value) {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

// Bytes that handlers get are Node's.
function asBuffer(bytes) {
  return Object.setPrototypeOf(bytes, web.Buffer.prototype);
}

class CloudEvent {
  constructor(fields) {
    Object.assign(this, { specversion: '1.0', id: host.uuid(), type: undefined, source: undefined, time: host.now() }, fields);
    this.validate();
  }

  static cloneWith(event, fields) {
    return new CloudEvent({ ...event, ...fields });
  }

  cloneWith(fields) {
    return CloudEvent.cloneWith(this, fields);
  }

  validate() {
    for (const name of ['type', 'source']) {
      if (typeof this[name] !== 'string' || this[name] === '') throw new TypeError(`an event needs a ${name}`);
    }
    return true;
  }

  // Of data that are bytes.
  get data_base64() {
    return isBytes(this.data) ? toBytes(this.data).toBase64() : undefined;
  }

  set data_base64(value) {
    define(this, 'data_base64', value);
  }

  // The JSON format; bytes travel as data_base64.
  toJSON() {
    if (!isBytes(this.data)) return this;
    const { data, ...fields } = this;
    return { ...fields, data_base64: toBytes(data).toBase64() };
  }

  toString() {
    return stringify(this);
  }
}

// Makes an event without CloudEvent's checks, which come when it is sent.
function ReplyEvent(specversion) {
  this.specversion = specversion;
  this.id = '';
  this.type = '';
  this.source = defaultSource;
  this.time = '';
}
ReplyEvent.prototype = CloudEvent.prototype;

// Shows events as objects of no class.
function plainEventPrototype() {
  const { constructor, ...methods } = Object.getOwnPropertyDescriptors(CloudEvent.prototype);
  return Object.create(Object.prototype, methods);
}

// An event, or what has an event's attributes.
function looksLikeEvent(value) {
  return typeof value.specversion === 'string' && typeof value.type === 'string' &&
    typeof value.source === 'string' && typeof value.id === 'string';
}

// What context.cloudEventResponse(data) gives. Plain properties: private ones cost a microsecond.
class CloudEventResponse {
  constructor(data, version) {
    this._event = new ReplyEvent(version);
    this._data = data;
  }

  id(value) {
    this._event.id = value;
    return this;
  }

  type(value) {
    this._event.type = value;
    return this;
  }

  source(value) {
    this._event.source = value;
    return this;
  }

  version(value) { return this.extension('specversion', value); }
  subject(value) { return this.extension('subject', value); }
  time(value) { return this.extension('time', value instanceof Date ? value.toISOString() : value); }
  dataContentType(value) { return this.extension('datacontenttype', value); }
  dataSchema(value) { return this.extension(this._event.specversion === '0.3' ? 'schemaurl' : 'dataschema', value); }

  extension(name, value) {
    this._event[name] = value;
    return this;
  }

  response() {
    const event = this._event;
    const data = this._data;
    if (typeof event.type !== 'string' || event.type === '') throw new TypeError('the reply event has no type: call .type(…) before .response()');
    if (event.id === '') event.id = host.uuid();
    if (event.time === '') event.time = host.now();
    if (data !== undefined) {
      if (event.datacontenttype === undefined && isBytes(data)) event.datacontenttype = 'application/octet-stream';
      event.data = data;
    }
    return event;
  }
}

let defaultSource = '/functions/default/function';

function isJson(contentType) {
  return /^[^;]*[/+]json\s*(;|$)/i.test(contentType);
}
