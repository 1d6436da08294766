"use strict";
// Draws the photographs as points, in a plane and in space, and shows the one that is pointed at. It stands alone with
// plot.js: what is not there cannot ask for a network or for a laxer content policy.
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
  const symbols = plot.symbols(6, 24);  // 24 pairs of colour and shape before the shapes move on by one
  let colours = plot.colours();

  // ---- the two views: from coordinates to the screen ---------------------------------------------------------------

  const middle = at.map((values) => (Math.min(...values) + Math.max(...values)) / 2);
  const halves = at.map((values, axis) => Math.max(...values.map((value) => Math.abs(value - middle[axis]))) || 1);

  function plane() {
    // One scale for both axes: distances are what the components tell.
    const widest = Math.max(halves[0], halves[1]) * 1.05;
    return {
      axes: ["PC1", "PC2"], shift: [0, 0],
      project(x, y, z, size, zoom) {
        const scale = this.scale(size, zoom);
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
      plot.sharp(canvas, size, size);
      placed = Array.from({ length: count }, (_, n) => view.project(at[0][n], at[1][n], at[2][n], size, zoom));
      order = placed.map((_, n) => n).filter((n) => shown[points.label[n]]);
      if (!flat) order.sort((one, other) => placed[one][2] - placed[other][2]);
      if (flat) drawGrid(); else drawBox();
      const radius = plot.radius(size) * Math.min(1.6, Math.sqrt(zoom)) * (count > 1500 ? 0.85 : 1.15);
      for (const n of order) {
        const [x, y, depth] = placed[n];
        context.globalAlpha = flat ? 0.75 : 0.45 + 0.4 * (depth + 1) / 2;
        context.fillStyle = colours.of[symbols.colour(points.label[n])];
        plot.fill(context, symbols.shape(points.label[n]), x, y, flat ? radius : radius * (1 + 0.35 * depth));
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
      const [left, top] = view.project(0, 0, 0, size, zoom);
      plot.grid(context, colours, {
        width: size, height: size, origin: [left, top], scale: view.scale(size, zoom),
        foot: 22, clear: { left: 40, right: 0, top: 24, bottom: 36 },
      });
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
          plot.line(context, start[0], start[1], end[0], end[1]);
          if (a === -1 && b === -1) {
            context.fillStyle = colours.ink;
            context.fillText(`${view.axes[axis]} +`, Math.max(20, Math.min(size - 20, end[0])), Math.max(12, Math.min(size - 6, end[1])));
          }
        }
      }
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
      plots.forEach((one) => one.forget());
    });
    return made;
  }

  function choice(name, label) {
    const made = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      shown[label] = box.checked;
      plots.forEach((one) => one.forget());
    });
    made.append(box, document.createElement("canvas"), `${name} (${counts[label].toLocaleString("en")})`);
    return made;
  }

  function drawSwatches() {
    list.querySelectorAll("canvas").forEach((canvas, label) => {
      canvas.setAttribute("aria-hidden", "true");
      const context = plot.sharp(canvas, 14, 14);
      context.fillStyle = colours.of[symbols.colour(label)];
      plot.fill(context, symbols.shape(label), 7, 7, 5);
    });
  }

  const both = document.createElement("span");
  both.append(button("All", true), button("None", false));
  list.append(...points.labels.map(choice), both);
  list.parentElement.hidden = false;

  function repaint() {
    colours = plot.colours();
    drawSwatches();
    plots.forEach((one) => one.draw());
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  // Paper is white, whatever the screen is.
  addEventListener("beforeprint", () => { document.documentElement.classList.add("printed"); repaint(); });
  addEventListener("afterprint", () => { document.documentElement.classList.remove("printed"); repaint(); });
  repaint();
})();
