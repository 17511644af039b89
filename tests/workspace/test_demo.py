from __future__ import annotations

import io
import json
import struct
from collections import Counter
from dataclasses import replace

import pytest
from django.core.management import call_command
from django.db.models import Count
from PIL import Image

from annotator.items.models import ImportedLabel, Item
from annotator.labeling.models import Annotation, QueueEntry
from annotator.learning.services import settings_of
from annotator.projects.models import Project
from annotator.transfer.formats import Row
from annotator.workspace.demo import digits, languages, seeding
from annotator.workspace.demo.sample import Sample
from tests.factories import make_project, make_user

SCRIPTS = {
    "Latin": ("a", "z"),
    "Cyrillic": ("а", "я"),
    "Greek": ("α", "ω"),
    "Hebrew": ("א", "ת"),
    "Arabic": ("ا", "ي"),
    "Kana": ("ぁ", "ん"),
    "Han": ("一", "龥"),
}


def run() -> str:
    out = io.StringIO()
    call_command("seed_demo", stdout=out, stderr=out)
    return out.getvalue()


@pytest.mark.django_db
def test_an_empty_installation_gets_both_projects_once() -> None:
    owner = make_user(is_superuser=True)
    assert "Digits and Interface language" in run()
    assert run() == ""
    projects = {p.name: p for p in Project.objects.annotate(n=Count("items"))}
    assert set(projects) == {"Digits", "Interface language"}

    shown = projects["Digits"]
    assert shown.created_by == owner
    assert Item.objects.filter(project=shown).count() == 1_797
    assert Item.objects.filter(project=shown, split="test").count() == 297
    assert [(c.key, c.hotkey) for c in shown.schema.active_classes()] == [(str(n), str(n)) for n in range(10)]
    assert settings_of(shown).encoder == "pixels"

    texts = projects["Interface language"]
    assert Item.objects.filter(project=texts).count() >= 10_000
    assert Item.objects.filter(project=texts, split="test").count() == 2_000
    hotkeys = [c.hotkey for c in texts.schema.active_classes()]
    assert len(set(hotkeys)) == len(hotkeys) >= 12
    assert settings_of(texts).encoder == "tfidf"

    for project in projects.values():
        assert QueueEntry.objects.filter(project=project).exists()

    # The answers lie apart, complete, and readable by the server's owner only.
    assert not ImportedLabel.objects.exists()
    assert not Annotation.objects.exists()
    for slug, project in (("digits", shown), ("interface-language", texts)):
        path = seeding.gold_path(slug)
        assert path.stat().st_mode & 0o777 == 0o600
        gold = {
            line["external_id"]: line["classes"] for line in map(json.loads, path.read_text().splitlines())
        }
        assert set(gold) == set(Item.objects.filter(project=project).values_list("external_id", flat=True))
        keys = {c.key for c in project.schema.active_classes()}
        assert {key for classes in gold.values() for key in classes} == keys


@pytest.mark.django_db
def test_an_installation_with_any_project_is_left_alone() -> None:
    make_project(owner=make_user(is_superuser=True))
    assert run() == ""
    assert Project.objects.count() == 1


@pytest.mark.django_db
def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    make_user(is_superuser=True)
    monkeypatch.setenv("ANNOTATOR_DEMO", "off")
    assert run() == ""
    assert not Project.objects.exists()


@pytest.mark.django_db
def test_without_an_administrator_it_says_so() -> None:
    assert "no administrator" in run()


@pytest.mark.django_db
def test_a_demo_that_fails_half_way_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [Sample(row=Row(line=1, external_id="x", text=""), answer="de")]
    monkeypatch.setattr(seeding, "DEMOS", [replace(seeding.DEMOS[1], samples=lambda: bad)])
    with pytest.raises(AssertionError, match="empty"):
        seeding.seed(owner=make_user(is_superuser=True))
    assert not Project.objects.exists()


# What the items are


@pytest.fixture(scope="module")
def strings() -> list[Sample]:
    return languages.samples()


def test_digits_are_small_pictures_in_an_order_that_tells_nothing() -> None:
    found = digits.samples()
    assert [s.row.external_id for s in found[:2]] == ["digit-0001", "digit-0002"]
    assert [s.answer for s in found] == [s.answer for s in digits.samples()]
    with Image.open(io.BytesIO(found[0].row.payload or b"")) as picture:
        assert (picture.format, picture.size, picture.mode) == ("PNG", (digits.SIDE, digits.SIDE), "L")
    assert len(Counter(s.answer for s in found[:100])) == 10
    assert len(Counter(s.answer for s in found if s.row.split == "test")) == 10


def test_there_are_many_strings_in_many_scripts(strings: list[Sample]) -> None:
    counts = Counter(s.answer for s in strings)
    assert len(strings) >= 10_000
    assert len(counts) == len(languages.LANGUAGES) >= 12
    assert min(counts.values()) >= 300
    characters = {character for s in strings for character in s.row.text or ""}
    for script, (low, high) in SCRIPTS.items():
        assert any(low <= character <= high for character in characters), script


def test_strings_are_clean_and_have_one_answer(strings: list[Sample]) -> None:
    texts = [s.row.text or "" for s in strings]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert not languages.MARKUP.search(text), text
        assert text == text.strip()
        assert sum(character.isalpha() for character in text) >= languages.LEAST_LETTERS_DENSE


def test_every_language_is_in_both_splits(strings: list[Sample]) -> None:
    for split in ("pool", "test"):
        assert {s.answer for s in strings if s.row.split == split} == set(languages.LANGUAGES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hallo %(name)s, %d Dateien:", "Hallo , Dateien"),
        ("<b>Fett</b> und {platz}&nbsp;Halter…", "Fett und Halter"),
        ("100 % sicher", "100 % sicher"),
        ("  «Zitat»  ", "Zitat"),
    ],
)
def test_cleaning(text: str, words: str) -> None:
    assert languages.cleaned(text) == words


@pytest.mark.parametrize("order", ["<", ">"])
def test_catalogues_of_both_byte_orders_are_read(order: str) -> None:
    messages = [("", "Header"), ("ctx\x04May", "Mai"), ("one\0many", "eins\0viele")]
    start = 28 + 16 * len(messages)
    tables, strings = [b"", b""], b""
    for column in (0, 1):
        for message in messages:
            data = message[column].encode()
            tables[column] += struct.pack(f"{order}2I", len(data), start + len(strings))
            strings += data + b"\0"
    header = struct.pack(f"{order}7I", languages.MAGIC, 0, len(messages), 28, 28 + 8 * len(messages), 0, 0)
    assert list(languages.entries(header + tables[0] + tables[1] + strings)) == [
        ("May", "Mai"),
        ("one", "eins"),
        ("one", "viele"),
    ]
