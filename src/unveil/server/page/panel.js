// The settings: what was found as bars, what is undone as sliders, strength, and how the file is written.

const PRINTED = { jpeg: "JPEG", png: "PNG", webp: "WebP", gif: "GIF", avif: "AVIF", bmp: "BMP", tiff: "TIFF", heic: "HEIC" };

// With a space that never breaks.
export const percent = (value) => `${Math.round(value * 100)}\u00a0%`;

export class Panel {
  // `changed` is called whenever a person turned something that changes the picture.
  constructor(root, changed) {
    const find = (selector) => root.querySelector(selector);
    this.rows = find("#rows");
    this.verdict = find("#verdict");
    this.asFound = find("#as-found");
    this.strength = find("#strength");
    this.strengthSaid = find("#strength-said");
    this.form = find("#save");
    this.format = find("#format");
    this.quality = find("#quality");
    this.strip = find("#strip");
    this.changed = changed;
    this.found = null; // weights as the diagnosis has them
    this.byHand = null; // weights as they were turned, or null

    this.strength.addEventListener("input", () => {
      this.sayStrength();
      changed();
    });
    this.asFound.addEventListener("click", () => {
      this.byHand = null;
      this.showWeights(this.found);
      // The button is disabled now, and the focus must not fall out of the page.
      this.rows.querySelector("input").focus();
      changed();
    });
  }

  offer(model) {
    this.model = model;
    const rows = Object.entries(model.degradations).map(([name, printed]) => this.makeRow(name, printed));
    this.rows.replaceChildren(...rows);
  }

  makeRow(name, printed) {
    const make = (tag, facts) => Object.assign(document.createElement(tag), facts);
    const row = make("li", { className: "row" });
    row.dataset.name = name;
    const label = make("label", { htmlFor: `weight-${name}`, textContent: printed });
    const range = make("input", { id: `weight-${name}`, type: "range", min: 0, max: 1, step: 0.01, value: 0 });
    const said = make("output", { value: percent(0) });
    said.setAttribute("for", range.id);
    const bar = make("meter", { id: `found-${name}`, min: 0, max: 1, value: 0 });
    bar.setAttribute("aria-label", `${printed}, found`);
    range.addEventListener("input", () => this.turned());
    row.append(label, range, said, bar);
    return row;
  }

  // A new picture: `said` is the answer of /v1/diagnose, or null where the model cannot tell.
  show(said) {
    this.found = said?.weights ?? null;
    this.byHand = this.found ? null : {};
    const known = said?.probabilities ?? {};
    for (const row of this.rows.children) {
      const bar = row.querySelector("meter");
      bar.value = known[row.dataset.name] ?? 0;
      bar.title = `found: ${percent(bar.value)}`;
      bar.setAttribute("aria-valuetext", percent(bar.value));
    }
    this.verdict.textContent = this.sentence(said);
    this.showWeights(this.found ?? {});
  }

  sentence(said) {
    if (!said) return "This model cannot tell by itself; turn up what you see.";
    const { main, probabilities, is_clean: isClean } = said;
    const clean = percent(probabilities.clean ?? 0);
    if (isClean) return `Looks clean (${clean}), so it is left as it is. Turn something up to change it all the same.`;
    const mostly = `Mostly ${this.model.degradations[main] ?? main} (${percent(probabilities[main])})`;
    return clean === percent(0) ? `${mostly}.` : `${mostly}; clean: ${clean}.`;
  }

  showWeights(weights) {
    for (const row of this.rows.children) {
      const weight = weights[row.dataset.name] ?? 0;
      const range = row.querySelector("input");
      range.value = weight;
      range.setAttribute("aria-valuetext", percent(weight));
      row.querySelector("output").value = percent(weight);
      row.classList.toggle("off", weight < 0.005);
    }
    this.asFound.disabled = this.byHand === null || this.found === null;
  }

  turned() {
    this.byHand = Object.fromEntries(
      Array.from(this.rows.children, (row) => [row.dataset.name, Number(row.querySelector("input").value)]),
    );
    this.showWeights(this.byHand);
    this.changed();
  }

  sayStrength() {
    this.strengthSaid.value = percent(this.strength.value);
    this.strength.setAttribute("aria-valuetext", percent(this.strength.value));
  }

  // How to restore, as fields of the form that is sent.
  get restoring() {
    const pairs = this.byHand && Object.entries(this.byHand).map(([name, weight]) => `${name}=${weight}`);
    return { strength: this.strength.value, weights: pairs?.join(",") };
  }

  // How to write the file.
  get writing() {
    return { format: this.format.value, quality: this.quality.value, strip: this.strip.value };
  }

  get asItCame() {
    return this.format.value === "same" && this.quality.value === "" && this.strip.value === "none";
  }
}

export function describe(about) {
  const metadata = about.exif || about.xmp ? `metadata${about.location ? " with location" : ""}` : "no metadata";
  const kind = `${PRINTED[about.format] ?? about.format}${about.depth === 16 ? ", 16 bit" : ""}`;
  return [`${about.width} × ${about.height}`, kind, metadata, about.profile && "colour profile"].filter(Boolean).join(" · ");
}
