"""Which items a manager wants labelled first, said in terms of their metadata: `language=de|fr, source!=web`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.common.errors import Invalid
from annotator.learning.arrays import fetch_columns

MOST = 10  # conditions
CONDITION = re.compile(r"\s*([^\s=!|,][^=!|,]{0,99}?)\s*(!?=)\s*([^=!,]*?)\s*")


@dataclass(frozen=True)
class Condition:
    """Metadata `name` is, or with `not_` is not, one of `values`; an item without that name is none of them."""

    name: str
    values: tuple[str, ...]
    not_: bool = False


def parse(text: str) -> tuple[Condition, ...]:
    """All of these must hold; Invalid says what cannot be read."""
    conditions = [_condition(part) for part in text.split(",") if part.strip()]
    if len(conditions) > MOST:
        raise Invalid(f"There may be {MOST} conditions at most.", code="invalid_filter")
    return tuple(conditions)


def passing(project_id: int, conditions: tuple[Condition, ...], n_rows: int) -> npt.NDArray[np.bool_]:
    """Which rows (n_rows,) of the project meet all conditions."""
    where, values = [], []
    for condition in conditions:
        # Compared as text, as people read them: 3 is 3 whether it is a number or a word.
        where.append(f"coalesce(meta->>%s = ANY(%s), false) = {'false' if condition.not_ else 'true'}")
        values += [condition.name, list(condition.values)]
    query = f"SELECT row FROM items_item WHERE project_id = %s AND {' AND '.join(where or ['true'])}"  # noqa: S608 - names and values are parameters
    (rows,) = fetch_columns(query, [project_id, *values], {"row": "i4"})
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows[rows < n_rows]] = True
    return mask


def _condition(part: str) -> Condition:
    found = CONDITION.fullmatch(part)
    values = tuple(value.strip() for value in found[3].split("|")) if found else ()
    if found is None or not all(values):
        raise Invalid(
            f"'{part.strip()[:100]}' is no condition.",
            code="invalid_filter",
            hint="Write name=value, name!=value, or name=one|other, separated by commas.",
        )
    return Condition(found[1].strip(), values, found[2] == "!=")
