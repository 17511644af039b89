"""The first administrator comes with the first start."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from annotator.accounts import services
from annotator.accounts.models import User
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(tmp_path, settings) -> Path:
    settings.HOME = tmp_path
    return tmp_path


def run() -> str:
    out = io.StringIO()
    call_command("ensure_admin", stdout=out)
    return out.getvalue()


def test_the_login_stands_in_a_private_file_and_nowhere_else(home):
    said = run()
    name, password = (home / "admin.txt").read_text().split()
    assert stat.S_IMODE((home / "admin.txt").stat().st_mode) == 0o600
    assert name == "admin"
    assert password not in said
    admin = User.objects.get()
    assert admin.check_password(password)
    assert admin.is_superuser
    assert Client().post("/login/", {"username": name, "password": password})["Location"] == "/projects/"


def test_a_second_run_changes_nothing(home):
    run()
    before = (home / "admin.txt").read_text()
    assert run() == ""
    assert (home / "admin.txt").read_text() == before
    assert User.objects.count() == 1


def test_nothing_happens_where_people_are(home):
    make_user()
    assert run() == ""
    assert not (home / "admin.txt").exists()


def test_the_file_goes_when_the_password_is_changed(home, django_capture_on_commit_callbacks):
    run()
    with django_capture_on_commit_callbacks(execute=True):
        services.change_password(user=User.objects.get(), password="a new and longer one")
    assert not (home / "admin.txt").exists()


def test_the_file_stays_when_somebody_else_changes_theirs(home, django_capture_on_commit_callbacks):
    run()
    with django_capture_on_commit_callbacks(execute=True):
        services.change_password(user=make_user(), password="a new and longer one")
    assert (home / "admin.txt").exists()
