"""Imports as people make them, run without a worker."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.projects.models import Project
from annotator.transfer import services, tasks
from annotator.transfer.formats import Options
from annotator.transfer.models import Import

HANDLERS = tasks.run_import  # importing registers it


def upload(name: str, content: str | bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content if isinstance(content, bytes) else content.encode())


def zip_bytes(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return out.getvalue()


def receive(project: Project, *files: SimpleUploadedFile) -> Import:
    return services.receive_files(project=project, user=project.created_by, files=files)


def start(record: Import, **changes: Any) -> Job:
    """Start with what is guessed, but for the changes."""
    options = Options.from_json(services.look(record).options.to_json() | changes)
    return services.start_import(record=record, options=options, user=record.created_by)


def run(project: Project, *files: SimpleUploadedFile, **changes: Any) -> tuple[Import, Job]:
    """Upload, start with what is guessed but for the changes, and do the job."""
    record = receive(project, *files)
    job = start(record, **changes)
    run_job(job.pk)
    record.refresh_from_db()
    job.refresh_from_db()
    return record, job
