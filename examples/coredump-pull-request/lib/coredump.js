// SPDX-License-Identifier: Apache-2.0
// What core-dump-handler stored: a zip with the core and descriptions beside it, or, since version 8.9,
// an event file that says all of it. Of a zip, which may have gigabytes, only the descriptions are read;
// nothing is written anywhere.
import { unzip } from 'unzipit';
import { Refusal } from './refusal.js';

const TAIL_BYTES = 128 * 1024;
const READ_BYTES = 8 * 1024 * 1024; // of one range, the zip's directory among them
const FILE_BYTES = 1024 * 1024; // of one description
const FILES = 10000;
const UUID = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/;

// What unzipit asks for. The end of the file, where a zip's directory is, comes with the first answer.
class RangeReader {
  constructor(bucket, key) {
    this.bucket = bucket;
    this.key = key;
  }

  async getLength() {
    if (this.tail === undefined) {
      const { bytes, total, etag } = await this.bucket.get(this.key, `bytes=-${TAIL_BYTES}`);
      this.tail = bytes;
      this.length = total;
      this.etag = etag;
    }
    return this.length;
  }

  async read(offset, length) {
    await this.getLength();
    if (length < 0 || length > READ_BYTES || offset < 0 || offset + length > this.length) {
      throw new Refusal(422, `${this.key} is no sound zip: its directory points to ${length} bytes at ${offset} of ${this.length}`);
    }
    const from = offset - (this.length - this.tail.length);
    if (from >= 0) return this.tail.slice(from, from + length);
    if (length === 0) return new Uint8Array();
    const { bytes } = await this.bucket.get(this.key, `bytes=${offset}-${offset + length - 1}`, this.etag);
    if (bytes.length !== length) throw new Refusal(503, `${this.key}: ${bytes.length} bytes came instead of ${length}`);
    return bytes;
  }
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseFile(name, text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Refusal(422, `${name} is no JSON: ${error.message}`);
  }
  if (!isObject(value)) throw new Refusal(422, `${name} is no JSON object`);
  return value;
}

async function readFile(entries, name) {
  const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
  if (entry === undefined) throw new Refusal(422, `the zip has no ${name}`);
  if (entry.encrypted) throw new Refusal(422, `${name} is encrypted`);
  if (entry.size > FILE_BYTES || entry.compressedSize > FILE_BYTES) throw new Refusal(422, `${name} has more than ${FILE_BYTES} bytes`);
  return parseFile(name, await entry.text());
}

async function openZip(reader, key) {
  let entries;
  try {
    ({ entries } = await unzip(reader));
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(422, `${key} is no zip that can be read: ${error.message}`);
  }
  if (Object.keys(entries).length > FILES) throw new Refusal(422, `${key} has more than ${FILES} files`);
  return entries;
}

// crictl's forms: the image itself, or a list of one.
function imageOf(info) {
  const image = Array.isArray(info.images) ? info.images[0] : info;
  return image?.repoTags?.[0] ?? image?.repoDigests?.[0];
}

function labelsOf(pod) {
  const labels = pod.labels ?? pod.items?.[0]?.labels ?? {};
  if (!isObject(labels)) throw new Refusal(422, 'the labels of the pod are no object');
  return labels;
}

// The name that all files of the zip begin with: the key without folders and .zip.
function stubOf(key) {
  return key.replace(/^.*\//, '').replace(/\.zip$/, '');
}

async function readZip(bucket, key) {
  const entries = await openZip(new RangeReader(bucket, key), key);
  const stub = stubOf(key);
  const labels = labelsOf(await readFile(entries, `${stub}-pod-info.json`));
  const dump = await readFile(entries, `${stub}-dump-info.json`);
  const container = labels['info.coredump.container'] ?? '0';
  if (!/^\d{1,3}$/.test(container)) throw new Refusal(422, 'the label info.coredump.container must be a number');
  const image = imageOf(await readFile(entries, `${stub}-${Number(container)}-image-info.json`));
  return { uuid: dump.uuid, executable: String(dump.path ?? '').replaceAll('!', '/'), name: dump.exe, labels, image, archive: key, stub };
}

async function readEventFile(bucket, key) {
  const { bytes, total } = await bucket.get(key, `bytes=0-${FILE_BYTES - 1}`);
  if (total > FILE_BYTES) throw new Refusal(422, `${key} has more than ${FILE_BYTES} bytes`);
  const event = parseFile(key, new TextDecoder().decode(bytes));
  const archive = String(event.key ?? '');
  const images = Array.isArray(event.image_list) ? event.image_list : [];
  const container = Number(event.labels?.['info.coredump.container'] ?? 0);
  return {
    uuid: event.uuid,
    executable: String(event.exe_path ?? '').replaceAll('!', '/'),
    name: event.exe_name,
    labels: isObject(event.labels) ? event.labels : {},
    image: images[container],
    archive: /\.zip$/.test(archive) ? archive : `${archive}.zip`,
    stub: stubOf(archive),
  };
}

export async function readCoreDump(bucket, notice) {
  const dump = notice.form === 'event' ? await readEventFile(bucket, notice.key) : await readZip(bucket, notice.key);
  if (typeof dump.uuid !== 'string' || !UUID.test(dump.uuid)) throw new Refusal(422, 'the core dump has no uuid');
  if (typeof dump.name !== 'string' || dump.name === '') throw new Refusal(422, 'the core dump does not name its executable');
  if (typeof dump.image !== 'string') throw new Refusal(422, 'the core dump does not name the image of its container');
  return dump;
}
