"use strict";

const { greet } = require("./greeting.js");

/**
 * Called with every event, and with every HTTP request that is none.
 * context: the request (method, headers, query, body, log, cloudevent…)
 * event: the CloudEvent; for a plain request its body
 */
async function handle(context, event) {
  if (!context.cloudevent) return { text: greet(context.query.name ?? "World") };
  console.log(`a greeting for ${event.data.name}`);
  return context.cloudEventResponse({ text: greet(event.data.name) })
    .type("com.example.greeted")
    .source("/{{name}}")
    .response();
}

module.exports = { handle };
