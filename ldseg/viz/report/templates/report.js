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

// A table that is too long for a page: the rows that are looked at are made from data, with pictures from the folder of the run.
for (const table of document.querySelectorAll("table.paged")) {
  const { shown, digits, overlay, uncertainty, rows } = JSON.parse(document.getElementById("rows").textContent);
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], controls = document.querySelector(".pages");
  const [back, on] = controls.querySelectorAll("button"), said = controls.querySelector("output"), search = controls.querySelector("input");
  const columns = heads.filter((head) => !head.classList.contains("picture")); // the name, then the figures
  const collator = new Intl.Collator(undefined, { numeric: true });
  let order = [...rows], found = order, start = 0;

  const cell = (kind, text) => Object.assign(document.createElement(kind), { textContent: text });
  const picture = (there, folder, name, kind) => {
    const place = cell("td", "–");
    place.className = "picture";
    if (!there) return place;
    const image = document.createElement("img");
    image.loading = "lazy";
    image.width = 120;
    image.alt = `${name}: ${kind}`;
    image.onload = () => { if (image.naturalWidth > 2 * image.naturalHeight) image.width = 240; };
    image.onerror = () => place.replaceChildren("–");
    image.src = `${folder}/${encodeURIComponent(name.toWellFormed?.() ?? name)}_${kind}.png`;
    place.replaceChildren(image);
    return place;
  };
  const made = ([name, problem, ...figures]) => {
    const row = document.createElement("tr"), head = cell("th", name);
    head.scope = "row";
    if (problem) head.append(cell("p", `skipped: ${problem}`));
    row.append(head, picture(overlay && !problem, "Overlay", name, "overlay"));
    row.append(...figures.map((value, index) => cell("td", value === null ? "–" : value.toFixed(digits[index]))));
    if (uncertainty) row.append(picture(!problem, "Uncertainty", name, "uncertainty"));
    return row;
  };
  const show = (from) => {
    start = Math.max(0, Math.min(from, found.length - 1));
    body.replaceChildren(...found.slice(start, start + shown).map(made));
    const end = Math.min(start + shown, found.length);
    said.textContent = found.length ? `${(start + 1).toLocaleString()} to ${end.toLocaleString()} of ${found.length.toLocaleString()}` : "none";
    [back.disabled, on.disabled] = [start === 0, end >= found.length];
  };
  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    found = wanted ? order.filter(([name]) => name.toLowerCase().includes(wanted)) : order;
    show(0);
  };
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("button")?.closest("th");
    if (!head) return;
    const before = head.getAttribute("aria-sort"), falls = before ? before === "ascending" : "falls" in head.dataset;
    const column = columns.indexOf(head), at = column && column + 1, sign = falls ? -1 : 1;
    const compare = column ? (a, b) => a[at] - b[at] : (a, b) => collator.compare(a[0], b[0]);
    // What has no value comes last, whichever way.
    order.sort((a, b) => (a[at] === null) - (b[at] === null) || sign * compare(a, b));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    filter();
  });
  back.addEventListener("click", () => show(start - shown));
  on.addEventListener("click", () => show(start + shown));
  search.addEventListener("input", filter);
  said.textContent = `1 to ${shown} of ${rows.length.toLocaleString()}`;
  back.disabled = true;
  controls.hidden = false;
}
