"""What the commands about a project's learning share."""

from __future__ import annotations

from django.core.management.base import CommandError
from django.db import OperationalError, ProgrammingError

from annotator.common.errors import AnnotatorError
from annotator.projects.models import Project


def named_project(number: int) -> Project:
    """The project of this number; CommandError where there is none, or no database that knows of projects."""
    try:
        project = Project.objects.filter(pk=number, deleted_at=None).first()
    except (OperationalError, ProgrammingError) as error:
        raise CommandError(
            "No database of the application could be read. Set ANNOTATOR_HOME (or DATABASE_URL) to those of the application, "
            f"and start it if it does not run. The database said: {str(error).strip().splitlines()[0]}"
        ) from error
    if project is None:
        raise CommandError(f"There is no project {number}.")
    return project


def refused(error: AnnotatorError) -> CommandError:
    """The same in words for a terminal."""
    return CommandError(" ".join(filter(None, [error.message, error.hint])))
