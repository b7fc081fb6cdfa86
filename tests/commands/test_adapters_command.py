"""`unveil adapters`: list, extract, add and remove."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_samples import save, smooth

from toy import toy_model
from unveil import models

MODEL = "toy.safetensors"


@pytest.fixture(autouse=True)
def _model(place):
    models.write(toy_model(), MODEL)


def test_the_adapters_of_the_default_model_are_listed(unveil):
    result = unveil("adapters", "list")
    assert result.code == 0
    head, _, noise, dark = result.out.splitlines()
    assert toy_model().card.base_checksum in head
    assert noise.split()[:5] == ["noise", "noise", "2", "2", "compact"]
    assert "low light" in dark
    assert noise.split()[-1] == "yes"


def test_an_adapter_goes_out_and_in_again(unveil):
    before = models.read(MODEL)
    assert unveil("adapters", "extract", MODEL, "noise", "-o", "noise.safetensors").code == 0
    one = unveil("adapters", "list", "noise.safetensors", "--json").json
    assert one["model"] is None
    assert [each["name"] for each in one["adapters"]] == ["noise"]
    assert one["adapters"][0]["diagnosed"] is None
    assert unveil("adapters", "remove", MODEL, "noise", "-o", "less.safetensors").code == 0
    assert list(models.read("less.safetensors").adapters) == ["dark"]
    assert unveil("adapters", "add", "less.safetensors", "noise.safetensors", "--overwrite").code == 0
    after = models.read("less.safetensors")
    assert after.adapters.keys() == before.adapters.keys()
    for name, array in before.adapters["noise"].tensors().items():
        assert after.adapters["noise"].tensors()[name].tobytes() == array.tobytes()
    assert models.read(MODEL).card == before.card


def test_an_adapter_goes_out_in_whole_numbers(unveil):
    assert unveil("adapters", "extract", MODEL, "noise", "-o", "half.safetensors").code == 0
    assert unveil("adapters", "extract", MODEL, "noise", "--int8", "-o", "whole.safetensors").code == 0
    half, whole = models.read_adapter("half.safetensors").adapter, models.read_adapter("whole.safetensors").adapter
    assert (half.storage, whole.storage) == ("float16", "int8")
    told = [unveil("adapters", "list", f"{name}.safetensors", "--json").json for name in ("half", "whole")]
    assert [each["adapters"][0]["storage"] for each in told] == ["float16", "int8"]
    unveil("adapters", "remove", MODEL, "noise", "-o", "model.safetensors")
    assert unveil("adapters", "add", "model.safetensors", "whole.safetensors", "--overwrite").code == 0
    after = models.read("model.safetensors").adapters["noise"]
    assert all(after.tensors()[name].tobytes() == array.tobytes() for name, array in whole.tensors().items())


def test_all_adapters_are_extracted_into_a_folder(unveil):
    result = unveil("adapters", "extract", MODEL, "-o", "out")
    assert result.code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["toy.dark.safetensors", "toy.noise.safetensors"]
    assert unveil("adapters", "extract", MODEL, "-o", "out").code == 1
    assert unveil("adapters", "extract", MODEL, "-o", "all.safetensors").code == 2
    assert unveil("adapters", "extract", MODEL, "snow").code == 2


def test_an_adapter_that_the_diagnosis_does_not_know_is_used_by_its_name(unveil):
    model = models.remove_adapter(models.read(MODEL), "dark")
    models.write(model, "noise-only.safetensors")
    file = models.take_adapter(toy_model(), "dark")
    file.adapter.factors["tail.weight"]["delta"] = file.adapter.factors["tail.weight"]["delta"] * 2
    scratches = models.Adapter("scratches", 2, 2.0, "compact", file.adapter.base_checksum, file.adapter.factors)
    models.write_adapter(models.AdapterFile(None, scratches, "scratches", file.network), "scratches.safetensors")
    added = unveil("adapters", "add", "noise-only.safetensors", "scratches.safetensors", "-o", "both.safetensors")
    assert added.code == 0
    assert "does not know scratches" in added.err
    assert "no: name it" in unveil("adapters", "list", "both.safetensors").out
    save("a.png")
    save("b.png", smooth())
    blind = unveil("restore", "a.png", "--model", "both.safetensors", "--json").json["results"][0]
    assert blind["weights"] == {"noise": 1.0}
    assert set(blind["diagnosis"]) == {"noise", "clean"}
    named = unveil("restore", "b.png", "--model", "both.safetensors", "--only", "scratches", "--json").json["results"][
        0
    ]
    assert named["weights"] == {"scratches": 1.0}
    given = unveil(
        "restore", "b.png", "--model", "both.safetensors", "--weights", "scratches=.5", "--overwrite", "--json"
    )
    assert given.json["results"][0]["weights"] == {"scratches": 0.5}
    for command in (("diagnose", "a.png"), ("report", "a.png", "b.png"), ("report", "b.png", "--only", "scratches")):
        assert (
            unveil(*command, "--model", "both.safetensors", *(["--overwrite"] if command[0] == "report" else [])).code
            == 0
        )


def test_an_adapter_of_another_base_is_refused_with_both_checksums(unveil):
    models.write_adapter(models.take_adapter(toy_model(dtype="float32"), "dark"), "foreign.safetensors")
    assert unveil("adapters", "remove", MODEL, "dark", "--overwrite").code == 0
    before = Path(MODEL).read_bytes()
    result = unveil("adapters", "add", MODEL, "foreign.safetensors", "--overwrite")
    assert result.code == 1
    assert toy_model().card.base_checksum in result.err
    assert toy_model(dtype="float32").card.base_checksum in result.err
    assert Path(MODEL).read_bytes() == before


def test_nothing_is_changed_without_being_asked(unveil):
    unveil("adapters", "extract", MODEL, "noise", "-o", "noise.safetensors")
    for arguments, said in (
        (("remove", MODEL, "noise"), "--overwrite"),
        (("remove", models.DEFAULT, "noise", "-o", MODEL), "exists already"),
        (("remove", MODEL, "snow", "--overwrite"), "it has: noise, dark"),
        (("remove", MODEL, "noise", "-o", "model.pth"), ".safetensors"),
        (("add", MODEL, "noise.safetensors", "--overwrite"), "already"),
        (("add", MODEL, MODEL, "--overwrite"), "adapters extract"),
        (("add", "noise.safetensors", MODEL, "--overwrite"), "adapters add"),
        (("add", MODEL, "gone.safetensors", "--overwrite"), "no such file"),
    ):
        before = Path(MODEL).read_bytes()
        result = unveil("adapters", *arguments)
        assert result.code in (1, 2), arguments
        assert said in result.err, arguments
        assert Path(MODEL).read_bytes() == before


def test_a_model_of_the_package_is_never_changed_in_place(unveil, monkeypatch, tmp_path):
    monkeypatch.setattr(models.catalogue, "bundled_folder", lambda: tmp_path)
    monkeypatch.setattr(models, "bundled_folder", lambda: tmp_path)
    result = unveil("adapters", "remove", MODEL, "noise", "--overwrite")
    assert result.code == 2
    assert "give -o NEW" in result.err


@pytest.mark.parametrize("name", ["list", "add", "remove", "extract"])
def test_help_of_each_part_ends_with_examples(unveil, name):
    result = unveil("adapters", name, "--help")
    _, _, examples = result.out.partition("Examples:\n")
    assert all(line.strip().startswith(f"unveil adapters {name}") for line in examples.strip().splitlines())
    assert examples
