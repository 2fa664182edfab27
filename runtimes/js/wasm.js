// SPDX-License-Identifier: Apache-2.0
// Functions that are an export of a WebAssembly module: two pieces of JavaScript say what it is
// called with and what its result becomes.

const TAKES_BYTES = /^ii:(I|ii)$/;
const RETURNS_BYTES = /^(I|ii)$/;
const NUMBER_TYPES = { i: 'i32', I: 'i64', f: 'f32', F: 'f64' };

let wasm;
let waiting;

// The text is an expression over the parameters, or a function of them. It may use all parameters in
// either case, so it is evaluated for each event.
function compileMapping(text, parameters, name) {
  const run = host.compile(`(function(${parameters}){return (${text}\n)})`, name);
  const { length } = run;
  return (a, b, c, d) => {
    const result = length === 2 ? run(a, b) : run(a, b, c, d);
    if (typeof result !== 'function') return result;
    return length === 2 ? result(a, b) : result(a, b, c, d);
  };
}

function prepareWasm(settings) {
  const [parameters, results] = settings.signature.split(':');
  wasm = {
    parameters: Array.from(parameters, c => NUMBER_TYPES[c]),
    results: Array.from(results, c => NUMBER_TYPES[c]),
    module: settings.wasm.module,
    function: settings.wasm.function,
    result: settings.wasm.result ?? 'number',
    givesMemory: settings.givesMemory,
    arguments: settings.wasm.arguments ? compileMapping(settings.wasm.arguments, 'event,context', 'arguments')
      : TAKES_BYTES.test(settings.signature) ? wholeInput : () => [],
    response: settings.wasm.response ? compileMapping(settings.wasm.response, 'result,event,meta,context', 'response') : undefined,
  };
  if (wasm.result !== 'number' && !RETURNS_BYTES.test(results)) {
    throw new TypeError(`spec.result is ${wasm.result}, so ${wasm.function} must return an i64 (address << 32 | length) or two i32 (address, length); it returns (${wasm.results.join(', ')})`);
  }
}

// What functions without arguments of their own are called with, as those without JavaScript are.
function wholeInput(event, context) {
  return [context.cloudevent !== undefined ? `${stringify(context.cloudevent)}\n` : context.rawBody];
}

function toNumberText(value, type) {
  if (type === 'i32' && (value | 0) === value) return `${value}`;
  if (value === undefined || value === null || (typeof value !== 'number' && typeof value !== 'bigint' && Number.isNaN(Number(value)))) {
    throw new TypeError(`an argument of ${wasm.function} is ${inspect(value)}: it must be a number (${type})`);
  }
  if (type === 'i64') return BigInt.asIntN(64, BigInt(value)).toString();
  if (type === 'i32') return String(Number(BigInt.asIntN(32, BigInt(Math.trunc(Number(value)) || 0))));
  return String(Number(value));
}

function fromNumberText(value, type) {
  return type === 'i64' ? BigInt(value) : Number(value);
}

// With fewer values than parameters, each text, bytes or object stands for two of them: where it is in
// the module's memory, and its length.
function spread(values) {
  if (!wasm.givesMemory) throw new TypeError(`texts and bytes need memory: ${wasm.module} exports no function that gives some (sluice_alloc, malloc)`);
  const parts = [];
  let at = 0;
  let count = 0;
  for (const value of values) {
    if (isBytes(value) || typeof value === 'string' || (typeof value === 'object' && value !== null)) {
      if (wasm.parameters[at] !== 'i32' || wasm.parameters[at + 1] !== 'i32') throw new TypeError(`${inspect(value)} needs two parameters of type i32, the address and the length; ${wasm.function} takes (${wasm.parameters.join(', ')})`);
      host.moduleBytes(count++, isBytes(value) ? toBytes(value) : typeof value === 'string' ? value : stringify(value));
      parts.push('@');
      at += 2;
    } else {
      parts.push(toNumberText(value, wasm.parameters[at++]));
    }
  }
  if (at !== wasm.parameters.length) throw new TypeError(`${wasm.function} takes ${wasm.parameters.length} parameters, spec.arguments gave ${at} (texts and bytes count as two)`);
  return parts.join(',');
}

// The worker calls the export once this has returned, then resumeWasm().
function callWasm(context, event) {
  const values = wasm.arguments(event, context) ?? [];
  if (!Array.isArray(values)) throw new TypeError(`spec.arguments must give an array, it gave ${inspect(values)}`);
  let text = '';
  if (values.length < wasm.parameters.length && values.some(v => typeof v === 'string' || typeof v === 'object')) {
    text = spread(values);
  } else {
    if (values.length !== wasm.parameters.length) throw new TypeError(`${wasm.function} takes ${wasm.parameters.length} arguments, spec.arguments gave ${values.length}`);
    for (let i = 0; i < values.length; i++) text += (i > 0 ? ',' : '') + toNumberText(values[i], wasm.parameters[i]);
  }
  waiting = { context, event, values };
  host.callModule(text);
}

function numbersOf(text) {
  const { results } = wasm;
  return results.length > 1 ? text.split(',').map((r, i) => fromNumberText(r, results[i]))
    : results.length === 1 ? fromNumberText(text, results[0]) : undefined;
}

// The bytes that came back, as spec.result says.
function bytesOf(kind) {
  if (kind === 'bytes') return host.moduleResult(false);
  const text = host.moduleResult(true);
  if (kind === 'text' || text === '') return text;
  let value;
  try {
    value = parse(text);
  } catch (error) {
    throw new SyntaxError(`spec.result is ${kind}, but what ${wasm.function} returned is no JSON: ${error.message}`);
  }
  return kind === 'event' ? new CloudEvent({ source: defaultSource, ...value }) : value;
}

function resumeWasm(resultText) {
  const { context, event, values } = waiting;
  waiting = undefined;
  const { results } = wasm;
  const result = wasm.result === 'number' ? numbersOf(resultText) : bytesOf(wasm.result);
  if (wasm.result === 'event' && wasm.response === undefined) {
    answerEvent(result);
    return;
  }
  const meta = { module: wasm.module, function: wasm.function, types: results, arguments: values };
  const response = wasm.response !== undefined ? wasm.response(result, event, meta, context) : result;
  if (typeof response === 'string') host.log(INFO, response);
  settle(context, response);
}
