"""What happens before a newer release changes a database, and when an older one meets a newer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from annotator.operations import backup, postgres_tools
from annotator.operations.archive import BackupError
from annotator.operations.postgres_tools import ToolError
from annotator.supervisor import postgres

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(settings, tmp_path: Path) -> Iterator[Path]:
    settings.HOME = tmp_path
    return tmp_path


@pytest.fixture
def pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "migration_state", lambda: (["items.0099_more"], []))


def test_the_database_is_dumped_before_it_is_changed(home: Path, pending: None) -> None:
    saved = backup.before_upgrade()
    assert saved is not None
    assert saved.parent == home / "backups"
    listed = subprocess.run(
        [str(postgres.binaries() / "pg_restore"), "--list", str(saved)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "TABLE DATA public projects_project" in listed
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_the_last_three_are_kept(home: Path, pending: None) -> None:
    folder = home / "backups"
    folder.mkdir()
    for age in range(4):
        old = folder / f"before-0.0.{age}-20260101-000000.dump"
        old.write_bytes(b"old")
        os.utime(old, (1000 - age, 1000 - age))
    saved = backup.before_upgrade()
    assert saved is not None
    kept = sorted(path.name for path in folder.iterdir())
    assert kept == sorted(
        ["before-0.0.0-20260101-000000.dump", "before-0.0.1-20260101-000000.dump", saved.name]
    )


def test_nothing_is_dumped_when_nothing_changes_or_when_it_is_turned_off(
    home: Path, settings, monkeypatch
) -> None:
    assert backup.before_upgrade() is None
    monkeypatch.setattr(backup, "migration_state", lambda: (["items.0099_more"], []))
    settings.UPGRADE_BACKUP = False
    assert backup.before_upgrade() is None
    assert not (home / "backups").exists()


def test_an_older_release_does_not_touch_a_newer_database(home: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('items', '9999_from_the_future', now())"
        )
    with pytest.raises(BackupError) as refused:
        backup.before_upgrade()
    assert "belongs to a newer release: items.9999_from_the_future" in refused.value.message
    assert "Install the newer release again" in refused.value.hint


def test_tools_fit_the_server_or_are_asked_for() -> None:
    assert postgres_tools.folder_for(postgres.MAJOR) == postgres.binaries()
    with pytest.raises(ToolError) as refused:
        postgres_tools.folder_for(99)
    assert "postgresql-client-99" in refused.value.hint


def test_passwords_stand_in_the_environment_of_the_tools_only() -> None:
    given = {
        "NAME": "pets",
        "USER": "u",
        "PASSWORD": "of nobody",
        "HOST": "db",
        "PORT": "",
        "OPTIONS": {"sslmode": "require"},
    }
    found = postgres_tools.environment(given)
    assert found["PGPASSWORD"] == "of nobody"
    assert found["PGSSLMODE"] == "require"
    assert "PGPORT" not in found


def test_a_tool_that_fails_says_why(home: Path) -> None:
    with pytest.raises(ToolError) as failed:
        postgres_tools.dump(home / "no" / "such" / "folder.dump")
    assert "pg_dump failed" in failed.value.message


def test_a_full_disk_is_told_before_anything_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "database_size", lambda: 2**60)
    with pytest.raises(BackupError) as refused:
        backup.back_up(target=home / "a.zip", progress=lambda done, total: None)
    assert "MiB free" in refused.value.message
    assert list(home.iterdir()) == []


def test_an_interrupted_backup_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(postgres_tools, "dump", interrupt)
    with pytest.raises(KeyboardInterrupt):
        backup.back_up(target=home / "a.zip", progress=lambda done, total: None)
    assert list(home.iterdir()) == []
