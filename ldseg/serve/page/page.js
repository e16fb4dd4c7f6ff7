"use strict";
// The page asks its own server only: weights, one segmentation at a time, then pictures of planes and steps.
const $ = (id) => document.getElementById(id);
const NAMES = {
  mask: "Mask", geojson: "Outlines (GeoJSON, QuPath)", csv: "Measurements (CSV)", dicomseg: "DICOM Segmentation",
  omezarr: "OME-Zarr", probabilities: "Probabilities",
};
const AXES = { YX: "pictures", ZYX: "volumes", TYX: "videos" };
let known = [], files = [], results = [], current = null, timer = 0;

async function ask(path, options) {
  let answer;
  try { answer = await fetch(path, options); } catch { throw new Error("the server does not answer; is it still running?"); }
  const text = await answer.text();
  let value;
  try { value = JSON.parse(text); } catch { value = { error: text.slice(0, 200) }; }
  if (!answer.ok) throw new Error(value.error || `the server answered ${answer.status}`);
  return value;
}

function fill(select, words) {
  select.replaceChildren(...words.map((word) => new Option(word, word)));
}

async function start() {
  const found = await ask("weights");
  known = found.weights;
  fill($("weights"), known.map((each) => each.name));
  const usual = known.find((each) => each.axes === "YX");
  if (usual) $("weights").value = usual.name;
  fill($("sampler"), found.samplers);
  fill($("fusion"), found.fusions);
  for (const name of ["seed", "sampler", "fusion"]) $(name).value = found.defaults[name];
  $("flips").checked = found.defaults.flips;
  about();
}

function weights() { return known.find((each) => each.name === $("weights").value); }

function about() {
  const own = weights();
  if (!own) return;
  const dice = own.dice ? ` Dice ${own.dice.toFixed(3)} in validation.` : "";
  $("about").textContent = `For ${AXES[own.axes]}; finds ${own.classes.slice(1).join(", ")}.${dice}`;
  $("steps").max = own.most_steps;
  for (const name of ["steps", "samples"]) $(name).value = own[name];
}

function choose(list) {
  files = [...list];
  const names = files.map((file) => file.name);
  $("chosen").textContent = names.length > 4 ? `${names.length} files: ${names.slice(0, 3).join(", ")}, …` : names.join(", ");
  $("error").textContent = "";
}

// Several pictures are segmented one by one; several files are one volume or video, its slices.
function portions() {
  const single = weights().axes === "YX" || files.length === 1;
  return single ? files.map((file) => [file]) : [files];
}

async function submit(event) {
  event.preventDefault();
  $("error").textContent = "";
  if (!files.length) { $("error").textContent = "choose a file first"; $("files").focus(); return; }
  const parts = portions(), wrong = [];
  let first = null;
  $("go").disabled = true;
  try {
    for (const [index, part] of parts.entries()) {
      const of = parts.length > 1 ? ` (${index + 1} of ${parts.length})` : "";
      $("status").textContent = `Segmenting ${part[0].name}${of} …`;
      const form = new FormData();
      part.forEach((file) => form.append("files", file, file.name));
      for (const name of ["weights", "steps", "samples", "seed", "sampler", "fusion"]) form.append(name, $(name).value);
      form.append("flips", $("flips").checked);
      try {
        const found = await ask("segment", { method: "POST", body: form });
        results.unshift(found);
        first = first || found;
      } catch (error) { wrong.push(error.message); }
    }
  } finally { $("go").disabled = false; }
  $("status").textContent = first ? `Done: ${parts.length - wrong.length} of ${parts.length}.` : "";
  $("error").textContent = wrong.join(" · ");
  if (first) { show(first); $("title").focus(); }
}

function show(found) {
  current = found;
  stop();
  $("result").hidden = false;
  $("results").replaceChildren(...results.map((each) => new Option(`${each.name} (${each.weights}, ${each.settings.steps} steps)`, each.id)));
  $("results").value = found.id;
  $("which").hidden = results.length < 2;
  $("title").textContent = found.name;
  const sure = found.predicted_dice === null ? "" : ` Predicted Dice ${found.predicted_dice.toFixed(2)}.`;
  $("summary").textContent = `${found.size.join(" × ")} ${found.axes[0] === "Z" ? "voxels" : "pixels"}, ${found.weights}, ${found.seconds.toFixed(1)} s.${sure}`;
  $("warnings").textContent = found.warnings.join(" ");
  $("legend").replaceChildren(...found.classes.map((name, index) => {
    const item = document.createElement("li"), mark = document.createElement("span");
    mark.style.background = found.colours[index];
    item.append(mark, `${name} ${(100 * found.shares[name]).toFixed(1)} %`);
    return item;
  }));
  $("plane-name").textContent = found.axes[0] === "T" ? "Frame" : "Slice";
  $("plane-row").hidden = found.planes < 2;
  $("plane").max = found.planes - 1;
  $("plane").value = found.largest;
  $("step").max = found.times.length - 1;
  $("step").value = found.times.length - 1;
  $("part").hidden = found.whole;
  for (const id of ["image", "overlay", "mask", "entropy"]) $(id).style.aspectRatio = String(found.aspect);
  if (found.whole) for (const id of ["latent", "decoded"]) $(id).style.aspectRatio = String(found.aspect);
  else for (const id of ["latent", "decoded"]) $(id).style.aspectRatio = "auto";
  measured(found);
  $("downloads").replaceChildren(...Object.entries(found.files).map(([name, path]) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = path;
    link.download = "";
    link.dataset.format = name;
    link.textContent = NAMES[name] || name;
    item.append(link);
    return item;
  }));
  draw();
}

function measured(found) {
  const rows = found.measurements, names = rows.length ? Object.keys(rows[0]).filter((name) => name !== "case") : [];
  const more = found.objects > rows.length ? `, the first ${rows.length} shown here` : "";
  $("counted").textContent = found.objects ? `${found.objects} ${found.objects === 1 ? "object" : "objects"}${more}.` : "No objects were found.";
  const line = (cells, kind) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text) => {
      const cell = document.createElement(kind);
      if (kind === "th") cell.scope = "col";
      cell.textContent = text;
      return cell;
    }));
    return row;
  };
  if (!names.length) { $("table").replaceChildren(); return; }
  const head = document.createElement("thead"), body = document.createElement("tbody");
  head.append(line(names.map((name) => name.replaceAll("_", " ")), "th"));
  body.append(...rows.map((row) => line(names.map((name) => row[name]), "td")));
  $("table").replaceChildren(head, body);
}

function picture(id, kind, more, words) {
  const image = $(id), path = `results/${current.id}/pictures/${kind}?plane=${$("plane").value}${more}`;
  if (image.getAttribute("src") !== path) image.src = path;
  image.alt = words;
}

function draw() {
  const at = Number($("plane").value), step = Number($("step").value), last = current.times.length - 1;
  const where = current.planes > 1 ? `, ${$("plane-name").textContent.toLowerCase()} ${at + 1}` : "";
  $("plane-out").textContent = `${at + 1} of ${current.planes}`;
  picture("image", "image", "", `${current.name}${where}`);
  picture("overlay", "overlay", "", `${current.name}${where} with outlines of ${current.classes.slice(1).join(", ")}`);
  picture("mask", "mask", "", `Mask of ${current.name}${where}`);
  $("unsure").hidden = !$("uncertainty").checked;
  if ($("uncertainty").checked) picture("entropy", "uncertainty", "", `Uncertainty of ${current.name}${where}`);
  $("step-out").textContent = `${step} of ${last} (t = ${current.times[step]})`;
  picture("latent", "latent", `&step=${step}`, `State at step ${step} of ${last}`);
  picture("decoded", "step", `&step=${step}`, `Mask at step ${step} of ${last}`);
}

function stop() { clearInterval(timer); timer = 0; $("play").textContent = "Play"; }

function play() {
  if (timer) { stop(); return; }
  if (Number($("step").value) === current.times.length - 1) $("step").value = 0;
  $("play").textContent = "Stop";
  draw();
  timer = setInterval(() => {
    if (Number($("step").value) >= current.times.length - 1) { stop(); return; }
    $("step").value = Number($("step").value) + 1;
    draw();
  }, 400);
}

async function remove() {
  try { await ask(`results/${current.id}`, { method: "DELETE" }); } catch { /* it is gone already */ }
  results = results.filter((each) => each.id !== current.id);
  $("status").textContent = "Removed.";
  stop();
  if (results.length) show(results[0]); else $("result").hidden = true;
  $("files").focus();
}

const drop = $("drop");
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => { event.preventDefault(); choose(event.dataTransfer.files); });
$("files").addEventListener("change", () => choose($("files").files));
$("weights").addEventListener("change", about);
$("form").addEventListener("submit", submit);
$("results").addEventListener("change", () => show(results.find((each) => each.id === $("results").value)));
for (const id of ["plane", "step", "uncertainty"]) $(id).addEventListener("input", draw);
for (const image of document.querySelectorAll("figure img")) {
  image.addEventListener("error", () => { $("error").textContent = "this result is not kept any more: segment the image again"; });
}
$("play").addEventListener("click", play);
$("remove").addEventListener("click", remove);
start().catch((error) => { $("error").textContent = error.message; });
