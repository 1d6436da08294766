"use strict";
// What the pages draw alike of projections, on canvas: the symbols of labels, the grid of a plane, sharp on any screen.
// Without a library: a few thousand points need none.
const plot = (() => {
  const COLOURS = 8;  // of the style sheet: --c0 and so on

  // ---- symbols ------------------------------------------------------------------------------------------------------

  function polygon(count, turn, size) {
    return Array.from({ length: count }, (_, n) => {
      const angle = (turn + (360 * n) / count) * (Math.PI / 180);
      return [size * Math.cos(angle), size * Math.sin(angle)];
    });
  }

  function plus(a, b) {
    return [
      [-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a],
    ];
  }

  // The corners of each shape around its middle, for a radius of 1; a circle has so many that nobody sees them.
  const SHAPES = [
    polygon(32, 0, 1), [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
    polygon(3, -90, 1.35), polygon(4, 0, 1.25), polygon(3, 90, 1.35), plus(0.4, 1.15),
  ];

  // How labels are told apart: by a colour's number, and by one of the first `shapes` shapes, which move on by one
  // after each `every` labels.
  const symbols = (shapes, every) => ({
    colour: (label) => label % COLOURS,
    shape: (label) => SHAPES[(label + Math.floor(label / every)) % shapes],
  });

  function fill(context, shape, x, y, radius) {
    context.beginPath();
    for (const [dx, dy] of shape) context.lineTo(x + dx * radius, y + dy * radius);
    context.closePath();
    context.fill();
  }

  const radius = (size) => Math.max(2, Math.min(4.5, size / 130));

  // ---- colours and canvas -------------------------------------------------------------------------------------------

  // The style sheet's colours as they are now, by day or by night; `of` those of labels by number.
  function colours() {
    const style = getComputedStyle(document.documentElement);
    const named = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      ...Object.fromEntries(["ink", "faint", "rule", "ground"].map((name) => [name, named(name)])),
      of: Array.from({ length: COLOURS }, (_, n) => named(`c${n}`)),
    };
  }

  // Empties a canvas, and has it as many pixels as the screen has there; returns its context, in CSS pixels.
  function sharp(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1, context = canvas.getContext("2d");
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.scale(ratio, ratio);
    context.font = "12px system-ui, sans-serif";
    return context;
  }

  // ---- the grid of PC1 and PC2 --------------------------------------------------------------------------------------

  function line(context, x1, y1, x2, y2) {
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  // `origin` is where (0, 0) lies, `scale` how many pixels a unit has. Figures along PC1 stand `foot` above the lower
  // edge; `clear` is how near to the left, right, upper and lower edge there are none.
  function grid(context, colour, { width, height, origin: [left, top], scale, foot, clear }) {
    const step = niceStep(70 / scale), gap = step * scale;
    context.strokeStyle = colour.rule;
    context.fillStyle = colour.faint;
    context.lineWidth = 1;
    context.textAlign = "center";
    for (let n = Math.ceil(-left / gap); left + n * gap < width; n++) {
      const x = left + n * gap;
      line(context, x, 0, x, height);
      if (x > clear.left && x < width - clear.right) context.fillText(figure(n * step, step), x, height - foot);
    }
    context.textAlign = "left";
    for (let n = Math.ceil((top - height) / gap); top - n * gap > 0; n++) {
      const y = top - n * gap;
      line(context, 0, y, width, y);
      if (y > clear.top && y < height - clear.bottom) context.fillText(figure(n * step, step), 6, y - 4);
    }
    context.fillStyle = colour.ink;
    context.fillText("PC2 ↑", 6, 16);
    context.textAlign = "right";
    context.fillText("PC1 →", width - 6, height - 6);
  }

  const figure = (value, step) => value.toFixed(Math.max(0, Math.ceil(-Math.log10(step)))).replace("-", "−");

  function niceStep(least) {
    const power = 10 ** Math.floor(Math.log10(least));
    return power * [1, 2, 5, 10].find((factor) => power * factor >= least);
  }

  return { symbols, fill, radius, colours, sharp, line, grid };
})();
