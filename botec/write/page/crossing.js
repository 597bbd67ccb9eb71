// Where one formula passes another for good, in whole numbers: botec.analyses.crossing once more, and
// who owns what passes. Formulas are data; it knows none of its own.
"use strict";
const botecCrossing = (() => {
  const evaluator = typeof botecFormula === "undefined" ? require("./evaluate.js") : botecFormula;
  const FAR = 10n ** 30n, MOST_OWNERS = 2, MOST_OF = 0.9;
  const PARTIAL = /\.(backward|optimizer)$/;
  const sign = (number) => (number > 0n) - (number < 0n);

  // Forward differences at zero: f(q) is the sum of difference[k] * C(q, k).
  function newton(values) {
    const found = [];
    for (let row = values; row.length; row = row.slice(1).map((after, place) => after - row[place])) found.push(row[0]);
    while (found.length > 1 && !found.at(-1)) found.pop();
    return found;
  }

  function value(differences, place) {
    let total = 0n, choose = 1n;
    differences.forEach((factor, power) => {
      total += factor * choose;
      choose = choose * (place - BigInt(power)) / BigInt(power + 1);
    });
    return total;
  }

  // The runs of equal sign of a polynomial at 0, 1, 2, …: [from, sign], the last without an end.
  function signs(differences) {
    if (differences.length === 1) return [[0n, sign(differences[0])]];
    const slopes = signs(differences.slice(1)), runs = [];
    slopes.forEach(([begin], place) => {
      for (const run of monotone(differences, begin, place + 1 < slopes.length ? slopes[place + 1][0] : null)) {
        if (!runs.length || runs.at(-1)[1] !== run[1]) runs.push(run);
      }
    });
    return runs;
  }

  // Those of a stretch where it only rises, or only falls.
  function monotone(differences, begin, end) {
    const last = end ?? unbounded(differences, begin), runs = [[begin, sign(value(differences, begin))]];
    const final = sign(value(differences, last));
    while (runs.at(-1)[1] !== final) {
      let [low, own] = runs.at(-1), high = last;
      while (high - low > 1n) {
        const middle = (low + high) / 2n;
        if (sign(value(differences, middle)) === own) low = middle;
        else high = middle;
      }
      runs.push([high, sign(value(differences, high))]);
    }
    return runs;
  }

  function unbounded(differences, begin) {
    const own = sign(differences.at(-1));
    let step = 1n;
    while (sign(value(differences, begin + step)) !== own) step *= 2n;
    return begin + step;
  }

  // The least size from `start` on from which a gap is never negative; null where there is none.
  function passes(gap, start, repeat, power) {
    let found = start;
    for (let residue = 0n; residue < repeat; residue += 1n) {
      const first = start + residue;
      const runs = signs(newton(Array.from({ length: power + 1 }, (_, step) => gap(first + repeat * BigInt(step)))));
      if (runs.at(-1)[1] < 0) return null;
      runs.slice(0, -1).forEach(([, own], place) => {
        const least = first + repeat * (runs[place + 1][0] - 1n) + 1n;
        if (own < 0 && least > found) found = least;
      });
    }
    return found;
  }

  // Of one figure in one dimension: its fastest term, who owns it, and from where on it leads.
  function passing(one, texts, name, point) {
    const at = (text, size) => evaluator.value(texts[text], { ...evaluator.sizes(point), [name]: size });
    const start = BigInt(one.least), least = (high, low) => passes((size) => at(high, size) - at(low, size), start, BigInt(one.period), one.degree);
    const last = one.formulas.reduce((best, own) => (at(own[0], FAR) > at(best[0], FAR) ? own : best));
    if (!texts[last[3]]) return null;
    const others = one.formulas.filter((own) => texts[own[0]] !== texts[last[0]]).map((own) => least(last[0], own[0]));
    const known = others.filter((size) => size !== null);
    const since = known.length === others.length ? known.reduce((most, size) => (size > most ? size : most), start) : null;
    const found = least(last[1], last[2]), step = BigInt(one.step);
    const later = found === null || since === null ? null : found > since ? found : since;
    const size = later === null ? null : ((later + step - 1n) / step) * step;
    const within = size !== null && (one.most === null || size <= BigInt(one.most));
    return { figure: one.figure, term: texts[last[3]], owners: owned(one, at), start, size, within, most: one.most };
  }

  // At most two names that have nine tenths of the fastest terms.
  function owned(one, at) {
    const shares = Object.entries(one.owners).map(([who, text]) => [who, at(text, FAR)]);
    shares.sort(([who, share], [name, other]) => (share > other ? -1 : share < other ? 1 : who < name ? -1 : 1));
    const total = shares.reduce((sum, [, share]) => sum + share, 0n), enough = MOST_OF * Number(total), found = [];
    let held = 0n;
    for (const [who, share] of shares.slice(0, MOST_OWNERS)) {
      if (held < enough) {
        found.push(who);
        held += share;
      }
    }
    return found.length ? (held < enough ? "mostly " : "") + found.join(" and ") : "";
  }

  function since(one, name, exact) {
    if (one.size === null) return "never for good";
    if (one.size === one.start) return `from the start (${name} = ${one.start})`;
    return `at ${name} = ${exact(one.size)}${one.within ? "" : `, beyond ${name} ≤ ${one.most}`}`;
  }

  // The rows of a dimension's table, and the sentences about it.
  function told(crossings, texts, name, point, exact) {
    const found = crossings.map((one) => passing(one, texts, name, point)).filter(Boolean);
    const rows = found.map((one) => [one.figure, one.term, one.owners, since(one, name, exact)]);
    const sentences = found.filter((one) => !PARTIAL.test(one.figure) && one.within && one.size > one.start).map((one) => {
      const who = one.owners || "its fastest term";
      return `${one.figure}: ${who} ${who.includes(" and ") ? "pass" : "passes"} the rest at ${name} = ${exact(one.size)}.`;
    });
    return { rows, text: sentences.join(" ") };
  }

  // The formulas that hold for large sizes of a dimension, and a point for the others in them.
  function along(formulas, name, point) {
    for (const one of formulas) {
      const step = one.where.step[name] ?? 1, most = one.where.most[name] ?? 2 ** 40 * step;
      if (name in one.where.least && evaluator.holds(one.where, { ...point, [name]: most - (most % step) })) return { found: one, point };
    }
    const { least, fixed } = formulas[0].where;
    const low = Object.fromEntries(Object.entries(point).map(([other, size]) => [other, Math.max(size, least[other] ?? size)]));
    return { found: formulas[0], point: { ...low, ...fixed } };
  }

  return { passes, told, along };
})();
if (typeof module !== "undefined") module.exports = botecCrossing;
