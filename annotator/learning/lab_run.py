"""A backtest as a job: run after run, each kept when it ends. Goes on where it stopped; makes room for rounds that wait.

Between runs it makes room for whatever wants the worker. In the middle of one it does for what people wait for: what the run
has chosen goes along to the job that goes on, which fits and measures it again and does not choose it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import DatabaseError, transaction
from django.utils import timezone

from acquisition.errors import StrategyStopped
from acquisition.presets import State
from acquisition.simulate import Asked, Replay, Step, replay
from annotator.common.errors import Conflict, NotFound
from annotator.common.events import send_event
from annotator.items.features import open_store
from annotator.jobs.models import Job
from annotator.jobs.services import JobCancelled, JobRun
from annotator.learning import choosing, lab, offers, replayable, triggers, whatif
from annotator.learning.encode import others_wait
from annotator.learning.lab_data import LabLabels, freeze_labels, unpack
from annotator.learning.lab_head import LabHead
from annotator.learning.lab_plan import batches_of, most_left, next_runs
from annotator.learning.lab_results import summary
from annotator.learning.models import Backtest, BacktestRun, LearningSettings
from annotator.learning.steps.rank import runner
from annotator.learning.stream import JOINTLY

logger = logging.getLogger(__name__)

# What a run makes room for before it ends; other backtests and figures of quality wait for its end.
AWAITED = (triggers.ROUND_JOB, whatif.WHATIF_JOB, replayable.REPLAY_JOB, offers.OFFERS_JOB)
LOOK_EVERY = 1.0  # seconds between two looks at who waits
PATIENCE = 3  # times that a run is broken off before it chose another batch; then it chooses one first


class MakeRoom(Exception):
    """Somebody waits for the worker: the run goes on later."""


@dataclass(kw_only=True)
class Half:
    """A run that has begun: what it chose, how long it took until it was broken off, how often that was in vain."""

    name: str
    seed: int
    steps: list[Step] = field(default_factory=list)
    seconds: float = 0.0
    tries: int = 0

    @classmethod
    def of(cls, params: Mapping[str, Any], name: str, seed: int) -> Half:
        """That run as the job before left it, or from the beginning."""
        left = params.get("half", {})
        if (left.get("name"), left.get("seed")) != (name, seed):
            return cls(name=name, seed=seed)
        return cls(**left | {"steps": [Step(**step) for step in left["steps"]]})


class Room:
    """Whether a run should make room now: looked up at most once a second, and not for ever."""

    def __init__(self, job: Job, half: Half, clock: Callable[[], float]) -> None:
        self._job, self._half, self._clock = job, half, clock
        self._began_with = len(half.steps)
        self._looked = clock()
        self._wanted = False

    @property
    def chose(self) -> bool:
        return len(self._half.steps) > self._began_with

    def wanted(self) -> bool:
        if not self.chose and self._half.tries >= PATIENCE:
            return False
        now = self._clock()
        if not self._wanted and now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._wanted = others_wait(self._job, AWAITED)
        return self._wanted


@dataclass(frozen=True, eq=False)
class Bench:
    """What all runs of a backtest share: the labels with their features (n, D)."""

    backtest: Backtest
    labels: LabLabels
    features: npt.NDArray[np.float16]
    folder: Path

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = self.backtest.settings
        return settings

    def play(
        self, half: Half, on_batch: Callable[[int], None], should_stop: Callable[[], bool]
    ) -> tuple[Replay, int]:
        """One strategy with one seed; the number of labels it was judged on."""
        seed = half.seed
        [chosen] = [each for each in self.settings["strategies"] if each["name"] == half.name]
        pool, held_out = self.labels.split([self.backtest.seed, seed], pool=self.settings["pool"])
        keys, multi = tuple(self.backtest.facts["class_keys"]), bool(self.backtest.facts["multi"])
        randomness = float(self.settings["randomness"])
        head = LabHead(keys, seed, multi=multi)

        def choose(state: State) -> Asked:
            """As a round with so many labels would."""
            # Of several classes at once the first answers can be too alike for a model.
            provided = choosing.signals(model=head.state is not None, encoded=True)
            state = replace(
                state,
                signals=state.signals & provided,
                favourite=str(chosen["settings"]["favourite"].get("strategy", "")),
            )
            found = choosing.choose(chosen["settings"], state, run=runner(self.folder, should_stop))
            return Asked(
                strategy=found.strategy,
                params=found.params,
                composition=found.composition,
                stage=found.stage,
            )

        done = replay(
            features=self.features[pool],
            targets=self.labels.targets[pool],
            test_features=self.features[held_out],
            test_targets=self.labels.targets[held_out],
            n_classes=len(keys),
            fit_predict=head,
            strategy=choose,
            batches=batches_of(self.settings),
            seed=seed,
            mode=None,
            beta=1 / randomness if randomness > 0 else None,
            share=float(self.settings["exploration_share"]),
            jointly=JOINTLY,
            signals=head.signals,
            outlier=self.backtest.facts["outlier"],
            on_batch=on_batch,
            steps=half.steps,
        )
        return done, len(held_out)


def run_backtest(run: JobRun) -> dict[str, Any]:
    """Runs that are still to do, until every comparison is decided or all seeds are played."""
    backtest = Backtest.objects.filter(pk=run.job.params["backtest"]).select_related("project").first()
    if backtest is None:
        raise NotFound("This backtest was deleted.")
    run.progress(0, stage="Collecting labels")
    with TemporaryDirectory(prefix="backtest-") as folder:
        return _play(run, _prepare(backtest, Path(folder)))


def _play(run: JobRun, bench: Bench) -> dict[str, Any]:
    """Run after run; each is stored when it ends."""
    backtest = bench.backtest
    steps, done = len(batches_of(backtest.settings)), 0
    while True:
        runs = list(backtest.runs.all())
        todo = next_runs(backtest, runs)
        if not todo:
            break
        name, seed = todo[0]
        half = Half.of(run.job.params, name, seed)
        room = Room(run.job, half, time.monotonic)
        total = done + steps * most_left(backtest, runs)

        def on_batch(_labels: int) -> None:
            nonlocal done
            done += 1
            if run.should_stop():
                raise JobCancelled
            run.progress(min(done, total), total, stage=f"{backtest.titles[name]}, seed {seed + 1}")  # noqa: B023 - called before the next
            # What was chosen by an earlier job is soon fitted again; a batch that is chosen now is kept.
            if room.chose and room.wanted():  # noqa: B023
                raise MakeRoom

        try:
            _keep(bench, half, on_batch, run.should_stop, room)
        except MakeRoom:
            half.tries = 0 if room.chose else half.tries + 1
            lab.go_on(backtest, by=run.job.created_by, half=asdict(half))
            return {"backtest": backtest.pk, "made_room": True}
        _summarise(backtest)
        if others_wait(run.job) and next_runs(backtest, list(backtest.runs.all())):
            lab.go_on(backtest, by=run.job.created_by)
            return {"backtest": backtest.pk, "made_room": True}
    _summarise(backtest, finished=True)
    lab.remember_favourite(backtest)
    return {"backtest": backtest.pk, "runs": backtest.runs.count()}


def _prepare(backtest: Backtest, folder: Path) -> Bench:
    """The labels, frozen when it first runs, and their features; Conflict where those are gone."""
    if not backtest.data:
        chosen = LearningSettings.objects.get(project=backtest.project)
        labels, facts = freeze_labels(backtest.project, chosen, seed=backtest.seed)
        pool, held_out = labels.split([backtest.seed, 0], pool=backtest.settings["pool"])
        settings = dict(backtest.settings)
        # Answers that do not agree were counted before and are none: the budget is cut to what there is.
        settings["budget"] = min(int(settings["budget"]), len(pool))
        settings["batch"] = min(int(settings["batch"]), settings["budget"])
        backtest.data, backtest.settings = labels.pack(), settings
        backtest.facts = facts | {"pool": len(pool), "held_out": len(held_out)}
        backtest.save(update_fields=["data", "facts", "settings"])
    labels = unpack(bytes(backtest.data))
    store = open_store(backtest.project_id, backtest.settings["encoder_digest"])
    if store is None or not store.has(labels.rows).all():
        raise Conflict(
            "The features that this backtest began with are gone.",
            code="features_removed",
            hint="Begin a new one; the runs that ended are kept.",
        )
    return Bench(backtest, labels, store.features_of(labels.rows), folder)


def _keep(
    bench: Bench,
    half: Half,
    on_batch: Callable[[int], None],
    should_stop: Callable[[], bool],
    room: Room,
) -> None:
    """Play and store. A strategy that crashes is a visible result; a stop, making room or a lost database is none."""
    begun = time.perf_counter() - half.seconds
    values: dict[str, Any]
    try:
        done, held_out = bench.play(half, on_batch, lambda: should_stop() or room.wanted())
        values = {
            "labels": done.labels.tolist(),
            "scores": [round(float(score), 6) for score in done.score],
            "held_out": held_out,
        }
    except (JobCancelled, DatabaseError):
        raise
    except (MakeRoom, StrategyStopped) as error:
        if should_stop():
            raise JobCancelled from error
        half.seconds = round(time.perf_counter() - begun, 3)
        raise MakeRoom from error
    except Exception as error:
        # Third-party strategies may raise anything.
        logger.exception("Backtest %s: %s failed with seed %s", bench.backtest.pk, half.name, half.seed)
        values = {"error": f"{type(error).__name__}: {error}"[:1000]}
    BacktestRun.objects.update_or_create(
        backtest=bench.backtest,
        name=half.name,
        seed=half.seed,
        defaults=values | {"seconds": round(time.perf_counter() - begun, 3)},
    )


def _summarise(backtest: Backtest, *, finished: bool = False) -> None:
    backtest.result = summary(backtest, list(backtest.runs.all()))
    backtest.finished_at = timezone.now() if finished else None
    with transaction.atomic():
        backtest.save(update_fields=["result", "finished_at"])
        send_event(backtest.project_id, "backtest", id=backtest.pk, finished=finished)
