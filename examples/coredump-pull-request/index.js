// SPDX-License-Identifier: Apache-2.0
// A core dump was stored: opens a pull request whose workspace debugs it. The function answers when
// all of it is done, so that a failure is seen by who delivers the event, and tried again.
import { readNotice } from './lib/notice.js';
import { readCoreDump } from './lib/coredump.js';
import { Bucket } from './lib/s3.js';
import { GitHub } from './lib/github.js';
import { openPullRequest } from './lib/pullrequest.js';
import { readSettings } from './lib/settings.js';

let settings;

export function init() {
  settings = readSettings(process.env);
}

export async function handle(context, event) {
  const notice = readNotice(context, event);
  if (notice === undefined) {
    context.log.info('nothing to do: the notification is not about a new core dump');
    return undefined;
  }
  const bucket = new Bucket(settings.s3, notice.bucket);
  const dump = await readCoreDump(bucket, notice);
  const repository = settings.repositories.require(dump.labels);
  const result = await openPullRequest(new GitHub(settings.github), repository, dump, settings);
  context.log.info(`${repository.owner}/${repository.name}: ${result.created ? 'opened' : 'found'} ${result.url}`);
  if (context.cloudevent === undefined) return { statusCode: result.created ? 201 : 200, body: result };
  return context.cloudEventResponse(result)
    .type('dev.sluice.examples.coredump.pullrequest')
    .source('examples/coredump-pull-request')
    .response();
}
