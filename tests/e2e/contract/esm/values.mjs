export const list = ['first'];
