"""`POST /v1/restore` and `POST /v1/diagnose`: what comes back for good requests."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import threading

import numpy as np
import pytest
from PIL import Image
from server_samples import PROFILE, XMP, exif_with_place, file_of, photograph, pixels_of, rough, smooth

from unveil.images import Picture, encode, read
from unveil.restoration import Restorer


def tags(data: bytes) -> Image.Exif:
    with Image.open(io.BytesIO(data)) as image:
        return image.getexif()


def test_the_answer_is_what_the_restorer_gives(service, toy):
    answer = service.post(name="holiday.png")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''holiday.restored.png"
    expected = Restorer(toy, threads=1).run(rough())
    assert np.array_equal(pixels_of(answer.content), expected.image)
    assert json.loads(answer.headers["unveil-weights"]) == expected.weights
    assert next(iter(json.loads(answer.headers["unveil-diagnosis"]))) == "noise"
    assert json.loads(answer.headers["unveil-untouched"]) is False
    assert float(answer.headers["unveil-seconds"]) > 0


def test_metadata_survive(service):
    answer = service.post(data=photograph(), name="a.jpg", weights="noise=1")
    came, went = read(photograph()), read(answer.content)
    assert answer.headers["content-type"] == "image/jpeg"
    assert not np.array_equal(came.pixels, went.pixels)
    assert (went.exif, went.xmp, went.icc) == (came.exif, came.xmp, came.icc)
    assert went.icc == PROFILE
    assert went.xmp == XMP


def test_sixteen_bits_and_transparency_survive(service):
    deep = np.random.default_rng(3).integers(9000, 50000, (24, 32, 3), np.uint16)
    alpha = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80
    answer = service.post(data=encode(Picture(deep, alpha), "png"), weights="noise=.5")
    back = read(answer.content)
    assert back.depth == 16
    assert np.array_equal(back.alpha, alpha)
    assert not np.array_equal(back.pixels, deep)


def test_json_is_answered_to_those_who_accept_only_that(service):
    said = service.post(headers={"Accept": "application/json"}).json()
    picture = service.post().content
    assert base64.b64decode(said["picture"]) == picture
    assert said["file_name"] == "a.restored.png"
    assert said["media_type"] == "image/png"
    assert set(said) >= {"diagnosis", "weights", "untouched", "notes", "seconds"}


def test_a_clean_picture_comes_back_byte_for_byte(service):
    data = file_of(smooth(), "JPEG", quality=60)
    answer = service.post(data=data)
    assert answer.content == data
    assert json.loads(answer.headers["unveil-untouched"]) is True
    assert json.loads(answer.headers["unveil-weights"]) == {}


def test_strength_zero_gives_the_input_back(service):
    data = photograph()
    assert service.post(data=data, strength="0").content == data


def test_options_reach_the_restorer(service, toy):
    restorer = Restorer(toy, threads=1)

    def check(answer, **options):
        assert np.array_equal(pixels_of(answer.content), restorer.run(rough(), **options).image)

    check(service.post(strength="0.4"), strength=0.4)
    check(service.post(weights="noise=.3, dark=1"), weights={"noise": 0.3, "dark": 1})
    check(service.post(only="dark"), only=["dark"])
    check(service.post(blend="oh"), blend="oh")
    check(service.post(blend="none"), blend="none")
    check(service.post(blend="topk:1"), blend="topk:1")
    check(service.post(blend="sum"), blend="sum")
    check(service.post(weights="noise=0"), weights={})


@pytest.mark.parametrize(("asked", "kind"), [("jpg", "JPEG"), ("WebP", "WEBP"), ("tiff", "TIFF"), ("bmp", "BMP")])
def test_the_format_can_be_chosen(service, asked, kind):
    answer = service.post(format=asked)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.format == kind


def test_quality_changes_the_size(service):
    sizes = [len(service.post(format="jpeg", quality=str(quality)).content) for quality in (20, 95)]
    assert sizes[0] < sizes[1]


def test_gif_becomes_jpeg(service):
    answer = service.post(data=file_of(form="GIF"), name="a.gif")
    assert answer.headers["content-type"] == "image/jpeg"
    assert "a.restored.jpg" in answer.headers["content-disposition"]


def test_the_place_can_be_left_out_and_the_rest_stays(service):
    answer = service.post(data=photograph(), strip="location", strength="0")
    went = tags(answer.content)
    assert dict(went.get_ifd(0x8825)) == {}
    assert went[0x010F] == "Synthetic"
    assert went.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
    assert b"dc:title" in answer.content
    assert read(answer.content).icc == PROFILE
    assert tags(photograph()).get_ifd(0x8825)


def test_xmp_that_tells_a_place_goes_with_it(service):
    data = file_of(form="JPEG", exif=exif_with_place(), xmp=XMP.replace(b"dc:title", b"exif:GPSLatitude"))
    assert b"GPSLatitude" not in service.post(data=data, strip="location").content


def test_all_metadata_can_be_left_out(service):
    went = read(service.post(data=photograph(), strip="all").content)
    assert (went.exif, went.xmp) == (None, None)
    assert went.icc == PROFILE


def test_a_region_is_that_part_of_the_whole(service):
    data = file_of(rough(90, 120))
    whole = pixels_of(service.post(data=data, weights="noise=1").content)
    part = pixels_of(service.post(data=data, weights="noise=1", region="37,21,50,40").content)
    assert np.array_equal(part, whole[21:61, 37:87])


def test_a_region_is_diagnosed_by_the_whole(service):
    pixels = rough(64, 128)
    pixels[:, :20] = 180
    answer = service.post(data=file_of(pixels), region="0,0,16,16")
    whole = service.post(data=file_of(pixels))
    assert json.loads(answer.headers["unveil-weights"]) == json.loads(whole.headers["unveil-weights"])


def test_a_region_of_a_clean_picture_is_cut_out_as_it_is(service):
    pixels = smooth()
    pixels[4, 6] = 181
    answer = service.post(data=file_of(pixels), region="4,2,10,8")
    assert np.array_equal(pixels_of(answer.content), pixels[2:10, 4:14])
    assert json.loads(answer.headers["unveil-untouched"]) is True


def test_surprises_are_noted(service):
    stream = io.BytesIO()
    frames = [Image.fromarray(rough(seed=seed)) for seed in (1, 2)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    answer = service.post(data=stream.getvalue())
    assert "only the first is used" in json.loads(answer.headers["unveil-notes"])[0]


def test_names_lose_their_folders_and_keep_their_letters(service):
    answer = service.post(name="../../etc/Grüße 東京.png")
    assert answer.headers["content-disposition"].endswith("''Gr%C3%BC%C3%9Fe%20%E6%9D%B1%E4%BA%AC.restored.png")
    assert service.post(name="C:\\secret\\x.png").headers["content-disposition"].endswith("''x.restored.png")
    assert service.post(name="..").headers["content-disposition"].endswith("''picture.restored.png")


def test_a_diagnosis_says_what_the_picture_is(service):
    said = service.post("/v1/diagnose", photograph()).json()
    assert said["main"] == "noise"
    assert said["is_clean"] is False
    assert sum(said["probabilities"].values()) == pytest.approx(1)
    assert said["weights"]["noise"] == pytest.approx(said["probabilities"]["noise"], abs=1e-3)
    facts = said["picture"]
    assert (facts["width"], facts["height"], facts["format"]) == (56, 40, "jpeg")
    assert facts["exif"]
    assert facts["xmp"]
    assert facts["profile"]
    assert facts["location"]


def test_a_clean_picture_gets_no_weights(service):
    said = service.post("/v1/diagnose", file_of(smooth())).json()
    assert (said["is_clean"], said["weights"], said["picture"]["location"]) == (True, {}, False)


def test_nothing_touches_the_disk(service, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(tempfile, "_TemporaryFileWrapper", refuse)
    data = file_of(rough(1100, 1200))
    assert len(data) > 2**21
    assert service.post("/v1/diagnose", data).status_code == 200


def test_everybody_gets_their_own_picture(serve):
    service = serve(queue=30)
    answers = {}

    def work(number: int) -> None:
        data = file_of(rough(8 + number, 12 + number, seed=number))
        answers[number] = (data, service.post(data=data, name=f"{number}.png", strength="0", format="bmp"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 24
    for number, (data, answer) in answers.items():
        assert answer.status_code == 200
        assert f"''{number}.restored.bmp" in answer.headers["content-disposition"]
        assert np.array_equal(pixels_of(answer.content), pixels_of(data))
