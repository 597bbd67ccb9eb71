// The pictures of the page: what the chart library is to draw of each kind of them.
"use strict";
// `page` says what stands there now: {short, printing(), limit(), atHome(), value(text), live(picture),
// placeOf(picture)}.
const botecPictures = (page) => {
  const short = page.short;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ink = () => (page.printing() ? "#1b1f24" : colour("--ink"));
  const paper = () => (page.printing() ? "#ffffff" : colour("--paper"));
  const SYMBOLS = ["circle", "rect", "triangle", "diamond"], DASHES = ["solid", "dashed", "dotted"];
  // A dot is a curve of one point, or of the same one twice.
  const dotted = (name, points) => points.every(([x, y]) => x === points[0][0] && y === points[0][1]) || /measured/i.test(name);
  const tidy = (text) => text.replace(/(\.\d*?)0+(?= |e|$)/, "$1").replace(/\.(?= |e|$)/, "");
  const tips = (picture, rows) => [
    rows[0] && `${picture.across.title} ${short(rows[0].value[0], picture.across.unit || "1")}`,
    ...rows.slice(0, 12).map((one) => `${one.seriesName}: ${short(one.value[1], picture.up.unit || "1")}`),
  ].filter(Boolean).join("\n");
  // Powers of ten around the values where an axis has them.
  const around = (values) => (values.length ? {
    min: 10 ** Math.floor(Math.log10(values.reduce((a, b) => Math.min(a, b))) + 1e-9),
    max: 10 ** Math.ceil(Math.log10(values.reduce((a, b) => Math.max(a, b))) - 1e-9),
  } : {});
  const share = (at, values) => Math.log(at / Math.min(...values)) / Math.log(Math.max(...values) / Math.min(...values));
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
  // The label of a line near an end of the axis stays beside it.
  const beside = (share) => (share < 0.08 ? { align: "left" } : share > 0.92 ? { align: "right" } : {});
  const tooltip = (more) => ({ renderMode: "richText", confine: true, ...more });

  const OPTIONS = {
    curves(picture) {
      const { curves, here } = page.live(picture);
      const even = picture.linear || picture.steps;
      const points = curves.map((one) => one.points.filter(([across, up]) => across !== null && up !== null
        && (even || across > 0) && (picture.linear || up > 0)));
      const dots = curves.map((one, place) => dotted(one.name, points[place]));
      const across = points.flat().map((one) => one[0]);
      const line = here && !even && here >= Math.min(...across) && here <= Math.max(...across)
        ? [{ xAxis: here, label: { formatter: `${picture.across.title} = ${short(here, "1")}`, color: ink(), ...beside(share(here, across)) } }] : [];
      return {
        tooltip: tooltip({ trigger: dots.some(Boolean) ? "item" : "axis", order: "valueDesc",
          formatter: (given) => tips(picture, [given].flat()) }),
        legend: legend(),
        grid: { left: 84, right: 30, top: 60, bottom: 60 },
        xAxis: { ...axis(picture.across, even, across), ...(picture.linear ? {} : even ? { min: "dataMin", max: "dataMax" } : {}) },
        yAxis: { ...axis(picture.up, picture.linear, points.flat().map((one) => one[1])), nameGap: 62 },
        dataZoom: [{ type: "inside", filterMode: "none" }],
        series: curves.map((one, place) => ({
          type: dots[place] ? "scatter" : "line", name: one.name, data: dots[place] && !/measured/i.test(one.name) ? points[place].slice(0, 1) : points[place],
          symbol: SYMBOLS[place % SYMBOLS.length], symbolSize: dots[place] ? 9 : 6,
          showSymbol: points[place].length < 40, lineStyle: { type: DASHES[Math.floor(place / COLOURS.length) % 3] },
          markLine: place || !line.length ? undefined : { symbol: "none", silent: true, lineStyle: { color: ink(), opacity: 0.6 }, data: line },
        })),
      };
    },
    // What one place of a layer sees, drawn on the input: [left, right] along the last axis and
    // [top, bottom] along the one before it.
    fields(picture) {
      const seen = page.field(picture), [wide, high] = seen.axes.length > 1 ? [seen.axes[1], seen.axes[0]] : [seen.axes[0], null];
      const span = (one) => (one ? [Math.min(0, one.from), Math.max(one.size, one.to)] : [0, 1]);
      const [left, right] = span(wide), [top, bottom] = span(high);
      const box = (one, other) => [one ? one.from : 0, other ? other.from : 0, one ? one.to : 1, other ? other.to : 1];
      const inside = { from: 0, to: wide.size }, below = high && { from: 0, to: high.size };
      const rectangle = (style) => (_, api) => {
        const [x, y] = api.coord([api.value(0), api.value(1)]), [far, low] = api.coord([api.value(2), api.value(3)]);
        return { type: "rect", shape: { x, y, width: far - x, height: low - y }, style };
      };
      const even = (name, low, most, inverse) => ({
        type: "value", name, nameLocation: "middle", nameGap: 34, min: low, max: most, inverse,
        axisLine: { onZero: false }, axisLabel: { color: ink(), showMinLabel: low === 0, showMaxLabel: false }, nameTextStyle: { color: ink() }, splitLine: { lineStyle: { opacity: 0.25 } },
      });
      const dots = wide.centres.flatMap((x) => (high ? high.centres : [0.5]).map((y) => [x, y]));
      return {
        legend: legend(),
        grid: { left: 84, right: 40, top: 40, bottom: 60, ...(high ? page.square(picture, right - left, bottom - top) : {}) },
        xAxis: even(wide.name, left, right, false),
        yAxis: { ...even(high ? high.name : "", top, bottom, true), show: Boolean(high) },
        series: [
          { type: "custom", name: "the input", silent: true, data: [box(inside, below)], itemStyle: { color: "#8a8f98" },
            renderItem: rectangle({ fill: "#8a8f98", opacity: 0.3, stroke: ink(), lineWidth: 1 }) },
          { type: "custom", name: "what the place sees", silent: true, data: [box(wide, high)], itemStyle: { color: COLOURS[0] },
            renderItem: rectangle({ fill: COLOURS[0], opacity: 0.4, stroke: COLOURS[0], lineWidth: 2 }) },
          { type: "scatter", name: "middles of the layer's places", silent: true, data: dots, symbolSize: dots.length > 900 ? 2 : 4, itemStyle: { color: COLOURS[1] } },
          { type: "scatter", name: "the place", silent: true, data: [[wide.centre, high ? high.centre : 0.5]], symbolSize: 11, symbol: "diamond", itemStyle: { color: COLOURS[4] } },
        ],
      };
    },
    layers(picture) {
      const most = heights(picture).reduce((a, b) => Math.max(a, b), 0), step = ticks(most, picture.up.unit);
      const near = picture.limit && picture.limit[0] < 1.5 * most;
      const ceiling = Math.max(most, near ? picture.limit[0] : 0);
      const label = (text, more) => ({ label: { formatter: text, color: ink(), ...more } });
      const last = picture.layers[0]?.points.at(-1)?.[0] || 1;
      const marks = picture.marks.map(([moment, text]) => ({ xAxis: moment, ...label(text, beside(moment / last)) }));
      const limit = near ? [{ yAxis: picture.limit[0], ...label(picture.limit[1], { position: "insideEndTop" }) }] : [];
      const top = picture.top ? [{ xAxis: picture.top[0], ...label(picture.top[1], { distance: 18, ...beside(picture.top[0] / last) }) }] : [];
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
      page.placeOf(picture).dataset.most = Math.max(...laid.total.map((one) => one[1]));
      const room = page.limit() || picture.limit;
      const roles = [...new Set(picture.storages.role)];
      const most = Math.max(laid.most, ...laid.total.map((one) => one[1]));
      const line = (moment, text, more) => ({ xAxis: moment, label: { formatter: text, color: ink(), ...beside(moment / picture.end), ...more } });
      const lines = picture.marks.map(([moment, text]) => line(moment, text));
      const highest = laid.total.reduce((best, one) => (best === null || one[1] > best[1] ? one : best), null);
      if (picture.top) lines.push(line(page.atHome() ? highest[0] : picture.top[0], picture.top[1], { distance: 18 }));
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
      const { unit } = picture.measures[chosen], { paths, values } = page.areas(picture, chosen);
      return {
        tooltip: tooltip({ formatter: (one) => plainTip([[one.name || picture.title, short(one.value, unit)]]) }),
        series: [{
          type: "treemap", name: chosen, roam: false, nodeClick: "zoomToNode", leafDepth: 3,
          left: 0, right: 0, top: 0, bottom: 34, itemStyle: { borderColor: paper(), borderWidth: 1, gapWidth: 1 },
          label: { color: "#fff", lineHeight: 16, formatter: (one) => `${one.name}\n${short(one.value, unit)}` },
          upperLabel: { show: true, height: 20, color: ink(), formatter: (one) => (one.name ? `${one.name}  ${short(one.value, unit)}` : "") },
          levels: [{ upperLabel: { show: false } }], visibleMin: 200,
          breadcrumb: { show: true, bottom: 4 }, data: nested(paths, values),
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
  const answersHere = page.atHome;
  function sizesOf(picture) {
    if (!answersHere()) return picture.storages.bytes;
    const known = new Map();
    return picture.storages.formula.map((place) => {
      if (!known.has(place)) known.set(place, Number(page.value(picture.texts[place])));
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
      moment, live ? Number(page.value(picture.texts[formula])) : bytes,
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

  const sum = (node) => node.value ?? (node.children || []).reduce((all, one) => all + sum(one), 0);
  return { OPTIONS, COLOURS, tell, sizesOf, sum };
};
