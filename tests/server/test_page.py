"""The page in a real browser: choosing, sliding, turning, saving, failing, by mouse and by keyboard."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from server_samples import eventually, file_of, photograph, pixels_of, rough, smooth

from unveil.images import read


@pytest.fixture(scope="module")
def service(serve):
    """Limits small enough to reach them."""
    return serve(max_upload=2_000_000, pixel_limit=3_000_000, queue=2)


@pytest.fixture
def page(browser, service):
    """The page, freshly opened. It may neither fail nor ask anybody but our server."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda said: page.faults.append(said.text) if "Content Security" in said.text else None)
    page.on(
        "request", lambda sent: None if sent.url.startswith((service.url, "blob:")) else page.faults.append(sent.url)
    )
    page.goto(service.url)
    page.locator("#rows li").first.wait_for(state="attached")
    yield page
    service.restorer.gate.set()
    faults = page.faults
    context.close()
    assert faults == []


def choose(page, data: bytes, name: str = "walk.jpg", *, finished: bool = True) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": data})
    if finished:
        wait_until_restored(page)


def wait_until_restored(page) -> None:
    page.wait_for_selector("#download:not([disabled])")


def seen(page, selector: str) -> np.ndarray:
    """The pixels of an image element as the browser shows them."""
    encoded = page.evaluate(
        """async (selector) => {
            const image = document.querySelector(selector);
            await image.decode();
            const size = {width: image.naturalWidth, height: image.naturalHeight};
            const canvas = Object.assign(document.createElement("canvas"), size);
            canvas.getContext("2d").drawImage(image, 0, 0);
            return canvas.toDataURL("image/png").split(",")[1];
        }""",
        selector,
    )
    return pixels_of(base64.b64decode(encoded))[:, :, :3]


def download(page) -> tuple[str, bytes]:
    with page.expect_download() as coming:
        page.click("#download")
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def turn(page, name: str, value: float) -> None:
    page.locator(f"#weight-{name}").fill(str(value))


def test_a_picture_is_diagnosed_and_restored(page, service):
    data = file_of()
    choose(page, data, "walk.png")
    assert "Mostly noise" in page.inner_text("#verdict")
    assert (
        float(
            page.get_attribute("#found-noise", "value") or page.evaluate("document.querySelector('#found-noise').value")
        )
        > 0.9
    )
    assert page.inner_text("#about") == "56 × 40 · PNG · no metadata"
    assert page.inner_text("#status").startswith("Restored in ")
    assert np.array_equal(seen(page, "#before"), pixels_of(data))
    assert np.array_equal(seen(page, "#after"), pixels_of(service.post(data=data).content))
    assert page.locator("#progress").is_hidden()


def test_a_picture_can_be_dropped(page):
    encoded = file_of().hex()
    page.evaluate(
        """(hex) => {
            const bytes = Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "dropped.png"));
            const target = document.querySelector("#start");
            for (const kind of ["dragenter", "dragover", "drop"])
                target.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: data}));
        }""",
        encoded,
    )
    wait_until_restored(page)
    assert download(page)[0] == "dropped.restored.png"


def test_the_file_is_saved_with_its_metadata(page):
    choose(page, photograph())
    name, data = download(page)
    assert name == "walk.restored.jpg"
    came, went = read(photograph()), read(data)
    assert (went.exif, went.xmp, went.icc) == (came.exif, came.xmp, came.icc)
    assert not np.array_equal(went.pixels, came.pixels)
    assert page.inner_text("#status").startswith("Saved walk.restored.jpg")


def test_format_and_metadata_can_be_chosen_for_saving(page):
    choose(page, photograph())
    assert "location" in page.inner_text("#about")
    page.select_option("#format", "webp")
    page.fill("#quality", "80")
    page.select_option("#strip", "location")
    name, data = download(page)
    assert name == "walk.restored.webp"
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "WEBP"
        assert image.getexif()[0x010F] == "Synthetic"
        assert not image.getexif().get_ifd(0x8825)


def test_turning_a_weight_shows_and_saves_another_picture(page, service):
    data = file_of()
    choose(page, data, "walk.png")
    turn(page, "noise", 0)
    turn(page, "dark", 0.5)
    assert page.locator("#download").is_disabled()
    wait_until_restored(page)
    expected = pixels_of(service.post(data=data, weights="noise=0,dark=0.5").content)
    assert np.array_equal(seen(page, "#after"), expected)
    assert np.array_equal(pixels_of(download(page)[1]), expected)
    page.click("#as-found")
    wait_until_restored(page)
    assert np.array_equal(seen(page, "#after"), pixels_of(service.post(data=data).content))
    assert page.locator("#as-found").is_disabled()


def test_quick_turns_are_one_request(page, service):
    choose(page, file_of(), "walk.png")
    runs = service.restorer.runs
    for step in range(20):
        turn(page, "noise", step / 20)
    wait_until_restored(page)
    assert service.restorer.runs == runs + 1


def test_a_turn_while_work_goes_on_replaces_that_work(page, service):
    choose(page, file_of(), "walk.png")
    service.restorer.gate.clear()
    turn(page, "noise", 0.2)
    eventually(lambda: service.line.is_working)
    turn(page, "noise", 0.4)
    service.restorer.gate.set()
    wait_until_restored(page)
    expected = service.post(weights="noise=0.4,dark=0").content
    assert np.array_equal(seen(page, "#after"), pixels_of(expected))


def test_strength_mixes(page, service):
    data = file_of()
    choose(page, data, "walk.png")
    page.fill("#strength", "0.5")
    wait_until_restored(page)
    assert page.inner_text("#strength-said") == "50\u00a0%"
    assert np.array_equal(seen(page, "#after"), pixels_of(service.post(data=data, strength="0.5").content))


def test_a_clean_picture_is_left_as_it_is(page):
    data = file_of(smooth(), "JPEG")
    choose(page, data)
    assert "Looks clean" in page.inner_text("#verdict")
    assert page.inner_text("#status") == "Left as it is."
    assert download(page)[1] == data


def test_a_large_picture_shows_a_part_first(page):
    data = file_of(np.kron(rough(100, 150), np.ones((11, 11, 1), np.uint8)), "JPEG")
    choose(page, data)
    page.evaluate(
        """() => {
            const part = document.querySelector("#part");
            window.shown = [];
            new MutationObserver(() => window.shown.push(!part.hidden)).observe(part, {attributeFilter: ["hidden"]});
        }"""
    )
    turn(page, "dark", 0.7)
    wait_until_restored(page)
    eventually(lambda: page.evaluate("window.shown") == [True, False])


def test_what_the_browser_cannot_show_is_shown_all_the_same(page):
    data = file_of(form="TIFF")
    choose(page, data, "scan.tif")
    assert seen(page, "#before").shape == (40, 56, 3)
    assert "TIFF" in page.inner_text("#about")
    name, saved = download(page)
    assert name == "scan.restored.tif"
    with Image.open(io.BytesIO(saved)) as image:
        assert image.format == "TIFF"


def test_the_divider_follows_the_mouse_and_the_keyboard(page):
    choose(page, file_of(), "walk.png")
    box = page.locator("before-after").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    at = page.evaluate("document.querySelector('before-after').at")
    assert at == pytest.approx(25, abs=2)
    page.locator("before-after input").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('before-after').at") > at
    page.keyboard.press("End")
    assert page.evaluate("document.querySelector('before-after').at") == 100
    assert page.locator("before-after input").get_attribute("aria-valuetext").startswith("100 % before")


def test_zoom_goes_to_pixels_and_back(page):
    choose(page, file_of(rough(400, 600)), "walk.png")

    def width() -> float:
        return page.locator("before-after").bounding_box()["width"]

    fitting = width()
    page.click("#pixels")
    assert width() == pytest.approx(600)
    page.click("#larger")
    page.click("#larger")
    assert width() == pytest.approx(2400)
    assert page.inner_text("#scale") == "400 %"
    assert page.evaluate("getComputedStyle(document.querySelector('#after')).imageRendering") == "pixelated"
    frame = page.locator(".frame").bounding_box()
    line = page.locator("before-after .line").bounding_box()
    assert frame["x"] < line["x"] < frame["x"] + frame["width"]
    page.locator(".frame").focus()
    page.keyboard.press("-")
    assert page.inner_text("#scale") == "200 %"
    page.keyboard.press("0")
    assert width() == pytest.approx(fitting)


FOCUSED = """(() => {
    const one = document.activeElement;
    return one.id || one.className || one.parentElement.tagName;
})()"""


def test_everything_works_by_keyboard_alone(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    choose(page, file_of(), "walk.png")
    reached = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    wanted = ["frame", "BEFORE-AFTER", "fit", "pixels", "smaller", "larger", "weight-noise", "weight-dark"]
    wanted += ["strength", "format", "quality", "strip", "download"]
    assert [name for name in reached if name in wanted][: len(wanted)] == wanted
    page.locator("#weight-noise").focus()
    page.keyboard.press("Home")
    assert page.get_attribute("#weight-noise", "aria-valuetext") == "0\u00a0%"
    wait_until_restored(page)
    page.locator("#download").focus()
    with page.expect_download():
        page.keyboard.press("Enter")


def test_every_control_has_a_name(page):
    choose(page, file_of(), "walk.png")
    nameless = page.evaluate(
        """() => Array.from(document.querySelectorAll("input, button, select, meter, img, progress, output"))
            .filter((one) => one.checkVisibility() && !one.labels?.length && !one.getAttribute("aria-label")
                             && !one.textContent.trim() && !one.hasAttribute("alt"))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    assert page.get_attribute("#status", "role") == "status"
    assert page.get_attribute("#problem", "role") == "alert"
    assert page.get_attribute("html", "lang") == "en"


def problem(page) -> str:
    page.wait_for_selector("#problem:not([hidden])")
    return page.inner_text("#problem-text")


def test_what_is_no_picture_is_said_and_the_page_goes_on(page):
    choose(page, b"hello, world", "notes.txt", finished=False)
    assert "not a picture" in problem(page)
    assert page.locator("#again").is_hidden()
    choose(page, photograph()[:800], finished=False)
    assert "cannot be used" in problem(page)
    choose(page, file_of(), "walk.png")
    assert page.locator("#problem").is_hidden()


def test_files_that_are_too_large_are_said_without_sending_them(page, service):
    before = service.client.get("/metrics").text
    choose(page, bytes(2_100_000), finished=False)
    assert "takes up to 2 MB" in problem(page)
    assert before.count("/v1/diagnose") == service.client.get("/metrics").text.count("/v1/diagnose")
    choose(page, file_of(np.zeros((1800, 1800, 3), np.uint8)), finished=False)
    assert "megapixels" in problem(page)


def test_a_failure_can_be_tried_again(page, service, monkeypatch):
    choose(page, file_of(), "walk.png")

    def fail(*_, **__):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(service.restorer, "run", fail)
        turn(page, "noise", 0.3)
        assert "server failed" in problem(page)
    page.click("#again")
    wait_until_restored(page)
    assert page.locator("#problem").is_hidden()


def test_a_busy_server_is_waited_for(page, service):
    service.restorer.gate.clear()
    inside = [service.begin() for _ in range(3)]
    eventually(lambda: service.line.taken == 3)
    choose(page, file_of(), "walk.png", finished=False)
    eventually(lambda: "busy" in page.inner_text("#status"))
    service.restorer.gate.set()
    wait_until_restored(page)
    for thread, answers in inside:
        thread.join(10)
        assert answers[0].status_code == 200


def test_progress_is_shown(page, service):
    choose(page, file_of(), "walk.png")
    service.restorer.gate.clear()
    turn(page, "noise", 0.3)
    shown = "[document.querySelector('#progress').max, document.querySelector('#progress').value]"
    eventually(lambda: page.evaluate(shown) == [4, 1])
    service.restorer.gate.set()
    wait_until_restored(page)


def test_a_server_that_is_gone_is_said(page, service):
    choose(page, file_of(), "walk.png")
    page.route("**/v1/restore", lambda route: route.abort())
    turn(page, "noise", 0.1)
    assert "does not answer" in problem(page)


def test_the_token_is_asked_for_and_kept_for_the_tab(browser, serve):
    service = serve(token="correct horse")
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.goto(service.url)
    page.fill("#token", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token-wrong:not([hidden])")
    page.fill("#token", "correct horse")
    page.keyboard.press("Enter")
    page.locator("#start").wait_for()
    choose(page, file_of(), "walk.png")
    page.reload()
    page.locator("#start").wait_for()
    assert page.locator("#token-form").is_hidden()
    other = browser.new_context()
    second = other.new_page()
    second.goto(f"{service.url}#token=correct%20horse")
    second.locator("#start").wait_for()
    assert "token" not in second.url
    other.close()
    context.close()


def test_two_people_see_their_own_pictures(browser, service):
    contexts = [browser.new_context() for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    pictures = [file_of(rough(seed=seed)) for seed in (5, 6)]
    for page, data in zip(pages, pictures, strict=True):
        page.goto(service.url)
        page.locator("#rows li").first.wait_for(state="attached")
        choose(page, data, "walk.png", finished=False)
    for page, data in zip(pages, pictures, strict=True):
        wait_until_restored(page)
        assert np.array_equal(seen(page, "#before"), pixels_of(data))
        assert np.array_equal(seen(page, "#after"), pixels_of(service.post(data=data).content))
    for context in contexts:
        assert context.cookies() == []
        context.close()


def test_nothing_sticks_out_at_any_width(page):
    choose(page, file_of(), "walk.png")
    for width in (320, 390, 900, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for name in ("#download", "#strength", "#fit"):
            box = page.locator(name).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


CONTRAST = """(pairs) => pairs.map(([front, back]) => {
    const style = (selector, key) => getComputedStyle(document.querySelector(selector))[key];
    const light = (colour) => {
        const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map((value) => value / 255)
            .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [high, low] = [light(style(front, "color")), light(style(back, "backgroundColor"))].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
})"""


PAIRS = [
    ["body", "body"],
    ["#status", "#viewer"],
    ["#verdict", "#panel"],
    ["#download", "#download"],
    ["#other", "body"],
]


def test_text_can_be_read_in_light_and_dark(page):
    choose(page, file_of(), "walk.png")
    grounds = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        # WCAG 2.2, 1.4.3.
        assert min(page.evaluate(CONTRAST, PAIRS)) >= 4.5
        grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert grounds["light"] != grounds["dark"]
