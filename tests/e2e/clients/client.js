// SPDX-License-Identifier: Apache-2.0
// The JavaScript CloudEvents SDK as a client of the broker and as a subscriber.
//   client.js send URL       sends one event in each of the SDK's forms, prints {form, id, status}
//   client.js receive        listens; prints its port, then each event as the SDK reads it; answers
//                            events of type "question" with an event that the SDK writes
"use strict";
const http = require("node:http");
const { CloudEvent, HTTP, emitterFor, httpTransport, Mode } = require("cloudevents");

const DATA = { text: "größe", list: [1, 2.5, null], nested: { a: true } };

// The SDK does not percent-encode header values, so text beyond ASCII goes in structured mode only.
function event(id, more) {
  return new CloudEvent({
    id, type: "question", source: "/sdk/js", subject: "subject", datacontenttype: "application/json",
    data: DATA, colour: "red", ...more,
  });
}

async function send(url) {
  const report = (form, id, answer) => console.log(JSON.stringify({ form, id, status: answer }));
  const post = async (form, id, message) => {
    const answer = await fetch(url, { method: "POST", headers: message.headers, body: message.body });
    report(form, id, answer.status);
  };
  await post("binary", "js-binary", HTTP.binary(event("js-binary")));
  await post("structured", "js-structured", HTTP.structured(event("js-structured", { subject: "sübject" })));
  await post("old", "js-old", HTTP.binary(event("js-old", { specversion: "0.3" })));
  const bytes = new Uint8Array([0, 255, 1]);
  const raw = event("js-bytes", { data: bytes, datacontenttype: "application/octet-stream" });
  await post("bytes", "js-bytes", HTTP.structured(raw));
  const emit = emitterFor(httpTransport(url), { mode: Mode.STRUCTURED });
  const answer = await emit(event("js-emitter"));
  report("emitter", "js-emitter", answer.status ?? 202);
}

function receive() {
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      let got;
      try {
        got = HTTP.toEvent({ headers: request.headers, body: Buffer.concat(parts).toString() });
      } catch (error) {
        console.log(JSON.stringify({ error: String(error) }));
        response.writeHead(400).end();
        return;
      }
      console.log(JSON.stringify(got));
      if (got.type !== "question") {
        response.writeHead(204).end();
        return;
      }
      const reply = new CloudEvent({
        id: `${got.id}-answer`, type: "answer", source: "/sdk/js/receiver", data: { of: got.id },
      });
      const message = HTTP.binary(reply);
      response.writeHead(200, message.headers).end(message.body);
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

if (process.argv[2] === "send") send(process.argv[3]);
else receive();
