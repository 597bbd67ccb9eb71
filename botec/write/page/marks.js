// Says in words what stands as it was asked while the controls stand elsewhere.
"use strict";
const botecMarks = (page) => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const tags = new Map();

  // One line beside a part of the page, as long as it stands as it was asked.
  function mark(node, stale, before = "", where = (tag) => node.after(tag)) {
    const known = tags.get(node);
    if (!stale) {
      if (known) known.remove();
      tags.delete(node);
      return;
    }
    const tag = known ?? document.createElement("small");
    tag.className = "asked quiet";
    tag.dataset.of = node.matches(".figures") ? "figures" : node.localName;
    tag.textContent = `${before}as asked: ${page.words()}`;
    if (!known) where(tag);
    tags.set(node, tag);
  }

  const caption = (figure) => figure.querySelector("figcaption");

  // A picture follows by its formulas, by the table beside it, or not at all.
  function follows(picture) {
    if (picture.kind === "fields") return true;
    if (picture.kind === "lifetimes") return page.atHome();
    if (picture.kind === "tree") return Boolean(picture.key) && page.fresh(picture.key);
    return page.curvesFollow(picture);
  }

  function tell(moved) {
    for (const text of all("main > section > p")) mark(text, moved && text.classList.contains("stale"));
    for (const table of all("main table:not(.figures)")) {
      if (table.closest("figure") || table.closest("[data-rest]") || "always" in table.dataset) continue;
      if (!table.dataset.table) table.classList.toggle("stale", moved);
      const wide = table.closest(".wide");
      mark(table, moved && table.classList.contains("stale"), "", (tag) => wide.before(tag));
    }
    for (const table of all("table.figures")) {
      const some = moved && table.querySelector("td.stale:not(:empty)");
      mark(table, Boolean(some), "In italics, ", (tag) => table.closest(".wide").before(tag));
    }
    for (const why of all(".figures details")) mark(why, moved, "", (tag) => why.append(tag));
    for (const box of all("[data-picture]")) {
      const figure = box.closest("figure"), numbers = figure.querySelector("details");
      mark(figure, moved && !follows(page.picture(box)), "", (tag) => caption(figure).after(tag));
      if (numbers) mark(numbers, moved && !follows(page.picture(box)), "", (tag) => numbers.querySelector(".wide").before(tag));
    }
    for (const rest of all("[data-rest]")) mark(rest, moved && !rest.botecRows, "", (tag) => rest.querySelector(".wide").before(tag));
    for (const head of all(".headline b")) mark(head, moved && head.classList.contains("stale"));
    for (const list of all("main > section > ul")) mark(list, moved, "", (tag) => list.before(tag));
  }

  return { tell, follows };
};
