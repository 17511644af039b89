"""`manage.py simulate` beside the running application."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from annotator.accounts.models import User
from annotator.items.features import features_root
from annotator.learning.folders import round_folder
from annotator.projects.models import Project
from annotator.workspace.simulation.people import PREFIX
from tests.loop.application import Application
from tests.loop.players import TOPICS, World, make_world

ITEMS, TEST = 90, 40


@pytest.fixture(scope="module")
def world(app: Application) -> World:
    return make_world(app, items=ITEMS, test=TEST)


@pytest.fixture(scope="module")
def gold(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gold") / "gold.jsonl"
    ids = world.project.items.values_list("external_id", flat=True)
    lines = [json.dumps({"external_id": id_, "classes": [id_.split("-")[0]]}) for id_ in ids]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def simulate(world: World, gold: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, lines printed, what was said meanwhile."""
    command = world.app.manage(
        "simulate", "--project", str(world.project_id), "--gold", str(gold), "--annotators", "2", *arguments
    )
    output, said = command.communicate(timeout=280)
    return command.returncode, [json.loads(line) for line in output.splitlines()], said


def words(text: str) -> list[str]:
    return text.split()


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def nothing_is_left_of(world: World, projects: set[int]) -> bool:
    left = set(Project.objects.values_list("pk", flat=True)) - projects
    # Those of kept copies stay, and cannot be used.
    return not left and not User.objects.filter(username__startswith=PREFIX, is_active=True).exists()


def test_each_strategy_is_played_with_each_seed_on_a_copy_and_nothing_is_left(
    world: World, gold: Path
) -> None:
    projects = set(Project.objects.values_list("pk", flat=True))
    features = files_below(features_root(world.project_id))
    status, lines, said = simulate(
        world, gold, *words("--labels 30 --batch 12 --seeds 2 --strategy margin --compare random")
    )
    assert status == 0, said
    points = [line for line in lines if "summary" not in line]
    assert {(p["strategy"], p["seed"]) for p in points} == {
        (strategy, seed) for strategy in ("margin", "random") for seed in (0, 1)
    }
    for strategy in ("margin", "random"):
        curve = [p for p in points if (p["strategy"], p["seed"]) == (strategy, 0)]
        assert [p["labels"] for p in curve] == [12, 24, 30]
        assert all(p["n_test"] == TEST and p["low"] < p["accuracy"] < p["high"] for p in curve)
        assert curve[-1]["accuracy"] > 1.5 / len(TOPICS)
        assert curve[-1]["model"] is not None
    summaries = [(line["summary"], line["strategy"]) for line in lines[len(points) :]]
    assert summaries == [("area", "margin"), ("area", "random"), ("area_difference", "margin")]
    assert lines[-1]["low"] <= lines[-1]["value"] <= lines[-1]["high"]

    assert nothing_is_left_of(world, projects)
    assert files_below(features_root(world.project_id)) == features
    numbers = {path.name for path in features_root(0).parent.iterdir()} - set(map(str, projects))
    assert not numbers
    assert not {path.name for path in round_folder(0, 0).parents[1].iterdir()} - set(map(str, projects))


def test_it_ends_when_everything_is_labelled(world: World, gold: Path) -> None:
    status, lines, said = simulate(world, gold, *words("--labels 500 --batch 60 --seeds 1 --strategy random"))
    assert status == 0, said
    assert [line["labels"] for line in lines if "summary" not in line] == [60, ITEMS]


def test_ctrl_c_removes_copies_and_accounts(world: World, gold: Path) -> None:
    projects = set(Project.objects.values_list("pk", flat=True))
    command = world.app.manage(
        *("simulate", "--project", str(world.project_id), "--gold", str(gold)),
        *words("--labels 80 --batch 5 --seeds 3"),
    )
    assert command.stdout is not None
    assert "labels" in command.stdout.readline()
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=120)
    assert command.returncode == 130, said
    assert "Traceback" not in said
    assert nothing_is_left_of(world, projects)


def test_kept_copies_stay_with_their_answers_and_nobody_can_use_their_accounts(
    world: World, gold: Path
) -> None:
    status, _, said = simulate(
        world, gold, *words("--labels 10 --batch 10 --seeds 1 --strategy random --keep")
    )
    assert status == 0, said
    copy = Project.objects.latest("pk")
    assert copy.name == f"{world.project.name} (random, seed 0)"
    assert copy.annotations.count() == 10
    people = User.objects.filter(username__startswith=PREFIX)
    assert {user.is_active for user in people} == {False}
    assert not any(user.has_usable_password() or user.api_tokens.exists() for user in people)
    assert copy.memberships.filter(user_id=world.owner.user_id, role="owner").exists()
