// SPDX-License-Identifier: Apache-2.0
// What the function is told by its environment, checked once, when it is deployed.
import { Refusal } from './refusal.js';

const DEBUG_IMAGE = 'quay.io/icdh/default:latest';
const LABEL_OWNER = 'info.coredump.owner';
const LABEL_REPOSITORY = 'info.coredump.repo';
const OWNER = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$/;
const REPOSITORY = /^[A-Za-z0-9._-]{1,100}$/;

function isRepository(name) {
  return REPOSITORY.test(name) && name !== '.' && name !== '..';
}

// The repositories that labels of a pod may name: "owner/name" or "owner/*". Without such a list
// anyone who may start a pod could have the token write to any repository that it can write to.
class Repositories {
  constructor(text) {
    this.entries = text.split(/[\s,]+/).filter(entry => entry !== '').map(entry => {
      const [owner, name, ...rest] = entry.split('/');
      if (rest.length > 0 || !OWNER.test(owner) || !(name === '*' || isRepository(name ?? ''))) {
        throw new Error(`ALLOWED_REPOSITORIES has "${entry}": it must be owner/name or owner/*`);
      }
      return [owner.toLowerCase(), name.toLowerCase()];
    });
    if (this.entries.length === 0) throw new Error('ALLOWED_REPOSITORIES is empty: no repository could be written to');
  }

  require(labels) {
    const owner = labels[LABEL_OWNER];
    const name = labels[LABEL_REPOSITORY];
    if (typeof owner !== 'string' || typeof name !== 'string') {
      throw new Refusal(422, `the pod of the core dump lacks the labels ${LABEL_OWNER} and ${LABEL_REPOSITORY}`);
    }
    if (!OWNER.test(owner) || !isRepository(name)) {
      throw new Refusal(422, `the labels ${LABEL_OWNER} and ${LABEL_REPOSITORY} name no repository`);
    }
    const allowed = this.entries.some(([o, n]) => o === owner.toLowerCase() && (n === '*' || n === name.toLowerCase()));
    if (!allowed) throw new Refusal(403, `${owner}/${name} is not among the ALLOWED_REPOSITORIES`);
    return { owner, name };
  }
}

function readImages(text) {
  if (text === undefined || text === '') return {};
  const images = JSON.parse(text);
  if (typeof images !== 'object' || images === null || Array.isArray(images)) throw new Error('DEBUG_IMAGES must be a JSON object: label value to image');
  return images;
}

function origin(name, text) {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) throw new Error(`${name} must be an http or https URL, it is "${text}"`);
  return text.replace(/\/+$/, '');
}

export function readSettings(env) {
  const missing = ['S3_ENDPOINT', 'S3_ACCESS_KEY', 'S3_SECRET', 'GIT_TOKEN', 'ALLOWED_REPOSITORIES'].filter(name => !env[name]);
  if (missing.length > 0) throw new Error(`the environment lacks ${missing.join(', ')}`);
  return {
    s3: {
      endpoint: origin('S3_ENDPOINT', env.S3_ENDPOINT),
      region: env.S3_REGION || 'us-east-1',
      accessKey: env.S3_ACCESS_KEY,
      secret: env.S3_SECRET,
      buckets: env.ALLOWED_BUCKETS ? env.ALLOWED_BUCKETS.split(/[\s,]+/).filter(name => name !== '') : undefined,
    },
    github: { api: origin('GITHUB_API', env.GITHUB_API || 'https://api.github.com'), token: env.GIT_TOKEN },
    repositories: new Repositories(env.ALLOWED_REPOSITORIES),
    debugImage: env.DEBUG_IMAGE || DEBUG_IMAGE,
    debugImages: readImages(env.DEBUG_IMAGES),
  };
}
