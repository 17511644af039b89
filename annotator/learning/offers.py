"""Items that are offered one by one: kept or passed over by a budget manager. No torch here.

Who has probabilities gives them along and is answered at once. Otherwise a worker scores the text with the project's
model, and decides about everything that waits, in the order of arrival.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from acquisition import stream as streams
from acquisition.errors import AcquisitionError
from acquisition.stream import Decision, Rule, State
from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.common.events import send_event
from annotator.items.matching import Outcome
from annotator.items.models import Item
from annotator.items.services import NewItem, add_items
from annotator.jobs.models import Job
from annotator.jobs.services import start_job
from annotator.learning import services
from annotator.learning.models import ItemStream, Offer
from annotator.learning.opening import new_seed
from annotator.modalities import text as texts
from annotator.modalities.errors import ModalityError
from annotator.projects.models import Project

OFFERS_JOB = "offers"
MOST_PENDING, MOST_META = 10_000, 20_000
KEPT_OFFERS, PRUNE_EVERY = 20_000, 1_000
JUDGE_EVERY = 100  # offers between two looks at what people said, besides those of rounds and of jobs
RETRY_AFTER = timedelta(minutes=5)  # a job that failed or was cancelled is not begun again at once
SOURCE = "stream"
ACTIVE = (Job.State.QUEUED, Job.State.RUNNING)

# The first answer to an item that chance kept says whether the prediction of then was right.
JUDGED = """
SELECT o.id, o.predicted, a.regions->0->'classes' ? o.predicted
FROM learning_offer o
JOIN items_item i ON i.project_id = o.project_id AND i.external_id = o.external_id
JOIN LATERAL (SELECT regions, created_at FROM labeling_annotation
              WHERE item_id = i.id AND current AND state = 'submitted' ORDER BY created_at LIMIT 1) a ON true
WHERE o.project_id = %s AND o.state = 'kept' AND o.at_random AND o.predicted <> '' AND o.wrong IS NULL
ORDER BY a.created_at LIMIT 500
"""
# Kept items that nobody has answered, in the order of arrival.
ASKED = """
SELECT i.row FROM learning_offer o
JOIN items_item i ON i.project_id = o.project_id AND i.external_id = o.external_id
WHERE o.project_id = %s AND o.state = 'kept' AND i.archived_at IS NULL AND i.split = 'pool' AND i.row < %s
  AND NOT EXISTS (SELECT 1 FROM labeling_annotation a WHERE a.item_id = i.id AND a.current AND a.state = 'submitted')
ORDER BY o.id
"""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a model says of an offered item: how sure it is, and the key of its best guess (empty: no class applies)."""

    confidence: float
    predicted: str


def stream_of(project: Project) -> ItemStream:
    """The project's stream, off until a manager turns it on."""
    found, _ = ItemStream.objects.get_or_create(
        project=project, defaults={"state": State(seed=new_seed()).as_json()}
    )
    return found


def update_stream(*, stream: ItemStream, values: Mapping[str, Any]) -> ItemStream:
    """Validate and store what a manager chose; what the stream remembers stays."""
    with locked(stream.project_id) as found:
        for name, value in values.items():
            setattr(found, name, value)
        if "manager" in values and "params" not in values:
            found.params = {}  # another manager does not know the parameters of the one before
        found.params = dict(rule_of(found).params)
        try:
            found.full_clean(exclude=["project", "params", "state", "alarmed_at"])
        except ValidationError as error:
            raise Invalid("Some settings are not valid.", errors=error.message_dict) from error
        found.save()
    return found


def reset(*, stream: ItemStream) -> ItemStream:
    """Forget what was seen and spent; decisions of before stay on record."""
    with locked(stream.project_id) as found:
        found.state, found.alarmed_at = State(seed=new_seed()).as_json(), None
        found.save()
    return found


def offer(
    *,
    project: Project,
    external_id: str = "",
    text: str | None = None,
    meta: Mapping[str, Any] | None = None,
    classes: Mapping[str, float] | None = None,
) -> Offer:
    """Decide about one item, at once where `classes` (probabilities by class key) are given; else it waits for a worker.

    The same external id again gives the same decision. A kept text becomes an item; without a text the caller brings the
    item, under the same id. Conflict while the stream is off, or while more wait than may.
    """
    stream = stream_of(project)
    if len(described := json.dumps(dict(meta or {}))) > MOST_META or "\\u0000" in described:
        raise Invalid(f"Metadata are up to {MOST_META:,} characters, without NUL.", code="invalid_meta")
    if not stream.enabled:
        raise Conflict(
            "The stream is off.", code="stream_off", hint="Turn it on in the project's stream settings."
        )
    content = _checked_text(project, text, classes)
    score = _score(project, classes) if classes else None
    external_id = external_id or (content.digest[:32] if content else "")
    if not external_id:
        raise Invalid("Give an external_id, by which the item is found when you bring it.", code="no_id")
    with locked(project.pk) as stream:
        made, created = Offer.objects.get_or_create(
            project=project,
            external_id=external_id,
            defaults={"text": content.text if content else None, "meta": dict(meta or {})},
        )
        if created and Item.objects.filter(project=project, external_id=external_id).exists():
            made.delete()
            raise Conflict("An item of this id is in the project already.", code="known_item")
        if not created:
            return made
        if score is not None:
            decide(stream, made, score)
        elif Offer.objects.filter(project=project, state=Offer.State.PENDING).count() > MOST_PENDING:
            raise Conflict("Too many items wait to be scored.", code="stream_full", retry_after=10)
        else:
            start_scoring(project.pk)
    return made


@contextmanager
def locked(project_id: int) -> Iterator[ItemStream]:
    """The stream's row, in a transaction in which nobody else decides."""
    with transaction.atomic():
        yield ItemStream.objects.select_for_update().select_related("project").get(project_id=project_id)


def decide(stream: ItemStream, made: Offer, score: Score | None) -> None:
    """Keep the item or pass it over, and move the stream's state; the row is locked by the caller.

    Without a score (there is no model) chance decides, within the budget.
    """
    # Each look reads all kept items that wait for an answer: too much for every offer.
    if int(stream.state["seen"]) % JUDGE_EVERY == 0:
        judge(stream)
    rule, state = rule_of(stream, unscored=score is None), State.from_json(stream.state)
    confidence = score.confidence if score else 1.0
    decision = streams.decide(rule, state, confidence)
    stream.state = streams.update(rule, state, confidence, decision).as_json()
    stream.save(update_fields=["state", "alarmed_at", "updated_at"])
    _record(made, score, decision)
    if decision.ask and made.text is not None:
        _bring_in(made)
    made.text = None
    made.save()
    if int(stream.state["seen"]) % PRUNE_EVERY == 0:
        _prune(stream.project_id)


def judge(stream: ItemStream) -> None:
    """Tell the stream which predictions people found right; only items that chance kept count. The row is locked.

    Drift raises the alarm: the threshold starts anew, and more is left to chance for a while.
    """
    with connection.cursor() as cursor:
        cursor.execute(JUDGED, [stream.project_id])
        found = cursor.fetchall()
    state = State.from_json(stream.state)
    for pk, _, right in found:
        Offer.objects.filter(pk=pk).update(wrong=not right)
        state, alarm = streams.learn(state, wrong=not right)
        if alarm:
            stream.alarmed_at = timezone.now()
            send_event(stream.project_id, "stream", alarm=True)
    if found:
        stream.state = state.as_json()
        stream.save(update_fields=["state", "alarmed_at", "updated_at"])


def judge_labels(project_id: int) -> None:
    """After a round, and before a batch: what people said meanwhile."""
    if ItemStream.objects.filter(project_id=project_id, enabled=True).exists():
        with locked(project_id) as stream:
            judge(stream)


def asked_rows(project_id: int, n_rows: int) -> npt.NDArray[np.int64]:
    """Rows of kept items that wait for their first answer, in the order in which they came."""
    with connection.cursor() as cursor:
        cursor.execute(ASKED, [project_id, n_rows])
        return np.array([row for (row,) in cursor.fetchall()], dtype=np.int64)


def rule_of(stream: ItemStream, *, unscored: bool = False) -> Rule:
    """The rule in force; Invalid for a manager or parameters that there are not."""
    classes = max(1, len(stream.project.schema.active_classes()))
    try:
        if unscored:
            return Rule(manager="random", budget=stream.budget, classes=classes)
        return Rule(manager=stream.manager, budget=stream.budget, classes=classes, params=stream.params)
    except AcquisitionError as error:
        raise Invalid(str(error), code=error.code) from error


def status(stream: ItemStream) -> dict[str, Any]:
    """Where the stream stands, for pages and the API."""
    state, rule = State.from_json(stream.state), rule_of(stream)
    pending = Offer.objects.filter(project=stream.project_id, state=Offer.State.PENDING).count()
    return {
        "seen": state.seen,
        "kept": state.asked,
        "share": state.asked / state.seen if state.seen else None,
        "threshold": state.theta,
        "exploring": streams.exploring(rule, state),
        "judged": len(state.errors),
        "alarms": state.alarms,
        "alarmed_at": stream.alarmed_at,
        "alarmed": state.alarmed_at >= 0 and state.seen < state.alarmed_at + streams.ALARM_ITEMS,
        "pending": pending,
    }


def offer_of(project_id: int, pk: int) -> Offer:
    found = Offer.objects.filter(project_id=project_id, pk=pk).first()
    if found is None:
        raise NotFound("There is no such offer in this project.")
    return found


def start_scoring(project_id: int) -> Job | None:
    """A job that scores what waits, unless one waits already."""
    waiting = Job.objects.filter(project_id=project_id, kind=OFFERS_JOB, state=Job.State.QUEUED)
    if waiting.exists():
        return None
    return start_job(kind=OFFERS_JOB, project_id=project_id, created_by=None, queue="gpu")


def start_waiting() -> int:
    """For the clock: jobs for offers that wait without one, because theirs failed or was cancelled; how many began."""
    waiting = Offer.objects.filter(project=OuterRef("project"), state=Offer.State.PENDING)
    jobs = Job.objects.filter(project=OuterRef("project"), kind=OFFERS_JOB)
    stuck = ItemStream.objects.filter(
        Exists(waiting),
        ~Exists(jobs.filter(Q(state__in=ACTIVE) | Q(finished_at__gt=timezone.now() - RETRY_AFTER))),
        project__archived_at=None,
        project__deleted_at=None,
    )
    return sum(start_scoring(pk) is not None for pk in stuck.values_list("project_id", flat=True))


def _checked_text(
    project: Project, text: str | None, classes: Mapping[str, float] | None
) -> texts.TextInfo | None:
    if text is None:
        if not classes:
            raise Invalid("Give a text, or the probabilities of your own model.", code="nothing_offered")
        return None
    if project.modality != Project.Modality.TEXT:
        raise Invalid(
            "Items of this project are no texts.",
            code="wrong_format",
            hint="Offer id and probabilities; import what is kept.",
        )
    try:
        return texts.probe(text)
    except ModalityError as error:
        raise Invalid(str(error), code="invalid_text") from error


def _score(project: Project, classes: Mapping[str, float]) -> Score:
    """The best guess of probabilities by class key, and how sure it is: of many labels, on average over all of them."""
    known = {label.key for label in project.schema.active_classes()}
    if unknown := sorted(set(classes) - known):
        raise Invalid(f"The project has no class {unknown[0][:100]!r}.", code="unknown_class")
    best = max(classes, key=lambda key: classes[key])
    if project.task == Project.Task.MULTI:
        sure = [max(chance, 1 - chance) for chance in classes.values()]
        return Score(confidence=float(np.mean(sure)), predicted=guess_of_many(best, classes[best]))
    total = sum(classes.values())
    if not 0.99 <= total <= 1.01:
        raise Invalid(f"The probabilities sum to {total:.4g}, not to 1.", code="invalid_probabilities")
    return Score(confidence=min(1.0, float(classes[best])), predicted=best)


def guess_of_many(best: str, chance: float) -> str:
    """The most probable of many labels, or none: a model that says that nothing applies has named no class."""
    return best if chance >= 0.5 else ""


def _record(made: Offer, score: Score | None, decision: Decision) -> None:
    made.state = Offer.State.KEPT if decision.ask else Offer.State.PASSED
    made.at_random, made.threshold, made.decided_at = decision.at_random, decision.threshold, timezone.now()
    made.why = decision.why if score else "no model"
    if score:
        made.confidence, made.predicted = score.confidence, score.predicted


def _bring_in(made: Offer) -> None:
    """The kept text as an item of the pool; it is encoded, and ranked, as an imported one is."""
    assert made.text is not None
    found = texts.probe(made.text)
    new = NewItem(digest=found.digest, external_id=made.external_id, text=found.text, meta=made.meta)
    [outcome] = add_items(project_id=made.project_id, items=[new], source=SOURCE)
    if outcome is not Outcome.CREATED:
        made.why = "known"
    project_id = made.project_id
    transaction.on_commit(lambda: services.on_items_added(project_id))


def _prune(project_id: int) -> None:
    """Old decisions that nothing will ask for any more."""
    newest = Offer.objects.filter(project_id=project_id).order_by("-pk").values_list("pk", flat=True)
    for last in newest[KEPT_OFFERS : KEPT_OFFERS + 1]:
        Offer.objects.filter(project_id=project_id, pk__lte=last, state=Offer.State.PASSED).delete()
