"use strict";

exports.greet = (name) => `${process.env.GREETING ?? "Hello"}, ${name}!`;
