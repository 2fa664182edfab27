exports.name = 'old'; exports.file = __filename.endsWith('old.cjs');
