"use strict";
// A table of files, sorted by the column whose head is pressed; once more turns it round.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const size = (bytes) => bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  const KINDS = { done: "kept", partial: "changed", failed: "lost" };
  const TOLD = { partial: true, failed: true };
  const COLUMNS = [
    ["file", "file", (row) => row.file],
    ["state", "state", (row) => row.state],
    ["rain", "rain", (row) => `${(100 * row.rain).toFixed(3)} %`],
    ["frames", "frames", (row) => String(row.frames)],
    ["took", "seconds", (row) => `${row.seconds.toFixed(1)} s`],
    ["source", "source_bytes", (row) => size(row.source_bytes)],
    ["outputs", "written_bytes", (row) => size(row.written_bytes)],
    ["what happened", "cause", (row) => row.cause],
  ];
  // Rain over time, from the first frame to the last; of one height in all rows, so that they can be compared.
  const peak = data.rows.flatMap((row) => row.rain_over_time).reduce((most, each) => Math.max(most, each), 0);
  const curve = (amounts) => {
    const made = (name, attributes) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      return node;
    };
    const label = `over time: ${(100 * Math.min(...amounts)).toFixed(3)} to ${(100 * Math.max(...amounts)).toFixed(3)} %`;
    const svg = made("svg", { viewBox: "0 0 100 24", role: "img", "aria-label": label });
    const points = amounts.map((amount, place) => `${100 * place / (amounts.length - 1)},${23 - 22 * (peak ? amount / peak : 0)}`);
    svg.append(made("polyline", { class: "curve", points: points.join(" ") }));
    return svg;
  };
  const sorted = { by: null, down: false };

  const body = $("files").tBodies[0];
  const lines = data.rows.map((row) => {
    const line = element("tr"), pictures = element("td");
    row.pictures.forEach((picture, place) => {
      const alt = `${place === row.pictures.length - 1 ? "after" : "before"}: ${row.file}`;
      pictures.append(element("img", undefined, { src: `data:image/jpeg;base64,${picture}`, alt, loading: "lazy" }));
    });
    for (const [, key, text] of COLUMNS) {
      const known = row[key] !== null, cell = element("td", undefined, { "data-key": key });
      if (key === "file" && row.written_bytes !== null) cell.append(element("a", row.file, { href: row.href, title: row.source }));
      else cell.append(known ? text(row) : key === "rain" && row.written_bytes !== null ? "not measured" : "–");
      if (key === "file" && row.cause && row.state in TOLD) {
        cell.append(element("p", row.cause, { class: `cause ${KINDS[row.state]}` })); // a phone shows it here
        line.className = "told";
      }
      if (key === "rain" && row.rain_over_time.length > 1) cell.append(curve(row.rain_over_time));
      if (key === "state") cell.className = KINDS[row.state] || "";
      line.append(cell);
      if (key === "file") line.append(pictures);
    }
    return [row, line];
  });

  // What is not known comes last, whichever way the rest is sorted.
  function compare(key, down) {
    return ([one], [other]) => {
      const a = one[key], b = other[key];
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
      return down ? -order : order;
    };
  }
  function sort(key) {
    sorted.down = sorted.by === key && !sorted.down;
    sorted.by = key;
    body.append(...[...lines].sort(compare(key, sorted.down)).map(([, line]) => line));
    for (const head of $("files").querySelectorAll("th[data-key]")) {
      const is = head.dataset.key === key;
      head.setAttribute("aria-sort", is ? (sorted.down ? "descending" : "ascending") : "none");
    }
  }

  const heads = $("files").tHead.rows[0];
  for (const [label, key] of COLUMNS) {
    const head = element("th", undefined, { scope: "col", "data-key": key, "aria-sort": "none" });
    const button = element("button", label, { type: "button" });
    button.addEventListener("click", () => sort(key));
    head.append(button);
    heads.append(head);
    if (key === "file") heads.append(element("th", "pictures", { scope: "col" }));
  }
  body.append(...lines.map(([, line]) => line));
  $("note").textContent = data.note;
  for (const [line, count] of data.made) $("made").append(element("dt", `${count} ${count === 1 ? "file" : "files"}`), element("dd", line));
  for (const [text, count] of data.settings) {
    const all = element("details");
    all.append(element("summary", `All settings of ${count} ${count === 1 ? "file" : "files"}`), element("pre", text));
    $("config").append(all);
  }
})();
