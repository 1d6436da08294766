"use strict";
// Draws the photographs as points, in a plane and in space, on canvas: without a library, for a few thousand points
// need none, and what is not there cannot ask for a network or for a laxer content policy.
(() => {
  const points = JSON.parse(document.getElementById("points").textContent);
  if (!points || !points.label.length) {
    document.querySelectorAll(".plot").forEach((figure) => { figure.hidden = true; });
    return;
  }
  const count = points.label.length;
  const at = [0, 1, 2].map((axis) => points.at[axis] || new Array(count).fill(0));
  const shown = points.labels.map(() => true);
  const spoken = document.getElementById("spoken");
  const COLOURS = 8, SHAPES = 6;

  // ---- colours and shapes -------------------------------------------------------------------------------------------

  let colours = {};
  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const named = (name) => style.getPropertyValue(name).trim();
    colours = { ink: named("--ink"), faint: named("--faint"), rule: named("--rule"), raised: named("--raised") };
    colours.of = Array.from({ length: COLOURS }, (_, n) => named(`--c${n}`));
  }
  const colourOf = (label) => colours.of[label % COLOURS];
  // A label is told by colour and shape: 24 pairs before the shapes move on by one.
  const shapeOf = (label) => (label + Math.floor(label / 24)) % SHAPES;

  function trace(context, shape, x, y, r) {
    context.beginPath();
    if (shape === 0) context.arc(x, y, r, 0, 2 * Math.PI);
    else if (shape === 1) context.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
    else if (shape === 5) {
      const a = r * 0.4, b = r * 1.15;
      [[-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a]]
        .forEach(([dx, dy]) => context.lineTo(x + dx, y + dy));
    } else {
      const [corners, turn, size] = { 2: [3, -90, 1.35], 3: [4, 0, 1.25], 4: [3, 90, 1.35] }[shape];
      for (let n = 0; n < corners; n++) {
        const angle = (turn + (360 * n) / corners) * (Math.PI / 180);
        context.lineTo(x + size * r * Math.cos(angle), y + size * r * Math.sin(angle));
      }
    }
    context.closePath();
  }

  // ---- the two views: from coordinates to the screen ---------------------------------------------------------------

  const middle = at.map((values) => (Math.min(...values) + Math.max(...values)) / 2);
  const halves = at.map((values, axis) => Math.max(...values.map((value) => Math.abs(value - middle[axis]))) || 1);

  function plane() {
    // One scale for both axes: distances are what the components tell.
    const widest = Math.max(halves[0], halves[1]) * 1.05;
    return {
      axes: ["PC1", "PC2"], shift: [0, 0],
      project(x, y, z, size, zoom) {
        const scale = (size / 2 - 34) / widest * zoom;
        return [size / 2 + 14 + this.shift[0] + (x - middle[0]) * scale,
          size / 2 - 10 + this.shift[1] - (y - middle[1]) * scale, 0];
      },
      drag(dx, dy) { this.shift[0] += dx; this.shift[1] += dy; },
      reset() { this.shift = [0, 0]; },
      scale(size, zoom) { return (size / 2 - 34) / widest * zoom; },
    };
  }

  function space() {
    const widest = Math.hypot(...halves);
    return {
      axes: ["PC1", "PC2", "PC3"], turn: [0.6, 0.35],
      project(x, y, z, size, zoom) {
        const scale = (size / 2 - 12) / widest * zoom;
        const [a, b] = this.turn;
        const [px, py, pz] = [x - middle[0], y - middle[1], z - middle[2]];
        const u = px * Math.cos(a) + pz * Math.sin(a);
        const w = -px * Math.sin(a) + pz * Math.cos(a);
        return [size / 2 + u * scale, size / 2 - (py * Math.cos(b) - w * Math.sin(b)) * scale,
          (py * Math.sin(b) + w * Math.cos(b)) / widest];
      },
      drag(dx, dy) {
        this.turn[0] -= dx * 0.01;
        this.turn[1] = Math.max(-1.5, Math.min(1.5, this.turn[1] + dy * 0.01));
      },
      reset() { this.turn = [0.6, 0.35]; },
    };
  }

  // ---- a plot ---------------------------------------------------------------------------------------------------------

  function makePlot(figure, view, flat) {
    const canvas = figure.querySelector("canvas"), tip = figure.querySelector(".tip");
    const context = canvas.getContext("2d");
    let size = 0, zoom = 1, chosen = -1, placed = [], order = [], pending = false;

    function redraw() {
      if (pending) return;
      pending = true;
      requestAnimationFrame(() => { pending = false; draw(); });
    }

    function draw() {
      size = canvas.clientWidth;
      if (!size) return;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = canvas.height = Math.round(size * ratio);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, size, size);
      context.font = "12px system-ui, sans-serif";
      placed = Array.from({ length: count }, (_, n) => view.project(at[0][n], at[1][n], at[2][n], size, zoom));
      order = placed.map((_, n) => n).filter((n) => shown[points.label[n]]);
      if (!flat) order.sort((one, other) => placed[one][2] - placed[other][2]);
      if (flat) drawGrid(); else drawBox();
      const radius = Math.max(2, Math.min(4.5, size / 130)) * Math.min(1.6, Math.sqrt(zoom)) * (count > 1500 ? 0.85 : 1.15);
      for (const n of order) {
        const [x, y, depth] = placed[n];
        context.globalAlpha = flat ? 0.75 : 0.45 + 0.4 * (depth + 1) / 2;
        context.fillStyle = colourOf(points.label[n]);
        trace(context, shapeOf(points.label[n]), x, y, flat ? radius : radius * (1 + 0.35 * depth));
        context.fill();
      }
      context.globalAlpha = 1;
      if (chosen >= 0) {
        context.strokeStyle = colours.ink;
        context.lineWidth = 2;
        context.beginPath();
        context.arc(placed[chosen][0], placed[chosen][1], radius + 4, 0, 2 * Math.PI);
        context.stroke();
      }
    }

    function drawGrid() {
      const scale = view.scale(size, zoom);
      const step = niceStep(70 / scale);
      context.strokeStyle = colours.rule;
      context.fillStyle = colours.faint;
      context.lineWidth = 1;
      const [left] = view.project(0, 0, 0, size, zoom);
      const [, top] = view.project(0, 0, 0, size, zoom);
      context.textAlign = "center";
      for (let n = Math.ceil(-left / scale / step); n * step * scale + left < size; n++) {
        const x = left + n * step * scale;
        line(x, 0, x, size);
        if (x > 40) context.fillText(number(n * step, step), x, size - 22);
      }
      context.textAlign = "left";
      for (let n = Math.ceil((top - size) / scale / step); top - n * step * scale > 0; n++) {
        const y = top - n * step * scale;
        line(0, y, size, y);
        if (y < size - 36 && y > 24) context.fillText(number(n * step, step), 6, y - 4);
      }
      context.fillStyle = colours.ink;
      context.fillText("PC2 ↑", 6, 16);
      context.textAlign = "right";
      context.fillText("PC1 →", size - 6, size - 6);
    }

    function drawBox() {
      const corner = (signs) => view.project(...signs.map((sign, n) => middle[n] + sign * halves[n]), size, zoom);
      context.strokeStyle = colours.rule;
      context.lineWidth = 1;
      context.textAlign = "center";
      for (let axis = 0; axis < 3; axis++) {
        for (const [a, b] of [[-1, -1], [-1, 1], [1, -1], [1, 1]]) {
          const from = [a, b], to = [a, b];
          from.splice(axis, 0, -1);
          to.splice(axis, 0, 1);
          const [start, end] = [corner(from), corner(to)];
          line(start[0], start[1], end[0], end[1]);
          if (a === -1 && b === -1) {
            context.fillStyle = colours.ink;
            context.fillText(`${view.axes[axis]} +`, Math.max(20, Math.min(size - 20, end[0])), Math.max(12, Math.min(size - 6, end[1])));
          }
        }
      }
    }

    function line(x1, y1, x2, y2) {
      context.beginPath();
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
      context.stroke();
    }

    function nearest(x, y, reach) {
      let found = -1, best = reach * reach;
      for (const n of order) {  // the last drawn is in front, so it wins where two are as near
        const distance = (placed[n][0] - x) ** 2 + (placed[n][1] - y) ** 2;
        if (distance <= best) { best = distance; found = n; }
      }
      return found;
    }

    function choose(n, aloud) {
      chosen = n;
      tip.hidden = n < 0;
      if (n >= 0) {
        tip.replaceChildren(...describe(n));
        const [x, y] = placed[n], width = 170, height = tip.offsetHeight;
        tip.style.left = `${Math.max(0, Math.min(size - width, x > size / 2 ? x - width - 12 : x + 12))}px`;
        tip.style.top = `${Math.max(0, Math.min(size - height, y - height / 2))}px`;
        if (aloud) spoken.textContent = sentence(n);
      }
      redraw();
    }

    function step(by) {
      const ranked = [...order].sort((one, other) => at[0][one] - at[0][other]);
      if (!ranked.length) return;
      const place = ranked.indexOf(chosen);
      choose(ranked[place < 0 ? (by > 0 ? 0 : ranked.length - 1) : (place + by + ranked.length) % ranked.length], true);
    }

    function zoomBy(factor) {
      zoom = Math.max(0.5, Math.min(40, zoom * factor));
      if (flat) view.shift = view.shift.map((one) => one * factor);
      choose(-1);
    }

    function reset() {
      zoom = 1;
      view.reset();
      choose(-1);
    }

    let dragged = null;
    canvas.addEventListener("pointerdown", (event) => {
      dragged = [event.clientX, event.clientY, 0];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (dragged) {
        const [dx, dy] = [event.clientX - dragged[0], event.clientY - dragged[1]];
        dragged = [event.clientX, event.clientY, dragged[2] + Math.abs(dx) + Math.abs(dy)];
        if (dragged[2] > 5) {
          view.drag(dx, dy);
          choose(-1);
        }
      } else if (event.pointerType === "mouse") {
        const n = nearest(event.offsetX, event.offsetY, 12);
        if (n !== chosen) choose(n);
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (dragged && dragged[2] <= 5) choose(nearest(event.offsetX, event.offsetY, 24));
      dragged = null;
    });
    canvas.addEventListener("pointercancel", () => { dragged = null; });
    canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && document.activeElement !== canvas) choose(-1);
    });
    canvas.addEventListener("blur", () => choose(-1));
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const moves = { ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12] };
      if (moves[event.key]) { view.drag(...moves[event.key].map((one) => (flat ? -one : one))); choose(-1); }
      else if (event.key === "n") step(1);
      else if (event.key === "p") step(-1);
      else if (event.key === "Escape") choose(-1);
      else if (event.key === "+") zoomBy(1.4);
      else if (event.key === "-") zoomBy(1 / 1.4);
      else if (event.key === "0") reset();
      else return;
      event.preventDefault();
    });
    figure.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
      if (button.dataset.zoom === "reset") reset();
      else zoomBy(button.dataset.zoom === "in" ? 1.4 : 1 / 1.4);
    }));
    new ResizeObserver(redraw).observe(canvas);
    // For who looks from outside, as tests do: where a photograph is on the canvas, and which are drawn.
    canvas.where = (n) => placed[n];
    canvas.drawn = () => order.length;
    return { redraw, draw, forget: () => choose(-1) };
  }

  const number = (value, step) => value.toFixed(Math.max(0, Math.ceil(-Math.log10(step)))).replace("-", "−");

  function niceStep(least) {
    const power = 10 ** Math.floor(Math.log10(least));
    return power * [1, 2, 5, 10].find((factor) => power * factor >= least);
  }

  function describe(n) {
    const parts = [];
    if (points.picture[n]) {
      const picture = document.createElement("img");
      picture.src = `data:image/webp;base64,${points.picture[n]}`;
      picture.alt = points.name[n];
      parts.push(picture);
    }
    const add = (tag, words) => {
      const made = document.createElement(tag);
      made.textContent = words;
      parts.push(made);
    };
    add("strong", points.labels[points.label[n]]);
    if (points.split[n]) add("span", points.split[n]);
    add("small", points.name[n]);
    return parts;
  }

  function sentence(n) {
    const place = points.at.map((values, axis) => `PC${axis + 1} ${values[n].toFixed(1)}`).join(", ");
    return `${points.labels[points.label[n]]}, ${points.split[n]} ${points.name[n]}, ${place}`;
  }

  // ---- labels -----------------------------------------------------------------------------------------------------------

  const figures = [["plane", plane(), true], ["space", space(), false]];
  readColours();
  const plots = figures.map(([id, view, flat]) => makePlot(document.getElementById(id), view, flat));
  const list = document.getElementById("labels");
  const counts = points.labels.map(() => 0);
  points.label.forEach((label) => { counts[label] += 1; });

  function button(words, value) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = words;
    made.addEventListener("click", () => {
      shown.fill(value);
      list.querySelectorAll("input").forEach((box) => { box.checked = value; });
      plots.forEach((plot) => plot.forget());
    });
    return made;
  }

  function choice(name, label) {
    const made = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      shown[label] = box.checked;
      plots.forEach((plot) => plot.forget());
    });
    made.append(box, document.createElement("canvas"), `${name} (${counts[label].toLocaleString("en")})`);
    return made;
  }

  function drawSwatches() {
    list.querySelectorAll("canvas").forEach((canvas, label) => {
      const ratio = window.devicePixelRatio || 1;
      canvas.width = canvas.height = 14 * ratio;
      canvas.setAttribute("aria-hidden", "true");
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      context.fillStyle = colourOf(label);
      trace(context, shapeOf(label), 7, 7, 5);
      context.fill();
    });
  }

  const both = document.createElement("span");
  both.append(button("All", true), button("None", false));
  list.append(...points.labels.map(choice), both);
  list.parentElement.hidden = false;

  function repaint() {
    readColours();
    drawSwatches();
    plots.forEach((plot) => plot.draw());
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  // Paper is white, whatever the screen is.
  addEventListener("beforeprint", () => { document.documentElement.classList.add("printed"); repaint(); });
  addEventListener("afterprint", () => { document.documentElement.classList.remove("printed"); repaint(); });
  repaint();
})();
