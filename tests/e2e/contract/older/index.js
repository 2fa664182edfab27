// The contract of faas-js-runtime 0.2: one parameter, with __ow_ fields.
const without = event => Object.fromEntries(Object.entries(event).filter(([name, value]) => name !== 'data' && name !== 'time' && name !== 'extensions' && value !== undefined).sort());

const parts = {
  fields: c => ({ fields: Object.keys(c).filter(name => name.startsWith('__ow_')).sort() }),
  method: c => ({ method: c.__ow_method, user: c.__ow_user, path: c.__ow_path }),
  headers: c => ({ header: c.__ow_headers['x-part'], host: c.__ow_headers.host }),
  query: c => ({ query: c.__ow_query, name: c.name }),
  body: c => ({ text: c.__ow_body }),
  log: c => ({ log: typeof c.log.info }),
  event: c => ({ event: without(c.cloudevent), data: c.cloudevent.data }),
  plain: c => ({ event: c.cloudevent === undefined }),
  text: () => 'a text',
  none: () => undefined,
  status: () => ({ statusCode: 201, made: true }),
  headed: () => ({ headers: { 'x-own': '1' }, made: true }),
  thrown: () => { throw Object.assign(new Error('not found'), { code: 404 }); },
};

module.exports = context => parts[context.__ow_headers['x-part']](context);
