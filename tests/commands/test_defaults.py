"""`unveil.toml`: which file wins, what is refused, what a file cannot decide. And `unveil doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_samples import rough, save
from PIL import Image

from unveil import models
from unveil.commands import defaults


@pytest.fixture
def own_home(monkeypatch, tmp_path, place, home):
    """A folder for settings that this test may write to, with the toy as its default model."""
    folder = tmp_path / "home"
    (folder / "models").mkdir(parents=True)
    name = f"{models.DEFAULT}.safetensors"
    (folder / "models" / name).write_bytes((home / "models" / name).read_bytes())
    monkeypatch.setenv("UNVEIL_HOME", str(folder))
    return folder


def test_a_table_gives_options_of_one_command(unveil):
    save("a.png")
    Path("unveil.toml").write_text('[restore]\nformat = "webp"\nstrength = 0\n')
    assert unveil("restore", "a.png").out.startswith("a.png -> a.restored.webp  unchanged")
    assert unveil("a.png", "--overwrite").code == 0
    assert unveil("diagnose", "a.png").code == 0


def test_the_command_line_goes_before_the_working_folder_and_that_before_the_user(unveil, own_home):
    save("a.png")
    (own_home / "unveil.toml").write_text('[restore]\nformat = "webp"\nquality = 30\n')
    assert unveil("restore", "a.png").code == 0
    assert Path("a.restored.webp").exists()
    small = Path("a.restored.webp").stat().st_size
    Path("unveil.toml").write_text('[restore]\nformat = "jpg"\n')
    assert unveil("restore", "a.png").code == 0
    assert unveil("restore", "a.png", "-o", "b.jpg", "--quality", "95").code == 0
    assert Path("a.restored.jpg").stat().st_size < Path("b.jpg").stat().st_size
    assert unveil("restore", "a.png", "--format", "png").code == 0
    with Image.open("a.restored.png") as image:
        assert image.size == rough().shape[1::-1]
    assert small > 0


def test_keys_at_the_top_serve_every_command_that_has_them(unveil, home):
    save("a.png")
    file = Path("kept/own.safetensors")
    file.parent.mkdir()
    file.write_bytes((home / "models" / f"{models.DEFAULT}.safetensors").read_bytes())
    Path("unveil.toml").write_text('model = "kept/own.safetensors"\nthreads = 1\npixel-limit = 0.001\n')
    for command in ("restore", "diagnose"):
        result = unveil(command, "a.png")
        assert result.code == 1
        assert "a.png" in result.err
    file.unlink()
    assert "own.safetensors" in unveil("diagnose", "a.png").err


def test_a_path_is_meant_from_the_folder_of_its_file(own_home):
    assert defaults._model("x/y.safetensors", own_home / "unveil.toml") == str(own_home / "x/y.safetensors")
    assert defaults._model("hf:a/b", own_home / "unveil.toml") == "hf:a/b"
    assert defaults._model("abair-fast", own_home / "unveil.toml") == "abair-fast"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = 'x'", "unknown key 'modle'; did you mean 'model'?"),
        ("quality = 90", "unknown key 'quality'; it belongs in a table, such as [restore]"),
        ("[restor]\nquality = 90", "unknown table 'restor'; did you mean 'restore'?"),
        ("[restore]\nqualty = 90", "unknown key of [restore] 'qualty'; did you mean 'quality'?"),
        ("[restore]\nquality = 900", "restore.quality: "),
        ("[restore]\nquality = [1]", "restore.quality is [1]; expected a number or a text"),
        ("[restore]\nquiet = 'no'", "restore.quiet is 'no'; expected true or false"),
        ("[restore]\nquality = true", "expected a number or a text"),
        ("engine = 'steam'", "engine: "),
        ("[restore", "cannot be read"),
        ("[restore]\noverwrite = true", "unknown key of [restore] 'overwrite'"),
        ("[restore]\noutput = '/etc'", "unknown key of [restore] 'output'"),
        ("[serve]\nhost = '0.0.0.0'", "unknown key of [serve] 'host'"),
    ],
)
def test_what_a_file_cannot_say_is_an_error(unveil, text, message):
    save("a.png")
    Path("unveil.toml").write_text(text)
    result = unveil("restore", "a.png")
    assert result.code == 2
    assert result.err.startswith("error: unveil.toml: ")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert not Path("a.restored.png").exists()


def test_help_and_other_commands_do_not_mind_a_broken_file(unveil):
    Path("unveil.toml").write_text("nonsense")
    for words in (["--help"], ["models"], ["--version"]):
        assert unveil(*words).code == 0


def test_doctor_says_what_works(unveil):
    facts = unveil("doctor", "--json").json
    assert facts["packages"]["onnxruntime"]
    assert facts["libvips"].count(".") == 2
    onnx = next(engine for engine in facts["engines"] if engine["name"] == "onnx")
    assert onnx["opens"]
    assert onnx["seconds"] > 0
    assert facts["sample"] == onnx
    (model,) = [model for model in facts["models"] if model["default"]]
    assert len(model["sha256"]) == 64
    assert model["base_checksum"].startswith("sha256:")
    said = unveil("doctor")
    assert said.code == 0
    assert "engine       onnx: works" in said.out


def test_doctor_reports_what_is_broken_and_goes_on(unveil, own_home):
    Path("unveil.toml").write_text("nonsense")
    (own_home / "models" / f"{models.DEFAULT}.safetensors").write_bytes(b"no model")
    result = unveil("doctor", "--json")
    assert result.code == 1
    facts = json.loads(result.out)
    assert facts["defaults"]["values"].startswith("broken: InvalidRequest")
    assert facts["sample"] is None
    assert all(engine["error"] or not engine["installed"] for engine in facts["engines"])
    assert "does not work" in unveil("doctor").out


@pytest.mark.parametrize(
    ("words", "answer"), [("unveil re", {"restore", "report", "represent"}), ("unveil doc", {"doctor"})]
)
def test_the_shell_completes_commands(place, monkeypatch, capsys, words, answer):
    from unveil.commands.application import run

    monkeypatch.setenv("_UNVEIL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", "1")
    run([])
    assert set(capsys.readouterr().out.split()) == answer


def test_a_mistyped_option_gets_a_suggestion(unveil):
    result = unveil("restore", "a.png", "--overwrit")
    assert result.code == 2
    assert "--overwrite" in result.err
