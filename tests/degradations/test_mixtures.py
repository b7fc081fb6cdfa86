import pytest
import torch

from unveil.degradations import DEGRADATIONS
from unveil.degradations.mixtures import ORDER, compose
from unveil.errors import InvalidRequest


def seeded():
    return torch.Generator().manual_seed(4)


def test_order_knows_every_degradation():
    assert sorted(ORDER) == sorted(DEGRADATIONS)


def test_order_of_names_does_not_matter(scene):
    images = scene()
    first = compose(images, ["jpeg", "noise", "haze"], [0.7, 0.2, 0.5], seeded())
    second = compose(images, ["haze", "jpeg", "noise"], [0.5, 0.7, 0.2], seeded())
    assert torch.equal(first, second)


def test_scene_comes_before_camera_and_file(scene):
    images, generator = scene(), seeded()
    by_hand = images
    for name, severity in (("rain", 0.5), ("blur", 0.3), ("noise", 0.2), ("jpeg", 0.7)):
        by_hand = DEGRADATIONS[name](by_hand, severity, generator)
    mixed = compose(images, ["jpeg", "noise", "blur", "rain"], [0.7, 0.2, 0.3, 0.5], seeded())
    assert torch.equal(mixed, by_hand)


def test_everything_at_once_stays_in_range(scene):
    degraded = compose(scene(), list(DEGRADATIONS), [torch.full((4,), 0.5)] * len(DEGRADATIONS), seeded())
    assert degraded.isfinite().all()
    assert 0 <= degraded.min() <= degraded.max() <= 1


def test_nothing_is_the_identity(scene):
    images = scene()
    assert torch.equal(compose(images, [], [], seeded()), images)


@pytest.mark.parametrize(
    ("names", "severities", "message"),
    [
        (["fog"], [0.5], "found degradation 'fog'"),
        (["noise", "noise"], [0.5, 0.5], "each degradation once"),
        (["noise"], [], "found 0 severities"),
    ],
)
def test_wrong_requests_are_refused(scene, names, severities, message):
    with pytest.raises(InvalidRequest, match=message):
        compose(scene(), names, severities, seeded())
