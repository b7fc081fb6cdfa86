"""Models whose estimator and adapters do not name the same damage, behind the server."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from server_samples import file_of, smooth

from unveil import models


@pytest.fixture(scope="module")
def toy(toy):
    """The toy without `dark`, which its estimator knows, and with `scratches`, which it does not."""
    file = models.take_adapter(toy, "dark")
    scratches = dataclasses.replace(file, adapter=dataclasses.replace(file.adapter, degradation="scratches"))
    return models.add_adapter(models.remove_adapter(toy, "dark"), dataclasses.replace(scratches, printed="scratches"))


def test_the_model_says_what_it_undoes(service):
    told = service.client.get("/v1/models").json()["models"][0]
    assert set(told["degradations"]) == {"noise", "scratches"}


def test_the_diagnosis_names_neither_what_was_removed_nor_what_it_does_not_know(service):
    for data in (file_of(), file_of(np.full((40, 56, 3), 10, np.uint8)), file_of(smooth())):
        answer = service.post("/v1/diagnose", data)
        assert answer.status_code == 200
        assert set(answer.json()["probabilities"]) == {"noise", "clean"}
        assert set(answer.json()["weights"]) <= {"noise"}


def test_an_unknown_adapter_is_used_by_its_name(service):
    blind = service.post()
    assert json.loads(blind.headers["unveil-weights"]) == {"noise": 1.0}
    for options in ({"only": "scratches"}, {"weights": "scratches=1"}, {"blend": "oracle:scratches"}):
        answer = service.post(data=file_of(smooth()), **options)
        assert answer.status_code == 200, options
        assert json.loads(answer.headers["unveil-weights"]) == {"scratches": 1.0}
    assert json.loads(service.post(blend="average").headers["unveil-weights"]) == {"noise": 0.5, "scratches": 0.5}


def test_what_was_removed_is_refused(service):
    for options in ({"only": "dark"}, {"weights": "dark=1"}, {"blend": "oracle:dark"}):
        answer = service.post(**options)
        assert answer.status_code == 422, options
        assert "dark" in answer.json()["message"]
