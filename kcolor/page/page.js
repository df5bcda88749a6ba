// === The table: a heading sorts by its column, best first, then worst ===

for (const button of document.querySelectorAll(".figures thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const best = head.dataset.bestFirst;
    const worst = best === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === best ? worst : best;
    for (const cell of head.parentElement.cells) {
      cell.removeAttribute("aria-sort");
    }
    head.setAttribute("aria-sort", order);
    const value = (row) => Number(row.cells[head.cellIndex].dataset.value);
    const sign = order === "ascending" ? 1 : -1;
    // What is no number comes last, whatever the order.
    const rows = [...body.rows].sort((a, b) =>
      isNaN(value(a)) - isNaN(value(b)) || sign * (value(a) - value(b)));
    body.append(...rows);
  });
}

// === The plots: each shows the traces that are what was chosen ===

for (const form of document.querySelectorAll(".choices")) {
  form.addEventListener("change", () => {
    const plot = document.getElementById(form.dataset.plot);
    const chosen = [...new FormData(form)];
    const visible = plot.data.map((trace) =>
      chosen.every(([key, value]) => trace.meta[key] === value));
    const changes = chosen.map(([, value]) => plot.layout.meta[value]);
    Plotly.update(plot, { visible }, Object.assign({}, ...changes));
  });
}
