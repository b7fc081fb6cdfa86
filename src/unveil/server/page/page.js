// The page: one picture at a time. The server keeps nothing, so every request carries the picture again.

import { Panel, describe } from "./panel.js";
import { Refusal, ask, diagnose, keepToken, makeName, restore, takeTokenFromAddress } from "./requests.js";
import { Viewer } from "./viewer.js";

const PAUSE = 300; // milliseconds without a change before work begins
const LOOK = 500; // milliseconds between questions about progress
const LARGE = 1.5e6; // pixels from which a part is shown first
const PART = 250_000; // pixels of such a part
const PATIENCE = 20; // times a full server is asked again
const MOST_ADDRESSES = 12;
const SHOWN_BY_BROWSERS = new Set(["jpeg", "png", "webp", "gif", "avif", "bmp"]);

const $ = (id) => document.getElementById(id);
const viewer = new Viewer($("viewer"));
const panel = new Panel($("panel"), soon);

let health, model;
let file = null; // what was chosen
let about = null; // what the server says of it
let result = null; // the last answer for the whole picture
let running = null; // AbortController of what is under way
let timer = 0;
let retry = start;
const addresses = [];

takeTokenFromAddress();
start();

async function start() {
  $("problem").hidden = true;
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
  panel.offer(model);
}

async function open(chosen) {
  if (!chosen || !model) return;
  const signal = begin("Looking at the picture");
  try {
    if (chosen.size > health.max_upload) {
      const sizes = `${(chosen.size / 1e6).toFixed(1)} MB; this server takes up to ${health.max_upload / 1e6} MB`;
      throw new Refusal(413, "upload_too_large", `The file has ${sizes}.`);
    }
    const said = model.diagnoses ? await send((options) => diagnose(chosen, options), signal) : null;
    file = chosen;
    about = said?.picture ?? null;
    result = null;
    $("start").hidden = true;
    $("work").hidden = false;
    $("other").hidden = false;
    panel.show(said);
    $("about").textContent = about ? describe(about) : "";
    await showBefore(signal);
  } catch (error) {
    explain(error, () => open(chosen));
    return;
  } finally {
    end(signal);
  }
  run();
}

async function showBefore(signal) {
  const shown = browserShows() ? file : (await send((options) => restore(file, { strength: 0, format: format() }, options), signal)).blob;
  const image = Object.assign(new Image(), { src: remember(shown) });
  await image.decode().catch(() => {
    throw new Refusal(415, "not_shown", "This browser cannot show the picture.");
  });
  viewer.show(image.src, about?.width ?? image.naturalWidth, about?.height ?? image.naturalHeight);
}

function browserShows() {
  return !about || SHOWN_BY_BROWSERS.has(about.format);
}

// The format in which results are looked at; the file is written in its own.
function format() {
  if (browserShows()) return "same";
  return about.alpha ? "png" : "jpeg";
}

function soon() {
  if (!file) return;
  $("download").disabled = true;
  // Or its answer could come during the pause and pass for the answer to what was turned since.
  running?.abort();
  clearTimeout(timer);
  timer = setTimeout(() => run({ quickly: true }), PAUSE);
}

async function run({ quickly = false } = {}) {
  const signal = begin("Restoring");
  $("download").disabled = true;
  try {
    if (quickly && about && about.width * about.height > LARGE) await runPart(signal);
    const done = await send((options) => restore(file, { ...panel.restoring, format: format() }, options), signal);
    result = done;
    viewer.showAfter(done.untouched && browserShows() ? viewer.before.src : remember(done.blob));
    $("download").disabled = false;
    end(signal);
    const notes = done.notes.map((note) => ` The file ${note}.`).join("");
    status((done.untouched ? "Left as it is." : `Restored in ${done.seconds.toFixed(1)} s.`) + notes);
  } catch (error) {
    explain(error, run);
  } finally {
    end(signal);
  }
}

async function runPart(signal) {
  const part = viewer.visible(PART);
  const region = [part.left, part.top, part.width, part.height].join(",");
  const { blob } = await send((options) => restore(file, { ...panel.restoring, region, format: "png" }, options), signal);
  await viewer.showPart(remember(blob), part);
  status("Shown in the middle; restoring the rest …");
}

async function save() {
  if (!result) return;
  const signal = begin("Writing the file");
  try {
    const inHand = panel.asItCame && browserShows();
    const fields = { ...panel.restoring, ...panel.writing };
    const done = inHand ? result : await send((options) => restore(file, fields, options), signal);
    Object.assign(document.createElement("a"), { href: remember(done.blob), download: done.name }).click();
    end(signal);
    const megabytes = (done.blob.size / 1e6).toFixed(done.blob.size < 1e6 ? 2 : 1);
    status(`Saved ${done.name} (${megabytes} MB).`);
  } catch (error) {
    explain(error, save);
  } finally {
    end(signal);
  }
}

function begin(what) {
  $("problem").hidden = true;
  clearTimeout(timer);
  running?.abort();
  running = new AbortController();
  $("progress").removeAttribute("value");
  $("progress").hidden = false;
  $("viewer").setAttribute("aria-busy", "true");
  status(`${what} …`);
  return running.signal;
}

function end(signal) {
  if (running?.signal !== signal) return;
  running = null;
  $("progress").hidden = true;
  $("viewer").removeAttribute("aria-busy");
}

// Sends a request, follows its progress, and asks again while the server is full: a person would only press the button again.
async function send(request, signal) {
  for (let tries = 1; ; tries++) {
    const name = makeName();
    const looking = setInterval(() => look(name, signal), LOOK);
    try {
      const answer = await request({ signal, name });
      signal.throwIfAborted();
      return answer;
    } catch (error) {
      if (error.status !== 429 || tries === PATIENCE) throw error;
      status("The server is busy; waiting for a free place …");
      await new Promise((go) => setTimeout(go, 1000 * Math.min(error.wait || 2, 5)));
      signal.throwIfAborted();
    } finally {
      clearInterval(looking);
    }
  }
}

async function look(name, signal) {
  try {
    const { state, before, done, total } = await (await ask(`/v1/progress/${name}`, { signal })).json();
    if (running?.signal !== signal) return;
    if (state === "waiting" && before) status(`Waiting: ${before} before this one …`);
    if (total > 1) Object.assign($("progress"), { max: total, value: done });
  } catch {
    // It is answered, or not begun.
  }
}

function status(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function explain(error, again) {
  if (error.name === "AbortError") return;
  status("");
  if (error.word === "token_needed") {
    $("start").hidden = true;
    $("token-wrong").hidden = !keepToken(null);
    $("token-form").hidden = false;
    $("token").focus();
    return;
  }
  if (!(error instanceof Refusal)) console.error(error);
  $("problem-text").textContent = error instanceof Refusal ? error.message : "The page failed; its console says more.";
  $("again").hidden = [413, 415].includes(error.status) || error.word === "bad_picture";
  retry = again;
  $("problem").hidden = false;
}

function remember(blob) {
  const address = URL.createObjectURL(blob);
  addresses.push(address);
  const shown = new Set([viewer.before.src, viewer.after.src, viewer.part.src]);
  for (const old of addresses.filter((known) => !shown.has(known)).slice(0, -MOST_ADDRESSES)) {
    URL.revokeObjectURL(old);
    addresses.splice(addresses.indexOf(old), 1);
  }
  return address;
}

$("again").addEventListener("click", () => retry());
$("save").addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken($("token").value.trim());
  $("token").value = "";
  start();
});
$("file").addEventListener("change", () => {
  open($("file").files[0]);
  // Or choosing the same file once more would be no change.
  $("file").value = "";
});
addEventListener("paste", (event) => open(event.clipboardData?.files[0]));
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
