"use strict";
// How an attempt went, by class: its name, its colour as the page names it, and the shape of its mark.
const KINDS = [
  ["served in time", "--served", "circle"],
  ["served late", "--late", "triangle"],
  ["lost to the supervisor", "--lost", "cross"],
  ["lost with the fault, or in flight", "--excused", "diamond"],
  ["asked nothing", "--unsent", "dash"],
];
const EVENTS = { fault: "--fg", heal: "--muted", listener: "--accent", worker: "--queue", supervisor: "--lost" };

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function duration(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return us + " µs";
  const ms = us / 1000;
  if (ms < 1000) return (ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)) + " ms";
  return (ms / 1000).toFixed(ms < 1e4 ? 2 : 1) + " s";
}
// What is shorter than a microsecond is drawn as one: a logarithm has no zero.
const logged = (us) => Math.max(us, 1);
const seconds = (us) => us / 1e6;

function sums(steps) {
  let sum = 0;
  return steps.map((step) => (sum += step));
}

// A chart keeps to the width of its place, and is drawn anew when colours change.
function chart(place, height, options, data) {
  const holder = document.createElement("div");
  holder.className = "chart";
  place.append(holder);
  const width = () => Math.max(240, Math.floor(holder.clientWidth));
  const u = new uPlot({ width: width(), height, legend: { show: false }, ...options }, data, holder);
  u.over.addEventListener("dblclick", () => options.whole && options.whole());
  new ResizeObserver(() => {
    if (Math.abs(u.width - width()) > 1) u.setSize({ width: width(), height });
  }).observe(holder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => u.redraw(false, true));
  return u;
}

function caption(place, text, entries) {
  const line = document.createElement("div");
  line.className = "cap";
  const name = document.createElement("b");
  name.textContent = text;
  line.append(name);
  for (const [what, style, mark] of entries || []) {
    const entry = document.createElement("span");
    const sign = document.createElement("span");
    sign.style.color = `var(${style})`;
    sign.textContent = mark + " ";
    entry.append(sign, what);
    line.append(entry);
  }
  place.append(line);
  return line;
}

const axis = (more) => ({
  stroke: () => colour("--muted"),
  grid: { stroke: () => colour("--line"), width: 1 },
  ticks: { stroke: () => colour("--line"), width: 1 },
  font: "12px system-ui, sans-serif",
  ...more,
});
const timeAxis = (more) => axis({ size: 32, values: (u, at) => at.map((s) => (s === 0 ? "0" : duration(Math.round(s * 1e6)))), ...more });
const waitAxis = () =>
  axis({ size: 64, values: (u, at) => at.map((us) => (us && Number.isInteger(Math.log10(us)) ? duration(us) : "")) });

const SHAPES = {
  circle: (path, x, y, r) => { path.moveTo(x + r, y); path.arc(x, y, r, 0, 7); },
  triangle: (path, x, y, r) => { path.moveTo(x, y - r * 1.3); path.lineTo(x + r * 1.2, y + r); path.lineTo(x - r * 1.2, y + r); path.closePath(); },
  diamond: (path, x, y, r) => { path.moveTo(x, y - r * 1.4); path.lineTo(x + r * 1.4, y); path.lineTo(x, y + r * 1.4); path.lineTo(x - r * 1.4, y); path.closePath(); },
  cross: (path, x, y, r) => { path.moveTo(x - r, y - r); path.lineTo(x + r, y + r); path.moveTo(x + r, y - r); path.lineTo(x - r, y + r); },
  dash: (path, x, y, r) => { path.moveTo(x - r, y); path.lineTo(x + r, y); },
};
const SIGNS = { circle: "●", triangle: "▲", diamond: "◆", cross: "✕", dash: "–" };

// The marks of all attempts of each class, what matters most on top.
function drawMarks(u, trial) {
  const { ctx } = u, ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left - 6 * ratio, u.bbox.top - 6 * ratio, u.bbox.width + 12 * ratio, u.bbox.height + 12 * ratio);
  ctx.clip();
  for (const kind of [4, 0, 3, 1, 2]) {
    const [, style, shape] = KINDS[kind];
    const path = new Path2D(), r = (kind === 0 ? 2 : 3.4) * ratio;
    trial.kind.forEach((each, i) => {
      if (each === kind) SHAPES[shape](path, u.valToPos(trial.at[i], "x", true), u.valToPos(trial.wait[i], "y", true), r);
    });
    ctx.strokeStyle = ctx.fillStyle = colour(style);
    ctx.lineWidth = 1.8 * ratio;
    if (shape === "cross" || shape === "dash") ctx.stroke(path);
    else ctx.fill(path);
  }
  ctx.restore();
}

// Events as lines, with their numbers above in rows that do not cover each other.
function drawEvents(u, trial, labelled) {
  const { ctx } = u, ratio = devicePixelRatio || 1;
  const free = [-1e9, -1e9, -1e9];
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  trial.events.forEach(([at, kind], index) => {
    const x = u.valToPos(seconds(at), "x", true);
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return;
    ctx.strokeStyle = ctx.fillStyle = colour(EVENTS[kind] || "--muted");
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(x, u.bbox.top);
    ctx.lineTo(x, u.bbox.top + u.bbox.height);
    ctx.stroke();
    if (!labelled) return;
    const text = String(index + 1), half = (ctx.measureText(text).width / 2) + 4 * ratio;
    const row = free.findIndex((until) => x - half > until);
    if (row < 0) return;
    free[row] = x + half;
    ctx.fillText(text, x, u.bbox.top - (8 + 13 * row) * ratio);
  });
  ctx.restore();
}

// The attempt that is nearest to the pointer, with its five instants.
function tips(place, trial) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  place.append(tip);
  const line = (list, name, text) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = text;
    list.append(dt, dd);
  };
  return (u) => {
    const { left, top } = u.cursor;
    let best = -1, nearest = 24 * 24;
    if (left >= 0) {
      trial.at.forEach((at, i) => {
        const dx = u.valToPos(at, "x") - left, dy = u.valToPos(trial.wait[i], "y") - top;
        if (dx * dx + dy * dy < nearest) { nearest = dx * dx + dy * dy; best = i; }
      });
    }
    tip.hidden = best < 0;
    if (best < 0) return;
    const head = document.createElement("b");
    head.textContent = `attempt ${trial.number[best]}: ${trial.fates[trial.fate[best]].replace(/_/g, " ")}`;
    const list = document.createElement("dl");
    line(list, "due", duration(trial.due[best]));
    const after = (us) => (us === null ? "–" : "+ " + duration(us));
    for (const name of ["started", "connected", "accepted", "ended"]) line(list, name, after(trial[name][best]));
    tip.replaceChildren(head, list);
    const x = u.over.offsetLeft + u.valToPos(trial.at[best], "x"), room = place.clientWidth - tip.offsetWidth - 4;
    tip.style.left = Math.max(0, Math.min(x + 12, room)) + "px";
    tip.style.top = Math.max(0, u.over.offsetTop + u.valToPos(trial.wait[best], "y") - tip.offsetHeight - 10) + "px";
  };
}

// Pairs of each step's beginning and end, so that a line through them is a staircase.
function stairs(at, values, until) {
  const xs = [], ys = [];
  at.forEach((each, i) => {
    xs.push(seconds(each), seconds(i + 1 < at.length ? at[i + 1] : Math.max(until, each)));
    ys.push(values[i], values[i]);
  });
  return [xs, ys];
}

function attemptsChart(place, trial, key, range) {
  const shown = trial.every > 1 ? `, one of ${trial.every} of those served in time` : "";
  const line = caption(place, `${trial.n} attempts${shown}: due, and how long until they ended`,
    KINDS.map(([name, style, shape], kind) => [name, style, SIGNS[shape], kind]).filter(([, , , kind]) => trial.kind.includes(kind)));
  const back = document.createElement("button");
  back.type = "button";
  back.textContent = "all of it";
  back.hidden = true;
  line.append(back);
  const charts = [];
  const whole = () => charts.forEach((u) => u.setScale("x", { min: range[0], max: range[1] }));
  back.addEventListener("click", whole);
  let tip = () => {};
  const u = chart(place, 300, {
    padding: [44, 12, 0, 0],
    whole,
    cursor: { sync: { key }, drag: { x: true, y: false }, points: { show: false } },
    scales: { x: spanned(range), y: { distr: 3 } },
    axes: [timeAxis(), waitAxis()],
    series: [{}, { stroke: "transparent", points: { show: false }, paths: () => null }],
    hooks: {
      draw: [(self) => { drawEvents(self, trial, true); drawMarks(self, trial); }],
      setCursor: [(self) => tip(self)],
      setScale: [(self, scale) => { if (scale === "x") back.hidden = self.scales.x.min <= range[0] && self.scales.x.max >= range[1]; }],
    },
  }, [trial.at, trial.wait]);
  tip = tips(u.root.parentElement, trial);
  charts.push(u);
  return charts;
}

// All charts of a trial span the same time, whatever each has to show of it.
const spanned = ([min, max]) => ({ time: false, auto: false, min, max, range: (self, low, high) => [low ?? min, high ?? max] });
const below = (key, range, more) => ({
  cursor: { sync: { key }, drag: { x: true, y: false }, points: { show: false } },
  padding: [8, 12, 0, 0],
  ...more,
  scales: { x: spanned(range), ...more.scales },
});

function quantilesChart(place, trial, key, range) {
  // Of fewer, each is seen above.
  if (trial.n < 200) return null;
  const at = trial.p50.map((_, i) => seconds((i + 0.5) * trial.part));
  caption(place, `of those served, by when they were due, in each ${duration(trial.part)}`,
    [["median", "--p3", "━"], ["p99", "--p2", "━"]]);
  return chart(place, 150, below(key, range, {
    scales: { y: { distr: 3 } },
    axes: [timeAxis(), waitAxis()],
    series: [{}, ...["--p3", "--p2"].map((style) => ({ stroke: () => colour(style), width: 1.75, points: { show: true, size: 4 } }))],
    hooks: { draw: [(self) => drawEvents(self, trial, false)] },
  }), [at, trial.p50.map((us) => us && logged(us)), trial.p99.map((us) => us && logged(us))]);
}

function queueChart(place, trial, key, range) {
  const [at, lengths, limits] = trial.queue;
  if (!lengths.some((length) => length > 0)) return null;
  const until = range[1] * 1e6;
  const [xs, ys] = stairs(at, lengths, until), [, tops] = stairs(at, limits.map((limit) => limit || null), until);
  const high = Math.max(...lengths);
  // A limit that is far above would press the queue flat: it is named instead.
  const near = limits.some((limit) => limit && limit <= high * 4);
  caption(place, `accept queue, at most ${high}`, [[near ? "its limit" : `its limit is ${Math.max(...limits)}`, "--lost", near ? "╌" : ""]]);
  return chart(place, 120, below(key, range, {
    axes: [timeAxis(), axis({ size: 64 })],
    series: [
      {},
      { stroke: () => colour("--queue"), fill: () => colour("--queue") + "55", width: 1.5, points: { show: false } },
      { stroke: () => colour("--lost"), width: 1.25, dash: [5, 4], points: { show: false }, show: near },
    ],
    hooks: { draw: [(self) => drawEvents(self, trial, false)] },
  }), [xs, ys, tops]);
}

function workersChart(place, trial, key, range) {
  const lanes = trial.lanes;
  if (lanes.length === 0) return null;
  const count = lanes.reduce((sum, lane) => sum + lane.length, 0) + trial.more_workers;
  const more = trial.more_workers > 0 ? `, ${trial.more_workers} of them not shown` : "";
  caption(place, `${count} worker${count === 1 ? "" : "s"}${more}`, [
    ["boots", "--unsent", "■"], ["serves", "--served", "■"], ["drains", "--late", "■"], ["failed", "--lost", "✕"],
  ]);
  const bars = (u) => {
    const { ctx } = u, ratio = devicePixelRatio || 1, height = u.bbox.height / lanes.length;
    const x = (us) => Math.min(Math.max(u.valToPos(seconds(us), "x", true), u.bbox.left), u.bbox.left + u.bbox.width);
    ctx.save();
    ctx.font = `${10.5 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    lanes.forEach((lane, row) => lane.forEach(([pid, [from, ready, drained, crashed, ended]]) => {
      const end = ended === null ? range[1] * 1e6 : ended;
      const top = u.bbox.top + row * height + height * 0.14, tall = height * 0.72;
      const bar = (style, left, right) => {
        if (right <= left) return;
        ctx.fillStyle = colour(style);
        ctx.fillRect(x(left), top, Math.max(x(right) - x(left), ratio), tall);
      };
      // Where nobody wrote down when it could accept, it is drawn as one that serves.
      const serves = ready === null ? (trial.knows_ready ? end : from) : ready;
      bar("--unsent", from, Math.min(serves, end));
      bar("--served", serves, drained === null ? end : drained);
      if (drained !== null) bar("--late", drained, end);
      if (x(end) - x(from) > 46 * ratio) {
        ctx.fillStyle = colour("--bg");
        ctx.fillText("pid " + pid, x(from) + 6 * ratio, top + tall / 2);
      }
      if (crashed !== null && seconds(crashed) >= u.scales.x.min && seconds(crashed) <= u.scales.x.max) {
        const path = new Path2D();
        SHAPES.cross(path, x(crashed), top + tall / 2, 4 * ratio);
        ctx.strokeStyle = colour("--lost");
        ctx.lineWidth = 2.2 * ratio;
        ctx.stroke(path);
      }
    }));
    ctx.restore();
  };
  return chart(place, 46 + Math.min(lanes.length, 16) * (lanes.length > 8 ? 14 : 20), below(key, range, {
    scales: { y: { range: [0, lanes.length] } },
    axes: [timeAxis(), axis({ size: 64, values: () => [], grid: { show: false }, ticks: { show: false } })],
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: { draw: [bars, (self) => drawEvents(self, trial, false)] },
  }), [[range[0], range[1]], [0, 0]]);
}

function drawTrial(details) {
  const place = details.querySelector(".live"), data = details.querySelector(".live + script");
  if (!place || !data || !place.hidden) return;
  const trial = JSON.parse(data.textContent);
  place.hidden = false;
  details.querySelector(".body").classList.add("drawn");
  trial.due = sums(trial.due);
  trial.number = sums(trial.no);
  trial.at = trial.due.map(seconds);
  trial.kind = trial.class;
  const longest = Math.max(1, ...trial.ended.filter((us) => us !== null));
  // Who never ended stands at the top.
  trial.wait = trial.ended.map((us) => logged(us === null ? longest : us));
  trial.knows_ready = trial.lanes.some((lane) => lane.some(([, bar]) => bar[1] !== null));
  const last = Math.max(...trial.due, ...trial.events.map(([at]) => at), 1);
  const range = [Math.min(0, ...trial.due.map(seconds)), seconds(last) * 1.01];
  const key = details.id, charts = attemptsChart(place, trial, key, range);
  for (const make of [quantilesChart, queueChart, workersChart]) {
    const made = make(place, trial, key, range);
    if (made) charts.push(made);
  }
}

// Latency over percentiles, as HdrHistogram's plotters have it: each nine as wide as the one before.
function drawCurves(holder) {
  const curves = JSON.parse(holder.querySelector("script").textContent);
  holder.hidden = false;
  const all = [...new Set(curves.flatMap((curve) => curve.at))].sort((a, b) => a - b);
  const nines = (q) => (q >= 1 ? null : -Math.log10(1 - q));
  const ends = curves.map((curve) => nines(curve.at[curve.at.length - 2] || 0) || 0);
  const most = Math.max(1, ...ends) + 0.35;
  const xs = all.map((q) => (q >= 1 ? most : nines(q)));
  const ys = curves.map((curve) => all.map((q) => {
    const i = curve.at.indexOf(q);
    return i < 0 ? undefined : logged(curve.us[i]);
  }));
  const names = { 0: "0 %", 1: "90 %", 2: "99 %", 3: "99.9 %", 4: "99.99 %", 5: "99.999 %" };
  const hue = (i) => `hsl(${(i * 360) / curves.length + 210} 62% ${matchMedia("(prefers-color-scheme: dark)").matches ? 66 : 42}%)`;
  chart(holder.querySelector(".live"), 280, {
    legend: { show: true, live: true },
    padding: [10, 24, 0, 0],
    cursor: { drag: { x: true, y: false } },
    scales: { x: { time: false, range: (self, low, high) => [Math.max(low, 0), high] }, y: { distr: 3 } },
    axes: [
      axis({ splits: () => [...Object.keys(names).map(Number).filter((at) => at < most), most], values: (u, at) => at.map((n) => (n === most ? "max" : names[n] || "")) }),
      waitAxis(),
    ],
    series: [
      { label: "percentile", value: (u, x) => (x === null || x === undefined ? "–" : x >= most ? "max" : ((1 - 10 ** -x) * 100).toFixed(x < 1 ? 0 : Math.ceil(x)) + " %") },
      ...curves.map((curve, i) => ({
        label: curve.name, stroke: () => hue(i), width: 1.75, spanGaps: true, dash: i % 2 ? [7, 3] : [],
        points: { show: false }, value: (u, us) => duration(us === undefined ? null : us),
      })),
    ],
  }, [xs, ...ys]);
}

function drawCharts() {
  for (const details of document.querySelectorAll("details.trial")) {
    details.addEventListener("toggle", () => details.open && drawTrial(details));
    if (details.open) drawTrial(details);
  }
  const due = new Set(document.querySelectorAll(".curves"));
  const draw = (holder) => {
    seen.unobserve(holder);
    if (due.delete(holder)) drawCurves(holder);
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) draw(target);
  }, { rootMargin: "400px" });
  for (const holder of due) {
    // What is hidden is never seen: it takes its room first.
    holder.hidden = false;
    seen.observe(holder);
  }
  // On paper all of it is seen.
  addEventListener("beforeprint", () => [...due].forEach(draw));
}
