"""One run: annotators label a copy batch by batch; after each the new ranking is awaited and its model measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from annotator.workspace.simulation.client import Api, Refused
from annotator.workspace.simulation.errors import SimulationError, Stopped
from annotator.workspace.simulation.gold import Answers, Gold
from annotator.workspace.simulation.measures import Point, make_point, most_frequent, predicted
from annotator.workspace.simulation.players import Player, Quota

LOOK_EVERY = 0.1  # seconds between looks at the rounds
ASK_AFTER = 3.0  # seconds after which a round that did not begin by itself is asked for
TEST_PAGE = 1_000
NO_MODEL = "no_model"


@dataclass(frozen=True, kw_only=True)
class Game:
    """What is played, where, and for how long nothing may happen (`patience`, seconds)."""

    url: str
    project_id: int
    schema_version: int
    multi: bool
    gold: Gold
    answers: Answers
    test_ids: Sequence[str]
    owner: str
    annotators: Sequence[str]
    labels: int
    batch: int
    patience: float
    stop: threading.Event


def play(game: Game, *, seen: Callable[[Point], None]) -> list[Point]:
    """Label `game.labels` items (or all there are); each measured point is handed to `seen` at once."""
    with Api(game.url, game.project_id, game.owner, game.stop) as api:
        wait_for_round(api, labels=0, game=game)
        began, points = time.monotonic(), []
        with _players(game) as quota:
            while not quota.exhausted and len(quota.answers) < game.labels:
                before = len(quota.answers)
                quota.open(min(before + game.batch, game.labels))
                _wait_for_answers(quota, game)
                answers = quota.answers
                if len(answers) == before:
                    break
                wait_for_round(api, labels=len(answers), game=game)
                point = measure(api, answers=answers, game=game, seconds=time.monotonic() - began)
                points.append(point)
                seen(point)
    return points


def wait_for_round(api: Api, *, labels: int, game: Game) -> dict[str, Any]:
    """The newest published round of the worker, once it knows `labels` answers; SimulationError when it fails."""
    state: Any = None
    changed = time.monotonic()
    while not game.stop.is_set():
        rounds = api.get("rounds/", limit=5)["results"]
        made = [round_ for round_ in rounds if round_["training_digest"] or round_["state"] == "failed"]
        latest = made[0] if made else None
        if latest and latest["state"] == "failed":
            raise SimulationError(
                f"Round {latest['number']} failed while {latest['step']}: {latest['error']}",
                hint="See logs/worker-gpu.log in the data folder.",
            )
        if latest and latest["state"] == "published" and latest["n_labels"] >= labels:
            found: dict[str, Any] = latest
            return found
        jobs = api.get("jobs/")["results"]
        now = time.monotonic()
        seen = (
            [(round_["number"], round_["state"], round_["step"]) for round_ in rounds],
            [(job["id"], job["state"], job["stage"], job["done"]) for job in jobs],
        )
        if seen != state:
            state, changed = seen, now
        running = any(job["state"] in ("queued", "running") for job in jobs)
        if not running and now - changed > ASK_AFTER:
            _ask_for_round(api)
        if now - changed > game.patience:
            raise SimulationError(_stuck(labels, rounds, jobs, game.patience), hint=STUCK_HINT)
        game.stop.wait(LOOK_EVERY)
    raise Stopped("Stopped.")


STUCK_HINT = "Is a worker running? See logs/worker-gpu.log and logs/beat.log in the data folder."


def measure(api: Api, *, answers: Sequence[tuple[str, ...]], game: Game, seconds: float) -> Point:
    """Accuracy of the model in use on the test items; without a model, of always giving the most frequent answer.

    An item that the model could not score counts as wrong.
    """
    predictions: dict[str, tuple[str, ...]] = {}
    after, model = -1, None
    while after is not None:
        try:
            page = api.get("predictions/", split="test", after=after, limit=TEST_PAGE)
        except Refused as error:
            if error.code != NO_MODEL:
                raise
            guess = most_frequent(answers)
            predictions = dict.fromkeys(game.test_ids, guess)
            break
        model = page["model"]
        for row in page["results"]:
            found = row["classes"]
            predictions[row["external_id"]] = predicted(found, multi=game.multi) if found else ("not scored",)
        after = page["next_after"]
    return make_point(
        predictions=predictions, gold=game.gold, labels=len(answers), model=model, seconds=seconds
    )


@contextmanager
def _players(game: Game) -> Iterator[Quota]:
    """The annotators at work; none is left when the block ends."""
    quota = Quota()
    with ExitStack() as stack:
        threads = [
            Player(
                stack.enter_context(Api(game.url, game.project_id, token, game.stop)),
                answers=game.answers,
                schema_version=game.schema_version,
                quota=quota,
            )
            for token in game.annotators
        ]
        for thread in threads:
            thread.start()
        try:
            yield quota
        except BaseException:
            game.stop.set()  # nobody tries again
            raise
        finally:
            quota.close()
            for thread in threads:
                thread.join(timeout=game.patience)


def _wait_for_answers(quota: Quota, game: Game) -> None:
    """Until the batch is full; each answer renews the patience."""
    count, since = len(quota.answers), time.monotonic()
    while not quota.wait_until_full(0.5):
        if game.stop.is_set():
            raise Stopped("Stopped.")
        if len(quota.answers) != count:
            count, since = len(quota.answers), time.monotonic()
        if time.monotonic() - since > game.patience:
            raise SimulationError(
                f"No annotator got an item for {game.patience:.0f} seconds, after {count} answers.",
                hint="See the ranking's health on the project's page and logs/worker-gpu.log.",
            )


def _ask_for_round(api: Api) -> None:
    try:
        api.post("rounds/", {})
    except Refused as error:
        if error.code != "round_active":
            raise


def _stuck(labels: int, rounds: list[Any], jobs: list[Any], patience: float) -> str:
    message = f"No round with {labels} labels was published, and nothing happened for {patience:.0f} seconds."
    if rounds:
        message += f" Round {rounds[0]['number']} is {rounds[0]['state']} at {rounds[0]['step']}."
    if failed := [job for job in jobs if job["error"]]:
        message += f" The last job that failed, {failed[0]['kind']}: {failed[0]['error']}"
    return message
