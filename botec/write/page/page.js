// Draws the report's pictures and works its figures out anew as sizes change. It knows no rule and
// no formula of its own: all come as data.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const asked = { ...data.point };
  let point = { ...asked };
  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const all = (selector) => [...document.querySelectorAll(selector)];

  // -- numbers as people read them ---------------------------------------------------------------

  const THOUSANDS = ["", "k", "M", "G", "T", "P", "E"];
  const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const digits = (value) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");

  const small = (number) => (number && Math.abs(number) < 1e-3 ? number.toExponential(2) : String(+number.toPrecision(4)));

  const PARTS = [[1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
  const tidy = (text) => text.replace(/(\.\d*?)0+(?= |$)/, "$1").replace(/\.(?= |$)/, "");

  function short(value, unit) {
    if (unit === "s" && value && Math.abs(value) < 1) {
      const [least, sign] = PARTS.find(([one]) => Math.abs(value) >= one) || PARTS.at(-1);
      return `${(value / least).toPrecision(3)} ${sign}s`;
    }
    const [steps, base] = unit === "B" ? [BYTES, 1024] : [THOUSANDS, 1000];
    let number = Number(value), place = 0;
    while (Math.abs(number) >= base && place < steps.length - 1) {
      number /= base;
      place += 1;
    }
    const text = place ? number.toPrecision(4) : small(number);
    const name = unit === "B" || unit === "1" || unit === "multiplication" || unit === "flop"
      ? steps[place] : `${steps[place]}${unit}`;
    return `${text} ${name}`.trim();
  }

  // -- figures that answer -----------------------------------------------------------------------

  const same = (one, other) => Object.keys(one).every((name) => one[name] === other[name]);
  const drawn = [];
  let chosen = { ...data.choice };

  function regime(at = point, choice = chosen) {
    return data.formulas.find((one) => same(choice, one.choice) && botecFormula.holds(one.where, at));
  }

  // Where the storages of the timeline live: the formulas of what was asked.
  const home = () => regime(asked, data.choice);
  const moved = () => JSON.stringify(point) !== JSON.stringify(asked) || !same(chosen, data.choice);

  function answer() {
    const found = regime();
    const output = document.getElementById("regime");
    if (output) output.textContent = found ? `formulas hold for ${found.text}` : "no formula here: read the model so again";
    for (const place of all("[data-key]")) {
      const key = place.dataset.key;
      if (!data.formulas.some((one) => key in one.values)) {
        place.classList.toggle("stale", data.formulas.length > 0 && moved());
        continue;
      }
      const formula = found && found.values[key];
      const value = formula === undefined ? null : botecFormula.value(formula, point);
      place.dataset.raw = value === null ? "?" : String(value);
      place.textContent = value === null ? "?" : short(value, data.units[key]);
      place.title = value === null ? "" : digits(value);
      place.classList.toggle("changed", moved());
    }
    for (const place of all("[data-size]")) place.textContent = point[place.dataset.size];
    for (const place of all(".asked")) place.hidden = !moved();
    for (const place of all("td.formula, .figures td:not(.count):not(.formula)")) place.classList.toggle("stale", moved());
    judge();
    redraw();
  }

  // -- devices and prices ------------------------------------------------------------------------

  const device = document.getElementById("device");
  const limit = () => (device && device.value ? [data.devices[device.value], device.value] : null);

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
  const price = document.getElementById("price");
  if (price) {
    price.addEventListener("input", () => {
      const seconds = Number(document.querySelector('[data-key="time.run"]').dataset.raw);
      const cost = Number(price.value) * seconds / 3600;
      document.getElementById("cost").textContent = price.value === "" || !Number.isFinite(cost) ? "" : `${digits(cost.toFixed(2))} for the run`;
    });
  }

  const MOST = 1 << 20;
  const toSlide = (size) => Math.round(1000 * Math.log(size) / Math.log(MOST));
  const fromSlide = (place) => Math.max(1, Math.round(Math.exp(place / 1000 * Math.log(MOST))));

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
      for (const [name, size] of Object.entries(asked)) set(name, size);
      answer();
    }));
  }

  // -- pictures ----------------------------------------------------------------------------------

  let printing = false;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ink = () => (printing ? "#1b1f24" : colour("--ink"));
  const paper = () => (printing ? "#ffffff" : colour("--paper"));
  const SYMBOLS = ["circle", "rect", "triangle", "diamond"], DASHES = ["solid", "dashed", "dotted"];
  const dotted = (name, points) => points.length === 1 || /measured/i.test(name);
  const tips = (picture, rows) => [
    rows[0] && `${picture.across.title} ${short(rows[0].value[0], picture.across.unit || "1")}`,
    ...rows.slice(0, 12).map((one) => `${one.seriesName}: ${short(one.value[1], picture.up.unit || "1")}`),
  ].filter(Boolean).join("\n");
  // Powers of ten around the values where an axis has them.
  const around = (values) => (values.length ? {
    min: 10 ** Math.floor(Math.log10(values.reduce((a, b) => Math.min(a, b))) + 1e-9),
    max: 10 ** Math.ceil(Math.log10(values.reduce((a, b) => Math.max(a, b))) - 1e-9),
  } : {});
  const axis = (column, linear, values = []) => ({
    type: linear ? "value" : "log", name: column.title, nameLocation: "middle", nameGap: 30, scale: true,
    ...(linear ? {} : around(values)), nameTruncate: { maxWidth: 260 },
    axisLabel: { formatter: (value) => tidy(short(value, column.unit || "1")), color: ink() },
    nameTextStyle: { color: ink() }, splitLine: { lineStyle: { opacity: 0.25 } },
  });
  const legend = () => ({ type: "scroll", top: 0, textStyle: { color: ink() }, pageTextStyle: { color: ink() } });
  const COLOURS = ["#3568a8", "#c2571a", "#2e7d4f", "#8b4a9c", "#b03a48", "#5c6b73", "#8a6d00", "#00798c", "#7a5230", "#5a57c4"];
  // Bytes divide evenly in powers of two.
  const ticks = (most, unit) => (unit === "B" && most > 0 ? 2 ** Math.floor(Math.log2(most / 3)) : undefined);
  const plainTip = (rows) => rows.map((row) => row.map(String).join(": ")).join("\n");
  const tooltip = (more) => ({ renderMode: "richText", confine: true, ...more });

  const OPTIONS = {
    curves(picture) {
      const points = picture.curves.map((one) => one.points.filter(([across, up]) => across !== null && up !== null
        && (picture.linear || (across > 0 && up > 0))));
      const single = points.map((list) => list.length === 1);
      return {
        tooltip: tooltip({ trigger: single.every(Boolean) ? "item" : "axis", order: "valueDesc",
          formatter: (given) => tips(picture, [given].flat()) }),
        legend: legend(),
        grid: { left: 84, right: 30, top: 60, bottom: 60 },
        xAxis: { ...axis(picture.across, picture.linear), ...(picture.linear ? {} : { min: "dataMin", max: "dataMax" }) },
        yAxis: { ...axis(picture.up, picture.linear, points.flat().map((one) => one[1])), nameGap: 62 },
        dataZoom: [{ type: "inside", filterMode: "none" }],
        series: picture.curves.map((one, place) => ({
          type: dotted(one.name, points[place]) ? "scatter" : "line", name: one.name, data: points[place],
          symbol: SYMBOLS[place % SYMBOLS.length], symbolSize: dotted(one.name, points[place]) ? 9 : 6,
          showSymbol: points[place].length < 40, lineStyle: { type: DASHES[Math.floor(place / COLOURS.length) % 3] },
        })),
      };
    },
    layers(picture) {
      const most = heights(picture).reduce((a, b) => Math.max(a, b), 0), step = ticks(most, picture.up.unit);
      const near = picture.limit && picture.limit[0] < 1.5 * most;
      const ceiling = Math.max(most, near ? picture.limit[0] : 0);
      const label = (text, more) => ({ label: { formatter: text, color: ink(), ...more } });
      const marks = picture.marks.map(([moment, text]) => ({ xAxis: moment, ...label(text) }));
      const limit = near ? [{ yAxis: picture.limit[0], ...label(picture.limit[1], { position: "insideEndTop" }) }] : [];
      const top = picture.top ? [{ xAxis: picture.top[0], ...label(picture.top[1], { distance: 18 }) }] : [];
      return {
        tooltip: tooltip({ trigger: "axis", valueFormatter: (value) => short(value, picture.up.unit) }),
        legend: legend(),
        grid: { left: 84, right: 40, top: 70, bottom: 70 },
        xAxis: { type: "value", name: "moment", nameLocation: "middle", nameGap: 30, min: "dataMin", max: "dataMax" },
        yAxis: { ...axis(picture.up, true), scale: false, nameGap: 62, interval: step, max: step ? Math.ceil(ceiling / step) * step : undefined },
        dataZoom: [{ type: "inside" }, { type: "slider", height: 16, bottom: 8 }],
        series: picture.layers.map((one, place) => ({
          type: "line", name: one.name, stack: "pile", step: "end", areaStyle: { opacity: 0.9 }, lineStyle: { width: 0 },
          ...(ROLES[one.name] ? { itemStyle: { color: ROLES[one.name] } } : {}),
          showSymbol: false, sampling: "max", data: one.points,
          markLine: place ? undefined : { symbol: "none", silent: true, data: [...marks, ...limit, ...top] },
        })),
      };
    },
    lifetimes(picture) {
      const sizes = sizesOf(picture);
      const laid = stacked(picture, sizes);
      for (const place of all(`[data-picture="${data.pictures.indexOf(picture)}"]`)) place.dataset.most = Math.max(...laid.total.map((one) => one[1]));
      const room = limit() || picture.limit;
      const roles = [...new Set(picture.storages.role)];
      const most = Math.max(laid.most, ...laid.total.map((one) => one[1]));
      const lines = picture.marks.map(([moment, text]) => ({ xAxis: moment, label: { formatter: text, color: ink() } }));
      if (picture.top) lines.push({ xAxis: picture.top[0], label: { formatter: picture.top[1], color: ink(), distance: 18 } });
      const near = room && room[0] < 1.5 * most;
      const step = ticks(most, "B"), ceiling = Math.max(most, near ? room[0] : 0);
      if (near) lines.push({ yAxis: room[0], label: { formatter: room[1], color: ink(), position: "insideEndTop" } });
      return {
        tooltip: tooltip({ trigger: "item", formatter: (one) => tell(picture, sizes, one) }),
        legend: legend(),
        grid: { left: 84, right: 40, top: 70, bottom: 70 },
        xAxis: { type: "value", name: "moment (an op, a birth or a death each)", nameLocation: "middle", nameGap: 28, min: 0, max: picture.end, axisLabel: { color: ink() }, nameTextStyle: { color: ink() } },
        yAxis: { ...axis(picture.up, true), scale: false, min: 0, nameGap: 60, interval: step, max: step ? Math.ceil(ceiling / step) * step : undefined },
        dataZoom: [
          { type: "inside", filterMode: "none" }, { type: "slider", height: 16, bottom: 8, filterMode: "none" },
          { type: "inside", yAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "shift", moveOnMouseWheel: false },
        ],
        series: [
          { type: "line", name: "all that is alive", data: laid.total, step: "middle", showSymbol: false, silent: true, z: 1,
            lineStyle: { width: 1, color: ink() }, itemStyle: { color: "#8a8f98" }, areaStyle: { color: "#8a8f98", opacity: 0.35 },
            markLine: { symbol: "none", silent: true, lineStyle: { color: ink(), opacity: 0.6 }, data: lines } },
          ...roles.map((role) => ({
            type: "custom", name: picture.texts[role], clip: true, z: 2, itemStyle: { color: ROLES[picture.texts[role]] },
            encode: { x: [0, 1], y: [2, 3] },
            data: laid.paths.flatMap((path, number) => (picture.storages.role[number] === role
              ? [{ value: [picture.storages.born[number], picture.storages.died[number], laid.low[number], laid.high[number], number] }] : [])),
            renderItem: (_, api) => outline(laid.paths[api.value(4)], sizes[api.value(4)], picture.storages.died[api.value(4)], api),
          })),
        ],
      };
    },
    tree(picture, chosen) {
      const { unit, values } = picture.measures[chosen];
      return {
        tooltip: tooltip({ formatter: (one) => plainTip([[one.name || picture.title, short(one.value, unit)]]) }),
        series: [{
          type: "treemap", name: chosen, roam: false, nodeClick: "zoomToNode", leafDepth: 3,
          left: 0, right: 0, top: 0, bottom: 34, itemStyle: { borderColor: paper(), borderWidth: 1, gapWidth: 1 },
          label: { color: "#fff", lineHeight: 16, formatter: (one) => `${one.name}\n${short(one.value, unit)}` },
          upperLabel: { show: true, height: 20, color: ink(), formatter: (one) => (one.name ? `${one.name}  ${short(one.value, unit)}` : "") },
          levels: [{ upperLabel: { show: false } }], visibleMin: 200,
          breadcrumb: { show: true, bottom: 4 }, data: nested(picture.paths, values),
        }],
      };
    },
  };

  const ROLES = {
    parameter: "#4c78a8", buffer: "#9ecae9", optimizer: "#b279a2", gradient: "#e45756", input: "#72b7b2",
    activation: "#f58518", temporary: "#54a24b",
  };

  const heights = (pile) => pile.layers.length ? pile.layers[0].points.map((_, place) => pile.layers.reduce((all, one) => all + (one.points[place]?.[1] || 0), 0)) : [];

  // Bytes of every storage where the controls stand; as asked where its formulas do not hold.
  const answersHere = () => home() && home() === regime();
  function sizesOf(picture) {
    if (!answersHere()) return picture.storages.bytes;
    const known = new Map();
    return picture.storages.formula.map((place) => {
      if (!known.has(place)) known.set(place, Number(botecFormula.value(picture.texts[place], point)));
      return known.get(place);
    });
  }

  // Storages on each other: what dies lets those above it down.
  function stacked(picture, sizes) {
    const { born, died } = picture.storages;
    const events = born.flatMap((moment, number) => [[moment, 1, number], [died[number], 0, number]]);
    events.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
    const pile = [], paths = born.map(() => []), low = [], high = [];
    let top = 0, most = 0;
    const stand = (number, moment, base) => {
      paths[number].push([moment, base]);
      low[number] = Math.min(low[number] ?? base, base);
      high[number] = Math.max(high[number] ?? 0, base + sizes[number]);
    };
    for (const [moment, birth, number] of events) {
      if (moment >= picture.end && !birth) continue;
      if (birth) {
        stand(number, moment, top);
        pile.push(number);
        top += sizes[number];
        most = Math.max(most, top);
        continue;
      }
      const place = pile.indexOf(number);
      pile.splice(place, 1);
      top -= sizes[number];
      for (const above of pile.slice(place)) stand(above, moment, paths[above].at(-1)[1] - sizes[number]);
    }
    const live = answersHere();
    const total = picture.total.map(([moment, bytes, formula]) => [
      moment, live ? Number(botecFormula.value(picture.texts[formula], point)) : bytes,
    ]);
    return { paths, low, high, most, total };
  }

  function outline(path, size, died, api) {
    const bottom = [], top = [];
    path.forEach(([moment, base], place) => {
      const next = place + 1 < path.length ? path[place + 1][0] : died;
      bottom.push(api.coord([moment, base]), api.coord([next, base]));
      top.push(api.coord([moment, base + size]), api.coord([next, base + size]));
    });
    return {
      type: "polygon", shape: { points: [...bottom, ...top.reverse()] },
      style: { fill: api.visual("color"), stroke: paper(), lineWidth: bottom[0][1] - top[0][1] > 4 ? 0.5 : 0 },
      emphasis: { style: { stroke: ink(), lineWidth: 2 } },
    };
  }

  function tell(picture, sizes, one) {
    if (one.seriesType !== "custom") return "";
    const number = one.value[4], { storages, texts } = picture;
    const word = (name) => texts[storages[name][number]];
    return [
      `${short(sizes[number], "B")} · ${word("role")} · ${word("module")}`,
      [word("op") && `made by ${word("op")}`, word("shape")].filter(Boolean).join(", "), word("why"),
      `alive from moment ${storages.born[number]} to ${storages.died[number]}`,
    ].filter(Boolean).join("\n");
  }

  // Module paths with dots as branches of a tree; a module's own share is a leaf beside its parts.
  function nested(paths, values) {
    const root = { children: new Map() };
    for (const [place, path] of paths.entries()) {
      const value = values[place];
      if (!(value > 0)) continue;
      let here = root;
      for (const name of path.split(".")) {
        if (!here.children.has(name)) here.children.set(name, { name, children: new Map() });
        here = here.children.get(name);
      }
      here.own = value;
    }
    const closed = (node) => {
      const children = [...node.children.values()].map(closed);
      if (!children.length) return { name: node.name, value: node.own };
      if (node.own) children.push({ name: `${node.name} itself`, value: node.own });
      return { name: node.name, children };
    };
    return fewer([...root.children.values()].map(closed), sum);
  }

  // The largest parts of a module one by one, the others in one area: areas nobody can see are none.
  const MOST_AREAS = 400;
  function fewer(nodes, size) {
    const order = nodes.map((one) => (one.children ? { ...one, children: fewer(one.children, size) } : one));
    if (order.length <= MOST_AREAS) return order;
    order.sort((a, b) => size(b) - size(a));
    const rest = order.slice(MOST_AREAS);
    return [...order.slice(0, MOST_AREAS), { name: `${rest.length} more`, value: rest.reduce((all, one) => all + size(one), 0) }];
  }

  function draw(place) {
    const picture = data.pictures[+place.dataset.picture];
    const chart = charts.init(place, dark() ? "dark" : null, { renderer: "canvas" });
    const show = (chosen) => chart.setOption({
      backgroundColor: "transparent", animation: false, color: COLOURS,
      ...OPTIONS[picture.kind](picture, chosen),
    }, true);
    if (picture.kind === "tree") {
      const choice = document.createElement("select");
      choice.setAttribute("aria-label", "areas show");
      for (const name of Object.keys(picture.measures)) choice.add(new Option(name, name));
      if ("all" in picture.measures) choice.value = "all";
      place.chosen = choice.value;
      choice.addEventListener("change", () => show(place.chosen = choice.value));
      place.before(choice);
      show(choice.value);
    } else {
      show();
    }
    addEventListener("resize", () => chart.resize());
    place.dataset.drawn = "yes";
    const again = () => show(place.chosen);
    drawn.push({ picture, show: again });
    place.addEventListener("keydown", reader(place, chart, picture));
    return chart;
  }

  // Only timelines have formulas of their own; many moves of a slider make one drawing.
  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const one of drawn) if (one.picture.kind === "lifetimes") one.show();
    });
  }

  // A chart by keyboard: left and right along a curve, up and down from curve to curve.
  function reader(place, chart, picture) {
    let series = picture.kind === "lifetimes" ? 1 : 0, at = -1;
    const output = place.nextElementSibling;
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
      return tell(picture, sizesOf(picture), { seriesType: "custom", value: one.value });
    }
    if (picture.kind === "tree") return `${one.name}: ${short(sum(one), picture.measures[series.name].unit)}`;
    const across = picture.across || { title: "moment", unit: "1" };
    const up = (picture.curves || picture.layers || []).length ? picture.up : { unit: "B" };
    return `${series.name}: ${across.title} ${short(one[0], across.unit || "1")}, ${short(one[1], up.unit || "1")}`;
  }
  const sum = (node) => node.value ?? (node.children || []).reduce((all, one) => all + sum(one), 0);

  // The rows of a long table, once somebody wants them.
  function unfold(folded) {
    const { units, rows } = data.pictures[+folded.dataset.rest];
    const body = folded.querySelector("tbody"), made = document.createDocumentFragment();
    for (const row of rows) {
      const line = made.appendChild(document.createElement("tr"));
      row.forEach((value, place) => {
        const cell = line.appendChild(document.createElement("td"));
        const number = typeof value === "number" && units[place];
        cell.textContent = value === null ? "?" : number ? short(value, units[place]) : value;
        if (number) [cell.className, cell.title] = ["flush", digits(value)];
      });
    }
    body.replaceChildren(made);
  }
  for (const folded of all("[data-rest]")) folded.addEventListener("toggle", () => unfold(folded), { once: true });

  // Charts are drawn when they come into sight, so that a long report opens at once.
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !entry.target.dataset.drawn) draw(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const place of all(".chart")) watch.observe(place);
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
