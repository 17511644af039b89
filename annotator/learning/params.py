"""Form fields drawn from JSON-schema parameters: a strategy or an encoder describes itself, the form follows."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, cast

from django import forms

from acquisition import registry

Schema = Mapping[str, Any]


def field_of(schema: Schema, value: Any = None) -> forms.Field:
    """The form field of one parameter, with its limits, its help and `value` (default: the schema's) filled in."""
    common: dict[str, Any] = {
        "label": schema.get("title", ""),
        "help_text": schema.get("description", ""),
        "initial": schema.get("default") if value is None else value,
        "required": False,
    }
    field = _drawn(schema, common)
    # An empty one gets the default: nothing is left open that could be called optional.
    return with_default(field) if schema.get("default") not in (None, "") else field


def with_default(field: Any) -> forms.Field:
    """The field, marked as one that has a value even when it is left empty."""
    field.has_default = True
    return cast(forms.Field, field)


def _drawn(schema: Schema, common: Mapping[str, Any]) -> forms.Field:
    limits: dict[str, Any] = {"min_value": schema.get("minimum"), "max_value": schema.get("maximum")}
    if "enum" in schema:
        return forms.TypedChoiceField(
            choices=_titled(schema["enum"]),
            coerce=_enum_coercion(schema["enum"]),
            empty_value=common["initial"],
            **common,
        )
    match schema["type"]:
        case "boolean":
            return forms.BooleanField(**common)
        case "integer":
            return forms.IntegerField(**limits, **common)
        case "number":
            return forms.FloatField(**limits, **common, widget=forms.NumberInput(attrs={"step": "any"}))
    return forms.CharField(max_length=schema.get("maxLength"), **common)


def fields_of(prefix: str, params: Mapping[str, Schema], values: Mapping[str, Any]) -> dict[str, forms.Field]:
    """A field for each parameter, named `<prefix>-<parameter>`."""
    return {f"{prefix}-{name}": field_of(schema, values.get(name)) for name, schema in params.items()}


def values_of(prefix: str, params: Mapping[str, Schema], cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters back from cleaned form data; an empty one gets its default."""
    values = {}
    for name, schema in params.items():
        value = cleaned.get(f"{prefix}-{name}")
        values[name] = (
            schema["default"] if value is None or (value == "" and schema["type"] != "string") else value
        )
    return values


def drawn_for_another(data: Mapping[str, Any], choice: str) -> bool:
    """Whether the fields of parameters that were sent belong to another option than the one that was chosen meanwhile.

    `drawn-<choice>` is the option that they were drawn for; without it they belong to the chosen one.
    """
    return bool(data.get(f"drawn-{choice}", data.get(choice)) != data.get(choice))


def fill_in(
    data: MutableMapping[str, Any], prefix: str, params: Mapping[str, Schema], values: Mapping[str, Any]
) -> None:
    """Put `values` (default: the schema's) where those of another option were sent, as a browser would send them."""
    for key in [key for key in data if key.startswith(f"{prefix}-")]:
        del data[key]
    for name, schema in params.items():
        value = values.get(name, schema.get("default"))
        if value is not None and value is not False:
            data[f"{prefix}-{name}"] = "on" if value is True else str(value)


def _titled(options: Sequence[Any]) -> list[tuple[Any, str]]:
    """The options of a list, strategies by their titles."""
    titles = {each.spec.key: each.spec.title for each in registry.available()}
    named = all(option in titles for option in options)
    return [(option, titles[option] if named else str(option)) for option in options]


def _enum_coercion(options: list[Any]) -> Any:
    by_text = {str(option): option for option in options}
    return lambda text: by_text[str(text)]
