// SPDX-License-Identifier: Apache-2.0
// The two files of the pull request. Whatever comes from a pod is text that its owner chose, so it is
// checked and quoted before it becomes part of a Dockerfile.
import { Refusal } from './refusal.js';

// As the reference grammar of container images has it.
const IMAGE = /^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::\d{1,5})?\/)?[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?$/i;

function image(text, what) {
  if (text.length > 500 || !IMAGE.test(text)) throw new Refusal(422, `${what} is no reference of an image`);
  return text;
}

function line(text, what) {
  // eslint-disable-next-line no-control-regex
  if (text.length > 4096 || /[\u0000-\u001f\u007f\u0085\u2028\u2029]/.test(text)) throw new Refusal(422, `${what} has control characters`);
  return text;
}

// Of a Dockerfile's ENV: $ would name a variable.
function quoted(text) {
  return `"${text.replace(/["\\$`]/g, c => `\\${c}`)}"`;
}

export function workspaceFiles(dump, settings) {
  const debug = dump.labels['info.coredump.debugger'];
  const debugImage = debug !== undefined ? settings.debugImages[debug] ?? settings.debugImage : settings.debugImage;
  const path = line(dump.executable, 'the path of the executable');
  if (!path.startsWith('/') || path.split('/').includes('..')) throw new Refusal(422, 'the path of the executable must be absolute and without ..');
  // COPY reads its sources as patterns.
  const source = path.replace(/[[*?\\]/g, c => (c === '[' ? '[[]' : `\\${c}`));
  const name = path.replace(/^.*\//, '');
  const archive = line(dump.archive, 'the key');
  const stub = line(dump.stub, 'the key');
  const dockerfile = [
    `FROM ${image(dump.image, 'the image of the container')} as crasher`,
    `FROM ${image(debugImage, 'the image of the debugger')}`,
    `COPY --from=crasher ${JSON.stringify([source, './'])}`,
    `ENV CORE_FILE=${quoted(archive)}`,
    `ENV EXE_LOCATION=${quoted(`/debug/${name}`)}`,
    `ENV CORE_LOCATION=${quoted(`${stub}/${stub}.core`)}`,
    '',
  ].join('\n');
  const gitpod = ['image:', '  file: .gitpod.Dockerfile', 'tasks:', '  - init: /debug/init.sh', ''].join('\n');
  return { '.gitpod.yml': gitpod, '.gitpod.Dockerfile': dockerfile };
}
