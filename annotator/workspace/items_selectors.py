"""Items as reviewers browse them: filtered by an allow-list, one page at a time, a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Exists, Func, IntegerField, OuterRef, QuerySet, Value
from django.http import QueryDict

from annotator.items.models import ImportedLabel, Item
from annotator.labeling.models import Annotation, ItemLease, QueueEntry, Skip
from annotator.projects.models import LabelSchema, Project

LABELS = {
    "": "Any",
    "none": "Not labelled",
    "some": "Labelled",
    "open": "Needs more labels",
    "skipped": "Skipped",
}
PAGE = 60


@dataclass(frozen=True)
class Filters:
    """What a person may filter by; anything else in the address is ignored."""

    words: str = ""
    split: str = ""
    archived: bool = False
    labels: str = ""

    @classmethod
    def from_query(cls, query: QueryDict, *, gold: bool) -> Filters:
        split, labels = query.get("split", ""), query.get("labels", "")
        return cls(
            words=query.get("q", "").replace("\0", "").strip()[:200],
            split=split if split in dict(splits_shown(gold=gold)) else "",
            archived=query.get("archived") == "1",
            labels=labels if labels in LABELS else "",
        )

    @property
    def query(self) -> str:
        """The filters as they stand in the address."""
        values = {
            "q": self.words,
            "split": self.split,
            "archived": "1" if self.archived else "",
            "labels": self.labels,
        }
        return urlencode({key: value for key, value in values.items() if value})


def split_seen(split: str, *, gold: bool) -> Item.Split:
    """A split as somebody sees it: who may not know `gold` sees the pool."""
    return Item.Split.POOL if split == Item.Split.GOLD and not gold else Item.Split(split)


def splits_shown(*, gold: bool) -> list[tuple[str, str]]:
    """Splits to choose from."""
    return [(key, name) for key, name in Item.Split.choices if gold or key != Item.Split.GOLD]


def browse(
    project: Project, filters: Filters, *, archived: bool | None = False, gold: bool = True
) -> QuerySet[Item]:
    """The items that match. `archived` None: those that are and those that are not, for programs.

    Without `gold` gold passes for the pool: who labels must not know it.
    """
    items = Item.objects.filter(project=project)
    if archived is not None:
        items = items.exclude(archived_at=None) if filters.archived or archived else items.live()
    if filters.split:
        alike = [key for key in Item.Split if split_seen(key, gold=gold) == filters.split]
        items = items.filter(split__in=alike)
    if filters.words:
        items = items.search(filters.words)
    valid = Annotation.objects.valid().filter(item=OuterRef("pk"))
    if filters.labels == "some":
        items = items.filter(Exists(valid))
    elif filters.labels == "none":
        items = items.filter(~Exists(valid))
    elif filters.labels == "skipped":
        items = items.filter(Exists(Skip.objects.filter(item=OuterRef("pk"), withdrawn=False)))
    elif filters.labels == "open":
        wanted = Func(
            Value(project.overlap),
            Value(project.overlap_share),
            Value(project.pk),
            OuterRef("row"),
            function="labels_wanted",
            output_field=IntegerField(),
        )
        enough = valid.values("item").annotate(n=Count("pk")).filter(n__gte=wanted)
        items = items.filter(~Exists(enough))
    return items.select_related("asset", "imported_label").defer("meta")


@dataclass(frozen=True)
class Shown:
    """An item in the list with the classes people gave it, most chosen first."""

    item: Item
    classes: list[tuple[str, str, int]]  # name, colour, how many people
    answers: int

    @property
    def imported(self) -> list[str]:
        return imported_classes(self.item)


def with_classes(items: list[Item], schema: LabelSchema) -> list[Shown]:
    """What people answered to these items; one query."""
    looks = {c.key: (c.name, c.colour) for c in schema.classes.all()}
    counted: dict[int, dict[str, int]] = {}
    answers: dict[int, int] = {}
    found = Annotation.objects.valid().filter(item__in=[item.pk for item in items])
    for item_id, regions in found.values_list("item_id", "regions"):
        answers[item_id] = answers.get(item_id, 0) + 1
        for region in regions:
            for key in region.get("classes", []):
                each = counted.setdefault(item_id, {})
                each[key] = each.get(key, 0) + 1
    return [
        Shown(
            item=item,
            classes=[
                (*looks.get(key, (key, "#64748b")), n)
                for key, n in sorted(counted.get(item.pk, {}).items(), key=lambda pair: (-pair[1], pair[0]))
            ],
            answers=answers.get(item.pk, 0),
        )
        for item in items
    ]


def imported_classes(item: Item) -> list[str]:
    try:
        return list(item.imported_label.classes)
    except ImportedLabel.DoesNotExist:
        return []


def neighbours(
    item: Item, filters: Filters, project: Project, *, gold: bool
) -> tuple[int | None, int | None]:
    """Ids of the items before and behind this one under the same filters."""
    items = browse(project, filters, gold=gold)
    before = items.filter(row__lt=item.row).order_by("-row").values_list("pk", flat=True).first()
    behind = items.filter(row__gt=item.row).order_by("row").values_list("pk", flat=True).first()
    return before, behind


@dataclass(frozen=True)
class Entry:
    """One line of an item's history."""

    at: Any
    who: str
    what: str
    classes: list[tuple[str, str]]
    detail: str
    valid: bool


def history(item: Item, schema: LabelSchema, *, gold: bool) -> list[Entry]:
    """Every revision and skip, newest first; two queries. Without `gold` checks look as they did to who answered them."""
    looks = {c.key: (c.name, c.colour) for c in schema.classes.all()}
    entries = []
    for each in Annotation.objects.filter(item=item).select_related("annotator", "schema"):
        keys = [key for region in each.regions for key in region.get("classes", [])]
        withdrawn = each.state == Annotation.State.WITHDRAWN
        what = "withdrew the answer" if withdrawn else ("labelled" if each.revision == 1 else "labelled anew")
        parts = [f"schema version {each.schema.version}"]
        if each.seconds is not None:
            parts.append(f"{each.seconds:.1f} s")
        served = each.served if gold else each.served.get("shown", each.served)
        if check := served.get("check"):
            parts.append("gold" if check["kind"] == "gold" else "asked again")
        elif served.get("exploration"):
            parts.append("random draw")
        elif strategy := (served.get("strategy") or {}).get("key"):
            parts.append(f"chosen by {strategy}")
        entries.append(
            Entry(
                at=each.created_at,
                who=each.annotator.display_name,
                what=what,
                classes=[looks.get(key, (key, "#64748b")) for key in keys],
                detail=", ".join(parts),
                valid=each.current and not withdrawn,
            )
        )
    for skip in Skip.objects.filter(item=item).select_related("annotator"):
        what = "took a skip back" if skip.withdrawn else "skipped"
        entries.append(
            Entry(skip.created_at, skip.annotator.display_name, what, [], skip.reason, valid=False)
        )
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


@dataclass(frozen=True)
class Whereabouts:
    """Where an item is in the work now."""

    held_by: list[str]
    ahead: int | None  # open entries before it in the queue; None when it does not wait there


def whereabouts(item: Item) -> Whereabouts:
    leases = ItemLease.objects.filter(item=item, returned_at=None).select_related("annotator")
    waiting = QueueEntry.objects.open(item.project_id)
    entry = waiting.filter(item=item).first()
    ahead = waiting.filter(position__lt=entry.position).count() if entry else None
    return Whereabouts(held_by=[lease.annotator.display_name for lease in leases], ahead=ahead)
