"""What is said when the hub fails: one line, and always a reason. The hub itself is played in tests/test_hub.py."""

from __future__ import annotations

import pytest

from unveil.errors import ModelNotFound
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
