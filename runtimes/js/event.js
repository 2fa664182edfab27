// SPDX-License-Identifier: Apache-2.0
// CloudEvents as functions see them, and the builder of replies.

function isBytes(value) {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

function toBytes(value) {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

class CloudEvent {
  constructor(fields) {
    Object.assign(this, { specversion: '1.0', id: host.uuid(), type: undefined, source: undefined, time: new Date().toISOString() }, fields);
    for (const name of ['type', 'source']) {
      if (typeof this[name] !== 'string' || this[name] === '') throw new TypeError(`an event needs a ${name}`);
    }
  }

  // The JSON format; bytes travel as data_base64.
  toJSON() {
    if (!isBytes(this.data)) return this;
    const { data, ...fields } = this;
    return { ...fields, data_base64: toBytes(data).toBase64() };
  }

  cloneWith(fields) {
    return new CloudEvent({ ...this, ...fields });
  }

  toString() {
    return stringify(this);
  }
}

function looksLikeEvent(value) {
  return typeof value.specversion === 'string' && typeof value.type === 'string' &&
    typeof value.source === 'string' && typeof value.id === 'string';
}

// What context.cloudEventResponse(data) gives.
class CloudEventResponse {
  #data;
  #version;
  #attributes = {};

  constructor(data, version) {
    this.#data = data;
    this.#version = version;
  }

  #set(name, value) {
    this.#attributes[name] = value;
    return this;
  }

  version(value) {
    this.#version = value;
    return this;
  }

  id(value) { return this.#set('id', value); }
  type(value) { return this.#set('type', value); }
  source(value) { return this.#set('source', value); }
  subject(value) { return this.#set('subject', value); }
  time(value) { return this.#set('time', value instanceof Date ? value.toISOString() : value); }
  dataContentType(value) { return this.#set('datacontenttype', value); }
  dataSchema(value) { return this.#set(this.#version === '0.3' ? 'schemaurl' : 'dataschema', value); }
  extension(name, value) { return this.#set(name, value); }

  response() {
    const { id, type, source, subject, time, datacontenttype, ...rest } = this.#attributes;
    if (typeof type !== 'string' || type === '') throw new TypeError('the reply event has no type: call .type(…) before .response()');
    const event = {
      specversion: this.#version,
      id: id ?? host.uuid(),
      type,
      source: source ?? defaultSource,
      time: time ?? new Date().toISOString(),
    };
    if (subject !== undefined) event.subject = subject;
    if (this.#data !== undefined) event.datacontenttype = datacontenttype ?? (isBytes(this.#data) ? 'application/octet-stream' : 'application/json');
    Object.assign(event, rest);
    if (this.#data !== undefined) event.data = this.#data;
    return Object.setPrototypeOf(event, CloudEvent.prototype);
  }
}

let defaultSource = '/functions/default/function';

function isJson(contentType) {
  return /^[^;]*[/+]json\s*(;|$)/i.test(contentType);
}

// The worker gives [attributes, data] when data are JSON or text, [attributes] when there are none.
// Anything else: bytes, or data that are not the JSON that their type promises.
function readEvent(text) {
  let parts;
  try {
    parts = parse(text);
  } catch {
    parts = [];
  }
  let event = parts[0];
  if (parts.length === 2) {
    event.data = parts[1];
  } else if (parts.length !== 1) {
    event = parse(host.attributes());
    if (event.datacontenttype !== undefined && isJson(event.datacontenttype)) {
      throw Object.assign(new SyntaxError('the data of the event is no JSON, but its datacontenttype says so'), { code: 400 });
    }
    event.data = host.data();
  }
  return legacy ? event : Object.setPrototypeOf(event, CloudEvent.prototype);
}
