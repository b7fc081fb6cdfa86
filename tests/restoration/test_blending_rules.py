import pytest

from unveil.errors import InvalidRequest
from unveil.restoration.blending import check_weights, weigh

FOUND = {"noise": 0.3, "rain": 0.5, "haze": 0.1, "clean": 0.1}
ADAPTERS = ("noise", "rain", "haze")


def test_softmax_weights_are_the_probabilities_and_leave_room_for_clean():
    assert weigh("sw", FOUND, ADAPTERS) == {"noise": 0.3, "rain": 0.5, "haze": 0.1}


def test_one_hot_takes_the_likeliest():
    assert weigh("oh", FOUND, ADAPTERS) == {"rain": 1.0}


def test_one_hot_of_a_class_without_adapter_is_the_base():
    assert weigh("oh", {"noise": 0.4, "clean": 0.6}, ADAPTERS) == {}


def test_none_is_the_base():
    assert weigh("none", FOUND, ADAPTERS) == {}


def test_classes_without_adapters_have_no_weight():
    assert weigh("sw", FOUND, ("haze",)) == {"haze": 0.1}


def test_vanishing_weights_are_dropped():
    assert weigh("sw", {"noise": 0.0004, "rain": 0.9996}, ADAPTERS) == {"rain": 1.0}


def test_only_keeps_the_sum_of_all():
    weights = weigh("sw", FOUND, ADAPTERS, only=["noise", "haze"])
    assert weights == {"noise": pytest.approx(0.675), "haze": pytest.approx(0.225)}


def test_only_chooses_among_the_kept_in_one_hot():
    assert weigh("oh", FOUND, ADAPTERS, only=["noise", "haze"]) == {"noise": 1.0}


def test_only_of_what_was_ruled_out_shares_equally():
    found = {"noise": 0.0, "rain": 0.8, "haze": 0.0, "clean": 0.2}
    assert weigh("sw", found, ADAPTERS, only=["noise", "haze"]) == {"noise": 0.4, "haze": 0.4}


def test_only_twice_the_same_counts_once():
    assert weigh("sw", FOUND, ADAPTERS, only=["rain", "rain"]) == {"rain": 0.9}


@pytest.mark.parametrize("only", [["fog"], ["rain", "clean"]])
def test_only_of_an_unknown_name_is_refused(only):
    with pytest.raises(InvalidRequest, match=rf"'{only[-1]}'.*noise, rain, haze"):
        weigh("sw", FOUND, ADAPTERS, only=only)


def test_only_nothing_is_refused():
    with pytest.raises(InvalidRequest, match="empty"):
        weigh("sw", FOUND, ADAPTERS, only=[])


def test_unknown_rule_is_refused():
    with pytest.raises(InvalidRequest, match=r"'avg'.*sw, oh"):
        weigh("avg", FOUND, ADAPTERS)


def test_weights_by_hand_are_used_as_given():
    assert check_weights({"rain": 1 / 3, "noise": 0, "haze": 1.5}, ADAPTERS) == {"rain": 1 / 3, "haze": 1.5}


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_impossible_weights_are_refused(weight):
    with pytest.raises(InvalidRequest, match="'rain'"):
        check_weights({"rain": weight}, ADAPTERS)
