// SPDX-License-Identifier: Apache-2.0
// One pull request for each core dump. An event may be delivered more than once, or again after a
// failure half-way: the branch is named after the dump, and what is there already is used.
import { Refusal } from './refusal.js';
import { workspaceFiles } from './workspace.js';

const FORK_TRIES = 10;
const FORK_WAIT_MS = 1000;

const path = repository => `/repos/${encodeURIComponent(repository.owner)}/${encodeURIComponent(repository.name)}`;

async function newestCommit(github, repository, base, waits) {
  for (let left = waits; ; left--) {
    const { status, body } = await github.call('GET', `${path(repository)}/commits?sha=${encodeURIComponent(base)}&per_page=1`, undefined, [404, 409]);
    if (status === 200 && body.length > 0) return body[0];
    if (left <= 0) throw new Refusal(status === 200 ? 422 : 503, `${repository.owner}/${repository.name} has no commit on ${base}`);
    await new Promise(resolve => setTimeout(resolve, FORK_WAIT_MS));
  }
}

// A token that may not push works in a fork of its own.
async function writableRepository(github, repository) {
  const { body: info } = await github.call('GET', path(repository));
  if (info.permissions === undefined) throw new Refusal(403, 'GitHub does not tell the permissions of GIT_TOKEN: it is not authenticated');
  const base = info.default_branch;
  if (info.permissions.push === true) return { target: repository, base, waits: 0 };
  const { body: user } = await github.call('GET', '/user');
  const fork = { owner: user.login, name: repository.name };
  const { status, body: existing } = await github.call('GET', path(fork), undefined, [404]);
  if (status === 200) {
    const parent = existing.parent?.full_name ?? '';
    if (!existing.fork || parent.toLowerCase() !== `${repository.owner}/${repository.name}`.toLowerCase()) {
      throw new Refusal(422, `${fork.owner}/${fork.name} is in the way: it is no fork of ${repository.owner}/${repository.name}`);
    }
    return { target: fork, base, waits: 0 };
  }
  const { body: made } = await github.call('POST', `${path(repository)}/forks`, {});
  return { target: { owner: made.owner.login, name: made.name }, base, waits: FORK_TRIES };
}

async function writeBranch(github, { target, base, waits }, branch, files) {
  const parent = await newestCommit(github, target, base, waits);
  const tree = Object.entries(files).map(([name, content]) => ({ path: name, mode: '100644', type: 'blob', content }));
  const { body: made } = await github.call('POST', `${path(target)}/git/trees`, { base_tree: parent.commit.tree.sha, tree });
  const message = `creating ${Object.keys(files).join(' ')}`;
  const { body: commit } = await github.call('POST', `${path(target)}/git/commits`, { message, tree: made.sha, parents: [parent.sha] });
  const { status, body } = await github.call('POST', `${path(target)}/git/refs`, { ref: `refs/heads/${branch}`, sha: commit.sha }, [422]);
  if (status === 422 && !/already exists/i.test(body?.message ?? '')) throw new Refusal(422, `GitHub refused the branch ${branch}: ${body?.message}`);
  return status !== 422;
}

async function findPullRequest(github, repository, head) {
  const { body } = await github.call('GET', `${path(repository)}/pulls?state=all&head=${encodeURIComponent(head)}&per_page=1`);
  return body[0];
}

function describe(target, branch) {
  const tree = `https://github.com/${target.owner}/${target.name}/tree/${branch}`;
  return [
    'A core dump has been generated, and its debugging workspace is in this pull request.',
    '',
    `Open it: https://gitpod.io/#${tree}`,
    '',
    'The workspace needs S3_ACCESS_KEY, S3_SECRET, S3_REGION and S3_BUCKET_NAME to load the core.',
  ].join('\n');
}

// {url, number, branch, created}
export async function openPullRequest(github, repository, dump, settings) {
  const files = workspaceFiles(dump, settings);
  const branch = `core-dump-${dump.uuid}`;
  const place = await writableRepository(github, repository);
  const head = `${place.target.owner}:${branch}`;
  const isNew = await writeBranch(github, place, branch, files);
  const known = isNew ? undefined : await findPullRequest(github, repository, head);
  if (known !== undefined) return { url: known.html_url, number: known.number, branch, created: false };
  const request = { title: `Core Dump Generated - ${dump.uuid}`, body: describe(place.target, branch), head, base: place.base };
  const { status, body } = await github.call('POST', `${path(repository)}/pulls`, request, [422]);
  if (status !== 422) return { url: body.html_url, number: body.number, branch, created: true };
  const raced = await findPullRequest(github, repository, head);
  if (raced === undefined) throw new Refusal(422, `GitHub refused the pull request: ${body?.message} ${JSON.stringify(body?.errors ?? [])}`.slice(0, 500));
  return { url: raced.html_url, number: raced.number, branch, created: false };
}
