"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");

  const svg = (name, attributes, parent) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") node.textContent = value;
      else node.setAttribute(key, value);
    }
    if (parent) parent.append(node);
    return node;
  };
  const element = (name, parent, properties = {}) => {
    const node = Object.assign(document.createElement(name), properties);
    parent.append(node);
    return node;
  };
  const bytes = (n) => (n < 1e3 ? `${n} B` : n < 1e6 ? `${+(n / 1e3).toPrecision(3)} KB` : `${+(n / 1e6).toPrecision(3)} MB`);
  const shapes = { float16: "square", uint8: "triangle", int8: "triangle", int6: "inverted", int4: "inverted" };
  const shape = (quantisation) => (/^tuned/.test(quantisation) ? "diamond" : shapes[quantisation] || "circle");
  const known = (values) => values.filter((value) => value !== null && Number.isFinite(value));

  const logTicks = (low, high) => {
    const ticks = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade += 1) {
      for (const digit of [1, 2, 5]) {
        const tick = digit * 10 ** decade;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks;
  };
  const linearTicks = (low, high) => {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
    const ticks = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step / 1e6; tick += step) ticks.push(+tick.toPrecision(8));
    return ticks;
  };
  const quantile = (values, share) => {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  };

  /* A frame with axes; returns the scales. */
  const axes = (box, { x, y, xName, yName, xLog, yLog, xFormat }) => {
    const width = Math.max(280, box.clientWidth);
    const height = Math.round(Math.max(280, Math.min(430, width * 0.55)));
    const edge = { left: 46, right: 12, top: 26, bottom: 40 };
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `${yName} against ${xName}` });
    const scale = ([low, high], log, from, to) => {
      const f = log ? Math.log10 : (value) => value;
      return (value) => from + ((f(value) - f(low)) / (f(high) - f(low) || 1)) * (to - from);
    };
    const sx = scale(x, xLog, edge.left, width - edge.right);
    const sy = scale(y, yLog, height - edge.bottom, edge.top);
    let last = -Infinity;
    for (const tick of xLog ? logTicks(...x) : linearTicks(...x)) {
      svg("line", { class: "grid", x1: sx(tick), x2: sx(tick), y1: edge.top, y2: height - edge.bottom }, root);
      if (sx(tick) - last < 46 || sx(tick) > width - 18) continue;
      last = sx(tick);
      svg("text", { x: sx(tick), y: height - edge.bottom + 17, "text-anchor": "middle", text: xFormat(tick) }, root);
    }
    const yTicks = yLog ? logTicks(...y) : linearTicks(...y);
    for (const tick of yLog && yTicks.length < 3 ? linearTicks(...y) : yTicks) {
      svg("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: sy(tick), y2: sy(tick) }, root);
      svg("text", { x: edge.left - 7, y: sy(tick) + 4, "text-anchor": "end", text: tick.toLocaleString("en") }, root);
    }
    svg("text", { x: width - edge.right, y: height - 6, "text-anchor": "end", text: xName }, root);
    svg("text", { x: 4, y: 14, text: yName }, root);
    return { root, sx, sy, width, height, edge };
  };

  const mark = (kind, x, y, size, attributes, parent) => {
    if (kind === "square") return svg("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size, ...attributes }, parent);
    if (kind === "triangle") {
      const s = size * 1.25;
      return svg("path", { d: `M${x} ${y - s}L${x + s} ${y + s * 0.8}L${x - s} ${y + s * 0.8}Z`, ...attributes }, parent);
    }
    if (kind === "inverted") {
      const s = size * 1.25;
      return svg("path", { d: `M${x} ${y + s}L${x + s} ${y - s * 0.8}L${x - s} ${y - s * 0.8}Z`, ...attributes }, parent);
    }
    if (kind === "diamond") {
      const s = size * 1.35;
      return svg("path", { d: `M${x} ${y - s}L${x + s} ${y}L${x} ${y + s}L${x - s} ${y}Z`, ...attributes }, parent);
    }
    return svg("circle", { cx: x, cy: y, r: size * 1.1, ...attributes }, parent);
  };

  /* Shows what lies nearest to the pointer: targets are {x, y, text}. */
  const hover = (root, targets, near = () => {}) => {
    const seek = (event) => {
      const frame = root.getBoundingClientRect();
      const ratio = root.viewBox.baseVal.width / frame.width;
      const at = { x: (event.clientX - frame.left) * ratio, y: (event.clientY - frame.top) * ratio };
      let best = null;
      let distance = 26;
      for (const target of targets) {
        const d = Math.hypot(target.x - at.x, target.y - at.y);
        if (d < distance) [best, distance] = [target, d];
      }
      near(best);
      tip.hidden = best === null;
      if (best === null) return;
      tip.textContent = best.text;
      const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
      const above = event.clientY - tip.offsetHeight - 12;
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
    };
    root.addEventListener("pointermove", seek);
    root.addEventListener("pointerdown", seek);
    root.addEventListener("pointerleave", () => { tip.hidden = true; near(null); });
  };

  const describe = (point) => {
    const lines = [point.candidate_id, `${point.decoder} · ${point.quantisation} · ${bytes(point.total_brotli)} (${bytes(point.total_bytes)} on disk)`];
    lines.push(`${point.parameters?.toLocaleString("en")} parameters · ${point.decoder_mflops} MFLOP/s`);
    for (const [metric, label] of Object.entries(data.labels)) if (point[metric] !== null) lines.push(`${label}: ${+point[metric].toFixed(2)}`);
    if (point.teacher) lines.push(`distilled from ${point.teacher}`);
    if (point.stage) lines.push(point.stage);
    return lines.join("\n");
  };

  const frontPlot = (box, instrument, metricIndex) => {
    const metric = instrument.metrics[metricIndex];
    const points = instrument.points.filter((point) => point[metric.name] !== null && point.total_brotli > 0);
    if (!points.length) { element("p", box, { className: "none", textContent: "No exported model was evaluated." }); return; }
    const values = points.map((point) => point[metric.name]);
    const onFront = points.filter((point) => metric.front.includes(point.candidate_id)).map((point) => point[metric.name]);
    const kept = [...onFront, ...known([metric.limit]), ...known(Object.values(metric.intervals).flat())];
    // A few hopeless models must not flatten the rest: they are drawn at the edge.
    const worst = quantile(values.map((value) => value * metric.worse), 0.85) * metric.worse;
    const best = metric.worse > 0 ? Math.min(...values) : Math.max(...values);
    let [low, high] = [Math.min(...kept, worst, best), Math.max(...kept, worst, best)];
    const pad = (high - low || 1) * 0.08;
    // More room on the good side, where the names stand: nothing lies beyond the front.
    [low, high] = metric.worse > 0 ? [low - 2 * pad, high + pad] : [low - pad, high + 2 * pad];
    const sizes = points.map((point) => point.total_brotli);
    const { root, sx, sy, width, height, edge } = axes(box, {
      x: [Math.min(...sizes) / 1.15, Math.max(...sizes) * 1.15], y: [low, high], xLog: true, xFormat: bytes,
      xName: "Size, graph + weights + settings, brotli", yName: `${data.labels[metric.name]}, ${metric.worse > 0 ? "lower" : "higher"} is better`,
    });
    const inside = (value) => Math.min(Math.max(sy(value), edge.top), height - edge.bottom);
    if (metric.limit !== null) {
      svg("line", { class: "limit", x1: edge.left, x2: width - edge.right, y1: sy(metric.limit), y2: sy(metric.limit) }, root);
      svg("text", { class: "limitname", x: width - edge.right - 4, y: sy(metric.limit) + (metric.worse > 0 ? -6 : 15), "text-anchor": "end", text: metric.worse > 0 ? "best + margin" : "best − margin" }, root);
    }
    const byId = Object.fromEntries(points.map((point) => [point.candidate_id, point]));
    const steps = metric.front.filter((id) => byId[id]).map((id) => [sx(byId[id].total_brotli), inside(byId[id][metric.name])]);
    if (steps.length > 1) {
      const path = steps.slice(1).map(([x, y]) => `H${x}V${y}`).join("");
      svg("path", { class: "front", d: `M${steps[0]}${path}` }, root);
    }
    for (const [id, [from, to]] of Object.entries(metric.intervals)) {
      if (byId[id]) svg("line", { class: "whisker", x1: sx(byId[id].total_brotli), x2: sx(byId[id].total_brotli), y1: inside(from), y2: inside(to) }, root);
    }
    const targets = points.map((point) => {
      const [x, y] = [sx(point.total_brotli), inside(point[metric.name])];
      const off = sy(point[metric.name]) !== y;
      mark(shape(point.quantisation), x, y, 4.2, { class: `point ${point.decoder} ${off ? "off" : ""}` }, root);
      return { x, y, text: describe(point) };
    });
    const named = metric.knee && byId[metric.knee] ? { [metric.knee]: ["knee"] } : {};
    for (const [role, id] of Object.entries(instrument.roles)) if (byId[id]) (named[id] ||= []).push(role === "smaller" ? "next smaller" : role);
    const written = [];
    for (const [id, names] of Object.entries(named)) {
      const [x, y] = [sx(byId[id].total_brotli), inside(byId[id][metric.name])];
      svg("circle", { class: "ring", cx: x, cy: y, r: 9.5 }, root);
      const start = x < width * 0.3;
      const text = names.join(" = ");
      const span = start ? [x - 6, x - 6 + 7 * text.length] : [x + 6 - 7 * text.length, x + 6];
      let at = y + (metric.worse > 0 ? 24 : -14);
      // Names of neighbours would lie on each other.
      while (written.some((w) => w.span[0] < span[1] && span[0] < w.span[1] && Math.abs(w.at - at) < 13)) at += metric.worse > 0 ? 13 : -13;
      written.push({ span, at });
      svg("text", { class: "mark", x: start ? x - 6 : x + 6, y: at, "text-anchor": start ? "start" : "end", text }, root);
    }
    hover(root, targets);
    box.append(root);
  };

  const curvePlot = (box, instrument) => {
    const curves = instrument.curves.map((curve) => ({ ...curve, line: curve.validation.length ? curve.validation : curve.train })).filter((curve) => curve.line.length);
    const all = curves.flatMap((curve) => curve.line);
    if (!all.length) { element("p", box, { className: "none", textContent: "No learning curves were recorded." }); return; }
    const losses = all.map(([, loss]) => loss);
    const positive = losses.every((loss) => loss > 0);
    // Those that were dropped at once may lie far above; what matters is where the others went.
    const kept = curves.filter((curve) => curve.line.length > 1).flatMap((curve) => curve.line.map(([, loss]) => loss));
    const top = kept.length ? Math.max(quantile(kept, 0.99), quantile(losses, 0.75)) : quantile(losses, 0.98);
    const low = Math.min(...losses);
    const { root, sx, sy, height, edge } = axes(box, {
      x: [0, Math.max(...all.map(([step]) => step))], y: positive ? [low / 1.03, top * 1.03] : [low, top], yLog: positive,
      xFormat: (tick) => tick.toLocaleString("en"), xName: "Training steps", yName: "Validation loss",
    });
    const trials = Object.fromEntries(instrument.points.map((point) => [point.candidate_id, point.trial_id]));
    const main = new Map(Object.entries(instrument.roles).filter(([role]) => role !== "smaller").map(([role, id]) => [trials[id], role]));
    const inside = (value) => Math.min(Math.max(sy(value), edge.top), height - edge.bottom);
    const targets = [];
    for (const curve of curves.sort((a, b) => main.has(a.trial_id) - main.has(b.trial_id))) {
      const places = curve.line.map(([step, loss]) => [sx(step), inside(loss)]);
      const node = svg("polyline", { class: `curve ${curve.decoder} ${main.has(curve.trial_id) ? "main" : ""}`, points: places.join(" ") }, root);
      if (places.length === 1) mark("circle", ...places[0], 2.5, { class: `point ${curve.decoder}` }, root);
      curve.line.forEach(([step, loss], index) => targets.push({ x: places[index][0], y: places[index][1], node, text: `${curve.trial_id}${curve.teacher ? `, distilled from ${curve.teacher}` : ""}\nstep ${step.toLocaleString("en")}: ${loss}` }));
    }
    let lit = null;
    hover(root, targets, (target) => { lit?.classList.remove("near"); lit = target?.node; lit?.classList.add("near"); });
    box.append(root);
  };

  const legend = (box, entries) => {
    const bar = element("div", box, { className: "bar" });
    for (const [className, text] of entries) {
      const entry = element("span", bar);
      if (className) element("i", entry, { className });
      entry.append(text);
    }
    return bar;
  };

  const draw = (section) => {
    const instrument = data.instruments[+section.dataset.instrument];
    const kinds = [...new Set(instrument.curves.concat(instrument.points).map((one) => one.decoder))].filter(Boolean).sort();
    const colours = kinds.map((kind) => [`dot ${kind}`, kind.toUpperCase()]);
    const frontBox = section.querySelector("[data-plot=front]");
    const chosen = +(frontBox.dataset.metric || 0);
    frontBox.replaceChildren();
    const bar = legend(frontBox, [...colours, ["", "● float32  ■ float16  ▲ 8 bits  ▼ 6, 4 bits  ◆ tuned"], ["", "— front"], ["", "| interval of the difference to the best"], ["dash", "margin"]]);
    const select = element("select", bar, { ariaLabel: "Metric" });
    instrument.metrics.forEach((metric, index) => element("option", select, { value: index, textContent: data.labels[metric.name], selected: index === chosen }));
    select.addEventListener("change", () => { frontBox.dataset.metric = select.value; draw(section); });
    frontPlot(frontBox, instrument, chosen);
    const curveBox = section.querySelector("[data-plot=curves]");
    curveBox.replaceChildren();
    legend(curveBox, [...colours, ["", "thick: best and chosen"]]);
    curvePlot(curveBox, instrument);
  };

  const sections = [...document.querySelectorAll("section[data-instrument]")];
  let width = 0;
  const drawAll = () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    sections.forEach(draw);
  };
  window.addEventListener("resize", drawAll);
  drawAll();

  /* Tables: click a heading to sort, type to filter (all words must occur). */
  const sortKey = (cell) => (cell.dataset.v !== undefined ? +cell.dataset.v : cell.textContent === "–" || cell.textContent === "" ? null : cell.textContent);
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  };
  for (const block of document.querySelectorAll("details.data")) {
    const table = block.querySelector("table");
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      body.append(...[...body.rows].sort((a, b) => compare(sortKey(a.cells[column]), sortKey(b.cells[column]), sign)));
    }));
    const filter = block.querySelector("input");
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of body.rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    });
  }

  /* One sound at a time. */
  document.addEventListener("play", (event) => {
    for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
  }, true);
})();
