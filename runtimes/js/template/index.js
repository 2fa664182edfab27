'use strict';

const { greet } = require('./greeting.js');

/**
 * Called with every event, and with every HTTP request that is none.
 * context: the request (method, headers, query, body, log, cloudevent…)
 * event: the CloudEvent; for a plain request its body
 */
async function handle(context, event) {
  const data = context.cloudevent ? event.data : context.body;
  const name = data?.name ?? context.query.name ?? 'World';
  context.log.info(`a greeting for ${name}`);
  if (!context.cloudevent) return { text: greet(name) };
  return context.cloudEventResponse({ text: greet(name) })
    .type('com.example.greeted')
    .source('/{{name}}')
    .response();
}

module.exports = { handle };
