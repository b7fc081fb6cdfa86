import pytest

from unveil.errors import InvalidRequest
from unveil.restoration.blending import RULES, check_weights, read_rule, weigh

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


def test_every_rule_of_the_list_is_read():
    assert {read_rule(rule).name for rule in RULES} == {rule.partition(":")[0] for rule in RULES}


@pytest.mark.parametrize(
    "rule",
    ["topk", "topk:0", "topk:1.5", "topk:x", "threshold", "threshold:2", "oracle", "oracle:", "sw:1", "mean", ""],
)
def test_rules_that_are_none_are_refused(rule):
    with pytest.raises(InvalidRequest, match="rule"):
        weigh(rule, FOUND, ADAPTERS)


def test_the_likeliest_few_share_what_all_adapters_had():
    weights = weigh("topk:2", FOUND, ADAPTERS)
    assert weights == {
        "rain": pytest.approx(0.9 * 0.5 / 0.8, abs=1e-3),
        "noise": pytest.approx(0.9 * 0.3 / 0.8, abs=1e-3),
    }
    assert weigh("topk:1", FOUND, ADAPTERS) == {"rain": 0.9}
    assert weigh("topk:9", FOUND, ADAPTERS) == weigh("sw", FOUND, ADAPTERS)


def test_a_threshold_leaves_out_the_rest_and_keeps_the_sum():
    assert weigh("threshold:0.3", FOUND, ADAPTERS) == weigh("topk:2", FOUND, ADAPTERS)
    assert weigh("threshold:0.02", FOUND, ADAPTERS) == weigh("sw", FOUND, ADAPTERS)
    assert weigh("threshold:0.6", FOUND, ADAPTERS) == {}


def test_the_automatic_rule_is_one_hot_only_where_the_diagnosis_is_sure():
    assert weigh("auto", FOUND, ADAPTERS) == weigh("sw", FOUND, ADAPTERS)
    assert weigh("auto", {"noise": 0.03, "rain": 0.95, "clean": 0.02}, ADAPTERS) == {"rain": 1.0}
    assert weigh("auto", {"noise": 0.05, "rain": 0.0, "clean": 0.95}, ADAPTERS) == {}


def test_sum_and_average_do_not_look_at_the_diagnosis():
    assert weigh("sum", {}, ADAPTERS) == {"noise": 1.0, "rain": 1.0, "haze": 1.0}
    assert weigh("average", FOUND, ADAPTERS) == dict.fromkeys(ADAPTERS, 0.333)
    assert weigh("average", {}, ADAPTERS, only=["rain", "haze"]) == {"rain": 0.5, "haze": 0.5}


def test_an_oracle_names_the_adapter():
    assert weigh("oracle:haze", FOUND, ADAPTERS) == {"haze": 1.0}
    assert weigh("oracle:clean", FOUND, ADAPTERS) == {}
    with pytest.raises(InvalidRequest, match="'fog'"):
        weigh("oracle:fog", FOUND, ADAPTERS)


def test_the_order_of_adapters_changes_nothing():
    for rule in ("sw", "oh", "auto", "topk:2", "threshold:0.2", "sum", "average"):
        assert weigh(rule, FOUND, ADAPTERS) == weigh(rule, dict(reversed(FOUND.items())), ADAPTERS[::-1])


def test_an_adapter_that_the_estimator_does_not_know_needs_its_name():
    known = (*ADAPTERS, "scratches")
    assert "scratches" not in weigh("sw", FOUND, known)
    assert weigh("sw", FOUND, known, only=["scratches"]) == {"scratches": 1.0}
    weights = weigh("sw", FOUND, known, only=["scratches", "noise"])
    assert weights == {"scratches": 1.0, "noise": pytest.approx(0.9)}
    assert weigh("sum", FOUND, known)["scratches"] == 1.0
