// Numbers as botec.units prints them, digit for digit; the units come as data from there.
"use strict";
const botecNumber = (() => {
  // A number as a fraction of whole ones: floats are exact ones.
  function fraction(value) {
    if (typeof value === "bigint") return [value, 1n];
    let above = value, below = 1n;
    while (!Number.isInteger(above)) [above, below] = [above * 2, below * 2n];
    return [BigInt(above), below];
  }

  const grouped = (digits) => digits.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const fixed = (whole, decimals) => {
    const text = String(whole).padStart(decimals + 1, "0"), point = text.length - decimals;
    return grouped(text.slice(0, point)) + (decimals ? `.${text.slice(point)}` : "");
  };
  const nearest = (above, below) => (2n * above + below) / (2n * below);

  // The power of ten of the first digit; 0 for 0.
  function order(above, below) {
    if (!above) return 0;
    const found = String(above).length - String(below).length;
    const [left, right] = found >= 0 ? [above, below * 10n ** BigInt(found)] : [above * 10n ** BigInt(-found), below];
    return left >= right ? found : found - 1;
  }

  // [n, d]: about n / 10**d, with so many digits that count; none before the point is rounded away.
  function rounded(above, below, digits) {
    const place = order(above, below);
    let decimals = Math.max(0, digits - 1 - place), whole = nearest(above * 10n ** BigInt(decimals), below);
    if (decimals && whole >= 10n ** BigInt(place + 1 + decimals)) [decimals, whole] = [decimals - 1, whole / 10n];
    return [whole, decimals];
  }

  // The largest prefix under a number, once it is rounded.
  function step(above, below, unit) {
    let chosen = unit.ladder[0];
    for (const one of unit.ladder.slice(1)) {
      const [n, d] = chosen, [whole, decimals] = rounded(above * BigInt(d), below * BigInt(n), unit.digits);
      if (whole * BigInt(n) * BigInt(one[1]) < BigInt(one[0]) * BigInt(d) * 10n ** BigInt(decimals)) break;
      chosen = one;
    }
    return chosen;
  }

  function digitsOf(above, below, digits) {
    const [whole, decimals] = rounded(above, below, digits), text = fixed(whole, decimals);
    const exact = whole * below === above * 10n ** BigInt(decimals);
    return exact && decimals ? text.replace(/\.?0+$/, "") : text;
  }

  function scientific(above, below, digits) {
    const place = order(above, below);
    const [left, right] = place >= 0 ? [above, below * 10n ** BigInt(place)] : [above * 10n ** BigInt(-place), below];
    let whole = nearest(left * 10n ** BigInt(digits - 1), right), power = place;
    if (whole >= 10n ** BigInt(digits)) [whole, power] = [whole / 10n, power + 1];
    return `${fixed(whole, digits - 1)}e${power < 0 ? "-" : "+"}${Math.abs(power)}`;
  }

  // Short, with its unit: what str(Quantity(value, unit)) is.
  function short(value, unit) {
    if (value === null || Number.isNaN(value)) return "?";
    if (value === Infinity || value === -Infinity) return value > 0 ? "∞" : "-∞";
    const [signed, below] = fraction(value), sign = signed < 0n ? "-" : "", above = signed < 0n ? -signed : signed;
    const named = (digits, name) => `${sign}${digits} ${name}`.trimEnd();
    const base = unit.ladder.find(([n, d]) => n === d)[2];
    if (above % below === 0n && above / below < BigInt(unit.whole)) return named(grouped(String(above / below)), base);
    const [n, d, name] = step(above, below, unit), [top, bottom] = [above * BigInt(d), below * BigInt(n)];
    if (top * 1000000n < bottom || top >= bottom * 1000000n) return named(scientific(above, below, unit.digits), base);
    const first = n === unit.ladder[0][0] && d === unit.ladder[0][1];
    if (top < bottom && !first) return named(fixed(10n ** BigInt(unit.digits - 1), unit.digits - 1), name);
    return named(digitsOf(top, bottom, unit.digits), name);
  }

  // With so many digits behind the point, halves to the even one: what f"{value:.2f}" is.
  function decimal(value, digits) {
    const [signed, below] = fraction(value), sign = signed < 0n ? "-" : "", above = (signed < 0n ? -signed : signed) * 10n ** BigInt(digits);
    const whole = above / below, twice = 2n * (above % below);
    const text = fixed(twice > below || (twice === below && whole % 2n) ? whole + 1n : whole, digits);
    return `${sign}${text}`;
  }

  // A number as a text wants it: hundredths, digits, or a unit's own way.
  function styled(value, unit, told) {
    if (value === null) return "?";
    if (typeof value === "string") return value;
    if (unit[0] === "%") return `${decimal(100 * Number(value), Number(unit.slice(1))).replaceAll(",", "")}%`;
    if (unit[0] === ".") return decimal(value, Number(unit.slice(1))).replaceAll(",", "");
    return unit[0] === "," ? decimal(value, Number(unit.slice(1))) : told(value, unit);
  }

  // A saying with its numbers, each from one end to the other where they differ.
  function filled(saying, ends, told) {
    const at = (formula, names) => (typeof botecFormula === "undefined" ? require("./evaluate.js") : botecFormula).value(formula, names);
    const shares = () => {
      const parts = Object.entries(saying.shares).map(([name, formula]) => [name, Number(at(formula, ends[0]))]).filter(([, one]) => one);
      const all = parts.reduce((sum, [, one]) => sum + one, 0) || 1;
      const texts = parts.map(([name, one]) => [name, decimal(100 * (one / all), 0)]);
      return texts.sort((one, other) => Number(other[1]) - Number(one[1])).map(([name, text]) => `${name} ${text}%`).join(", ");
    };
    return saying.text.replace(/\{([^{}|]+)(?:\|([^{}]*))?\}/g, (_, formula, unit) => {
      if (formula === "shares") return shares();
      const texts = ends.map((names) => styled(at(formula, names), unit ?? "", told));
      return [...new Set(texts)].join(" to ");
    });
  }

  const exact = (value) => (typeof value === "bigint" ? grouped(String(value)) : String(value));
  return { short, exact, decimal, filled };
})();
if (typeof module !== "undefined") module.exports = botecNumber;
