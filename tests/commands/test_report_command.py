"""`unveil report`: what the file says, that it holds everything, and how it behaves in a browser."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path

import numpy as np
import pytest
from command_samples import rough, save, smooth
from PIL import Image

from toy import toy_model
from unveil import models

PAYLOAD = '"><img src=x onerror=alert(1)>&amp;.png'


class Links(html.parser.HTMLParser):
    """Every address that a page could load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


def text_of(path: str = "report.html") -> str:
    return Path(path).read_text(encoding="utf-8")


def test_the_file_holds_everything(unveil):
    save("in/a.png")
    save("in/deep/b.png", smooth())
    result = unveil("report", "in")
    assert result.code == 0
    assert "written to report.html" in result.err
    page = text_of()
    links = Links(page).found
    assert len(links) == 4
    assert all(link.startswith("data:image/webp;base64,") for link in links)
    assert not re.search(r"https?:|@import|url\(|//cdn", page)
    assert "default-src 'none'" in page
    assert page.count("<before-after ") == 2
    assert '<span class="name">noise</span>' in page
    assert "deep/b.png" in page
    assert "Left as it was." in page
    assert not Path("in/a.restored.png").exists()


def test_a_truth_adds_figures(unveil):
    save("in/a.png")
    save("in/b.png")
    save("in/c.png")
    save("truth/a.png", smooth())
    save("truth/b.jpg", smooth())
    save("truth/other.png", smooth())
    assert unveil("report", "in", "--truth", "truth", "-q").code == 0
    page = text_of()
    from unveil.metrics import psnr

    wanted = f"{psnr(rough(), smooth()):.2f} dB"
    assert page.count("<h2>Mean of 2</h2>") == 1
    assert wanted in page
    assert page.count("No truth of this name was found.") == 1


def test_a_truth_of_another_size_is_said_and_nothing_fails(unveil):
    save("in/a.png")
    save("truth/a.png", smooth(8, 8))
    assert unveil("report", "in", "--truth", "truth").code == 0
    assert "Not measured: " in text_of()


def test_one_bad_file_is_in_the_report_and_the_exit_code(unveil):
    save("in/a.png")
    Path("in/b.png").write_bytes(b"no picture")
    result = unveil("report", "in")
    assert result.code == 1
    assert "1 failed" in text_of()
    assert "not a picture" in text_of()


def test_names_are_text_and_nothing_else(unveil):
    save("in/a.png").rename(Path("in") / PAYLOAD.replace("/", "_"))
    assert unveil("report", "in", "--title", "<script>alert(1)</script>").code == 0
    page = text_of()
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_large_pictures_are_shown_smaller_with_a_detail(unveil):
    save("a.png", rough(1000, 1500))
    assert unveil("report", "a.png", "--size-limit", "0.4", "-q").code == 0
    page = text_of()
    assert Path("report.html").stat().st_size < 430_000
    assert "1500 × 1000" in page
    assert "shown at " in page
    assert unveil("report", "a.png", "-o", "large.html", "--size-limit", "8", "-q").code == 0
    assert "pixel by pixel (320 × 320)" in text_of("large.html")


def test_an_existing_file_is_kept(unveil):
    save("a.png")
    Path("report.html").write_text("mine")
    assert unveil("report", "a.png").code == 1
    assert text_of() == "mine"
    assert unveil("report", "a.png", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "report.pdf"], ".html"),
        (["--truth", "nowhere"], "there is no file or folder nowhere"),
        (["--truth", "other"], "no picture there has the name"),
        (["--only", "rain"], "unknown to the model"),
    ],
)
def test_wrong_requests_write_nothing(unveil, arguments, message):
    save("a.png")
    save("other/b.png")
    result = unveil("report", "a.png", *arguments)
    assert result.code == 2
    assert message in result.err
    assert not Path("report.html").exists()


@pytest.fixture
def page(unveil, browser):
    """The report of two pictures, opened from its file; nothing may be asked of anybody."""
    save("in/a.png", rough(300, 400))
    save("in/b.png", rough(200, 300))
    unveil("report", "in")
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    asked: list[str] = []
    said: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(Path("report.html").absolute().as_uri())
    yield opened
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    opened.close()


def at(page, which: int = 0) -> float:
    return page.evaluate(f"document.querySelectorAll('before-after')[{which}].at")


def test_the_line_follows_the_pointer(page):
    box = page.locator("before-after").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, y)
    page.mouse.up()
    assert at(page) == pytest.approx(20, abs=1)
    page.mouse.move(box["x"] + box["width"] * 0.7, y)
    assert at(page) == pytest.approx(20, abs=1)
    assert at(page, 1) == 50


def test_the_line_shows_before_on_the_left_and_after_on_the_right(page):
    shot = page.locator("before-after").first.screenshot(path="shot.png")
    assert shot
    with Image.open("shot.png") as image:
        seen = np.asarray(image.convert("RGB")).astype(int)
    page.evaluate("document.querySelector('before-after').at = 100")
    page.locator("before-after").first.screenshot(path="before.png")
    with Image.open("before.png") as image:
        before = np.asarray(image.convert("RGB")).astype(int)
    middle = seen.shape[1] // 2
    rows = slice(60, 120)
    assert np.abs(seen - before)[rows, 40 : middle - 30].mean() < 1
    assert np.abs(seen - before)[rows, middle + 30 : -40].mean() > 5


def test_the_keyboard_moves_the_line_and_a_reader_hears_it(page):
    page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert at(page) == 53
    page.keyboard.press("Home")
    assert at(page) == 0
    slider = page.get_by_role("slider").first
    assert slider.get_attribute("aria-valuetext") == "0 % before, 100 % after"
    assert slider.get_attribute("aria-label").startswith("a.png")


def test_a_phone_needs_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_mode_is_dark(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert sum(map(int, re.findall(r"\d+", page.evaluate(colour)))) < 150 < sum(map(int, re.findall(r"\d+", light)))


def test_without_scripts_both_pictures_are_there(unveil, browser):
    save("a.png", rough(300, 400))
    unveil("report", "a.png", "-q")
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(Path("report.html").absolute().as_uri())
    boxes = [image.bounding_box() for image in opened.locator("img").all()]
    assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
    context.close()


def test_a_model_with_a_map_shows_where_the_damage_is(unveil):
    models.write(toy_model(regions=True), "regions.safetensors")
    pixels = smooth(64, 96)
    pixels[:, :32] = 10
    save("a.png", pixels)
    assert unveil("report", "a.png", "--model", "regions.safetensors", "-q").code == 0
    page = text_of()
    assert 'class="regions"' in page
    assert "low light 33%" in page
    assert "clean 67%" in page
    assert len(Links(page).found) == 3
    assert unveil("report", "a.png", "-q", "--overwrite").code == 0
    assert 'class="regions"' not in text_of()
