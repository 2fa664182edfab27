export const greet = name => `hello ${name}`; export default 'please';
