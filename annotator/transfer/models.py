"""Imports: what was uploaded, how it is understood, how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models

from annotator.jobs.models import Job
from annotator.projects.models import Project


class Import(models.Model):
    """Files brought in together. `counts` is written with each batch, so that a restarted job goes on where it was.

    `source` names their kind of source (transfer.sources), `location` is what that kind has to know. Uploaded `files`:
    [{"name": as uploaded, "stored": our name, "size": bytes}], `complete` once all their bytes are here.
    `report` is what the last dry run found: Counts with "preview" and the "options" it was made with.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    format = models.CharField(max_length=20)
    files = models.JSONField(default=list)
    options = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    source = models.CharField(max_length=20, default="upload")
    location = models.JSONField(default=dict)
    complete = models.BooleanField(default=True)
    report = models.JSONField(default=dict)
    dry_job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="dry_run_of")
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="import_run")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """The file's or folder's name, or how many files there are."""
        if "title" in self.location:
            return str(self.location["title"])
        if len(self.files) == 1:
            return str(self.files[0]["name"])
        return f"{len(self.files):,} files"

    @property
    def folder(self) -> Path:
        return Path(settings.MEDIA_ROOT) / "imports" / str(self.project_id) / str(self.pk)

    @property
    def errors_path(self) -> Path:
        """CSV of the rows that could not be taken: file, line, reason, excerpt."""
        return self.folder / "errors.csv"

    @property
    def has_files(self) -> bool:
        """Whether the uploaded files are still there to be read (again)."""
        return bool(self.files) and all((self.folder / each["stored"]).exists() for each in self.files)

    @property
    def check_path(self) -> Path:
        """CSV of the rows that the dry run would not take, or that somebody should look at."""
        return self.folder / "check.csv"

    def picture_path(self, number: int) -> Path:
        """Thumbnail of one of the first images, made by the dry run."""
        return self.folder / f"preview-{number}.webp"


class RestoredPerson(models.Model):
    """Somebody whose answers came with a restored project: an account nobody can use, and the name it had there."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    pseudonym = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="restored_person_once"),
            models.UniqueConstraint(fields=["project", "pseudonym"], name="restored_pseudonym_once"),
        ]

    def __str__(self) -> str:
        return self.pseudonym


class Snapshot(models.Model):
    """A named version of the data set, frozen in a file: it gives the same exports whatever happens to the project.

    `selection`: what was asked for (selection.Selection). `digest` is the SHA-256 of its records, `size` of the packed file.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshots")
    name = models.CharField(max_length=100)
    note = models.CharField(max_length=500, blank=True)
    selection = models.JSONField(default=dict)
    moment = models.DateTimeField(null=True)
    counts = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)
    size = models.BigIntegerField(default=0)
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="snapshot")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="snapshot_name_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def ready(self) -> bool:
        return bool(self.digest)

    @property
    def folder(self) -> Path:
        return Path(settings.MEDIA_ROOT) / "snapshots" / str(self.project_id) / str(self.pk)

    @property
    def path(self) -> Path:
        return self.folder / "records.jsonl.gz"


class Export(models.Model):
    """A data set on its way out, or there to be fetched. How far it is stands in its job.

    `options`: selection, `plain` (one file instead of an archive), `formula_guard`. `files`: [{"name", "size", "sha256"}].
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="exports")
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.SET_NULL, related_name="exports")
    format = models.CharField(max_length=20)
    options = models.JSONField(default=dict)
    files = models.JSONField(default=list)
    digest = models.CharField(max_length=64, blank=True)
    manifest = models.JSONField(default=dict)
    losses = models.JSONField(default=list)
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="export")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.format} {self.pk}"

    @property
    def folder(self) -> Path:
        return Path(settings.MEDIA_ROOT) / "exports" / str(self.project_id) / str(self.pk)

    @property
    def file(self) -> dict[str, Any] | None:
        """The one that holds the data, once it is there."""
        return self.files[0] if self.files else None

    def path_of(self, name: str) -> Path | None:
        """Where a file of this export lies; None for names it does not have."""
        known = {str(each["name"]) for each in self.files}
        return self.folder / "files" / name if name in known else None
