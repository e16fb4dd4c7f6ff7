for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("button")?.closest("th");
    if (!head) return;
    const before = head.getAttribute("aria-sort");
    const falls = before ? before === "ascending" : "falls" in head.dataset;
    const of = (row) => {
      const cell = row.cells[head.cellIndex];
      return cell.dataset.value ?? cell.textContent.trim();
    };
    const numbers = "value" in (body.rows[0]?.cells[head.cellIndex].dataset ?? {});
    const compare = numbers ? (a, b) => a - b : (a, b) => a.localeCompare(b, undefined, { numeric: true });
    // What has no value comes last, whichever way.
    const sorted = [...body.rows].sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      return (x === "") - (y === "") || (falls ? compare(y, x) : compare(x, y));
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    body.append(...sorted);
  });
}
