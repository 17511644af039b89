"""Pushes a file through the real import services and checks what must be true whatever the file is."""

from __future__ import annotations

import csv
import re

from django.core.files.uploadedfile import SimpleUploadedFile

from annotator.common.errors import AnnotatorError
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.projects.models import Project
from annotator.transfer.counts import Counts
from annotator.transfer.models import Import
from tests.transfer.makers import run

# What programmers read and people should not: names of exceptions, of types, of files of ours.
JARGON = re.compile(r"Traceback|<class|\b[A-Z]\w*(Error|Exception)\b|\.py\b|0x[0-9a-f]{6}|NoneType|object at")


def push(project: Project, *uploads: SimpleUploadedFile) -> Import | None:
    """The import, ended; None when the files were refused at once, in words."""
    before = Item.objects.filter(project=project).count()
    refused: AnnotatorError | None = None
    try:
        record, job = run(project, *uploads)
    except AnnotatorError as error:
        refused = error
    if refused is not None:
        assert_words(refused.message)
        assert 400 <= refused.status < 500
        assert Item.objects.filter(project=project).count() == before
        return None
    assert job.state == Job.State.SUCCEEDED, job.error
    counts = Counts.from_json(record.counts)
    assert counts.rows == counts.created + counts.known + counts.rejected
    assert counts.created == Item.objects.filter(project=project).count() - before
    reasons = reasons_of(record)
    assert len(reasons) == counts.rejected
    for reason in reasons:
        assert_words(reason)
    return record


def reasons_of(record: Import) -> list[str]:
    with record.errors_path.open(newline="", encoding="utf-8") as file:
        return [row["reason"] for row in csv.DictReader(file)]


def assert_words(text: str) -> None:
    assert len(text) > 8, text
    assert text.isprintable(), repr(text)
    assert not JARGON.search(text), text
