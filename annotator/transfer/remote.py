"""Imports whose images lie elsewhere: URL lists and S3-style storages. The job fetches each object once."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import UploadedFile

from annotator.accounts.models import User
from annotator.common import storages
from annotator.common.errors import Invalid
from annotator.projects.models import Project
from annotator.transfer import services
from annotator.transfer.formats.urls import READERS
from annotator.transfer.models import Import

STORED = "file00000"
MAX_URLS = 10_000
MAX_PREFIX = 500


def receive_urls(*, project: Project, user: User | None, upload: UploadedFile[bytes]) -> Import:
    """Keep an uploaded list of addresses; Invalid when it is none."""
    _check_images(project)
    name = services.base_name(upload.name or "")
    if not name.lower().endswith(tuple(READERS)):
        raise Invalid(f"A list of addresses is one of {', '.join(READERS)}.", code="wrong_format")
    return _receive(project=project, user=user, kind="urls", name=name, content=upload)


def receive_url_texts(*, project: Project, user: User | None, urls: Sequence[str]) -> Import:
    """The same for addresses that are given one by one."""
    _check_images(project)
    lines = "\n".join(" ".join(url.split()) for url in urls)
    content = ContentFile(lines.encode("utf-8", "replace"))
    return _receive(project=project, user=user, kind="urls", name="addresses.txt", content=content)


def receive_bucket(*, project: Project, user: User | None, storage: str, prefix: str) -> Import:
    """Note that images of a storage are to be imported; NotFound when nobody named it."""
    _check_images(project)
    found = storages.storage(storage)
    if len(prefix) > MAX_PREFIX or not prefix.isprintable():
        raise Invalid("The prefix is too long, or contains control characters.", code="invalid_prefix")
    content = ContentFile(json.dumps({"storage": found.name, "prefix": prefix}).encode())
    name = f"{found.name}/{prefix}"
    return _receive(project=project, user=user, kind="bucket", name=name, content=content)


def _receive(*, project: Project, user: User | None, kind: str, name: str, content: File[bytes]) -> Import:
    services.check_open(project)
    services.remove_old_files()
    record = Import.objects.create(project=project, format=kind, created_by=user)
    with services.kept_or_forgotten(record):
        path = record.folder / STORED
        with path.open("wb") as file:
            for chunk in content.chunks():
                file.write(chunk)
        record.files = [{"name": name, "stored": STORED, "size": path.stat().st_size}]
        record.save(update_fields=["files"])
        services.look(record)
    return record


def _check_images(project: Project) -> None:
    if project.modality != Project.Modality.IMAGE:
        raise Invalid("Only projects of images take images from elsewhere.", code="wrong_format")
