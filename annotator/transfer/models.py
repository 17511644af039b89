"""Imports: what was uploaded, how it is understood, how far it is."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models

from annotator.jobs.models import Job
from annotator.projects.models import Project


class Import(models.Model):
    """Files brought in together. `counts` is written with each batch, so that a restarted job goes on where it was.

    `files`: [{"name": as uploaded, "stored": our name, "size": bytes}].
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    format = models.CharField(max_length=20)
    files = models.JSONField(default=list)
    options = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
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
        """The file's name, or how many files there are."""
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
