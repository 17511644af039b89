"""All runs of a simulation: each strategy with each seed on a scratch copy of its own, then the comparison."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from acquisition import presets
from annotator.common.errors import Invalid
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.learning import catalogue
from annotator.learning.triggers import ENCODE_JOB
from annotator.projects.models import Project
from annotator.workspace.simulation.client import check_server
from annotator.workspace.simulation.copies import copy_project, delete_copy
from annotator.workspace.simulation.errors import SimulationError
from annotator.workspace.simulation.gold import Gold, checked_gold
from annotator.workspace.simulation.measures import Point, summaries
from annotator.workspace.simulation.people import Person, make_people, remove_people
from annotator.workspace.simulation.play import Game, play


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to simulate. The first strategy is compared to each of the others; every one meets the same seeds."""

    project: Project
    gold: Mapping[str, tuple[str, ...]]
    strategies: Sequence[str]
    seeds: int
    annotators: int
    labels: int
    batch: int
    url: str
    patience: float
    keep: bool


def run_experiment(
    plan: Plan, *, emit: Callable[[dict[str, Any]], None], tell: Callable[[str], None], stop: threading.Event
) -> None:
    """Play everything: a line to `emit` for each point and each summary, progress in words to `tell`.

    Accounts are removed at the end, copies after each run unless they are kept, whatever happens meanwhile.
    """
    gold = checked(plan)
    curves: dict[str, dict[int, Sequence[Point]]] = {strategy: {} for strategy in plan.strategies}
    with _people(plan.annotators + 1) as (owner, *annotators):
        for seed in range(plan.seeds):
            for strategy in plan.strategies:

                def seen(point: Point, strategy: str = strategy, seed: int = seed) -> None:
                    emit({"strategy": strategy, "seed": seed, **point.as_json()})
                    tell(f"{strategy}, seed {seed}: {point.labels} labels, accuracy {point.accuracy:.3f}")

                with _copy(plan, owner, annotators, strategy, seed, tell) as copy:
                    game = _game(plan, copy, gold, owner, annotators, stop)
                    curves[strategy][seed] = play(game, seen=seen)
    for line in summaries(curves, compared=plan.strategies[1:]):
        emit(line)


def checked(plan: Plan) -> Gold:
    """Gold by class key, when everything that can be known beforehand is in order; SimulationError or Invalid else."""
    task = catalogue.task_of(plan.project)
    for strategy in plan.strategies:
        if strategy in presets.PRESETS:
            continue
        try:
            catalogue.checked_strategy(strategy, {}, task=task, cold=False)
        except Invalid as error:
            raise SimulationError(error.message, hint=error.hint) from error
    if len(set(plan.strategies)) != len(plan.strategies):
        raise SimulationError("A strategy is named twice.")
    gold = checked_gold(plan.project, plan.gold)
    if Job.objects.filter(project=plan.project, kind=ENCODE_JOB).active().exists():
        raise SimulationError(
            "The project's items are still being encoded, and every copy would have to do it again.",
            hint="Wait until that job is done.",
        )
    check_server(plan.url)
    return gold


def _game(
    plan: Plan, copy: Project, gold: Gold, owner: Person, annotators: Sequence[Person], stop: threading.Event
) -> Game:
    items = Item.objects.live().filter(project=copy)
    rows = dict(
        items.filter(split=Item.Split.POOL).values_list("row", "external_id").iterator(chunk_size=10_000)
    )
    return Game(
        url=plan.url,
        project_id=copy.pk,
        schema_version=copy.schema.version,
        multi=copy.task == Project.Task.MULTI,
        gold=gold,
        answers={row: gold[name] for row, name in rows.items()},
        test_ids=list(items.filter(split=Item.Split.TEST).values_list("external_id", flat=True)),
        owner=owner.token,
        annotators=[person.token for person in annotators],
        labels=plan.labels,
        batch=plan.batch,
        patience=plan.patience,
        stop=stop,
    )


@contextmanager
def _people(count: int) -> Iterator[list[Person]]:
    people = make_people(count)
    try:
        yield people
    finally:
        remove_people(people)


@contextmanager
def _copy(
    plan: Plan,
    owner: Person,
    annotators: Sequence[Person],
    strategy: str,
    seed: int,
    tell: Callable[[str], None],
) -> Iterator[Project]:
    tell(f"{strategy}, seed {seed}: copying {plan.project.name}")
    copy = copy_project(
        project=plan.project,
        owner=owner.user,
        annotators=[person.user for person in annotators],
        strategy=strategy,
        seed=seed,
        batch=plan.batch,
    )
    try:
        yield copy
    finally:
        if plan.keep:
            tell(f"{strategy}, seed {seed}: kept as project {copy.pk}")
        else:
            delete_copy(copy.pk)
