"""The reference page of the strategies, drawn from their specifications: `python -m acquisition.docs [FILE]`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acquisition.registry import StrategySpec, adapted, built_in

_INTRODUCTION = """\
# Strategies

A strategy decides what is labelled next. This page is made by `python -m acquisition.docs docs/reference/strategies.md`.

*Needs* are the signals without which a strategy cannot work: `proba` (class probabilities of the current model),
`draws` (the same from several members), `previous` (those of the round before), `features` (of a frozen encoder),
`cost`, `group`. *Batch* says whether the batch is chosen jointly; a strategy that scores items one by one may be
loosened by stochastic draws instead.
"""

_OTHERS = """\
## Other libraries

With the extras `modal` and `skactiveml` these are offered as well, with parameters of their own. They run in a process that
can be ended. How strategies are combined, balanced and filtered, and what presets make of them, stands in the guide
[choosing](../guide/choosing.md).
"""

_OUTRO = """\
## Adding a strategy

One file: a function `(pool, labeled, n, rng, **params) -> Ranking` under `@strategy(StrategySpec(...))`, in
`acquisition/strategies/`, or in a package of your own that names it in the entry point group `annotator.strategies`.
`python -m acquisition.check package.module:name` runs the contract kit on it. A plug-in that fails to load is
named with the reason on **Settings, Learning** and left out. Each process that finds plug-ins imports them in processes of
their own first: what takes longer than 30 seconds there, or ends its process, is never imported into ours.
"""


def page() -> str:
    """The whole page in Markdown."""
    specs = [found.spec for _, found in sorted(built_in().items())]
    others = [found.spec for _, found in sorted(adapted(installed_only=False).items())]
    parts = [_INTRODUCTION, _overview(specs), *(_section(spec) for spec in specs), _others(others), _OUTRO]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def main(arguments: Sequence[str]) -> int:
    if arguments:
        Path(arguments[0]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


def _overview(specs: Sequence[StrategySpec]) -> str:
    rows = [
        [
            f"[{spec.title}](#{spec.key})",
            f"`{spec.key}`",
            _names(spec.needs),
            ", ".join(sorted(spec.tasks, reverse=True)),
            "yes" if spec.batch_aware else "no",
        ]
        for spec in specs
    ]
    return _table(["Strategy", "Key", "Needs", "Tasks", "Batch"], rows)


def _others(specs: Sequence[StrategySpec]) -> str:
    rows = [
        [f"`{spec.key}`", spec.title, _names(spec.needs), ", ".join(sorted(spec.tasks)), spec.advice]
        for spec in specs
    ]
    return f"{_OTHERS}\n{_table(['Key', 'Strategy', 'Needs', 'Tasks', 'Advice'], rows)}"


def _section(spec: StrategySpec) -> str:
    lines = [f"## {spec.key}", "", f"{spec.title}, version {spec.version}. {spec.advice}", ""]
    if spec.reference:
        lines += [f"Reference: {spec.reference}.", ""]
    if spec.params:
        rows = [
            [
                f"`{name}`",
                str(schema["title"]),
                _range(schema),
                f"`{schema['default']}`",
                str(schema.get("description", "")),
            ]
            for name, schema in spec.params.items()
        ]
        lines.append(_table(["Parameter", "Title", "Values", "Default", "Meaning"], rows))
    return "\n".join(lines)


def _range(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    limits = [f"from {low}"] if low is not None else []
    limits += [f"to {high}"] if high is not None else []
    return " ".join([str(schema["type"]), *limits])


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
