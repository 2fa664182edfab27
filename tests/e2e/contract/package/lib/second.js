// A cycle: what first.js has exported until now is seen.
const first = require('./first.js');
exports.about = () => `second, after ${first.name}`;
