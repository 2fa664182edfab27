// Health checks of one's own.
let asked = 0;

function liveness(request, reply) {
  asked++;
  if (request.query.fail) {
    reply.code(500).type('text/plain');
    return 'not well';
  }
  return { alive: true, method: request.method, url: request.url };
}
liveness.path = '/alive';

async function readiness(request, reply) {
  await null;
  if (request.query.busy) reply.code(503).header('X-Why', 'busy').send('come back');
  else if (request.query.error) throw new Error('broken check');
  else return 'ready';
}

module.exports = { liveness, readiness, handle: (context, body) => ({ handled: true, asked: typeof asked }) };
