// SPDX-License-Identifier: Apache-2.0
// console and context.log: both end in the function's log.

const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;

let groupIndent = '';
const counters = new Map();
const stopwatches = new Map();

const isContext = value => value instanceof Context;

// The worker shows ordinary values by itself (src/worker/engine_inspect.c), others are shown here.
function print(level, values) {
  if (groupIndent === '') {
    if (host.print(level, values)) return;
    if (!legacy && values.some(isContext)) {
      values = values.map(v => isContext(v) ? v.shown() : v);
      if (host.print(level, values)) return;
    }
  }
  let text = format(...values);
  if (groupIndent !== '') text = groupIndent + text.replaceAll('\n', `\n${groupIndent}`);
  host.log(level, text);
}

// The files of the Web APIs have been evaluated before.
web.inspect = inspect;
web.format = format;
web.print = print;

function elapsed(label, values) {
  const begun = stopwatches.get(label);
  if (begun === undefined) print(WARN, [`No such label '${label}' for console.time()`]);
  else print(INFO, [`${label}: ${Date.now() - begun}ms`, ...values]);
}

globalThis.console = {
  log: (...values) => print(INFO, values),
  info: (...values) => print(INFO, values),
  debug: (...values) => print(DEBUG, values),
  warn: (...values) => print(WARN, values),
  error: (...values) => print(ERROR, values),
  trace: (...values) => print(ERROR, [`Trace: ${format(...values)}\n${new Error().stack.split('\n').slice(1).join('\n').trimEnd()}`]),
  dir: (value, options) => host.log(INFO, inspect(value, { customInspect: false, ...options })),
  table: value => print(INFO, [value]),
  assert: (condition, ...values) => {
    if (!condition) print(ERROR, values.length > 0 ? ['Assertion failed:', ...values] : ['Assertion failed']);
  },
  count: (label = 'default') => {
    counters.set(label, (counters.get(label) ?? 0) + 1);
    print(INFO, [`${label}: ${counters.get(label)}`]);
  },
  countReset: (label = 'default') => counters.delete(label),
  group: (...values) => {
    if (values.length > 0) print(INFO, values);
    groupIndent += '  ';
  },
  groupEnd: () => { groupIndent = groupIndent.slice(2); },
  time: (label = 'default') => stopwatches.set(label, Date.now()),
  timeLog: (label = 'default', ...values) => elapsed(label, values),
  timeEnd: (label = 'default') => {
    elapsed(label, []);
    stopwatches.delete(label);
  },
};
console.groupCollapsed = console.group;
Object.defineProperty(console, Symbol.toStringTag, { value: 'console' });

// The levels of context.log, and those of the log that they become.
const LOG_LEVELS = { trace: [10, DEBUG], debug: [20, DEBUG], info: [30, INFO], warn: [40, WARN], error: [50, ERROR], fatal: [60, ERROR] };
let logThreshold = 0;
let logLevel = 'trace';

function setLogLevel(name) {
  logLevel = Object.hasOwn(LOG_LEVELS, name) || name === 'silent' ? name : 'info';
  logThreshold = logLevel === 'silent' ? Infinity : LOG_LEVELS[logLevel][0];
}

function logWith(show) {
  const log = {};
  for (const [name, [severity, level]] of Object.entries(LOG_LEVELS)) {
    log[name] = (...values) => { if (severity >= logThreshold) show(level, values); };
  }
  log.silent = () => {};
  log.child = () => log;
  log.isLevelEnabled = name => LOG_LEVELS[name]?.[0] >= logThreshold;
  Object.defineProperty(log, 'level', { get: () => logLevel, enumerable: true });
  return Object.freeze(log);
}
const contextLog = logWith(print);

// Of one call among several in an instance; once it has been answered, of the instance.
function logOf(number) {
  return logWith((level, values) => {
    const before = host.enter(number);
    try {
      print(level, values);
    } finally {
      if (before !== undefined) host.leave(before);
    }
  });
}
