"""What an export could not take along or had to change, counted and said in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from annotator.transfer.records import ExportItem

# What a record may have that a format may have no place for: its name in tables, and what is said of n of them that went.
PARTS: dict[str, tuple[str, str, str]] = {
    "votes": (
        "each person's answer",
        "1 answer counts in the majority only: the format has no place for each person's answer",
        "{n} answers count in the majority only: the format has no place for each person's answer",
    ),
    "revisions": ("earlier revisions", "1 earlier or withdrawn revision is left out", "{n} earlier or withdrawn revisions are left out"),
    "skips": ("skips", "1 skip is left out", "{n} skips are left out"),
    "seconds": ("time spent", "the time spent on 1 answer is left out", "the time spent on {n} answers is left out"),
    "served": (
        "how items were chosen",
        "how 1 answer's item was chosen (reason, utility, propensity) is left out",
        "how the items of {n} answers were chosen (reason, utility, propensity) is left out",
    ),
    "suggestions": ("suggestions shown", "1 suggestion that was shown is left out", "{n} suggestions that were shown are left out"),
    "imported_labels": ("labels of imports", "the imported label of 1 item is left out", "the imported labels of {n} items are left out"),
    "predictions": (
        "predictions of other models",
        "1 prediction of another model is left out",
        "{n} predictions of other models are left out",
    ),
    "unlabelled": (
        "items without an answer",
        "1 item without an agreed answer is left out",
        "{n} items without an agreed answer are left out",
    ),
    "archived": ("archived items", "1 archived item is left out", "{n} archived items are left out"),
    "agreement": ("agreement", "the agreement about 1 item is left out", "the agreement about {n} items is left out"),
    "ids": ("ids", "the id of 1 item is left out", "the ids of {n} items are left out"),
    "splits": ("splits", "that 1 item is held out or in a split is not said", "that {n} items are held out or in a split is not said"),
    "meta": ("metadata", "the metadata of 1 item are left out", "the metadata of {n} items are left out"),
    "schema": ("earlier class versions", "1 earlier version of the classes is left out", "{n} earlier versions of the classes are left out"),
}  # fmt: skip
# Changes that single formats make.
CHANGES: dict[str, tuple[str, str]] = {
    "line_breaks": (
        "1 text had line breaks, replaced by spaces",
        "{n} texts had line breaks, replaced by spaces",
    ),
    "formulas": (
        "1 cell began like a formula and got an apostrophe in front",
        "{n} cells began like a formula and got an apostrophe in front",
    ),
    "names": ("1 file has another name than its id", "{n} files have other names than their ids"),
    "label_words": (
        "1 text has a word that the format reads as a label; its underscores were taken off",
        "{n} texts have words that the format reads as labels; their underscores were taken off",
    ),
    "missing_files": (
        "1 image is missing on the server and was left out",
        "{n} images are missing on the server and were left out",
    ),
    "columns": (
        "1 field of metadata has the name of a column of the format and is left out",
        "{n} fields of metadata have names of columns of the format and are left out",
    ),
    "pseudonyms": (
        "1 person is a number instead of a pseudonym",
        "{n} people are numbers instead of pseudonyms",
    ),
}
EVERYTHING = frozenset(PARTS)


@dataclass(frozen=True)
class Loss:
    """One kind of loss: its key, how many, in words."""

    key: str
    count: int
    words: str

    def to_json(self) -> dict[str, str | int]:
        return {"key": self.key, "count": self.count, "words": self.words}


class Losses:
    """Counts as records pass by."""

    def __init__(self, holds: Iterable[str]) -> None:
        self._lost = EVERYTHING - frozenset(holds)
        self._counts: Counter[str] = Counter()

    def add(self, key: str, count: int = 1) -> None:
        """A change or a loss that only the format itself can see."""
        if key not in PARTS and key not in CHANGES:
            raise KeyError(key)
        self._counts[key] += count

    def pass_on(self, items: Iterable[ExportItem]) -> Iterator[ExportItem]:
        """The items that the format takes, after counting what of them it does not."""
        for item in items:
            if item.archived_at and "archived" in self._lost:
                self._counts["archived"] += 1
            elif item.consensus is None and "unlabelled" in self._lost:
                self._counts["unlabelled"] += 1
            else:
                self._count(item)
                yield item

    def _count(self, item: ExportItem) -> None:
        answers = item.answers
        found = {
            "votes": len(answers),
            "revisions": len(item.votes) - len(answers),
            "skips": len(item.skips),
            "seconds": sum(vote.seconds is not None for vote in answers),
            "served": sum(bool(vote.served) for vote in answers),
            "suggestions": sum(vote.suggestion is not None for vote in answers),
            "imported_labels": item.imported_label is not None,
            "predictions": len(item.predictions),
            "agreement": item.agreement is not None,
            "ids": True,
            "splits": item.subset is not None or item.split == "test",
            "meta": bool(item.meta),
        }
        for key in self._lost & found.keys():
            if found[key]:
                self._counts[key] += found[key]

    def report(self) -> list[Loss]:
        """What was lost or changed, in a fixed order; empty when nothing was."""
        phrases = {**{key: (one, many) for key, (_, one, many) in PARTS.items()}, **CHANGES}
        return [Loss(key, n, _sentence(phrases[key], n)) for key in phrases if (n := self._counts[key])]


def lacks(holds: Iterable[str]) -> list[str]:
    """What a format that holds these has no place for, as names."""
    kept = frozenset(holds)
    return [name for key, (name, _, _) in PARTS.items() if key not in kept]


def _sentence(phrase: tuple[str, str], n: int) -> str:
    one, many = phrase
    words = one if n == 1 else many.format(n=f"{n:,}")
    return words[0].upper() + words[1:] + "."
