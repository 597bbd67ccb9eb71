// Draws the report's pictures and works its figures out anew as sizes change. It knows no rule and
// no formula of its own: all come as data.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const asked = { ...data.point };
  let point = { ...asked };
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const all = (selector) => [...document.querySelectorAll(selector)];

  // -- numbers as people read them ---------------------------------------------------------------

  const THOUSANDS = ["", "k", "M", "G", "T", "P", "E"];
  const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const digits = (value) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");

  function short(value, unit) {
    const [steps, base] = unit === "B" ? [BYTES, 1024] : [THOUSANDS, 1000];
    let number = Number(value), place = 0;
    while (Math.abs(number) >= base && place < steps.length - 1) {
      number /= base;
      place += 1;
    }
    const text = place ? number.toPrecision(4) : String(+number.toPrecision(4));
    const name = unit === "B" || unit === "1" || unit === "multiplication" || unit === "flop"
      ? steps[place] : `${steps[place]}${unit}`;
    return `${text} ${name}`.trim();
  }

  // -- figures that answer -----------------------------------------------------------------------

  function regime() {
    return data.formulas.find((one) => botecFormula.holds(one.where, point));
  }

  function answer() {
    const found = regime();
    const output = document.getElementById("regime");
    if (output) output.textContent = found ? `formulas hold for ${found.text}` : "no formula here: read the model at these sizes";
    for (const place of all("[data-key]")) {
      const key = place.dataset.key;
      const formula = found && found.values[key];
      const known = data.formulas.some((one) => key in one.values);
      if (!known) continue;
      const value = formula === undefined ? null : botecFormula.value(formula, point);
      place.dataset.raw = value === null ? "?" : String(value);
      place.textContent = value === null ? "?" : short(value, data.units[key]);
      place.title = value === null ? "" : digits(value);
      place.classList.toggle("changed", JSON.stringify(point) !== JSON.stringify(asked));
    }
    for (const place of all("[data-size]")) place.textContent = point[place.dataset.size];
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
  const form = document.getElementById("controls");
  if (form) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      for (const [name, size] of Object.entries(asked)) set(name, size);
    }));
  }

  // -- pictures ----------------------------------------------------------------------------------

  const ink = () => getComputedStyle(document.body).color;
  const axis = (column, linear) => ({
    type: linear ? "value" : "log", name: column.title, nameLocation: "middle", nameGap: 30, scale: true,
    axisLabel: { formatter: (value) => short(value, column.unit || "1"), color: ink() },
    nameTextStyle: { color: ink() }, splitLine: { lineStyle: { opacity: 0.25 } },
  });
  const plainTip = (rows) => rows.map((row) => row.map(String).join(": ")).join("\n");
  const tooltip = (more) => ({ renderMode: "richText", confine: true, ...more });

  const OPTIONS = {
    curves(picture) {
      return {
        tooltip: tooltip({ trigger: "axis" }), legend: { type: "scroll", textStyle: { color: ink() } },
        grid: { left: 80, right: 30, top: 40, bottom: 60 },
        xAxis: axis(picture.across, picture.linear), yAxis: { ...axis(picture.up, picture.linear), nameGap: 60 },
        dataZoom: [{ type: "inside" }],
        series: picture.curves.map((one) => ({
          type: "line", name: one.name, data: one.points, showSymbol: one.points.length < 40,
          connectNulls: true,
        })),
      };
    },
    layers(picture) {
      const marks = picture.marks.map(([moment, text]) => ({ xAxis: moment, label: { formatter: text } }));
      const limit = picture.limit ? [{ yAxis: picture.limit[0], label: { formatter: picture.limit[1] } }] : [];
      const top = picture.top ? [{ xAxis: picture.top[0], label: { formatter: picture.top[1] } }] : [];
      return {
        tooltip: tooltip({ trigger: "axis", valueFormatter: (value) => short(value, picture.up.unit) }),
        legend: { type: "scroll", textStyle: { color: ink() } },
        grid: { left: 80, right: 40, top: 40, bottom: 60 },
        xAxis: { type: "value", name: "moment", nameLocation: "middle", nameGap: 30, min: "dataMin", max: "dataMax" },
        yAxis: { ...axis(picture.up, true), scale: false, nameGap: 60 },
        dataZoom: [{ type: "inside" }, { type: "slider", height: 16, bottom: 8 }],
        series: picture.layers.map((one, place) => ({
          type: "line", name: one.name, stack: "pile", step: "end", areaStyle: {}, lineStyle: { width: 0 },
          showSymbol: false, sampling: "max", data: one.points,
          markLine: place ? undefined : { symbol: "none", silent: true, data: [...marks, ...limit, ...top] },
        })),
      };
    },
    tree(picture, chosen) {
      const { unit, areas } = picture.measures[chosen];
      return {
        tooltip: tooltip({ formatter: (one) => plainTip([[one.name || picture.title, short(one.value, unit)]]) }),
        series: [{
          type: "treemap", name: chosen, roam: false, nodeClick: "zoomToNode", leafDepth: 2,
          label: { formatter: (one) => `${one.name}\n${short(one.value, unit)}` },
          breadcrumb: { show: true }, data: nested(areas),
        }],
      };
    },
  };

  // Module paths with dots as branches of a tree; a module's own share is a leaf beside its parts.
  function nested(areas) {
    const root = { children: [] };
    for (const [path, value] of areas) {
      if (!(value > 0)) continue;
      let here = root;
      for (const name of path.split(".")) {
        let next = here.children.find((one) => one.name === name);
        if (!next) here.children.push(next = { name, children: [] });
        here = next;
      }
      here.own = value;
    }
    const closed = (node) => {
      const children = node.children.map(closed);
      if (!children.length) return { name: node.name, value: node.own };
      if (node.own) children.push({ name: `${node.name} itself`, value: node.own });
      return { name: node.name, children };
    };
    return root.children.map(closed);
  }

  function draw(place) {
    const picture = data.pictures[+place.dataset.picture];
    const chart = charts.init(place, dark() ? "dark" : null, { renderer: "canvas" });
    const show = (chosen) => chart.setOption({
      backgroundColor: "transparent", animation: !still, aria: { enabled: true },
      ...OPTIONS[picture.kind](picture, chosen),
    }, true);
    if (picture.kind === "tree") {
      const choice = document.createElement("select");
      choice.setAttribute("aria-label", "areas show");
      for (const name of Object.keys(picture.measures)) choice.add(new Option(name, name));
      choice.addEventListener("change", () => show(choice.value));
      place.before(choice);
      show(choice.value);
    } else {
      show();
    }
    addEventListener("resize", () => chart.resize());
    addEventListener("beforeprint", () => chart.resize());
    place.dataset.drawn = "yes";
    return chart;
  }

  // Charts are drawn when they come into sight, so that a long report opens at once.
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !entry.target.dataset.drawn) draw(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const place of all(".chart")) watch.observe(place);
  addEventListener("beforeprint", () => all(".chart:not([data-drawn])").forEach(draw));
  if (data.formulas.length) answer();
  document.documentElement.dataset.ready = "yes";
})();
