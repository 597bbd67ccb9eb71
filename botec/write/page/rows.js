// A picture's numbers as rows of texts, for those who cannot see it: what Python sets at first.
"use strict";
const botecRows = (picture, live, pictures, short) => {
  const SHOWN = 40, PLACES = 20;
  if (picture.kind === "lifetimes") {
    const sizes = pictures.sizesOf(picture), { storages, texts } = picture;
    const word = (name, number) => texts[storages[name][number]];
    const order = [...sizes.keys()].sort((one, other) => sizes[other] - sizes[one]).slice(0, SHOWN);
    return order.map((number) => [short(sizes[number], "B"), ...["role", "module", "op", "shape"].map((name) => word(name, number)),
      `${storages.born[number]} to ${storages.died[number]}`, word("why", number)]);
  }
  if (picture.kind !== "curves") return null;
  const units = [picture.across.unit || "1", picture.up.unit || "1"], told = (one) => one.map((number, axis) => short(number, units[axis]));
  const dot = (one) => one.points.every(([x, y]) => x === one.points[0][0] && y === one.points[0][1]);
  if (picture.key) return live.curves.filter(dot).map((one) => [one.name, ...told(one.points[0])]);
  const places = [...new Set(live.curves.flatMap((one) => one.points.map(([across]) => across)))].sort((a, b) => a - b);
  const step = Math.max(1, Math.floor(places.length / PLACES)), known = live.curves.map((one) => new Map(one.points));
  return places.filter((_, place) => place % step === 0)
    .map((place) => [short(place, units[0]), ...known.map((one) => short(one.get(place) ?? null, units[1]))]);
};
