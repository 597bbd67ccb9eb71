// The one evaluator of the page: formulas as Python prints them.
//
//   formula = sum;  sum = product (("+" | "-") product)*;  product = power (("*" | "//" | "/") power)*
//   power = atom ("**" power)?;  list = "[" formula, … "]"
//   atom = digits | decimal | name | name "(" formula, … ")" | list | "(" formula ")" | "-" power
//
// A whole number is a BigInt, so results are exact however large; a number with a point or an
// exponent is a float, and so is every quotient and all that a float enters, as in Python. What is
// unknown (null) makes its formula unknown. What the evaluator does not know is an error.
"use strict";
const botecFormula = (() => {
  const TOKEN = /\s*(?:(\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+)|(\d+)|([A-Za-z_][\w.]*)|(\*\*|\/\/|[-+*/(),[\]]))/y;

  function tokens(text) {
    const found = [];
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const at = TOKEN.lastIndex, match = TOKEN.exec(text);
      if (!match) throw new Error(`not a formula at ${at}: ${text}`);
      const [, decimal, digits, name, sign] = match;
      found.push(decimal ? { number: Number(decimal) } : digits ? { number: BigInt(digits) } : name ? { name } : sign);
    }
    return found;
  }

  function parse(text) {
    const all = tokens(text);
    let place = 0;
    const next = () => all[place];
    const take = (wanted) => {
      if (next() !== wanted) throw new Error(`${wanted} is missing in ${text}`);
      place += 1;
    };
    const chain = (part, signs) => () => {
      let left = part();
      while (signs.includes(next())) {
        const sign = all[place++];
        left = [sign, left, part()];
      }
      return left;
    };
    const power = () => {
      const base = atom();
      if (next() !== "**") return base;
      place += 1;
      return ["**", base, power()];
    };
    const product = chain(power, ["*", "//", "/"]);
    const sum = chain(product, ["+", "-"]);
    const several = (name, end) => {
      place += 1;
      const parts = [name, sum()];
      while (next() === ",") {
        place += 1;
        parts.push(sum());
      }
      take(end);
      return parts;
    };
    function atom() {
      const one = all[place++];
      if (one === "(") {
        const inside = sum();
        take(")");
        return inside;
      }
      if (one === "-") return ["-", [0n], power()];
      if (one === "[") {
        place -= 1;
        return several("[", "]");
      }
      if (one && one.number !== undefined) return [one.number];
      if (one && one.name in FUNCTIONS && next() === "(") return several(one.name, ")");
      if (one && one.name) return [one.name];
      throw new Error(`not a formula: ${text}`);
    }
    const tree = sum();
    if (place !== all.length) throw new Error(`too much in ${text}`);
    return tree;
  }

  const whole = (one) => typeof one === "bigint";
  const floored = (a, b) => {
    const quotient = a / b;
    return a % b !== 0n && (a < 0n) !== (b < 0n) ? quotient - 1n : quotient;
  };
  const either = (exact, about) => (a, b) => (whole(a) && whole(b) ? exact(a, b) : about(Number(a), Number(b)));
  const extreme = (better) => (...values) => values.reduce((most, one) => (better(one, most) ? one : most));
  // Python's int(log2(...)) and friends: floats of floats.
  const FUNCTIONS = {
    max: extreme((one, most) => one > most), min: extreme((one, least) => one < least),
    log2: (a) => Math.log2(Number(a)), log: (a) => Math.log(Number(a)), exp: (a) => Math.exp(Number(a)),
    ceil: (a) => (whole(a) ? a : BigInt(Math.ceil(a))),
    // choose(a, b, c, d) is c where a ≤ b, else d.
    choose: (a, b, c, d) => (a <= b ? c : d),
    // Straight lines between points; beyond the ends the first and the last hold.
    interpolate: (at, across, up) => {
      const place = across.findIndex((one) => one > at);
      if (place <= 0) return up.at(place);
      const slope = (up[place] - up[place - 1]) / (across[place] - across[place - 1]);
      return slope * (at - across[place - 1]) + up[place - 1];
    },
  };
  const OPERATORS = {
    "+": either((a, b) => a + b, (a, b) => a + b), "-": either((a, b) => a - b, (a, b) => a - b),
    "*": either((a, b) => a * b, (a, b) => a * b), "**": either((a, b) => a ** b, (a, b) => a ** b),
    "//": either(floored, (a, b) => Math.floor(a / b)), "/": (a, b) => Number(a) / Number(b),
    "[": (...values) => values, ...FUNCTIONS,
  };

  function evaluate(tree, known) {
    if (tree.length === 1) return typeof tree[0] === "string" ? known(tree[0]) : tree[0];
    const values = [];
    for (let place = 1; place < tree.length; place += 1) {
      const value = evaluate(tree[place], known);
      if (value === null) return null;
      values.push(value);
    }
    return OPERATORS[tree[0]](...values);
  }

  // Whether a point lies where formulas hold, as botec.program.Regime.holds has it.
  function holds(where, point) {
    const every = (entries, test) => Object.entries(entries || {}).every(([n, v]) => test(point[n], v));
    return every(where.fixed, (a, v) => a === v) && every(where.least, (a, v) => a >= v)
      && every(where.most, (a, v) => a <= v) && every(where.step, (a, v) => a % v === 0);
  }

  const parsed = new Map();
  // The value where names stand for these: whole sizes, floats, or texts ("=…" is a formula itself).
  function value(text, names) {
    if (!parsed.has(text)) parsed.set(text, parse(text));
    const known = (name) => {
      if (!(name in names)) throw new Error(`no value of ${name}`);
      const found = names[name];
      return typeof found === "string" && found[0] === "=" ? value(found.slice(1), names) : found;
    };
    return evaluate(parsed.get(text), known);
  }

  const sizes = (point) => Object.fromEntries(Object.entries(point).map(([name, size]) => [name, BigInt(size)]));
  return { parse, value, holds, sizes };
})();
if (typeof module !== "undefined") module.exports = botecFormula;
