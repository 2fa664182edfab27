// SPDX-License-Identifier: Apache-2.0
// What the environment and func.yaml say: the level of context.log, the largest body, and the labels
// of the metrics. As in faas-js-runtime, func.yaml has the last word.

// The scalars at the top level of func.yaml: `name: value` at the line's begin, which is all that
// the contract reads of it.
function readFuncYaml(text) {
  const values = {};
  for (const line of text.split('\n')) {
    const match = /^([A-Za-z]\w*):\s+(.*?)\s*$/.exec(line);
    if (match === null) continue;
    const quoted = /^(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)')\s*(?:#.*)?$/.exec(match[2]);
    const value = quoted === null ? match[2].replace(/(^|\s)#.*$/, '').trim()
      : quoted[1] !== undefined ? quoted[1].replace(/\\(.)/g, '$1') : quoted[2].replaceAll("''", "'");
    if (value !== '' && (quoted !== null || !/^[[{|>&*!~]/.test(value))) values[match[1]] = value;
  }
  return values;
}

function funcYaml() {
  let text;
  try {
    text = host.source('func.yaml');
  } catch {
    return {};
  }
  return readFuncYaml(text);
}

const METRIC_LABELS = {
  name: (env, settings) => env.FAAS_NAME || env.K_SERVICE || settings.name || 'anonymous',
  id: (env, settings) => env.FAAS_ID || (env.POD_NAME ? `${env.POD_NAME}-${host.uuid()}` : settings.uid || host.uuid()),
  instance: env => env.FAAS_INSTANCE || env.POD_NAME || '',
  version: (env, settings) => env.FAAS_VERSION || env.K_REVISION || (settings.generation !== undefined ? String(settings.generation) : ''),
  runtime: (env, settings) => env.FAAS_RUNTIME || settings.runtime || 'js',
};

function configure(settings) {
  const env = settings.env ?? {};
  const yaml = funcYaml();
  setLogLevel(yaml.logLevel ?? env.FUNC_LOG_LEVEL ?? 'info');
  const bodyLimit = Number(yaml.bodyLimit ?? env.FUNC_BODY_LIMIT);
  if (bodyLimit > 0) host.configure('bodyLimit', bodyLimit);
  for (const [name, value] of Object.entries(METRIC_LABELS)) host.configure(name, yaml[name] ?? value(env, settings));
  for (const [name, variable] of [['livenessPath', 'LIVENESS_URL'], ['readinessPath', 'READINESS_URL'], ['metricsPath', 'METRICS_URL']]) {
    if (env[variable]?.startsWith('/')) host.configure(name, env[variable]);
  }
}

function configureLifecycle(found) {
  if (isFunction(found.cors)) host.configure('cors', true);
  configureHealth(found);
}
