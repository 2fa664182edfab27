exports.name = 'first';
const second = require('./second');
exports.second = () => second.about();
