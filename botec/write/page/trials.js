// What was tried size by size: exact where a row stands, else from the rows below to those above,
// since more never needs less. It knows no size and no device of its own.
"use strict";
const botecTrials = (() => {
  const parts = (trial, row) => [row.slice(0, trial.names.length), row.slice(trial.names.length)];
  const below = (one, other) => one.every((size, place) => size <= other[place]);
  const most = (values) => values.reduce((best, one) => (best === null || one > best ? one : best), null);
  const least = (values) => values.reduce((best, one) => (best === null || one < best ? one : best), null);

  // Rows as a device has them: sizes, values by key, and whether all of it is got.
  function rowsOn(trial, title, usable) {
    return trial.rows.map((row, number) => {
      const [sizes, values] = parts(trial, row), key = trial.keys.at(-1);
      const known = Object.fromEntries(trial.keys.map((name, place) => [name, BigInt(values[place])]));
      const less = (trial.within[title] || {})[number];
      const fits = less !== undefined || known[key] <= BigInt(usable);
      return { sizes, fits, known: less === undefined ? known : { ...known, [key]: BigInt(less) } };
    });
  }

  // Values by key as [from, to] at a point; nothing where no row is above or below it.
  function held(trial, rows, point) {
    const at = trial.names.map((name) => point[name]);
    const exact = rows.find((row) => row.sizes.every((size, place) => size === at[place]));
    const under = exact ? [exact] : rows.filter((row) => below(row.sizes, at));
    const over = exact ? [exact] : rows.filter((row) => below(at, row.sizes));
    if (!under.length || !over.length) return null;
    return Object.fromEntries(trial.keys.map((key) => [key, [most(under.map((row) => row.known[key])), least(over.map((row) => row.known[key]))]
      .sort((a, b) => (a < b ? -1 : Number(a > b)))]));
  }

  // 1 where it fits, 0 where it does not, null where nobody knows.
  function fits(trial, rows, point) {
    const at = trial.names.map((name) => point[name]);
    const exact = rows.find((row) => row.sizes.every((size, place) => size === at[place]));
    if (exact) return exact.fits ? 1n : 0n;
    const yes = rows.some((row) => row.fits && below(at, row.sizes)), no = rows.some((row) => !row.fits && below(row.sizes, at));
    return yes === no ? null : yes ? 1n : 0n;
  }

  // The largest size of a dimension that fits, the others as they are: [from, to].
  function largest(trial, rows, point, name) {
    const place = trial.names.indexOf(name), others = trial.names.filter((one) => one !== name);
    const more = rows.filter((row) => row.fits && others.every((one) => row.sizes[trial.names.indexOf(one)] >= point[one]));
    const less = rows.filter((row) => !row.fits && others.every((one) => row.sizes[trial.names.indexOf(one)] <= point[one]));
    const low = most(more.map((row) => row.sizes[place])) ?? 0, next = least(less.filter((row) => row.sizes[place] > low).map((row) => row.sizes[place]));
    const high = next === null ? trial.most[name] ?? null : next - (trial.step[name] ?? 1);
    if (high === null) return null;
    return [BigInt(low), BigInt(Math.max(low, high))];
  }

  return { rowsOn, held, fits, largest };
})();
if (typeof module !== "undefined") module.exports = botecTrials;
