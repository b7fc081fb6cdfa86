"""Small languages inside arguments."""

from __future__ import annotations

import pytest

from unveil.commands import arguments
from unveil.errors import InvalidRequest


def test_names_are_separated_by_commas():
    assert arguments.parse_names("rain, noise,", "--only") == ["rain", "noise"]


def test_no_name_at_all_is_refused():
    with pytest.raises(InvalidRequest, match="--only is empty"):
        arguments.parse_names(" ,", "--only")


def test_weights_are_read():
    assert arguments.parse_weights("rain=.6, noise=0.4", "--weights") == {"rain": 0.6, "noise": 0.4}


@pytest.mark.parametrize("text", ["rain", "rain=", "=1", "rain=much", "rain=-1", "rain=nan", "rain=inf", "rain:1", ""])
def test_malformed_weights_are_refused_with_an_example(text):
    with pytest.raises(InvalidRequest, match=r"write it like --weights rain=\.6"):
        arguments.parse_weights(text, "--weights")


def test_a_name_given_twice_is_refused():
    with pytest.raises(InvalidRequest, match="'rain' is given twice"):
        arguments.parse_weights("rain=1,rain=2", "--weights")


def test_severities_keep_their_order_and_range():
    assert list(arguments.parse_severities(["rain:0.5", "jpeg:1"], "--with")) == ["rain", "jpeg"]
    with pytest.raises(InvalidRequest, match="out of range"):
        arguments.parse_severities(["rain:1.5"], "--with")


def test_an_unknown_name_gets_the_nearest_one_and_the_list():
    arguments.require_known(["noise"], ["noise", "rain"], "--only", "the model m")
    with pytest.raises(InvalidRequest, match=r"unknown to the model m; did you mean 'rain'.*It knows noise, rain"):
        arguments.require_known(["rian"], ["noise", "rain"], "--only", "the model m")
