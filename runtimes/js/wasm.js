// SPDX-License-Identifier: Apache-2.0
// Functions that are an export of a WebAssembly module: two pieces of JavaScript say what it is
// called with and what its result becomes.

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
    arguments: settings.wasm.arguments ? compileMapping(settings.wasm.arguments, 'event,context', 'arguments') : () => [],
    response: settings.wasm.response ? compileMapping(settings.wasm.response, 'result,event,meta,context', 'response') : undefined,
  };
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

// The worker calls the export once this has returned, then resumeWasm().
function callWasm(context, event) {
  const values = wasm.arguments(event, context) ?? [];
  if (!Array.isArray(values)) throw new TypeError(`spec.arguments must give an array, it gave ${inspect(values)}`);
  if (values.length !== wasm.parameters.length) throw new TypeError(`${wasm.function} takes ${wasm.parameters.length} arguments, spec.arguments gave ${values.length}`);
  waiting = { context, event, values };
  let text = '';
  for (let i = 0; i < values.length; i++) text += (i > 0 ? ',' : '') + toNumberText(values[i], wasm.parameters[i]);
  host.callModule(text);
}

function resumeWasm(resultText) {
  const { context, event, values } = waiting;
  waiting = undefined;
  const { results } = wasm;
  const result = results.length > 1 ? resultText.split(',').map((r, i) => fromNumberText(r, results[i]))
    : results.length === 1 ? fromNumberText(resultText, results[0]) : undefined;
  const meta = { module: wasm.module, function: wasm.function, types: results, arguments: values };
  const response = wasm.response !== undefined ? wasm.response(result, event, meta, context) : result;
  if (typeof response === 'string') host.log(INFO, response);
  settle(context, response);
}
