"""Imports: what was uploaded, how it is understood, how far it is."""

from __future__ import annotations

from pathlib import Path

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
