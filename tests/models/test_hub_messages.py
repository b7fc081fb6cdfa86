"""What is said when the hub fails: one line, and always a reason. The hub itself is played in tests/test_hub.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from toy import toy_model
from unveil.errors import ModelError, ModelNotFound
from unveil.models import hub

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ConnectionError("nobody is there."), "(nobody is there)"),
        (ConnectionError("  first line:\nand a page more"), "(first line)"),
        (RuntimeError(), "(RuntimeError)"),
        (TimeoutError(" \n "), "(TimeoutError)"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(monkeypatch, tmp_path, failure, said):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    hub.fetch.cache_clear()
    with pytest.raises(ModelNotFound) as caught:
        hub.fetch("hf:someone/unseen")
    assert f"the hub is out of reach {said} and the model is not in the cache" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the token is missing or wrong"),
        (403, "the token may not write there"),
        (500, "the hub did not take the model; the hub is on fire"),
        (None, "the hub did not take the model; the hub is on fire"),
    ],
)
def test_a_hub_that_takes_no_model_is_explained(monkeypatch, status, said):
    def fail(*_, **__):
        error = OSError("the hub is on fire.\nA page of details")
        if status is not None:
            error.response = SimpleNamespace(status_code=status)  # pyright: ignore[reportAttributeAccessIssue]
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", fail)
    with pytest.raises(ModelError, match=said) as caught:
        hub.push(toy_model(), "someone/mine", token="hf_any")
    assert "\n" not in str(caught.value)
