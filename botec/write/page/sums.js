// Sums over the calls of a step, as the report's `work` says how: it knows no formula of its own.
"use strict";
const botecSums = (() => {
  const evaluator = typeof botecFormula === "undefined" ? require("./evaluate.js") : botecFormula;
  // Every call with what the formulas of one call give, and which of the bounds is the largest.
  function workedOut(work, device, calls, texts, names) {
    const costs = new Map();
    return calls.map(([kind, type, phase, module, times, operations, bytes, made]) => {
      const key = [kind, type, operations, bytes, made].join(" ");
      if (!costs.has(key)) {
        const own = device.calls[`${texts[kind]} ${texts[type]}`];
        const at = { ...device, ...own };
        at.operations = evaluator.value(texts[operations], names);
        at.bytes = evaluator.value(texts[bytes], names);
        at.made = evaluator.value(texts[made], names);
        for (const [name, formula] of work.call) at[name] = evaluator.value(formula, at);
        at.bound = work.bounds.reduce((most, one) => (at[one] > at[most] ? one : most));
        costs.set(key, at);
      }
      return { kind: texts[kind], type: texts[type], phase: texts[phase], module: texts[module], times, at: costs.get(key) };
    });
  }

  const empty = (work) => ({
    calls: 0n, views: 0n, seconds: 0, ideal: 0, operations: 0n, bytes: 0n, bounds: Object.fromEntries(work.bounds.map((one) => [one, 0])),
    ...Object.fromEntries(work.phases.map((phase) => [`seconds.${phase}`, 0])),
  });

  function add(sum, { kind, phase, times, at }, work) {
    const seconds = at.seconds * times, many = BigInt(times);
    sum[kind === work.views ? "views" : "calls"] += many;
    sum.seconds += seconds;
    if (kind !== work.views) sum.ideal = sum.ideal === null || at.ideal === null ? null : sum.ideal + at.ideal * times;
    sum[`seconds.${phase}`] = (sum[`seconds.${phase}`] || 0) + seconds;
    sum.operations += at.operations * many;
    sum.bytes += at.bytes * many;
    sum.bounds[at.bound] += seconds;
  }

  function closed(sum) {
    if (!sum.calls) sum.calls = sum.views;
    sum.bound = Object.keys(sum.bounds).reduce((most, one) => (sum.bounds[one] > sum.bounds[most] ? one : most));
    return sum;
  }

  // Sums of all calls, and those of every group, by its name.
  function summed(work, done, by) {
    const found = new Map();
    for (const one of done) {
      if (!found.has(one[by])) found.set(one[by], empty(work));
      add(found.get(one[by]), one, work);
    }
    for (const sum of found.values()) closed(sum);
    return found;
  }

  // The figures, and the rows of every table: [[name, value, …], …] with the total last.
  function answers(work, device, calls, texts, point, more) {
    const names = evaluator.sizes(point);
    const done = workedOut(work, device, calls, texts, names);
    const all = empty(work);
    for (const one of done) add(all, one, work);
    closed(all);
    const known = { ...names, ...device, ...more, ...all };
    const figures = {};
    for (const [key, formula] of work.figures) {
      known[key] = evaluator.value(formula, known);
      figures[key] = known[key];
    }
    const groups = {};
    for (const [key, group] of Object.entries(work.groups)) {
      const sums = [...summed(work, done, group.by)].filter(([, sum]) => sum.seconds > 0);
      if (group.largest_first) sums.sort((one, other) => other[1].seconds - one[1].seconds);
      const cells = (formulas, sum) => formulas.map((formula) => (formula ? evaluator.value(formula, { ...known, ...sum }) : ""));
      const whole = { ...all, calls: sums.reduce((many, [, sum]) => many + sum.calls, 0n) };
      groups[key] = {
        rows: sums.map(([name, sum]) => [name, ...cells(group.cells, sum)]),
        total: group.total.length ? ["all", ...cells(group.total, whole)] : null,
      };
    }
    const types = [...summed(work, done, "type")];
    const type = types.reduce((most, one) => (one[1].operations > most[1].operations ? one : most), ["", { operations: -1n }])[0];
    const bounds = Object.fromEntries(Object.entries(all.bounds).map(([name, seconds]) => [`bound.${name}`, seconds]));
    return { figures, groups, type, known: { ...known, ...bounds, type, roof: (device.peaks || {})[type] ?? null } };
  }
  return { answers };
})();
if (typeof module !== "undefined") module.exports = botecSums;
