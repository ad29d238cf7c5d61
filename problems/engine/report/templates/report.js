"use strict";
// Tables that sort and filter, values at the pointer, one player at a time. The page is whole without it.
(() => {
  const make = (tag, attributes = {}, text = "") => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };

  // ---- tables ----

  const ABSENT = /^[–-]?$/;

  const keyOf = (cell) => {
    const held = cell.dataset.value ?? cell.querySelector("data")?.value;
    const text = held ?? cell.textContent.trim();
    const isNumber = cell.classList.contains("num");
    const number = isNumber ? parseFloat(text.replace(/[,\s]/g, "")) : NaN;
    return { text, number, absent: ABSENT.test(text) };
  };

  const compare = (one, other) => {
    if (!Number.isNaN(one.number) && !Number.isNaN(other.number)) return one.number - other.number;
    return one.text.localeCompare(other.text, undefined, { numeric: true });
  };

  const sortBy = (table, header) => {
    const heads = [...header.parentElement.children];
    const column = heads.indexOf(header);
    const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: keyOf(row.cells[column]) }));
    rows.sort((a, b) => a.key.absent - b.key.absent || sign * compare(a.key, b.key));
    table.tBodies[0].append(...rows.map((entry) => entry.row));
  };

  const addFilter = (items, place, name) => {
    if (items.length < 6) return;
    const input = make("input", { type: "search", placeholder: "Filter", "aria-label": `Filter ${name}` });
    const count = make("output", { class: "muted small" });
    const bar = make("p", { class: "filter" });
    bar.append(input, count);
    place.before(bar);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const item of items) {
        const text = item.textContent.toLowerCase();
        item.hidden = !words.every((word) => text.includes(word));
        shown += item.hidden ? 0 : 1;
      }
      count.textContent = words.length ? `${shown} of ${items.length}` : "";
    });
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const area = table.closest(".scroll");
    for (const header of table.tHead.rows[0].cells) {
      if ("unsorted" in header.dataset) continue;
      const button = make("button", { type: "button" }, header.textContent);
      header.replaceChildren(button);
      button.addEventListener("click", () => sortBy(table, header));
    }
    addFilter([...table.tBodies[0].rows], area, area.getAttribute("aria-label"));
  }
  for (const list of document.querySelectorAll("[data-filter]")) addFilter([...list.children], list, "utterances");

  // ---- values at the pointer ----

  const tip = make("div", { class: "tip", role: "status" });
  tip.hidden = true;
  document.body.append(tip);

  const showTip = (lines, x, y) => {
    tip.replaceChildren(...lines.map((line) => make("div", {}, line)));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const right = document.documentElement.clientWidth - width - 8;
    tip.style.left = `${Math.max(8, Math.min(x + 14, right)) + window.scrollX}px`;
    tip.style.top = `${(y - height - 12 < 0 ? y + 18 : y - height - 12) + window.scrollY}px`;
  };

  const SVG = "http://www.w3.org/2000/svg";

  const addValues = (chart) => {
    const area = chart.querySelector(".drawing");
    const drawing = area.querySelector("svg");
    const marks = drawing.querySelector(".marks");
    const heads = [...chart.querySelectorAll("thead th")].map((head) => head.textContent);
    const rows = [...chart.querySelectorAll("tbody tr")].map((row) => ({
      x: parseFloat(row.dataset.x),
      ys: row.dataset.y.split(" ").filter(Boolean).map(parseFloat),
      lines: [...row.cells].map((cell, i) => [heads[i], cell.textContent]).filter(([, text]) => text !== ""),
    }));
    if (!rows.length) return;
    let current = -1;

    const show = (number) => {
      current = number;
      const row = rows[number];
      const box = drawing.getBoundingClientRect();
      const scale = box.width / drawing.viewBox.baseVal.width;
      marks.replaceChildren(
        ...row.ys.map((y) => {
          const dot = document.createElementNS(SVG, "circle");
          for (const [name, value] of [["cx", row.x], ["cy", y], ["r", 4.5]]) dot.setAttribute(name, value);
          return dot;
        }),
      );
      const top = row.ys.length ? Math.min(...row.ys) : drawing.viewBox.baseVal.height / 2;
      showTip(row.lines.map(([head, text]) => `${head}: ${text}`), box.left + row.x * scale, box.top + top * scale);
    };
    const hide = () => {
      tip.hidden = true;
      marks.replaceChildren();
    };

    const nearest = (event) => {
      const shape = event.target.closest("[data-row]");
      if (shape) return Number(shape.dataset.row);
      const box = drawing.getBoundingClientRect();
      const scale = box.width / drawing.viewBox.baseVal.width;
      const [x, y] = [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
      const far = (row) => Math.abs(row.x - x) + (chart.dataset.by === "xy" ? Math.abs((row.ys[0] ?? y) - y) : 0);
      return rows.reduce((best, row, i) => (far(row) < far(rows[best]) ? i : best), 0);
    };
    const KEYS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    area.tabIndex = 0;
    area.setAttribute("role", "group");
    area.setAttribute("aria-label", "Arrow keys read the values");
    area.addEventListener("pointermove", (event) => show(nearest(event)));
    area.addEventListener("pointerdown", (event) => show(nearest(event)));
    area.addEventListener("pointerleave", hide);
    area.addEventListener("blur", hide);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      if (!(event.key in KEYS)) return;
      event.preventDefault();
      show(Math.max(0, Math.min(rows.length - 1, current + KEYS[event.key])));
    });
  };
  document.querySelectorAll(".chart").forEach(addValues);

  for (const table of document.querySelectorAll(".matrix")) {
    table.addEventListener("pointermove", (event) => {
      const cell = event.target.closest("[data-tip]");
      if (cell) showTip([cell.dataset.tip], event.clientX, event.clientY);
      else tip.hidden = true;
    });
    table.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  // ---- one player at a time ----

  for (const link of document.querySelectorAll(".play")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const player = document.getElementById(link.hash.slice(1));
      player.currentTime = 0;
      player.play();
    });
  }
  // the position of the player, on the timeline beside it
  for (const chart of document.querySelectorAll(".chart[data-second]")) {
    const player = chart.closest("li")?.querySelector("audio");
    if (!player) continue;
    const line = document.createElementNS(SVG, "path");
    line.setAttribute("class", "position");
    const drawing = chart.querySelector("svg");
    drawing.append(line);
    player.addEventListener("timeupdate", () => {
      const x = parseFloat(chart.dataset.zero) + player.currentTime * parseFloat(chart.dataset.second);
      line.setAttribute("d", `M${x} 0V${drawing.viewBox.baseVal.height - 20}`);
    });
  }
  document.addEventListener("play", (event) => {
    for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
  }, true);
})();
