"use strict";
// Sorts tables by the head that is clicked, hides the rows of methods.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent;
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compared = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);

  for (const table of all("table.sortable")) {
    const heads = all("thead th", table), body = table.tBodies[0];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const rows = [...body.rows].sort((first, second) => {
        const [a, b] = [valueOf(first, column), valueOf(second, column)];
        if (a === null || b === null) return (a === null) - (b === null);  // what has no figure stands last
        return falls ? compared(b, a) : compared(a, b);
      });
      body.append(...rows);
    }));
  }

  for (const box of all("#methods input")) {
    box.addEventListener("change", () => {
      for (const part of all("tr[data-method],figure[data-method]")) {
        if (part.dataset.method === box.dataset.method) part.hidden = !box.checked;
      }
    });
  }
})();
