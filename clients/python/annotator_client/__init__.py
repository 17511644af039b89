"""Annotator from programs: `Client(url, token).project(7).next()`."""

from annotator_client.client import Client, Project
from annotator_client.errors import ClientError, JobFailed, Refused, Unreachable

__all__ = ["Client", "ClientError", "JobFailed", "Project", "Refused", "Unreachable"]
