// SPDX-License-Identifier: Apache-2.0
// Which web pages may read the answers: all, or those whose origins the function's cors() gives.
// The worker adds the headers to what the function answers.

function applyCors({ headers: { origin } }) {
  const origins = lifecycle.cors();
  host.allowOrigin(origin !== undefined && Array.isArray(origins) && origins.includes(origin) ? origin : '');
}

// The browser's question before it sends the request itself.
function isPreflight({ method, headers }) {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;
}

function answerPreflight(context) {
  if (isFunction(lifecycle.cors)) applyCors(context);
  host.reply(204, 'access-control-allow-headers: *\n', '');
}
