module.exports = 'the index of lib';
