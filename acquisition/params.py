"""Parameters as data: JSON-schema properties that forms, API, documentation and validation share."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

import jsonschema

from acquisition.errors import ParameterError, StrategyError

Properties = Mapping[str, Mapping[str, Any]]


def validate(properties: Properties, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with the defaults filled in; ParameterError names the first parameter that is wrong."""
    for name in given:
        if name not in properties:
            raise ParameterError(name, _unknown(name, properties))
    values = {}
    for name, schema in properties.items():
        if name not in given and "default" not in schema:
            raise ParameterError(name, "is required.")
        values[name] = _checked(name, schema, given.get(name, schema.get("default")))
    return values


def for_strategy(properties: Properties, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the strategy's function takes: those of parameters without `x-signal`."""
    return {name: value for name, value in values.items() if "x-signal" not in properties[name]}


def for_signal(properties: Properties, values: Mapping[str, Any], signal: str) -> dict[str, Any]:
    """The values, defaults included, that say how this signal is made: those of parameters with that `x-signal`."""
    return {
        name: values.get(name, schema["default"])
        for name, schema in properties.items()
        if schema.get("x-signal") == signal
    }


def check_properties(properties: Properties) -> None:
    """StrategyError unless every property is a valid schema with a title and a default that it accepts."""
    for name, schema in properties.items():
        try:
            jsonschema.Draft202012Validator.check_schema(dict(schema))
        except jsonschema.SchemaError as error:
            raise StrategyError(f"Parameter '{name}' has an invalid schema: {error.message}") from error
        missing = [word for word in ("type", "title", "default") if word not in schema]
        if missing:
            raise StrategyError(f"Parameter '{name}' lacks {', '.join(missing)}.")
        try:
            _checked(name, schema, schema["default"])
        except ParameterError as error:
            raise StrategyError(f"The default is refused by its own schema. {error}") from error


def _checked(name: str, schema: Mapping[str, Any], value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(name, f"{value} is not a finite number.")
    error = next(iter(jsonschema.Draft202012Validator(dict(schema)).iter_errors(value)), None)
    if error is not None:
        raise ParameterError(name, f"{error.message}.")
    # JSON has one kind of number: 3.0 is an integer there, and code wants an int.
    return int(value) if schema.get("type") == "integer" else value


def _unknown(name: str, properties: Properties) -> str:
    close = difflib.get_close_matches(name, properties, n=1)
    if close:
        return f"is not known; did you mean '{close[0]}'?"
    return f"is not known. Known: {', '.join(sorted(properties)) or 'none'}."
