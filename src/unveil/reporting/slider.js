// <before-after><img alt="before"><img alt="after"></before-after>: two pictures of one size, and a line to drag between them.
//
// The first picture is the one before. Without scripts the two stand one above the other. The attribute `label` names the
// slider for screen readers. Keyboard: that of a range input (arrows, Page Up and Down, Home, End). `at` is the share of
// the picture before, 0 to 100; setting it moves the line; the element sends "input" when a user moves it.
"use strict";

if (!customElements.get("before-after")) {
  customElements.define("before-after", class extends HTMLElement {
    connectedCallback() {
      if (this.range) return;
      this.range = document.createElement("input");
      Object.assign(this.range, { type: "range", min: 0, max: 100, step: 1, value: 50 });
      this.range.setAttribute("aria-label", this.getAttribute("label") || "Share of the picture before");
      const line = document.createElement("span");
      line.className = "line";
      line.setAttribute("aria-hidden", "true");
      this.append(...["before", "after"].map((word) => this.badge(word)), line, this.range);
      this.classList.add("ready");
      this.range.addEventListener("input", () => this.draw());
      this.addEventListener("pointerdown", (event) => this.grab(event));
      this.addEventListener("pointermove", (event) => this.held === event.pointerId && this.follow(event));
      for (const end of ["pointerup", "pointercancel"]) this.addEventListener(end, () => { this.held = null; });
      this.addEventListener("dragstart", (event) => event.preventDefault());
      this.draw();
    }

    get at() { return Number(this.range.value); }

    set at(share) {
      this.range.value = share;
      this.draw();
    }

    badge(word) {
      const badge = document.createElement("span");
      badge.className = `badge ${word}`;
      badge.textContent = word;
      badge.setAttribute("aria-hidden", "true");
      return badge;
    }

    grab(event) {
      if (event.button !== 0) return;
      this.held = event.pointerId;
      this.setPointerCapture(event.pointerId);
      this.range.focus({ preventScroll: true, focusVisible: false });
      this.follow(event);
    }

    follow(event) {
      const box = this.getBoundingClientRect();
      this.at = ((event.clientX - box.left) / box.width) * 100;
      this.range.dispatchEvent(new Event("input", { bubbles: true }));
    }

    draw() {
      this.style.setProperty("--at", `${this.at}%`);
      this.range.setAttribute("aria-valuetext", `${Math.round(this.at)} % before, ${Math.round(100 - this.at)} % after`);
      this.classList.toggle("all-before", this.at > 88);
      this.classList.toggle("all-after", this.at < 12);
    }
  });
}
