// Origins that may call.
module.exports = {
  cors: () => ['https://one.example', 'https://two.example'],
  handle(context, body) {
    if (context.query.fail) throw new Error('refused');
    return { ok: true };
  },
};
