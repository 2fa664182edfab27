// init comes first, once; its state stays with isolation: instance. func.yaml says the rest.
let state = 'not yet';
let calls = 0;

module.exports = {
  async init() {
    await null;
    state = 'ready';
  },
  shutdown() {
    console.log(`shutdown after ${calls} calls`);
  },
  handle(context, body) {
    calls++;
    return { state, name: process.env.NAME };
  },
};
