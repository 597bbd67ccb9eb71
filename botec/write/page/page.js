// Answers as sizes change: figures, tables and pictures worked out anew from the formulas that came
// as data. It knows no rule and no formula of its own.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const asked = { ...data.point };
  let point = { ...asked }, chosen = { ...data.choice };
  let place = data.work && data.work.device;
  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const same = (one, other) => Object.keys(one).every((name) => one[name] === other[name]);
  // Whether what was found for some choice serves another: kernels are those of several devices.
  const serves = (own, choice) => Object.keys(choice).every((name) => (name === "kernels" ? own[name].split(" ").includes(choice[name]) : own[name] === choice[name]));
  const short = (value, unit) => botecNumber.short(value, data.ladders[unit] || { ladder: [[1, 1, unit]], digits: 4, whole: 1e15 });
  const PLAIN = ["1", "multiplication", "flop"];
  const exactly = (value, unit) => `${botecNumber.exact(value)}${PLAIN.includes(unit) ? "" : ` ${unit}`}`;

  // -- what stands where the controls do ---------------------------------------------------------

  const regime = (at = point, choice = chosen) => data.formulas.find((one) => serves(one.choice, choice) && botecFormula.holds(one.where, at));
  const value = (text, at = point) => botecFormula.value(text, botecFormula.sizes(at));
  const figureAt = (key, at) => {
    const found = regime(at);
    return found && key in found.values ? value(data.texts[found.values[key]], at) : null;
  };

  const given = {};
  const changed = () => Object.entries(data.work ? data.work.given : {}).some(([name, [, own]]) => (given[name] ?? own) !== own);
  const moved = () => JSON.stringify(point) !== JSON.stringify(asked) || !same(chosen, data.choice)
    || Boolean(data.work && place !== data.work.device) || changed();

  // Numbers of the device, over them what the user has given.
  function constants() {
    return { ...data.work.devices[place], ...givens() };
  }

  // Numbers that the user has given.
  function givens() {
    const known = Object.entries(data.work.given).map(([name, [, number]]) => [name, given[name] ?? number]);
    return Object.fromEntries(known.filter(([, number]) => number !== null));
  }

  // What formulas in which figures, too, stand by their keys may name; what is known from to is unknown there.
  const namesOf = ({ figures, sums }) => ({
    ...UNKNOWN, ...(sums ? sums.known : {}), ...Object.fromEntries(Object.entries(figures).map(([key, one]) => [key, Array.isArray(one) ? null : one])), ...botecFormula.sizes(point),
  });
  const named = (text) => botecFormula.value(text, now.names);

  // Every figure and every table there is a formula for; what has none here is unknown.
  function worked() {
    const found = regime(), figures = {}, tables = {}, texts = {}, rules = {}, spelled = {};
    const tabled = (table) => () => data.tables[table].map((row) => data.rows[row].map((text) => data.texts[text]));
    if (found) {
      const own = standing(found);
      Object.assign(spelled, found.values, own.values);
      const names = { ...UNKNOWN, ...botecFormula.sizes(point) };
      for (const [key, text] of [own, found].flatMap((one) => Object.entries(one.values))) {
        figures[key] = names[key] = botecFormula.value(data.texts[text], names);
      }
      for (const [key, table] of Object.entries({ ...found.tables, ...own.tables })) tables[key] = tabled(table);
      for (const [key, text] of Object.entries(found.texts)) texts[key] = () => botecNumber.filled({ text: data.texts[text] }, [now.names], short);
      for (const [key, text] of Object.entries(own.texts)) texts[key] = () => data.texts[text];
      for (const [key, text] of Object.entries(found.rules)) rules[key] = data.texts[text];
    }
    for (const [name, one] of Object.entries(crossed())) {
      tables[`passing ${name}`] = () => one.rows;
      texts[`passed ${name}`] = () => one.text;
    }
    const told = { tables, texts, rules, spelled, found };
    if (data.trials.length) return { ...onDevice(place, point, figures), ...told };
    if (!found || !data.work) return { figures, ...told };
    const refused = !data.work.devices[place].precisions.includes(chosen.precision ?? data.work.devices[place].precisions[0]);
    if (refused) return { ...told, figures: {}, rules: {}, spelled: {}, found: null, refused };
    const calls = found.calls.map((row) => data.calls[row]);
    const sums = botecSums.answers(data.work, constants(), calls, data.texts, point, figures);
    return { ...told, figures: { ...figures, ...sums.figures }, sums, ends: [{ ...sums.known, place }] };
  }

  // Who passes whom in every dimension, the others where they stand.
  function crossed() {
    const names = new Set(data.formulas.flatMap((one) => Object.keys(one.crossings)));
    return Object.fromEntries([...names].flatMap((name) => {
      const { found, point: there } = botecCrossing.along(data.formulas, name, point), own = found.crossings[name];
      return own ? [[name, botecCrossing.told(own, data.texts, name, there, botecNumber.exact)]] : [];
    }));
  }

  // Of the moments that can be the peak the one that is: the first with the largest formula.
  function standing(found) {
    let best = null, most = null;
    for (const one of found.cases) {
      const bytes = value(data.texts[one.formula]);
      if (best === null || bytes > most) [best, most] = [one, bytes];
    }
    return best ?? { values: {}, tables: {}, texts: {} };
  }

  // What is held on a device, from the sizes that were tried there: figures as they are or [from, to].
  function onDevice(title, at, exact) {
    const device = data.work.devices[title], choice = { ...chosen, kernels: device.kernels };
    const trial = data.trials.find((one) => serves(one.choice, choice));
    if (!trial) return { figures: { ...exact }, ends: [{ ...device, place: title, fits: null }] };
    const rows = rowsOn(trial, title, device.usable);
    const fits = botecTrials.fits(trial, rows, at), held = botecTrials.held(trial, rows, at) || {};
    const most = (bytes) => (fits === 1n && bytes > BigInt(device.usable) ? BigInt(device.usable) : bytes);
    const names = [0, 1].map((end) => ({
      ...botecFormula.sizes(at), ...Object.fromEntries(Object.entries(device).map(([name, one]) => [name, Number.isInteger(one) ? BigInt(one) : one])),
      ...botecFormula.sizes(trial.given), ...(title === place ? givens() : {}), place: title, fits,
      ...Object.fromEntries(trial.keys.map((key) => [key, key in held ? (key === trial.keys.at(-1) ? most(held[key][end]) : held[key][end]) : null])), ...exact,
    }));
    const figures = Object.fromEntries(trial.keys.map((key) => [key, pair(names.map((one) => one[key]))]));
    for (const [key, formula] of data.work.figures) {
      for (const one of names) one[key] = botecFormula.value(formula, one);
      figures[key] = pair(names.map((one) => one[key]));
    }
    for (const name of trial.names) {
      const found = botecTrials.largest(trial, rows, at, name);
      figures[`fit.largest.${name}`] = found && pair(found);
    }
    return { figures: { ...figures, ...exact }, ends: names, trial };
  }

  const known = new Map();
  function rowsOn(trial, title, usable) {
    if (!known.has(trial)) known.set(trial, new Map());
    if (!known.get(trial).has(title)) known.get(trial).set(title, botecTrials.rowsOn(trial, title, usable));
    return known.get(trial).get(title);
  }

  // One value where both ends are the same, else both, the smaller first.
  const pair = ([low, high]) => (low === null || high === null ? null : low === high ? low : low < high ? [low, high] : [high, low]);

  let now = { figures: {}, tables: {}, texts: {}, rules: {}, spelled: {} };

  function answer() {
    now = worked();
    now.names = namesOf(now);
    tell();
    for (const cell of all("[data-key]")) {
      const key = cell.dataset.key;
      if (!answers(key)) {
        cell.classList.toggle("stale", data.formulas.length > 0 && moved());
        continue;
      }
      cell.botecAsked ??= cell.dataset.raw;
      write(cell, now.figures[key] ?? null, data.units[key]);
      cell.classList.toggle("changed", cell.dataset.raw !== cell.botecAsked);
    }
    for (const cell of all("[data-rule]")) {
      const key = cell.dataset.rule, text = now.rules[key];
      const none = !text && now.found && data.formulas.some((one) => key in one.rules);
      cell.classList.toggle("stale", !text && !none && moved());
      if (text) write(cell, named(text), data.units[key]);
      else if (none) cell.textContent = cell.title = cell.dataset.raw = "";
    }
    for (const table of all("table[data-table]")) retell(table);
    for (const text of all("[data-text]")) say(text);
    for (const title of all("[data-retold]")) title.textContent = botecNumber.filled({ text: title.dataset.retold }, [now.names], short);
    for (const size of all("[data-size]")) size.textContent = point[size.dataset.size];
    for (const cell of all("tr[data-figure] td.formula")) {
      const text = now.spelled[cell.parentElement.dataset.figure];
      if (text !== undefined && cell.textContent) cell.textContent = data.texts[text];
      cell.classList.toggle("stale", moved() && text === undefined);
    }
    for (const cell of all(".figures td:not(.count):not(.formula):not([data-rule]), .figures details, main > section > p:not([data-text]):not([data-always])")) {
      cell.classList.toggle("stale", moved());
    }
    for (const box of all("[data-picture]")) renumber(box);
    for (const field of all("[data-given]")) field.placeholder = data.work.devices[place][field.dataset.given] ?? "";
    marks.tell(moved());
    judge();
    redraw();
  }

  // What was asked, in words: sizes, choices, the device.
  function words() {
    const parts = [...Object.entries(asked).map(([name, size]) => `${name}=${size}`), ...Object.entries(data.choice).filter(([name]) => name !== "kernels").map(([, one]) => one)];
    return parts.filter(Boolean).join(", ") + (data.work ? ` on ${data.work.device}` : "");
  }

  const answered = new Set(data.formulas.flatMap((one) => Object.keys(one.values)).concat(data.work ? data.work.figures.map(([key]) => key) : [],
    data.trials.flatMap((one) => [...one.keys, ...one.names.map((name) => `fit.largest.${name}`)]), data.formulas.flatMap((one) => one.cases.flatMap((own) => Object.keys(own.values)))));
  const answers = (key) => answered.has(key);
  const UNKNOWN = Object.fromEntries([...answered].map((key) => [key, null]));

  const several = (number, told) => (number === null ? "?" : Array.isArray(number) ? [...new Set(number.map(told))].join(" to ") : told(number));
  function write(cell, number, unit) {
    cell.dataset.raw = several(number, String);
    cell.textContent = several(number, (one) => short(one, unit));
    cell.title = number === null ? "" : several(number, (one) => exactly(one, unit));
  }

  // A text where the controls stand; without one it stays as it was asked.
  function say(text) {
    const key = text.dataset.text, own = now.texts[key], sayings = data.work && now.ends ? data.work.texts[key] : null;
    const saying = sayings && sayings.find((one) => holdsAbove(botecFormula.value(one.when, now.ends[0])));
    text.classList.toggle("stale", !own && !saying && moved());
    if (own) text.textContent = own();
    else if (saying) {
      text.textContent = botecNumber.filled(saying, now.ends, short);
      text.className = saying.kind;
    }
  }
  const holdsAbove = (found) => found !== null && found > 0;

  function tell() {
    const output = document.getElementById("regime");
    if (!output) return;
    output.textContent = now.refused ? `${place} has no ${chosen.precision}`
      : now.found ? `formulas hold for ${now.found.text}` : now.trial ? "from the sizes that were tried" : "no formula here: read the model so again";
  }

  // -- tables ------------------------------------------------------------------------------------

  // A table's rows where the controls stand: [[text or number, …], …]; nothing where it has none.
  function rowsOf(key) {
    if (now.sums && now.sums.groups[key]) return now.sums.groups[key];
    const group = data.work && data.work.groups[key];
    if (group && data.trials.length) return { rows: shown.get(key).map((name) => [name, ...group.cells.map((cell) => there(group.by, name, cell))]) };
    return now.tables[key] ? { rows: now.tables[key](), texts: !key.startsWith("passing ") } : null;
  }

  // The names in the first column as the page came, by table.
  const shown = new Map(all("table[data-table]").map((table) => [table.dataset.table, [...table.tBodies[0].rows].map((row) => row.cells[0].textContent)]));

  // A cell of a row that is a device, or the largest of a dimension.
  function there(by, name, formula) {
    if (by === "device" && !(name in data.work.devices)) return null;
    const largest = now.figures[`fit.largest.${name}`] ?? null;
    if (by === "dimension" && (largest === null || Array.isArray(largest) || largest === 0n)) return formula === "largest" ? largest : null;
    const ends = by === "device" ? onDevice(name, point, {}).ends
      : onDevice(place, { ...point, [name]: Number(largest) }, {}).ends.map((one) => ({ ...one, largest }));
    const found = pair([ends[0], ends.at(-1)].map((one) => botecFormula.value(formula, { ...UNKNOWN, ...one })));
    return formula === "fits" ? (found === null ? "?" : found ? "yes" : "no") : found;
  }

  function retell(table) {
    const heads = [...table.tHead.rows[0].cells].map((head) => head.dataset.unit);
    if (table.dataset.table.startsWith("along ")) return follow(table, heads, table.dataset.table.slice(6));
    const found = rowsOf(table.dataset.table);
    table.classList.toggle("stale", !found && moved());
    if (!found) return;
    const sums = heads.map(() => null);
    const number = (text, column) => {
      const known = found.texts && heads[column] ? (text === "" ? null : named(text)) : text;
      if (found.texts && heads[column] && known !== null) sums[column] = sums[column] === null ? known : sums[column] + known;
      return known;
    };
    const rows = ordered(table, found.rows.map((row) => row.map(number)));
    const total = found.total || (table.tFoot && ["all", ...sums.slice(1).map((sum) => sum ?? "")]);
    const body = table.tBodies[0];
    const some = rows.filter((row) => row.some((one, column) => heads[column] && one) || !found.texts);
    const told = folded(table, some, heads), shown = Number(table.dataset.shown || told.length);
    body.replaceChildren(...told.slice(0, shown).map((row) => line(row, heads)));
    refold(table, told.slice(shown), heads);
    if (table.tFoot && total) table.tFoot.replaceChildren(line(total, heads));
    table.botecRows = rows;
  }

  // The largest by the last column first, where the table says so.
  function ordered(table, rows) {
    if (!("largestFirst" in table.dataset)) return rows;
    return [...rows].sort((one, other) => (one.at(-1) < other.at(-1) ? 1 : one.at(-1) > other.at(-1) ? -1 : 0));
  }

  // As many rows as the table shows, the others as one.
  function folded(table, rows, heads) {
    const most = Number(table.dataset.most || 0), rest = rows.slice(most);
    if (!most || !rest.length) return rows;
    const names = JSON.parse(table.dataset.others).map((text) => text.replace("{}", rest.length));
    const sums = heads.slice(names.length).map((_, column) => rest.reduce((all, row) => all + row[names.length + column], 0n));
    return [...rows.slice(0, most), [...names, ...sums]];
  }

  function line(row, heads) {
    const made = document.createElement("tr");
    row.forEach((one, column) => {
      const cell = made.appendChild(document.createElement("td"));
      if (typeof one === "string") cell.textContent = one;
      else {
        cell.className = "flush";
        write(cell, one, heads[column]);
      }
    });
    return made;
  }

  // A table along one dimension: its columns are figures, the other dimensions stand as they do.
  function follow(table, heads, name) {
    const keys = [...table.tHead.rows[0].cells].map((head) => head.textContent);
    for (const row of table.tBodies[0].rows) {
      const at = { ...point, [name]: Number(row.cells[0].dataset.raw) };
      keys.slice(1).forEach((key, column) => write(row.cells[column + 1], figureAt(key, at), heads[column + 1]));
    }
  }

  // -- devices and prices ------------------------------------------------------------------------

  const device = document.getElementById("device");
  const limit = () => (device && device.value ? [data.devices[device.value], device.value]
    : data.trials.length ? [data.work.devices[place].total, place] : null);

  function judge() {
    const output = document.getElementById("verdict");
    const peak = document.querySelector('[data-key="memory.peak"]');
    if (!output || !peak) return;
    const room = limit();
    output.textContent = "";
    output.className = "";
    if (!room || peak.dataset.raw === "?") return;
    const free = BigInt(room[0]) - BigInt(peak.dataset.raw);
    const fits = free >= 0n;
    output.dataset.fits = fits ? "yes" : "no";
    output.className = fits ? "yes" : "no";
    output.textContent = (fits ? `fits: ${short(free, "B")} of ${short(room[0], "B")} left`
      : `does not fit: ${short(-free, "B")} more than its ${short(room[0], "B")}`)
      + " (tensors alone; botec fit adds the allocator and the driver)";
  }

  if (device) device.addEventListener("change", answer);
  const where = document.getElementById("place");
  if (where) {
    where.addEventListener("change", () => {
      place = where.value;
      chosen = { ...chosen, kernels: data.work.devices[place].kernels };
      answer();
    });
  }
  for (const field of all("[data-given]")) {
    field.addEventListener("input", () => {
      const name = field.dataset.given, number = field.value === "" ? null : Number(field.value);
      if (number !== null && !(number >= Number(field.min || 0))) return;
      if (number === null) delete given[name];
      else given[name] = number;
      answer();
    });
  }

  // -- sizes -------------------------------------------------------------------------------------

  const MOST = 1 << 20;
  const toSlide = (size) => Math.round(1000 * Math.log(size) / Math.log(MOST));
  const fromSlide = (at) => Math.max(1, Math.round(Math.exp(at / 1000 * Math.log(MOST))));

  function set(name, size, from) {
    if (!Number.isSafeInteger(size) || size < 1) return;
    point[name] = size;
    const slide = document.querySelector(`[data-slide="${CSS.escape(name)}"]`);
    const typed = document.querySelector(`[data-type="${CSS.escape(name)}"]`);
    if (slide && from !== slide) slide.value = toSlide(size);
    if (slide) slide.setAttribute("aria-valuetext", `${name} = ${size}`);
    if (typed && from !== typed) typed.value = size;
    answer();
  }

  for (const slide of all("[data-slide]")) {
    slide.value = toSlide(asked[slide.dataset.slide]);
    slide.addEventListener("input", () => set(slide.dataset.slide, fromSlide(+slide.value), slide));
  }
  for (const typed of all("[data-type]")) {
    typed.addEventListener("input", () => set(typed.dataset.type, +typed.value, typed));
  }
  for (const choice of all("[data-choose]")) {
    choice.addEventListener("change", () => {
      chosen = { ...chosen, [choice.dataset.choose]: choice.value };
      answer();
    });
  }
  const form = document.getElementById("controls");
  if (form) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      chosen = { ...data.choice };
      place = data.work && data.work.device;
      for (const name of Object.keys(given)) delete given[name];
      for (const [name, size] of Object.entries(asked)) set(name, size);
      answer();
    }));
  }

  // -- pictures ----------------------------------------------------------------------------------

  let printing = false;
  const drawn = [];
  const pictures = botecPictures({
    short, value, limit, field, square, areas,
    printing: () => printing,
    atHome,
    live: (picture) => live(picture),
    placeOf: (picture) => document.querySelector(`[data-picture="${data.pictures.indexOf(picture)}"]`),
  });

  const live = (picture) => (picture.kind !== "curves" ? picture : picture.key ? roofline(picture)
    : picture.curves.some((one) => one.key) ? growth(picture) : picture);

  // Where the storages of the timeline live: the formulas of what was asked.
  function atHome() {
    return Boolean(regime(asked, data.choice)) && regime(asked, data.choice) === regime();
  }

  const marks = botecMarks({
    words, atHome,
    picture: (box) => data.pictures[+box.dataset.picture],
    fresh: (key) => Boolean(document.querySelector(`table[data-table="${CSS.escape(key)}"]:not(.stale)`)?.botecRows),
    curvesFollow: (picture) => (picture.key ? Boolean(now.sums) : (picture.curves || []).some((one) => one.key)),
  });

  // Curves of figures along one dimension, and where in it the controls stand.
  function growth(picture) {
    const name = picture.across.title;
    if (!data.formulas.length) return picture;
    const curves = picture.curves.map((one) => ({
      ...one, points: one.points.map(([size]) => [size, Number(figureAt(one.key, { ...point, [name]: size }) ?? NaN)]),
    }));
    return { curves, here: point[name] };
  }

  // The numbers beside a picture that follows.
  function renumber(box) {
    const picture = data.pictures[+box.dataset.picture], body = box.closest("figure").querySelector("details tbody");
    const rows = body && marks.follows(picture) ? botecRows(picture, live(picture), pictures, short) : null;
    if (!rows) return;
    body.replaceChildren(...rows.map((row) => line(row, [])));
    for (const cell of body.querySelectorAll("td")) cell.className = "flush";
  }

  // Dots of what kinds of op reach, under the roof of the device.
  function roofline(picture) {
    if (!now.sums) return picture;
    const dots = now.sums.groups[picture.key].rows.filter(([, across, up]) => across > 0 && up > 0 && Number.isFinite(across));
    const { peaks, bandwidth } = data.work.devices[place], peak = peaks[now.sums.type];
    if (!peak || !bandwidth) return { curves: dots.map(([name, ...at]) => ({ name, points: [at] })) };
    const ridge = peak / bandwidth, sizes = dots.map((one) => one[1]);
    const caption = document.querySelector(`[data-picture="${data.pictures.indexOf(picture)}"]`).parentElement.querySelector("figcaption");
    caption.textContent = `${place}: ${now.sums.type} roof, ridge at ${short(Math.round(ridge), "1")} operations a byte`;
    const ends = [Math.min(...sizes, ridge / 10), ridge, Math.max(...sizes, ridge * 10)];
    const roof = { name: `roof of ${place}, ${now.sums.type}`, points: ends.map((size) => [size, Math.min(peak, bandwidth * size)]) };
    return { curves: [roof, ...dots.map(([name, ...at]) => ({ name, points: [at] }))] };
  }

  // The areas of modules: those of the table beside them where it was worked out anew.
  function areas(picture, measure) {
    const table = picture.key && document.querySelector(`table[data-table="${CSS.escape(picture.key)}"]`);
    const { place: column, values } = picture.measures[measure];
    if (!table || !table.botecRows) return { paths: picture.paths, values };
    return { paths: table.botecRows.map((row) => row[0]), values: table.botecRows.map((row) => Number(row[column] ?? 0)) };
  }

  // Which part of the input the chosen place of the chosen layer sees, axis by axis.
  function field(picture) {
    const layer = picture.layers[picture.layer ?? picture.layers.length - 1];
    const axes = layer.axes.map((one, axis) => {
      const size = picture.size ?? picture.sizes[axis];
      if (!one) return { name: picture.axes[axis], size, from: 0, to: size, centre: size / 2, centres: [] };
      const [reach, stride, padding, made, places] = one;
      const known = places || size === picture.sizes[axis];
      const count = places ? Math.max(0, Number(botecFormula.value(places, { size: BigInt(size) }))) : known ? made : 0;
      if (!known) return { name: picture.axes[axis], size, from: 0, to: size, centre: size / 2, centres: [], unknown: true };
      const middle = Math.min(Math.max(Math.floor((count - 1) / 2) + (picture.shift?.[axis] ?? 0), 0), Math.max(count - 1, 0));
      const first = -padding + reach / 2, from = middle * stride - padding;
      const centres = Array.from({ length: Math.min(count, 64) }, (_, at) => first + stride * (count > 64 ? Math.floor(at * (count - 1) / 63) : at));
      return { name: picture.axes[axis], size, count, middle, from, to: from + reach, reach, centre: from + reach / 2, centres };
    });
    return { layer, axes };
  }

  // A grid whose cells are as high as they are wide.
  function square(picture, wide, high) {
    const box = document.querySelector(`[data-picture="${data.pictures.indexOf(picture)}"]`);
    const room = [box.clientWidth - 124, box.clientHeight - 100], scale = Math.min(room[0] / wide, room[1] / high);
    return { left: 84, top: 40, width: wide * scale, height: high * scale, right: undefined, bottom: undefined };
  }

  function draw(box) {
    const picture = data.pictures[+box.dataset.picture];
    const chart = charts.init(box, dark() ? "dark" : null, { renderer: "canvas" });
    const show = () => {
      chart.setOption({ backgroundColor: "transparent", animation: false, color: pictures.COLOURS,
        ...pictures.OPTIONS[picture.kind](picture, box.chosen) }, true);
      if (picture.kind === "fields") box.nextElementSibling.textContent = sees(picture);
    };
    if (picture.kind === "tree") chooser(box, "areas show", Object.keys(picture.measures), "all" in picture.measures ? "all" : undefined, (name) => {
      box.chosen = name;
      show();
    });
    else if (picture.kind === "fields") {
      chooser(box, "layer", picture.layers.map((one) => one.layer), picture.layers.at(-1).layer, (_, place) => {
        [picture.layer, picture.shift] = [place, []];
        show();
      });
      sizer(box, picture, show);
    } else show();
    addEventListener("resize", () => {
      chart.resize();
      if (picture.kind === "fields") show();
    });
    box.dataset.drawn = "yes";
    drawn.push({ picture, show });
    box.addEventListener("keydown", picture.kind === "fields" ? mover(picture, show) : reader(box, chart, picture));
    return chart;
  }

  function chooser(box, label, names, first, choose) {
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", label);
    names.forEach((name, at) => choice.add(new Option(name, at)));
    if (first !== undefined) choice.selectedIndex = names.lastIndexOf(first);
    choice.addEventListener("change", () => choose(names[choice.selectedIndex], choice.selectedIndex));
    box.before(choice);
    choose(names[choice.selectedIndex], choice.selectedIndex);
  }

  function sizer(box, picture, show) {
    const label = document.createElement("label"), typed = document.createElement("input");
    Object.assign(typed, { type: "number", min: 1, step: 1, value: picture.sizes[0], className: "size" });
    label.append(" input size ", typed);
    typed.addEventListener("input", () => {
      if (!Number.isSafeInteger(+typed.value) || typed.value < 1) return;
      picture.size = +typed.value;
      show();
    });
    box.before(label);
  }

  function sees(picture) {
    const { layer, axes } = field(picture);
    const parts = axes.map((one) => (one.unknown ? `an unknown part of ${one.name} at this size` : one.count === undefined ? `all of ${one.name}`
      : one.count === 0 ? `nothing: ${one.name} = ${one.size} leaves it no place`
        : `${one.name} ${one.from} to ${one.to - 1} (${one.reach} places of ${one.size}), place ${one.middle} of ${one.count}`));
    return `${layer.layer} (${layer.op}) sees ${parts.join("; ")}`;
  }

  // Arrow keys move the place whose field is shown.
  function mover(picture, show) {
    const steps = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, -1], ArrowRight: [-1, 1] };
    return (event) => {
      const step = steps[event.key];
      if (!step) return;
      event.preventDefault();
      const axis = step[0] < 0 ? picture.axes.length - 1 : 0;
      const shift = [...picture.axes.keys()].map((one) => picture.shift?.[one] ?? 0);
      shift[axis] += step[1];
      picture.shift = shift;
      show();
    };
  }

  // Many moves of a slider make one drawing.
  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const moves = (one) => one.kind === "lifetimes" || one.key || (one.curves || []).some((curve) => curve.key);
      for (const one of drawn) if (moves(one.picture)) one.show();
    });
  }

  // A chart by keyboard: left and right along a curve, up and down from curve to curve.
  function reader(box, chart, picture) {
    let series = picture.kind === "lifetimes" ? 1 : 0, at = -1;
    const output = box.nextElementSibling;
    return (event) => {
      const list = chart.getOption().series, step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const turn = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") {
        chart.dispatchAction({ type: "hideTip" });
        output.textContent = "";
      }
      if (!step && !turn) return;
      event.preventDefault();
      if (turn) [series, at] = [(series + turn + list.length) % list.length, 0];
      const points = list[series].data;
      if (step) at = Math.max(0, Math.min(points.length - 1, at + step));
      chart.dispatchAction({ type: "showTip", seriesIndex: series, dataIndex: at });
      output.textContent = said(picture, list[series], points[at]);
    };
  }

  function said(picture, series, one) {
    if (!one) return "";
    if (picture.kind === "lifetimes" && series.type === "custom") {
      return pictures.tell(picture, pictures.sizesOf(picture), { seriesType: "custom", value: one.value });
    }
    if (picture.kind === "tree") return `${one.name}: ${short(pictures.sum(one), picture.measures[series.name].unit)}`;
    const across = picture.across || { title: "moment", unit: "1" };
    const up = (picture.curves || picture.layers || []).length ? picture.up : { unit: "B" };
    return `${series.name}: ${across.title} ${short(one[0], across.unit || "1")}, ${short(one[1], up.unit || "1")}`;
  }

  // The rows of a long table that are not shown at once, as they are now.
  function refold(table, rows, heads) {
    const rest = table.closest(".wide").nextElementSibling;
    if (!table.dataset.shown || !rest?.matches("[data-rest]")) return;
    rest.botecRows = rows;
    rest.hidden = !rows.length;
    rest.querySelector("summary").textContent = `${rows.length} more`;
    if (rest.open) rest.querySelector("tbody").replaceChildren(...rows.map((row) => line(row, heads)));
  }

  // The rows of a long table, once somebody wants them.
  function unfold(folded) {
    const { units, rows: asked } = data.pictures[+folded.dataset.rest], rows = folded.botecRows ?? asked;
    const body = folded.querySelector("tbody"), made = document.createDocumentFragment();
    for (const row of rows) {
      const parts = row.map((one, column) => (one === null ? "?" : typeof one === "number" && !units[column] ? String(one) : one));
      made.appendChild(line(parts, units));
    }
    body.replaceChildren(made);
  }
  for (const folded of all("[data-rest]")) folded.addEventListener("toggle", () => folded.open && unfold(folded));

  // Charts are drawn when they come into sight, so that a long report opens at once.
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !entry.target.dataset.drawn) draw(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const box of all(".chart")) watch.observe(box);
  const print = (starts) => {
    printing = starts;
    all(".chart:not([data-drawn])").forEach(draw);
    for (const one of drawn) one.show();
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((one) => one.show()));
  if (data.formulas.length || device) answer();
  document.documentElement.dataset.ready = "yes";
})();
