// The one evaluator of the page: formulas as Python prints them, worked out in whole numbers.
//
//   formula = sum;  sum = product (("+" | "-") product)*;  product = power (("*" | "//") power)*
//   power = atom ("**" power)?;  atom = digits | name | "max(" formula, … ")" | "(" formula ")" | "-" power
//
// Every number is a BigInt, so results are exact however large. What it does not know is an error.
"use strict";
const botecFormula = (() => {
  const TOKEN = /\s*(?:(\d+)|([A-Za-z_]\w*)|(\*\*|\/\/|[-+*(),]))/y;

  function tokens(text) {
    const found = [];
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const at = TOKEN.lastIndex, match = TOKEN.exec(text);
      if (!match) throw new Error(`not a formula at ${at}: ${text}`);
      found.push(match[1] ? { number: BigInt(match[1]) } : match[2] ? { name: match[2] } : match[3]);
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
    const product = chain(power, ["*", "//"]);
    const sum = chain(product, ["+", "-"]);
    function atom() {
      const one = all[place++];
      if (one === "(") {
        const inside = sum();
        take(")");
        return inside;
      }
      if (one === "-") return ["-", [0n], power()];
      if (one && one.number !== undefined) return [one.number];
      if (one && one.name === "max" && next() === "(") {
        place += 1;
        const parts = ["max", sum()];
        while (next() === ",") {
          place += 1;
          parts.push(sum());
        }
        take(")");
        return parts;
      }
      if (one && one.name) return [one.name];
      throw new Error(`not a formula: ${text}`);
    }
    const tree = sum();
    if (place !== all.length) throw new Error(`too much in ${text}`);
    return tree;
  }

  const floored = (a, b) => {
    const whole = a / b;
    return a % b !== 0n && (a < 0n) !== (b < 0n) ? whole - 1n : whole;
  };
  const OPERATORS = {
    "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "**": (a, b) => a ** b,
    "//": floored,
  };

  function evaluate(tree, point) {
    if (tree.length === 1) {
      if (typeof tree[0] === "bigint") return tree[0];
      if (!(tree[0] in point)) throw new Error(`no dimension ${tree[0]}`);
      return BigInt(point[tree[0]]);
    }
    const [sign, ...parts] = tree;
    const values = parts.map((part) => evaluate(part, point));
    if (sign === "max") return values.reduce((most, one) => (one > most ? one : most));
    return OPERATORS[sign](...values);
  }

  // Whether a point lies where formulas hold, as botec.program.Regime.holds has it.
  function holds(where, point) {
    const every = (entries, test) => Object.entries(entries || {}).every(([n, v]) => test(point[n], v));
    return every(where.fixed, (a, v) => a === v) && every(where.least, (a, v) => a >= v)
      && every(where.most, (a, v) => a <= v) && every(where.step, (a, v) => a % v === 0);
  }

  const parsed = new Map();
  function value(text, point) {
    if (!parsed.has(text)) parsed.set(text, parse(text));
    return evaluate(parsed.get(text), point);
  }
  return { parse, evaluate, value, holds };
})();
if (typeof module !== "undefined") module.exports = botecFormula;
