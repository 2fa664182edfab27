// SPDX-License-Identifier: Apache-2.0

// Why an event cannot be worked on. A code from 400 to 499 says that trying again would not help; 503
// says that it would.
export class Refusal extends Error {
  constructor(code, message, problems) {
    super(problems === undefined ? message : `${message}: ${problems.join('; ')}`);
    this.name = 'Refusal';
    this.code = code;
  }
}
