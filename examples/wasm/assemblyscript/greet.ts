// SPDX-License-Identifier: Apache-2.0
// handle(address, length) gets the event as JSON and returns the reply, so no JavaScript is needed
// around it. Memory comes from AssemblyScript's own runtime (--exportRuntime).

function textBetween(text: string, before: string, after: string): string {
  const from = text.indexOf(before);
  if (from < 0) return "";
  const start = from + before.length;
  const end = text.indexOf(after, start);
  return end < 0 ? "" : text.substring(start, end);
}

export function handle(address: usize, length: i32): u64 {
  const event = String.UTF8.decodeUnsafe(address, length);
  const name = textBetween(event, '"name":"', '"');
  if (name.length == 0) throw new Error("the event has no name");
  trace("greeting " + name);
  const reply = '{"specversion":"1.0","type":"greeting","data":{"text":"Hello, ' + name + '!"}}';
  const bytes = String.UTF8.encode(reply);
  return (u64(changetype<usize>(bytes)) << 32) | u64(bytes.byteLength);
}
