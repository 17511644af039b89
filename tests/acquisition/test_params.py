import pytest

from acquisition import params
from acquisition.errors import ParameterError, StrategyError

PROPERTIES = {
    "k": {"type": "integer", "default": 5, "minimum": 1, "maximum": 9, "title": "k"},
    "rate": {"type": "number", "default": 0.5, "minimum": 0, "title": "rate"},
    "how": {"type": "string", "enum": ["mean", "max"], "default": "mean", "title": "how"},
    "on": {"type": "boolean", "default": False, "title": "on"},
}


def test_defaults_fill_what_is_not_given():
    assert params.validate(PROPERTIES, {}) == {"k": 5, "rate": 0.5, "how": "mean", "on": False}
    assert params.validate(PROPERTIES, {"k": 7, "on": True})["k"] == 7


def test_a_whole_number_from_json_becomes_an_int():
    value = params.validate(PROPERTIES, {"k": 3.0})["k"]
    assert (value, type(value)) == (3, int)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"k": 0}, "Parameter 'k': 0 is less than the minimum of 1"),
        ({"k": 10}, "Parameter 'k': 10 is greater than the maximum of 9"),
        ({"k": 2.5}, "Parameter 'k': 2.5 is not of type 'integer'"),
        ({"k": True}, "Parameter 'k': True is not of type 'integer'"),
        ({"k": None}, "Parameter 'k': None is not of type 'integer'"),
        ({"rate": "fast"}, "Parameter 'rate': 'fast' is not of type 'number'"),
        ({"rate": float("nan")}, "Parameter 'rate': nan is not a finite number"),
        ({"rate": float("inf")}, "Parameter 'rate': inf is not a finite number"),
        ({"how": "median"}, "Parameter 'how': 'median' is not one of"),
        ({"rat": 1}, "Parameter 'rat': is not known; did you mean 'rate'"),
        ({"zzzzzz": 1}, "Parameter 'zzzzzz': is not known. Known: how, k, on, rate"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_fault(given, words):
    with pytest.raises(ParameterError) as caught:
        params.validate(PROPERTIES, given)
    assert words in str(caught.value)
    assert caught.value.name == next(iter(given))


def test_a_parameter_without_default_is_required():
    with pytest.raises(ParameterError, match="required"):
        params.validate({"k": {"type": "integer"}}, {})


def test_no_parameters_know_none():
    assert params.validate({}, {}) == {}
    with pytest.raises(ParameterError, match="Known: none"):
        params.validate({}, {"k": 1})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "whole", "title": "t", "default": 1}, "invalid schema"),
        ({"type": "integer", "default": 1}, "lacks title"),
        ({"type": "integer", "title": "t"}, "lacks default"),
        ({"type": "integer", "title": "t", "default": 0, "minimum": 1}, "refused by its own schema"),
    ],
)
def test_a_faulty_property_is_refused_when_it_is_declared(schema, words):
    with pytest.raises(StrategyError, match=words):
        params.check_properties({"k": schema})


def test_parameters_of_a_signal_are_for_whoever_makes_it_and_not_for_the_strategy():
    properties = {
        "k": {"type": "integer", "default": 3, "title": "k"},
        "members": {"type": "integer", "default": 10, "title": "Members", "x-signal": "draws"},
        "depth": {"type": "integer", "default": 2, "title": "Depth", "x-signal": "tree"},
    }
    values = params.validate(properties, {"k": 4, "members": 7})
    assert params.for_strategy(properties, values) == {"k": 4}
    assert params.for_signal(properties, values, "draws") == {"members": 7}
    assert params.for_signal(properties, {}, "tree") == {"depth": 2}
