import subprocess
import sys

import pytest

import unveil
from unveil import errors


def loaded_after(code):
    """Names of the modules that a fresh interpreter has loaded after running the code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_loads_nothing_heavy():
    loaded = loaded_after("import unveil; unveil.UnveilError; unveil.__version__; dir(unveil)")
    assert "unveil" in loaded
    heavy = {"numpy", "onnxruntime", "pyvips", "PIL", "pi_heif", "safetensors", "torch", "typer", "rich"}
    assert not loaded & heavy
    assert {name for name in loaded if name.startswith("unveil")} == {"unveil", "unveil.errors"}


def test_restoring_never_loads_pytorch():
    code = "import unveil; unveil.Restorer; unveil.load; from unveil.engines import choose; choose('auto')"
    loaded = loaded_after(code)
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "lightning", "onnx", "pyvips"}


def test_every_error_is_part_of_the_face():
    named = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert named <= set(unveil.__all__)
    assert all(getattr(unveil, name) is getattr(errors, name) for name in named)


@pytest.mark.parametrize("name", ["Restorer", "Restoration", "Diagnosis", "load", "restore", "diagnose"])
def test_lazy_names_are_there(name):
    from unveil import restoration

    assert getattr(unveil, name) is getattr(restoration, name)
    assert name in dir(unveil)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="repair"):
        unveil.repair  # noqa: B018


def test_model_is_loaded_by_path(toy_path):
    assert unveil.load(toy_path).name == "toy"


def test_unknown_model_is_reported():
    with pytest.raises(unveil.ModelNotFound, match="nonsense"):
        unveil.load("nonsense")
