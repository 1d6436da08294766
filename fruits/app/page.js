"use strict";
// Shows a photograph to the server, and its answer in words, in pictures and on a map that is drawn here, on canvas.
(() => {
  const $ = (id) => document.getElementById(id);
  const canvas = document.querySelector("canvas");
  const symbols = plot.symbols(5, 8);  // 40 pairs of colour and shape; the cross is the photograph that is asked about
  let known = null;    // the map, as the server tells it
  let answer = null;   // the answer that is shown
  let brought = -1;    // the label that is brought out in the map
  let asking = null;   // the upload that is under way

  // ---- asking -----------------------------------------------------------------------------------------------------

  async function fetched(url, options) {
    let response;
    try {
      response = await fetch(url, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The machine that shows this page does not answer. Is `fruits app` still running there?");
    }
    const told = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(told.error || `The answer was ${response.status} ${response.statusText}.`);
    return told;
  }

  async function ask(file) {
    if (!file) return;
    if (asking) asking.abort();
    const mine = asking = new AbortController();
    say("");
    if (known && file.size > known.max_bytes) {
      refuse(`The file is too large: at most ${Math.floor(known.max_bytes / 2 ** 20)} MB are taken, and it has ${(file.size / 2 ** 20).toFixed(0)}.`);
      return;
    }
    say("Looking…");
    $("ask").setAttribute("aria-busy", "true");
    try {
      // The file itself, not a form: so the server holds it in memory and nowhere else.
      const told = await fetched("identify", {
        method: "POST", body: file, signal: mine.signal, headers: { "Content-Type": "application/octet-stream" },
      });
      if (!known || told.map !== known.map) await learn();
      show(told, file);
    } catch (error) {
      if (error.name !== "AbortError") refuse(error.message);
    } finally {
      if (asking === mine) {
        asking = null;
        $("ask").removeAttribute("aria-busy");
      }
    }
  }

  function say(words, unseen = false) {
    $("status").textContent = words;
    $("status").classList.toggle("unseen", unseen);
    $("error").hidden = true;
  }

  function refuse(words) {
    say("");
    answer = null;
    $("answer").hidden = true;
    $("error").textContent = words;
    $("error").hidden = false;
    place();
    draw();
    $("error").scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  // ---- the answer -------------------------------------------------------------------------------------------------

  const named = (label) => label || "no label";
  const percent = (share) => (share > 0.99 ? "more than 99 %" : `${Math.round(100 * share)} %`);

  function show(told, file) {
    answer = told;
    $("shown").hidden = false;
    draws(file);
    $("label").textContent = told.known ? named(told.label) : "None that I know";
    $("sure").textContent = explained(told);
    $("neighbours").replaceChildren(...told.neighbours.map(card));
    $("answer").hidden = false;
    brought = -1;
    place();
    draw();
    const pressed = $("legend").querySelector("[aria-pressed=true]");
    if (pressed) $("legend").scrollTop = pressed.offsetTop - $("legend").offsetTop - 40;
    say(`${$("label").textContent}. ${$("sure").textContent}`, true);  // it stands below, for who sees it
    $("answer").scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  function explained(told) {
    if (told.known && told.confidence < 0.75) return `I am only ${percent(told.confidence)} sure: it may be something I do not know.`;
    if (told.known) return `I am ${percent(told.confidence)} sure.`;
    const nearest = `The nearest photograph is of ${named(told.neighbours[0].label)}.`;
    if (known.labels.filter(Boolean).length < 2) return `I can tell kinds apart only where I know two or more. ${nearest}`;
    return `It is not clearly nearer to one kind of fruit than to the others. ${nearest}`;
  }

  function card(neighbour) {
    const item = document.createElement("li"), label = document.createElement("strong"), far = document.createElement("small");
    let picture = document.createElement("span");
    picture.className = "none";
    picture.textContent = "no picture";
    if (neighbour.sha256) {
      const without = picture;
      picture = document.createElement("img");
      picture.alt = "";
      picture.src = `photographs/${neighbour.sha256}`;
      picture.addEventListener("error", () => picture.replaceWith(without));
    }
    label.textContent = named(neighbour.label);
    far.textContent = `distance ${neighbour.distance.toFixed(2)}`;
    item.title = neighbour.name;
    item.append(picture, label, far);
    return item;
  }

  function draws(picture) {
    URL.revokeObjectURL($("photograph").src);
    $("photograph").src = URL.createObjectURL(picture);
  }

  // What the browser cannot draw, the server has read: as it saw it, or nothing where it thought that browsers can.
  $("photograph").addEventListener("error", () => {
    const preview = answer && answer.preview;
    if (preview) {
      answer.preview = null;  // it is tried once
      draws(new Blob([Uint8Array.from(atob(preview), (one) => one.charCodeAt(0))], { type: "image/webp" }));
    } else $("shown").hidden = true;
  });

  // ---- the map ----------------------------------------------------------------------------------------------------

  async function learn() {
    known = await fetched("map");
    const count = known.labels.length;
    $("about").textContent = `I know ${number(known.photographs)} photographs of ${number(count)} ${count === 1 ? "kind" : "kinds"} of fruit.`;
    $("version").textContent = `Version ${known.pca_version} of the lake's PCA answers. ${known.formats} are read, up to ${Math.floor(known.max_bytes / 2 ** 20)} MB.`;
    $("legend").replaceChildren(...known.labels.map(key));
    place();
    draw();
  }

  const number = (value) => value.toLocaleString("en");

  function key(name, label) {
    const button = document.createElement("button");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    svg.setAttribute("viewBox", "0 0 14 14");
    svg.setAttribute("aria-hidden", "true");
    mark.setAttribute("points", symbols.shape(label).map(([x, y]) => [7 + 5 * x, 7 + 5 * y]).join(" "));
    mark.setAttribute("fill", `var(--c${symbols.colour(label)})`);
    svg.append(mark);
    button.type = "button";
    button.append(svg, `${named(name)} (${number(known.counts[label])})`);
    button.addEventListener("click", () => {
      brought = brought === label ? -1 : label;
      place();
      draw();
    });
    return button;
  }

  function place() {
    if (!known) return;
    $("legend").querySelectorAll("button").forEach((button, label) => {
      button.setAttribute("aria-pressed", String(label === shownLabel()));
    });
    const at = answer && answer.at;
    $("place").textContent = at
      ? `Your photograph is the cross, at PC1 ${signed(at[0])}${at.length > 1 ? `, PC2 ${signed(at[1])}` : ""}; the rings are the photographs most like it.`
      : "Show a photograph, and a cross marks where it lies.";
  }

  const signed = (value) => value.toFixed(1).replace("-", "−");
  // What somebody brought out, else what the answer says.
  const shownLabel = () => (brought >= 0 ? brought : answer && answer.known ? known.labels.indexOf(answer.label || "") : -1);

  function draw() {
    const size = canvas.clientWidth, tall = canvas.clientHeight;
    if (!known || !size) return;
    const context = plot.sharp(canvas, size, tall), colours = plot.colours();
    const marks = (answer ? [answer.at, ...answer.neighbours.map((one) => one.at)] : []).filter(Boolean);
    const toScreen = scaled(marks, size, tall);
    plot.grid(context, colours, {
      width: size, height: tall, origin: toScreen(0, 0), scale: toScreen.scale,
      foot: 6, clear: { left: 40, right: 60, top: 30, bottom: 24 },
    });
    const radius = plot.radius(size);
    const out = shownLabel();
    const order = known.label.map((_, n) => n);
    if (out >= 0) order.sort((one, other) => (known.label[one] === out) - (known.label[other] === out));
    for (const n of order) {
      const label = known.label[n];
      context.globalAlpha = out < 0 ? 0.75 : label === out ? 0.95 : 0.16;
      context.fillStyle = colours.of[symbols.colour(label)];
      plot.fill(context, symbols.shape(label), ...toScreen(known.pc1[n], known.pc2[n]), radius);
    }
    context.globalAlpha = 1;
    mark(context, marks.map(([x, y]) => toScreen(x, y)), radius, colours.ink, colours.ground);
  }

  function scaled(marks, size, tall) {
    const ends = (values) => [Math.min(...values), Math.max(...values)];
    const [left, right] = ends([...known.pc1, ...marks.map((mark) => mark[0])]);
    const [low, high] = ends([...known.pc2, ...marks.map((mark) => mark[1] || 0)]);
    // One scale for both axes: distances are what the components tell.
    const scale = Math.min((size - 60) / (right - left || 1), (tall - 60) / (high - low || 1));
    const to = (x, y) => [size / 2 + 8 + (x - (left + right) / 2) * scale, tall / 2 - 8 - ((y || 0) - (low + high) / 2) * scale];
    to.scale = scale;
    return to;
  }

  function mark(context, places, radius, ink, ground) {
    const [cross, ...rings] = places;
    if (!cross) return;
    const [x, y] = cross, arm = Math.max(9, radius * 2.4);
    const outlined = (paths) => {
      for (const [width, colour] of [[5, ground], [2, ink]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        paths.forEach((path) => context.stroke(path));
      }
    };
    outlined(rings.map(([ringX, ringY]) => {
      const ring = new Path2D();
      ring.arc(ringX, ringY, radius + 1.5, 0, 2 * Math.PI);
      return ring;
    }));
    outlined([new Path2D(`M${x - arm} ${y - arm}L${x + arm} ${y + arm}M${x - arm} ${y + arm}L${x + arm} ${y - arm}`)]);
  }

  // ---- who gives photographs --------------------------------------------------------------------------------------

  for (const id of ["camera", "file"]) {
    $(id).addEventListener("change", (event) => {
      ask(event.target.files[0]);
      event.target.value = "";  // so that the same file can be chosen again
    });
  }
  addEventListener("paste", (event) => { ask(event.clipboardData.files[0]); });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files.length) ask(event.dataTransfer.files[0]);
    else refuse("That was not a file. Save the picture first, and drop its file here.");
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
  learn().catch((error) => refuse(error.message));
})();
