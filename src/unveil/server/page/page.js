// The page: one picture at a time. The server keeps nothing, so every request carries the picture again.

import { Refusal, ask, diagnose, keepToken, makeName, restore, takeTokenFromAddress } from "./requests.js";
import { Viewer } from "./viewer.js";

const PAUSE = 300; // milliseconds without a change before work begins
const LOOK = 500; // milliseconds between questions about progress
const LARGE = 1.5e6; // pixels from which a part is shown first
const PART = 250_000; // pixels of such a part
const PATIENCE = 20; // times a full server is asked again
const SHOWN_BY_BROWSERS = new Set(["jpeg", "png", "webp", "gif", "avif", "bmp"]);
const PRINTED = { jpeg: "JPEG", png: "PNG", webp: "WebP", gif: "GIF", avif: "AVIF", bmp: "BMP", tiff: "TIFF", heic: "HEIC" };

const $ = (id) => document.getElementById(id);
const percent = (value) => `${Math.round(value * 100)} %`;
const viewer = new Viewer($("viewer"));

let health, model;
let file = null; // what was chosen
let about = null; // what the server says of its file
let found = null; // weights as the diagnosis has them
let byHand = null; // weights as they were turned, or null
let result = null; // the last answer for the whole picture
let urls = [];
let running = null; // AbortController of what is under way
let timer = 0;
let retry = () => start();

takeTokenFromAddress();
start();

async function start() {
  clearProblem();
  try {
    health = await (await ask("/health")).json();
    [model] = (await (await ask("/v1/models")).json()).models;
  } catch (error) {
    explain(error, start);
    return;
  }
  $("token-form").hidden = true;
  $("start").hidden = Boolean(file);
  $("model").textContent = model.name;
  makeRows();
}

function makeRows() {
  const rows = Object.entries(model.degradations).map(([name, printed]) => {
    const row = document.createElement("li");
    row.className = "row";
    row.dataset.name = name;
    const label = Object.assign(document.createElement("label"), { htmlFor: `weight-${name}`, textContent: printed });
    const said = Object.assign(document.createElement("output"), { id: `said-${name}`, textContent: "0 %" });
    said.setAttribute("for", `weight-${name}`);
    const bar = Object.assign(document.createElement("meter"), { id: `found-${name}`, min: 0, max: 1, value: 0 });
    bar.setAttribute("aria-label", `${printed}, as found`);
    const range = Object.assign(document.createElement("input"), { id: `weight-${name}`, type: "range", min: 0, max: 1, step: 0.01, value: 0 });
    range.setAttribute("aria-describedby", `found-${name}`);
    range.addEventListener("input", turned);
    row.append(label, said, bar, range);
    return row;
  });
  $("rows").replaceChildren(...rows);
}

async function open(chosen) {
  if (!chosen || !model) return;
  clearProblem();
  stop();
  if (chosen.size > health.max_upload) {
    explain(new Refusal(413, "upload_too_large", `The file has ${(chosen.size / 1e6).toFixed(1)} MB; this server takes up to ${health.max_upload / 1e6} MB.`));
    return;
  }
  const signal = begin("Looking at the picture");
  let said = null;
  try {
    said = model.diagnoses ? await patiently(() => diagnose(chosen, { signal, name: follow(signal) }), signal) : null;
    file = chosen;
    about = said?.picture ?? null;
    found = said?.weights ?? null;
    byHand = model.diagnoses ? null : {};
    result = null;
    forget();
    await showBefore(signal);
  } catch (error) {
    explain(error, () => open(chosen));
    return;
  } finally {
    ended(signal);
  }
  $("start").hidden = true;
  $("work").hidden = false;
  $("other").hidden = false;
  showDiagnosis(said);
  viewer.layout();
  run();
}

async function showBefore(signal) {
  const plain = !about || SHOWN_BY_BROWSERS.has(about.format);
  const shown = plain ? file : (await patiently(() => restore(file, { strength: 0, format: displayFormat() }, { signal, name: follow(signal) }), signal)).blob;
  const url = remember(shown);
  const image = new Image();
  image.src = url;
  await image.decode().catch(() => { throw new Refusal(0, "not_shown", "This browser cannot show the picture."); });
  viewer.show(url, about?.width ?? image.naturalWidth, about?.height ?? image.naturalHeight);
}

function displayFormat() {
  if (!about || SHOWN_BY_BROWSERS.has(about.format)) return "same";
  return about.alpha ? "png" : "jpeg";
}

function showDiagnosis(said) {
  const known = said?.probabilities ?? {};
  for (const row of $("rows").children) {
    const share = known[row.dataset.name] ?? 0;
    row.querySelector("meter").value = share;
    row.querySelector("meter").title = `found: ${percent(share)}`;
  }
  if (said) {
    const printed = model.degradations[said.main] ?? said.main;
    $("verdict").textContent = said.is_clean
      ? `Looks clean (${percent(known.clean)}), so it is left as it is. Turn something up to change it all the same.`
      : `Mostly ${printed} (${percent(known[said.main])})${known.clean >= 0.01 ? `; clean: ${percent(known.clean)}` : ""}.`;
  } else {
    $("verdict").textContent = "This model cannot tell by itself; turn up what you see.";
  }
  const facts = about
    ? [`${about.width} × ${about.height}`, `${PRINTED[about.format] ?? about.format}${about.depth === 16 ? ", 16 bit" : ""}`,
       about.exif || about.xmp ? (about.location ? "metadata with location" : "metadata") : "no metadata", about.profile && "colour profile"]
    : [];
  $("about").textContent = facts.filter(Boolean).join(" · ");
  showWeights(found ?? {});
}

function showWeights(weights) {
  for (const row of $("rows").children) {
    const weight = weights[row.dataset.name] ?? 0;
    const range = row.querySelector("input");
    range.value = weight;
    range.setAttribute("aria-valuetext", percent(weight));
    row.querySelector("output").value = percent(weight);
    row.classList.toggle("off", weight < 0.005);
  }
  $("as-found").disabled = byHand === null || found === null;
}

function turned() {
  byHand = Object.fromEntries(Array.from($("rows").children, (row) => [row.dataset.name, Number(row.querySelector("input").value)]));
  showWeights(byHand);
  soon();
}

$("as-found").addEventListener("click", () => {
  byHand = null;
  showWeights(found);
  $("strength").focus();
  soon();
});

$("strength").addEventListener("input", () => {
  $("strength-said").value = percent($("strength").value);
  $("strength").setAttribute("aria-valuetext", percent($("strength").value));
  soon();
});

function soon() {
  $("download").disabled = true;
  clearTimeout(timer);
  timer = setTimeout(() => run({ quickly: true }), PAUSE);
}

function fields() {
  const weights = byHand && Object.entries(byHand).map(([name, weight]) => `${name}=${weight}`).join(",");
  return { strength: $("strength").value, weights };
}

async function run({ quickly = false } = {}) {
  clearProblem();
  const signal = begin("Restoring");
  $("download").disabled = true;
  try {
    if (quickly && about && about.width * about.height > LARGE) {
      const part = viewer.visible(PART);
      const region = [part.left, part.top, part.width, part.height].join(",");
      const { blob } = await patiently(() => restore(file, { ...fields(), region, format: "png" }, { signal, name: follow(signal) }), signal);
      await viewer.showPart(remember(blob), part);
      status("Shown in the middle; restoring the whole");
    }
    const done = await patiently(() => restore(file, { ...fields(), format: displayFormat() }, { signal, name: follow(signal) }), signal);
    if (signal.aborted) return;
    result = done;
    viewer.showAfter(done.untouched && displayFormat() === "same" ? viewer.before.src : remember(done.blob));
    $("download").disabled = false;
    ended(signal);
    const notes = done.notes.map((note) => ` Note: it ${note.replace(/^(its|it) /, "")}.`).join("");
    status(done.untouched ? `Left as it is.${notes}` : `Restored in ${done.seconds.toFixed(1)} s.${notes}`);
  } catch (error) {
    explain(error, () => run());
  } finally {
    ended(signal);
  }
}

$("save").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!$("save").reportValidity() || !result) return;
  clearProblem();
  const asked = { format: $("format").value, quality: $("quality").value, strip: $("strip").value };
  const inHand = asked.format === "same" && asked.quality === "" && asked.strip === "none" && displayFormat() === "same";
  const signal = begin("Writing the file");
  try {
    const done = inHand ? result : await patiently(() => restore(file, { ...fields(), ...asked }, { signal, name: follow(signal) }), signal);
    const link = Object.assign(document.createElement("a"), { href: remember(done.blob), download: done.name });
    link.click();
    ended(signal);
    status(`Saved ${done.name} (${(done.blob.size / 1e6).toFixed(done.blob.size < 1e6 ? 2 : 1)} MB).`);
  } catch (error) {
    explain(error, () => $("save").requestSubmit());
  } finally {
    ended(signal);
  }
});

function begin(what) {
  stop();
  running = new AbortController();
  $("progress").removeAttribute("value");
  $("progress").hidden = false;
  $("viewer").setAttribute("aria-busy", "true");
  status(`${what} …`);
  return running.signal;
}

function stop() {
  clearTimeout(timer);
  running?.abort();
  running = null;
}

function ended(signal) {
  if (running?.signal !== signal) return;
  running = null;
  $("progress").hidden = true;
  $("viewer").removeAttribute("aria-busy");
}

// Asks again while the server is full: it says so at once, and a person would only press the button again.
async function patiently(request, signal) {
  for (let tries = 1; ; tries++) {
    try {
      return await request();
    } catch (error) {
      if (error.status !== 429 || tries === PATIENCE) throw error;
      status("The server is busy; waiting for a free place …");
      await new Promise((go) => setTimeout(go, 1000 * Math.min(error.wait || 2, 5)));
      signal.throwIfAborted();
    }
  }
}

// A name for a request, and questions about it as long as it is under way.
function follow(signal) {
  const name = makeName();
  const look = async () => {
    if (signal.aborted || running?.signal !== signal) return;
    try {
      const { state, before, done, total } = await (await ask(`/v1/progress/${name}`, { signal })).json();
      if (running?.signal !== signal) return;
      if (state === "waiting" && before) status(`Waiting: ${before} before this one …`);
      if (total > 1) {
        $("progress").max = total;
        $("progress").value = done;
      }
    } catch {
      // It is answered, or not begun.
    }
    setTimeout(look, LOOK);
  };
  setTimeout(look, LOOK);
  return name;
}

function status(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function explain(error, again) {
  if (error.name === "AbortError") return;
  status("");
  if (error.word === "token_needed") {
    $("start").hidden = true;
    $("token-form").hidden = false;
    retry = again ?? start;
    $("token").focus();
    return;
  }
  if (!(error instanceof Refusal)) console.error(error);
  $("problem-text").textContent = error instanceof Refusal ? error.message : "The page failed; its console says more.";
  const useless = [413, 415].includes(error.status) || error.word === "bad_picture" || !again;
  $("again").hidden = useless;
  retry = again ?? start;
  $("problem").hidden = false;
}

function clearProblem() {
  $("problem").hidden = true;
}

$("again").addEventListener("click", () => {
  clearProblem();
  retry();
});

$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  keepToken($("token").value.trim());
  $("token").value = "";
  await start();
});

function remember(blob) {
  const url = URL.createObjectURL(blob);
  urls.push(url);
  // What is on screen are the last few; the rest is only memory.
  const shown = new Set([viewer.before.src, viewer.after.src, viewer.part.src]);
  while (urls.length > 12) {
    const oldest = urls.findIndex((known) => !shown.has(known));
    if (oldest < 0) break;
    URL.revokeObjectURL(urls.splice(oldest, 1)[0]);
  }
  return url;
}

function forget() {
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
}

$("file").addEventListener("change", () => {
  open($("file").files[0]);
  $("file").value = "";
});
addEventListener("paste", (event) => {
  const [pasted] = event.clipboardData?.files ?? [];
  if (pasted) open(pasted);
});
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
}
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  open(event.dataTransfer.files[0]);
});
