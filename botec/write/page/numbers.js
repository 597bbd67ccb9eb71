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

  const exact = (value) => (typeof value === "bigint" ? grouped(String(value)) : String(value));
  return { short, exact };
})();
if (typeof module !== "undefined") module.exports = botecNumber;
