"use strict";
// The pictures lie one above the other in one small video: before, after, rain. A canvas shows what is asked for of them.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const [INDEX, PTS, SECONDS, AMOUNT] = [0, 1, 2, 3];
  const VIEWS = [["slider", "Slider"], ["before", "Before"], ["after", "After"], ["difference", "Difference ×4"], ["rain", "Rain ×3"]];
  const canvas = $("canvas"), video = $("video"), stage = $("stage"), chart = $("chart");
  const context = canvas.getContext("2d");
  const state = { excerpt: -1, frame: 0, view: "slider", split: 0.5 };
  const percent = (share) => `${(share * 100).toFixed(share < 0.001 ? 3 : 2)} %`;
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const seconds = data.chart.map((row) => row[SECONDS]);
  const from = seconds.length ? seconds[0] : 0, to = seconds.length > 1 ? seconds[seconds.length - 1] : from + 1;
  // 0.25, from a minute on 1:00.25, from an hour on 1:00:00.25; all of a page in one way.
  function clock(second, digits) {
    if (to < 60) return second.toFixed(digits);
    const whole = Math.round(Math.abs(second) * 10 ** digits), unit = 60 * 10 ** digits;
    const minutes = Math.floor(whole / unit), two = (number) => String(number).padStart(2, "0");
    const rest = ((whole % unit) / 10 ** digits).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    const ahead = to < 3600 ? minutes : `${Math.floor(minutes / 60)}:${two(minutes % 60)}`;
    return `${second < 0 ? "-" : ""}${ahead}:${rest}`;
  }
  const unit = to < 60 ? " s" : "";

  // Time in the proxy at which each frame begins, and a moment in its middle to seek to.
  for (const excerpt of data.excerpts) {
    const first = excerpt.frames[0][SECONDS];
    excerpt.starts = excerpt.frames.map((frame) => frame[SECONDS] - first);
    excerpt.middles = excerpt.starts.map((start, i) => start + excerpt.durations[i] / 2);
  }
  const shown = () => data.excerpts[state.excerpt];

  // `seeked` may come before the picture that was asked for can be drawn: half the time it does. This tells which one can.
  let there = -1, isTold = "requestVideoFrameCallback" in video;
  function arrived(now, picture) {
    there = frameAt(picture.mediaTime);
    draw();
    video.requestVideoFrameCallback(arrived);
  }

  function draw() {
    const excerpt = shown();
    // While it seeks the video shows the frame before.
    if (!excerpt || video.seeking || video.readyState < 2) return;
    const due = frameAt(video.currentTime);
    if (isTold && video.paused && there !== due) return; // until it has arrived
    const [w, h] = excerpt.size;
    const part = (number, x = 0, width = w) => width > 0 && context.drawImage(video, x, number * h, width, h, x, 0, width, h);
    context.globalCompositeOperation = "source-over";
    if (state.view === "rain") part(2);
    else if (state.view === "before") part(0);
    else part(1);
    if (state.view === "slider") part(0, 0, Math.round(state.split * w));
    if (state.view === "difference") {
      context.globalCompositeOperation = "difference";
      part(0);
      context.globalCompositeOperation = "lighter";
      for (let i = 0; i < 2; i++) context.drawImage(canvas, 0, 0);
    }
    canvas.dataset.frame = excerpt.frames[isTold && there >= 0 ? there : due][INDEX];
  }

  function tell() {
    const excerpt = shown();
    if (!excerpt) return;
    const frame = excerpt.frames[state.frame];
    $("where").setAttribute("aria-live", video.paused ? "polite" : "off"); // or every frame would be read out
    $("where").textContent = `frame ${frame[INDEX]} · PTS ${frame[PTS]} × ${data.timeBase} · ${frame[SECONDS].toFixed(3)} s · rain ${percent(frame[AMOUNT])}`;
    $("seek").value = state.frame;
    $("excerpt").value = state.excerpt;
    const slider = state.view === "slider";
    $("divider").hidden = $("left").hidden = $("right").hidden = $("splitrow").hidden = !slider;
    $("splitrow").style.display = slider ? "" : "none";
    $("divider").style.left = `${state.split * 100}%`;
    $("split").value = Math.round(state.split * 100);
    for (const button of $("views").children) button.setAttribute("aria-pressed", button.dataset.view === state.view);
    $("play").textContent = video.paused ? "Play" : "Pause";
    const x = place(frame[SECONDS]);
    const now = $("now");
    if (now) { now.setAttribute("x1", x); now.setAttribute("x2", x); }
    chart.setAttribute("aria-valuenow", frame[SECONDS].toFixed(3));
    chart.setAttribute("aria-valuetext", `${frame[SECONDS].toFixed(2)} seconds, rain ${percent(frame[AMOUNT])}`);
  }

  function go(excerpt, frame) {
    if (!data.excerpts.length) return;
    excerpt = Math.min(Math.max(excerpt, 0), data.excerpts.length - 1);
    const last = data.excerpts[excerpt].frames.length - 1;
    state.frame = Math.min(Math.max(frame, 0), last);
    video.pause();
    if (excerpt !== state.excerpt) {
      state.excerpt = excerpt;
      there = -1;
      [canvas.width, canvas.height] = shown().size;
      stage.style.maxWidth = `min(960px, ${(70 * canvas.width) / canvas.height}vh)`; // upright pictures fit the window
      $("seek").max = last;
      video.src = `data:video/mp4;base64,${shown().video}`;
    }
    video.currentTime = shown().middles[state.frame];
    tell();
  }
  const step = (by) => go(state.excerpt, state.frame + by);

  // The frame that lies nearest to a time, of all that can be shown.
  function nearest(seconds) {
    let best = [0, 0, Infinity];
    data.excerpts.forEach((excerpt, e) => excerpt.frames.forEach((frame, i) => {
      const off = Math.abs(frame[SECONDS] - seconds);
      if (off < best[2]) best = [e, i, off];
    }));
    return best;
  }
  const jump = (seconds) => { const [e, i] = nearest(seconds); go(e, i); };

  function frameAt(time) {
    const { starts } = shown(), later = starts.findIndex((start) => start > time + 1e-4);
    return (later < 0 ? starts.length : Math.max(later, 1)) - 1;
  }
  function played() {
    state.frame = frameAt(video.currentTime);
    draw();
    tell();
    if (!video.paused) requestAnimationFrame(played);
  }
  function toggle() {
    if (!shown()) return;
    if (!video.paused) { step(0); return; }
    if (state.frame === shown().frames.length - 1) video.currentTime = 0;
    video.play().then(() => requestAnimationFrame(played));
  }

  function view(name) { state.view = name; draw(); tell(); }
  function split(share) { state.split = Math.min(Math.max(share, 0), 1); draw(); tell(); }

  if (isTold) video.requestVideoFrameCallback(arrived);
  video.addEventListener("seeked", draw);
  video.addEventListener("seeked", () => setTimeout(() => { // a browser that never tells of a video this small
    if (there < 0) { isTold = false; draw(); }
  }, 2000));
  video.addEventListener("seeked", () => { // a busy one may tell of a frame, and of the next one not: by then it can be drawn
    const due = frameAt(video.currentTime), { excerpt } = state;
    setTimeout(() => {
      if (!video.paused || video.seeking || state.excerpt !== excerpt || frameAt(video.currentTime) !== due || there === due) return;
      there = due;
      draw();
    }, 1000);
  });
  video.addEventListener("loadeddata", draw);
  video.addEventListener("pause", tell);
  video.addEventListener("ended", tell);

  VIEWS.forEach(([name, label]) => {
    const button = element("button", label, { type: "button", "data-view": name });
    button.addEventListener("click", () => view(name));
    $("views").append(button);
  });
  data.excerpts.forEach((excerpt, number) => {
    const [first, last] = [excerpt.frames[0], excerpt.frames[excerpt.frames.length - 1]];
    $("excerpt").append(element("option", `${clock(first[SECONDS], 1)}–${clock(last[SECONDS], 1)}${unit}`, { value: number }));
  });
  $("excerpt").addEventListener("change", (event) => go(Number(event.target.value), 0));
  $("back").addEventListener("click", () => step(-1));
  $("forward").addEventListener("click", () => step(1));
  $("play").addEventListener("click", toggle);
  $("seek").addEventListener("input", (event) => go(state.excerpt, Number(event.target.value)));
  $("split").addEventListener("input", (event) => split(Number(event.target.value) / 100));

  const dragged = (event) => {
    const box = stage.getBoundingClientRect();
    if (state.view === "slider") split((event.clientX - box.left) / box.width);
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); dragged(event); });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) dragged(event); });

  // AltGr, which types brackets on many keyboards, is Ctrl and Alt on Windows.
  const isCommand = (event) => event.metaKey || ((event.ctrlKey || event.altKey) && !event.getModifierState("AltGraph"));
  const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];
  document.addEventListener("keydown", (event) => {
    if (isCommand(event)) return;
    if (MOVES.includes(event.key) && event.target.matches("input,select,#chart,.scroll,pre")) return; // they use these
    const keys = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), ",": () => step(-1), ".": () => step(1),
      Home: () => go(state.excerpt, 0), End: () => go(state.excerpt, Infinity),
      "[": () => go(state.excerpt - 1, 0), "]": () => go(state.excerpt + 1, 0),
    };
    VIEWS.forEach(([name], number) => { keys[number + 1] = () => view(name); });
    if (event.key === " " && !event.target.matches("button,summary,select")) keys[" "] = toggle;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });

  // The chart: seconds to the right, rain upwards; shaded is what can be looked at.
  let W = 1000; // as wide as there is room, so that letters keep their size
  const H = 220, LEFT = 58, RIGHT = 10, TOP = 10, BOTTOM = 26;
  const most = Math.max(...data.chart.map((row) => row[AMOUNT]), 1e-6) * 1.05;
  function place(second) { return LEFT + ((second - from) / (to - from)) * (W - LEFT - RIGHT); }
  const level = (amount) => H - BOTTOM - (amount / most) * (H - TOP - BOTTOM);
  const svg = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  function axes(root, ticks) {
    for (const [x, y, text, anchor] of ticks) root.append(svg("text", { x, y, "text-anchor": anchor }, text));
  }
  // Round times at equal distances: their labels are exact, and no two are alike.
  const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  function times(many) {
    const step = STEPS.find((each) => (to - from) / each <= many) || Math.ceil((to - from) / many / 3600) * 3600;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), found = [];
    for (let i = Math.ceil(from / step - 1e-6); i * step <= to + step * 1e-6; i++) found.push([i * step, clock(i * step, digits) + unit]);
    return found;
  }
  function drawChart() {
    W = Math.max(chart.clientWidth, 280);
    const few = W < 560 ? 2 : 4;
    const root = svg("svg", { viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" });
    for (const excerpt of data.excerpts) {
      const x = place(excerpt.frames[0][SECONDS]), end = place(excerpt.frames[excerpt.frames.length - 1][SECONDS]);
      root.append(svg("rect", { class: "band", x, y: TOP, width: Math.max(end - x, 2), height: H - TOP - BOTTOM }));
    }
    for (let i = 0; i <= few; i++) {
      const amount = (most * i) / few;
      root.append(svg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: level(amount), y2: level(amount) }));
      axes(root, [[LEFT - 6, level(amount) + 4, percent(amount), "end"]]);
    }
    for (const [second, label] of times(few + 1)) {
      const x = place(second);
      root.append(svg("line", { class: "grid", x1: x, x2: x, y1: H - BOTTOM, y2: H - BOTTOM + 5 }));
      axes(root, [[x, H - 8, label, x > W - 30 ? "end" : "middle"]]);
    }
    const points = data.chart.map((row) => `${place(row[SECONDS]).toFixed(1)},${level(row[AMOUNT]).toFixed(1)}`).join(" ");
    root.append(svg("polyline", { class: "curve", points }));
    root.append(svg("line", { id: "now", class: "now", x1: LEFT, x2: LEFT, y1: TOP, y2: H - BOTTOM }));
    chart.replaceChildren(root);
    chart.setAttribute("aria-valuemin", from.toFixed(3));
    chart.setAttribute("aria-valuemax", to.toFixed(3));
  }
  chart.addEventListener("click", (event) => {
    const box = chart.querySelector("svg").getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * W;
    jump(from + ((x - LEFT) / (W - LEFT - RIGHT)) * (to - from));
  });
  chart.addEventListener("keydown", (event) => {
    const shares = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1 };
    const by = { ...shares, Home: -1, End: 1 }[event.key];
    if (by === undefined || isCommand(event) || !shown()) return;
    event.preventDefault();
    if (Math.abs(by) === 1) { jump(by < 0 ? from : to); return; }
    const here = shown().frames[state.frame][SECONDS], aim = nearest(here + by * (to - from));
    if (aim[0] === state.excerpt && aim[1] === state.frame) step(Math.sign(by));
    else go(aim[0], aim[1]);
  });

  function drawHistogram() {
    const { edges, counts } = data.histogram, top = Math.log10(Math.max(...counts, 1) + 1);
    const wide = Math.min(Math.max($("histogram").clientWidth, 280), 480);
    const root = svg("svg", { viewBox: `0 0 ${wide} 220`, role: "img", "aria-label": "Histogram of changes of luma in grey levels, logarithmic" });
    const x = (value) => 40 + ((value - edges[0]) / (edges[edges.length - 1] - edges[0])) * (wide - 50);
    counts.forEach((count, i) => {
      const height = (Math.log10(count + 1) / top) * 170;
      const bar = svg("rect", { class: "bar", x: x(edges[i]) + 0.5, y: 190 - height, width: x(edges[i + 1]) - x(edges[i]) - 1, height });
      bar.append(svg("title", {}, `${edges[i]} to ${edges[i + 1]} levels: ${count} pixels`));
      root.append(bar);
    });
    for (let i = 0; 10 ** i <= Math.max(...counts, 1); i += 2) axes(root, [[36, 194 - (Math.log10(10 ** i + 1) / top) * 170, i ? `10${["", "", "²", "", "⁴", "", "⁶", "", "⁸", "", "¹⁰"][i]}` : "1", "end"]]);
    axes(root, [[x(edges[0]), 208, edges[0], "start"], [x(0), 208, "0", "middle"], [x(edges[edges.length - 1]), 208, `+${edges[edges.length - 1]}`, "end"]]);
    $("histogram").append(root);
    $("share").textContent = `Pixels by how many grey levels (of 255) became darker: rain is on the right. ${percent(data.changed)} of all pixels changed.`;
  }

  function fill() {
    $("note").textContent = data.note;
    for (const text of data.warnings) $("warnings").append(element("p", text));
    for (const row of data.worst) {
      const line = element("tr");
      for (const text of [row[INDEX], row[PTS], row[SECONDS].toFixed(3), percent(row[AMOUNT])]) line.append(element("td", text));
      const cell = element("td"), button = element("button", "look", { type: "button", "aria-label": `Look at frame ${row[INDEX]}` });
      button.addEventListener("click", () => { jump(row[SECONDS]); stage.focus(); stage.scrollIntoView({ block: "nearest" }); });
      cell.append(button);
      line.append(cell);
      $("worst").tBodies[0].append(line);
    }
    for (const [label, value] of data.facts) $("made").append(element("dt", label), element("dd", value));
    $("config").textContent = data.config;
    const found = data.verification;
    if (!found) return;
    $("verify").hidden = false;
    $("verdict").textContent = `${data.verdict[0].toUpperCase()}${data.verdict.slice(1)}.`;
    const add = (kind, word, fact, text) => {
      const line = element("tr");
      line.append(element("td", word, { class: kind }), element("td", fact), element("td", text));
      $("facts").tBodies[0].append(line);
    };
    for (const each of found.differences) add("lost", "lost", each.fact + (each.where ? ` (${each.where})` : ""), `${each.source} in the source, ${each.output} now; ${each.try}`);
    for (const each of found.explained) add("changed", "changed", each.fact, each.message);
    for (const stretch of found.missing) add("lost", "missing", "picture", `the source itself has lost ${stretch[0].toFixed(3)}–${stretch[1].toFixed(3)} s`);
    for (const sentence of found.missing_besides) add("lost", "missing", "source", sentence);
    const worst = found.largest_time_error;
    add("kept", "kept", "frames and times", `${found.frames_in} in, ${found.frames_out} out, ${worst ? `times within ${(worst * 1000).toFixed(3)} ms` : "every time exact"}`);
    for (const stream of found.same_streams) add("kept", "kept", "stream", stream);
    add("kept", "kept", "all else", "what is not named above: size, pixel format, colour, rotation, shape of samples, fields, chapters, tags");
  }

  new ResizeObserver(() => { drawChart(); tell(); }).observe(chart);
  drawChart();
  drawHistogram();
  fill();
  go(0, 0);
  if (data.worst.length) jump(data.worst[0][SECONDS]);
})();
