// Draws the plots of the page's data with uPlot: a colour a group, toggles, log axes, the nearest point under the pointer or the keys.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // Okabe and Ito's colours; the yellow and blue ones are lighter on a dark page.
  const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b87f00", "#3f9bd6", "#78643c"];
  const DARK = ["#4fb3f0", "#ff8c42", "#2fd0a3", "#e9a3c9", "#f0c04a", "#9ad7fa", "#c9b48a"];
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // The eighth colour is that of text: what stands apart from the groups.
  const colour = index => index % 8 === 7 ? style("--ink") : (dark.matches ? DARK : LIGHT)[index % 8];

  const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const raised = power => String(power).replace("-", "⁻").replace(/\d/g, digit => SUPERSCRIPT[digit]);
  function label(value, digits = 3) {
    const size = Math.abs(value);
    if (value === 0) return "0";
    if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(digits)));
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const short = String(Number(mantissa));
    return (short === "1" ? "" : short + "·") + "10" + raised(Number(power));
  }
  const exact = value => label(value, 5);

  function linearTicks(low, high, count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough) ?? 10 * power;
    const ticks = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) ticks.push(k * step);
    return ticks;
  }
  function logTicks(low, high, count) {
    const decades = Math.log10(high / low);
    if (decades < 0.7) return linearTicks(low, high, count);
    const multiples = decades < 1 ? [1, 1.5, 2, 3, 4, 5, 7] : decades < 1.7 ? [1, 2, 3, 5] : decades < 3 ? [1, 3] : [1];
    const stride = Math.max(1, Math.ceil(decades / count)), ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      if (((power % stride) + stride) % stride) continue;
      for (const m of multiples) {
        const value = m * 10 ** power;
        if (value >= low && value <= high) ticks.push(value);
      }
    }
    return ticks;
  }

  // What a toggle covers: the series of a name and those without a name in its colour; of names with a colon, all that share what is before it.
  function toggles(plot) {
    const names = [...new Set(plot.series.map(s => s.name).filter(Boolean))];
    const short = names.every(name => name.includes(": ")) ? name => name.split(": ")[0] : name => name;
    const owner = {};
    for (const s of plot.series) if (s.name && !(s.colour in owner)) owner[s.colour] = short(s.name);
    return plot.series.map(s => s.name ? short(s.name) : owner[s.colour]);
  }

  class Chart {
    constructor(figure) {
      this.plot = data.plots[Number(figure.dataset.plot)];
      for (const s of this.plot.series) s.points = s.points.filter(p => p[0] !== null && p[1] !== null);
      this.plot.series = this.plot.series.filter(s => s.points.length);
      this.keys = toggles(this.plot);
      this.hidden = new Set();
      const all = this.plot.series.flatMap(s => s.points);
      this.canLog = [all.every(p => p[0] > 0), all.every(p => p[1] > 0)];
      this.log = [this.plot.x_log && this.canLog[0], this.plot.y_log && this.canLog[1]];
      this.canvas = figure.querySelector(".canvas");
      this.controls = figure.querySelector(".controls");
      this.tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
      this.tip.setAttribute("role", "status");
      this.spot = Object.assign(document.createElement("div"), { className: "spot", hidden: true });
      this.addControls();
      this.draw();
      this.canvas.addEventListener("keydown", event => this.key(event));
      this.canvas.addEventListener("blur", () => this.point(null));
      new ResizeObserver(() => {
        const width = this.canvas.clientWidth;
        if (this.chart && width && width !== this.chart.width) this.chart.setSize({ width, height: this.height() });
      }).observe(this.canvas);
    }

    addControls() {
      this.buttons = [];
      const add = (text, className, pressed, act) => {
        const button = Object.assign(document.createElement("button"), { type: "button", className });
        button.setAttribute("aria-pressed", pressed);
        button.append(text);
        button.addEventListener("click", () => {
          const now = button.getAttribute("aria-pressed") !== "true";
          button.setAttribute("aria-pressed", now);
          act(now);
          this.draw();
        });
        this.controls.append(button);
        return button;
      };
      const named = [...new Set(this.keys.filter(Boolean))];
      if (named.length > 1) {
        for (const key of named) {
          const button = add(key, "", true, on => on ? this.hidden.delete(key) : this.hidden.add(key));
          const swatch = document.createElement("i");
          button.prepend(swatch);
          this.buttons.push([swatch, this.plot.series[this.keys.indexOf(key)].colour]);
        }
      }
      ["log x", "log y"].forEach((text, axis) => {
        const button = add(text, "axis", this.log[axis], on => { this.log[axis] = on; });
        button.disabled = !this.canLog[axis];
        if (button.disabled) button.title = "there are values that have no logarithm";
      });
      add("reset view", "axis", "", () => {}).removeAttribute("aria-pressed");
    }

    // Labels of the horizontal axis; one that would run into its neighbour is left out.
    sparse(u, splits) {
      const { min, max } = u.scales.x, width = u.width - 80;
      const place = value => width * (this.log[0] ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min));
      let end = -Infinity;
      return splits.map(value => {
        const text = label(value, 4), half = 3.6 * text.length;
        if (place(value) - half < end + 4) return "";
        end = place(value) + half;
        return text;
      });
    }

    height() { return Math.max(280, Math.min(420, Math.round(this.canvas.clientWidth * 0.66))); }

    shown(index) { return !this.hidden.has(this.keys[index]); }

    // uPlot wants one rising list of x; each series has its values at its own places.
    align() {
      const places = [];
      this.plot.series.forEach((s, index) => {
        const half = s.mark === "band" ? s.points.length / 2 : s.points.length;
        s.points.forEach(([x, y], place) => places.push([x, y, index, place >= half]));
      });
      places.sort((a, b) => a[0] - b[0]);
      const columns = this.plot.series.map(s => (s.mark === "band" ? [0, 1] : [0]).map(() => new Array(places.length).fill(null)));
      places.forEach(([, y, index, upper], row) => { columns[index][Number(upper)][row] = y; });
      return [places.map(place => place[0]), ...columns.flat()];
    }

    draw() {
      this.point(null);
      this.chart?.destroy();
      for (const [swatch, index] of this.buttons) swatch.style.background = colour(index);
      const ink = style("--ink"), grid = { stroke: style("--line"), width: 1 }, page = style("--page");
      const series = [{}], bands = [];
      this.plot.series.forEach((s, index) => {
        const stroke = colour(s.colour), show = this.shown(index);
        if (s.mark === "band") {
          const edge = { show, stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
          series.push({ ...edge }, { ...edge });
          bands.push({ series: [series.length - 1, series.length - 2], fill: stroke + "33" });
        } else if (s.mark === "dots" || s.mark === "rings") {
          const ring = s.mark === "rings";
          const points = { show: true, size: ring ? 11 : 6, width: ring ? 2.5 : 1, stroke, fill: ring ? page : stroke };
          series.push({ show, stroke, paths: () => null, points });
        } else {
          const dash = s.mark === "dashed" ? [6, 4] : undefined;
          series.push({ show, stroke: s.mark === "faint" ? stroke + "66" : stroke, width: s.mark === "line" ? 1.8 : 1.2, dash, spanGaps: true, points: { show: false } });
        }
      });
      const scale = axis => ({
        time: false, distr: this.log[axis] ? 3 : 1,
        range: (_, low, high) => {
          if (low === null) return this.log[axis] ? [1, 10] : [0, 1];
          if (this.log[axis]) {
            const margin = high > low ? (high / low) ** 0.05 : 1.5;
            return [low / margin, high * margin];
          }
          const margin = high > low ? 0.05 * (high - low) : 0.1 * Math.abs(high) || 1;
          return [low - margin, high + margin];
        },
      });
      const axis = (which, text) => ({
        stroke: ink, grid, ticks: grid, label: text, labelSize: 20, labelFont: "13px system-ui, sans-serif", font: "12px system-ui, sans-serif",
        splits: (u, _, low, high) => {
          const room = which ? (u.height - 60) / 45 : (u.width - 60) / 85;
          return (this.log[which] ? logTicks : linearTicks)(low, high, Math.max(2, room));
        },
        filter: (_, splits) => splits,
        values: (u, splits) => which ? splits.map(value => label(value, 4)) : this.sparse(u, splits),
        size: which ? (_, values) => 16 + 7.2 * Math.max(3, ...(values ?? []).map(v => v.length)) : 34,
      });
      this.chart = new uPlot({
        width: this.canvas.clientWidth, height: this.height(), series, bands,
        scales: { x: scale(0), y: scale(1) },
        axes: [axis(0, this.plot.x_label), axis(1, this.plot.y_label)],
        legend: { show: false },
        pxAlign: 0,
        cursor: { points: { show: false }, x: false, y: false, drag: { x: true, y: true, uni: 24 } },
        hooks: { setCursor: [u => this.hover(u)], setSize: [() => this.point(null)] },
      }, this.align(), this.canvas);
      this.chart.over.append(this.spot, this.tip);
    }

    // Points that can be pointed at: [series, x, y], in rising x within a series.
    reachable() {
      return this.plot.series.flatMap((s, index) =>
        s.mark === "band" || !this.shown(index) ? [] : [...s.points].sort((a, b) => a[0] - b[0]).map(([x, y]) => [index, x, y]));
    }

    hover(u) {
      const { left, top } = u.cursor;
      if (left < 0) { if (!this.keyed) this.point(null); return; }
      this.keyed = false;
      let best = null, least = 45 ** 2;
      for (const found of this.reachable()) {
        const distance = (u.valToPos(found[1], "x") - left) ** 2 + (u.valToPos(found[2], "y") - top) ** 2;
        // What was measured goes before the line through it.
        const weighed = ["dots", "rings"].includes(this.plot.series[found[0]].mark) ? distance * 0.5 : distance;
        if (weighed < least) [best, least] = [found, weighed];
      }
      this.point(best);
    }

    point(found) {
      this.at = found;
      this.tip.hidden = this.spot.hidden = !found;
      if (!found) return;
      const [index, x, y] = found, u = this.chart;
      const left = u.valToPos(x, "x"), top = u.valToPos(y, "y");
      this.tip.replaceChildren();
      const name = this.plot.series[index].name || this.keys[index];
      if (name) this.tip.append(Object.assign(document.createElement("b"), { textContent: name }), document.createElement("br"));
      this.tip.append(`${this.plot.x_label}: ${exact(x)}`, document.createElement("br"), `${this.plot.y_label}: ${exact(y)}`);
      Object.assign(this.spot.style, { left: left + "px", top: top + "px" });
      const { clientWidth: width, clientHeight: height } = u.over;
      this.tip.style.left = Math.max(0, Math.min(left + 12, width - this.tip.offsetWidth)) + "px";
      this.tip.style.top = (top + 14 + this.tip.offsetHeight > height ? Math.max(0, top - 14 - this.tip.offsetHeight) : top + 14) + "px";
    }

    key(event) {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") this.point(null);
      if (!step) return;
      event.preventDefault();
      const all = this.reachable();
      if (!all.length) return;
      this.keyed = true;
      const same = found => this.at && found[0] === this.at[0] && found[1] === this.at[1] && found[2] === this.at[2];
      let place = all.findIndex(same);
      if (place < 0) return this.point(all[0]);
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        place += step;
      } else {
        const other = [...new Set(all.map(found => found[0]))];
        const next = other[(other.indexOf(this.at[0]) + step + other.length) % other.length];
        place = all.findIndex(found => found[0] === next);
      }
      this.point(all[Math.max(0, Math.min(all.length - 1, place))]);
    }
  }

  const charts = new Map(), figures = document.querySelectorAll("figure[data-plot]");
  const build = figure => charts.has(figure) || charts.set(figure, new Chart(figure));
  const watcher = new IntersectionObserver(entries => entries.forEach(entry => {
    if (entry.isIntersecting) { build(entry.target); watcher.unobserve(entry.target); }
  }), { rootMargin: "600px" });
  figures.forEach(figure => watcher.observe(figure));
  addEventListener("beforeprint", () => figures.forEach(build));
  dark.addEventListener("change", () => charts.forEach(chart => chart.draw()));
})();
