// The two pictures with zoom and movement around the slider that the report has too.

const STEPS = [0.0625, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16];
const LARGEST_FIT = 3;

export class Viewer {
  constructor(root) {
    const find = (selector) => root.querySelector(selector);
    this.frame = find(".frame");
    this.slider = find("before-after");
    this.before = find("#before");
    this.after = find("#after");
    this.part = find("#part");
    this.said = find("#scale");
    this.fitButton = find("#fit");
    this.pixelsButton = find("#pixels");
    this.width = this.height = 1;
    this.fitting = true;
    this.scale = 1;
    // Where the divider stands in the frame: zoomed in, it stays there while the picture moves below it.
    this.share = 0.5;

    this.slider.addEventListener("input", () => { this.share = this.dividerInFrame(); });
    this.frame.addEventListener("scroll", () => this.placeDivider(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(this.frame);
    this.fitButton.addEventListener("click", () => this.fit());
    this.pixelsButton.addEventListener("click", () => this.zoom(1));
    find("#smaller").addEventListener("click", () => this.step(-1));
    find("#larger").addEventListener("click", () => this.step(1));
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  show(url, width, height) {
    this.width = width;
    this.height = height;
    this.before.src = this.after.src = url;
    this.part.hidden = true;
    this.share = 0.5;
    this.fit();
    this.slider.at = 50;
  }

  showAfter(url) {
    this.after.src = url;
    // A part that was shown stays until the whole can be seen, or the picture would flicker.
    this.after.decode().catch(() => {}).then(() => {
      if (this.after.src === url) this.part.hidden = true;
    });
  }

  showPart(url, { left, top, width, height }) {
    const percent = (value, whole) => `${(100 * value) / whole}%`;
    this.part.src = url;
    return this.part.decode().catch(() => {}).then(() => {
      Object.assign(this.part.style, {
        left: percent(left, this.width),
        top: percent(top, this.height),
        width: percent(width, this.width),
        height: percent(height, this.height),
      });
      this.part.hidden = false;
    });
  }

  // What can be seen, in pixels of the picture, cut to at most so many of them around its middle.
  visible(most) {
    const frame = this.frame.getBoundingClientRect();
    const inside = this.slider.getBoundingClientRect();
    const axis = (from, to, start, length) => {
      const low = Math.max(0, Math.floor((from - start) / this.scale));
      return [low, Math.max(Math.min(length, Math.ceil((to - start) / this.scale)) - low, 1)];
    };
    const [left, width] = axis(frame.left, frame.right, inside.left, this.width);
    const [top, height] = axis(frame.top, frame.bottom, inside.top, this.height);
    const shrink = Math.sqrt(Math.min(1, most / (width * height)));
    const cut = { width: Math.max(1, Math.floor(width * shrink)), height: Math.max(1, Math.floor(height * shrink)) };
    return { left: left + ((width - cut.width) >> 1), top: top + ((height - cut.height) >> 1), ...cut };
  }

  fit() {
    this.fitting = true;
    this.layout();
  }

  zoom(scale, at) {
    const frame = this.frame.getBoundingClientRect();
    const before = this.slider.getBoundingClientRect();
    const x = at?.clientX ?? frame.left + frame.width / 2;
    const y = at?.clientY ?? frame.top + frame.height / 2;
    const [across, down] = [(x - before.left) / this.scale, (y - before.top) / this.scale];
    this.fitting = false;
    this.scale = Math.min(Math.max(scale, STEPS[0]), STEPS.at(-1));
    this.layout();
    const after = this.slider.getBoundingClientRect();
    this.frame.scrollLeft += after.left + across * this.scale - x;
    this.frame.scrollTop += after.top + down * this.scale - y;
    this.placeDivider();
  }

  step(direction, at) {
    const next = direction > 0
      ? STEPS.find((step) => step > this.scale * 1.01)
      : STEPS.findLast((step) => step < this.scale / 1.01);
    if (next) this.zoom(next, at);
  }

  layout() {
    const { clientWidth, clientHeight } = this.frame;
    if (this.fitting) this.scale = Math.min(clientWidth / this.width, clientHeight / this.height, LARGEST_FIT);
    this.slider.style.width = `${this.width * this.scale}px`;
    this.slider.style.height = `${this.height * this.scale}px`;
    this.frame.classList.toggle("zoomed", !this.fitting);
    this.frame.classList.toggle("crisp", !this.fitting && this.scale >= 2);
    this.said.value = `${Math.round(this.scale * 100)} %`;
    this.fitButton.setAttribute("aria-pressed", String(this.fitting));
    this.pixelsButton.setAttribute("aria-pressed", String(!this.fitting && this.scale === 1));
    this.placeDivider();
  }

  dividerInFrame() {
    const frame = this.frame.getBoundingClientRect();
    const inside = this.slider.getBoundingClientRect();
    return (inside.left + (this.slider.at / 100) * inside.width - frame.left) / frame.width;
  }

  placeDivider() {
    if (this.fitting) {
      this.share = this.dividerInFrame();
      return;
    }
    const frame = this.frame.getBoundingClientRect();
    const inside = this.slider.getBoundingClientRect();
    const share = Math.min(Math.max(this.share, 0), 1);
    this.slider.at = (100 * (frame.left + share * frame.width - inside.left)) / inside.width;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      "+": () => this.step(1), "=": () => this.step(1), "-": () => this.step(-1),
      0: () => this.fit(), 1: () => this.zoom(1),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  }

  wheel(event) {
    // A pinch on a touchpad arrives as this too; without Ctrl the wheel moves the picture, or the page.
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoom(this.scale * Math.exp(-event.deltaY / 200), event);
  }
}
