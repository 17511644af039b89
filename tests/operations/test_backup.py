"""Backup and restore for real: an own PostgreSQL, a project with items, images, answers and a model, wiped and brought back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator import env
from annotator.supervisor import lock

pytestmark = pytest.mark.slow

FILL = """
from django.conf import settings
from tests.factories import *
from tests.items.makers import add_image
from annotator.labeling.models import Annotation
from annotator.labeling import queue
from annotator.learning.models import ModelVersion
from pathlib import Path
import uuid
project = make_project(modality="image", name="Pets of the backup")
picture = add_image(project, external_id="picture.png")
items = make_items(project, 5)
for item in items[:3]:
    Annotation.objects.create(id=uuid.uuid4(), project=project, item=item, annotator=project.created_by,
                              schema=project.schema, regions=choice("cat"), served={"round": 1})
queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {}) for item in items[3:]])
ModelVersion.objects.create(project=project, number=1, schema=project.schema, n_labels=3)
home = Path(settings.HOME)
for name in (f"models/{project.pk}/1.safetensors", f"features/{project.pk}/abc/features.f16", "media/.half-written"):
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_bytes(name.encode())
"""
LOOK = """
import json, uuid
from annotator.labeling.models import Annotation
from annotator.items.models import Asset
from annotator.items.files import asset_path
from annotator.labeling import queue
from annotator.projects.models import Project
project = Project.objects.get(name="Pets of the backup")
asset = Asset.objects.get(project=project)
leases = queue.claim(project_id=project.pk, user_id=project.created_by_id, holder=uuid.UUID(int=1), count=5)
print(json.dumps({
    "answers": sorted([str(a.id), a.item.external_id, a.regions, a.served] for a in Annotation.objects.all()),
    "bytes": asset_path(project.pk, asset.digest).read_bytes().hex(),
    "served": len(leases),
}, default=str))
"""


class Place:
    """A data folder and commands that run on it, each in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def manage(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if name not in env.BY_NAME}
        environment = clean | {
            "ANNOTATOR_HOME": str(self.home),
            "ANNOTATOR_POSTGRES_MB": "16",
            "PYTHONPATH": str(env.ROOT),
        }
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=environment, cwd=env.ROOT, input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def run(self, code: str) -> str:
        """Python with Django on this folder's own servers."""
        program = (
            "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'annotator.settings'\n"
            "import django\ndjango.setup()\n"
            "from django.core.management import call_command\n"
            "from annotator.operations import stores\n"
            "with stores.reached(stopped=True):\n"
            "    call_command('migrate', verbosity=0)\n"
            f"    exec({code!r}, {{}})\n"
        )
        environment = {name: value for name, value in os.environ.items() if name not in env.BY_NAME}
        environment |= {
            "ANNOTATOR_HOME": str(self.home),
            "ANNOTATOR_POSTGRES_MB": "16",
            "PYTHONPATH": str(env.ROOT),
        }
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            cwd=env.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="backup-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def place(folder: Path) -> Place:
    made = Place(folder / "var")
    made.run(FILL)
    return made


@pytest.fixture(scope="module")
def backup(place: Place, folder: Path) -> Path:
    file = folder / "pets.zip"
    done = place.manage("backup", "--to", str(file))
    assert done.returncode == 0, done.stderr
    assert "Backing up: 100 %" in done.stderr
    return file


def changed(backup: Path, target: Path, change: dict[str, bytes], **manifest: object) -> Path:
    """A copy of the archive with other members and other words in its manifest."""
    with zipfile.ZipFile(backup) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = change.pop(info.filename, None) or old.read(info)
            if info.filename == "manifest.json":
                data = json.dumps(json.loads(data) | manifest).encode()
            new.writestr(info.filename, data)
        for name, data in change.items():
            new.writestr(name, data)
    return target


def test_what_was_backed_up_comes_back_elsewhere_and_serves_on(
    place: Place, backup: Path, folder: Path
) -> None:
    other = Place(folder / "new")
    done = place.manage("restore", str(backup), "--into", str(other.home))
    assert done.returncode == 0, done.stderr
    assert "Everybody has to sign in again" in done.stdout
    assert "postgres" not in {path.name for path in (other.home / "media").rglob("*")}
    before, after = (json.loads(each.run(LOOK)) for each in (place, other))
    assert before == after
    assert len(after["answers"]) == 3
    assert after["served"] == 2
    assert [path.read_text() for path in other.home.glob("models/*/1.safetensors")] == [
        path.relative_to(other.home).as_posix() for path in other.home.glob("models/*/1.safetensors")
    ]
    assert list(other.home.glob(".restore-*")) == []

    # A second time only by force, and then exactly what was backed up: the claims made above are gone.
    refused = other.manage("restore", str(backup))
    assert refused.returncode == 1
    assert "The target is not empty" in refused.stderr
    assert "--force" in refused.stderr
    forced = other.manage("restore", str(backup), "--force")
    assert forced.returncode == 0, forced.stderr
    assert json.loads(other.run(LOOK)) == after


def test_a_backup_holds_what_cannot_be_computed_and_no_secrets(backup: Path) -> None:
    with zipfile.ZipFile(backup) as packed:
        names = packed.namelist()
        manifest = json.loads(packed.read("manifest.json"))
    assert "database.dump" in names
    assert any(name.startswith("files/media/assets/") for name in names)
    assert any(name.endswith("1.safetensors") for name in names)
    assert not [name for name in names if "secret" in name or "features" in name or "half-written" in name]
    assert set(manifest["files"]) == set(names) - {"manifest.json"}
    assert "projects.0001_initial" in manifest["migrations"]


def test_features_and_the_key_come_along_when_asked_for(place: Place, folder: Path) -> None:
    file = folder / "all.zip"
    assert place.manage("backup", "--to", str(file), "--with-features", "--with-secrets").returncode == 0
    with zipfile.ZipFile(file) as packed:
        names = packed.namelist()
    assert "files/secret_key" in names
    assert any(name.startswith("files/features/") for name in names)


def test_a_backup_never_replaces_another(place: Place, backup: Path) -> None:
    before = backup.read_bytes()
    done = place.manage("backup", "--to", str(backup))
    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert backup.read_bytes() == before


def test_a_running_application_is_not_restored_over(place: Place, backup: Path) -> None:
    with lock.held(place.home):
        done = place.manage("restore", str(backup), "--force")
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "manifest", "words"),
    [
        ({"database.dump": b"something else"}, {}, "manifest says"),
        ({"files/media/more.txt": b"more"}, {}, "does not hold what its manifest says"),
        ({}, {"format": 99}, "format 99"),
        ({}, {"migrations": ["projects.0001_initial", "projects.9999_later"]}, "newer release"),
        ({}, {"files": {"files/../../evil": [1, "0"]}}, "belongs nowhere"),
        ({}, {"files": {"files/static/app.js": [1, "0"]}}, "belongs nowhere"),
        ({}, {"unknown": 1}, "no backup"),
    ],
)
def test_damaged_foreign_and_newer_files_are_refused_in_words(
    place: Place,
    backup: Path,
    folder: Path,
    change: dict[str, bytes],
    manifest: dict[str, object],
    words: str,
) -> None:
    target = folder / "empty"
    file = folder / "changed.zip"
    done = Place(target).manage("restore", str(changed(backup, file, dict(change), **manifest)))
    file.unlink()
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (target / "media").exists()


def test_a_file_that_is_no_archive_is_refused_in_words(place: Place, folder: Path) -> None:
    file = folder / "letter.zip"
    file.write_text("Dear reader")
    done = place.manage("restore", str(file), "--force")
    assert done.returncode == 1
    assert "no backup of Annotator" in done.stderr


PENDING = """
from annotator.operations import backup
backup.migration_state = lambda: (["items.9999_more"], [])
print(backup.before_upgrade())
"""
AHEAD = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('items', '9999_more', now())")
    cursor.execute("CREATE TABLE items_of_the_future (id int)")
    cursor.execute("DELETE FROM labeling_annotation")
"""


def test_after_an_upgrade_the_old_release_goes_back_to_what_was_saved(backup: Path, folder: Path) -> None:
    place = Place(folder / "old")
    assert place.manage("restore", str(backup)).returncode == 0
    before = json.loads(place.run(LOOK))["answers"]
    saved = place.run(PENDING).strip()
    place.run(AHEAD)
    ahead = place.manage("backup", "--to", str(folder / "ahead.zip"))
    assert ahead.returncode == 0, ahead.stderr
    refused = place.manage("restore", str(folder / "ahead.zip"), "--force")
    assert refused.returncode == 1
    assert "newer release" in refused.stderr
    done = place.manage("restore", saved, "--force")
    assert done.returncode == 0, done.stderr
    assert "without files" in done.stdout
    assert json.loads(place.run(LOOK))["answers"] == before
    assert (
        place.run(
            "from django.db import connection\nprint('items_of_the_future' in connection.introspection.table_names())"
        ).strip()
        == "False"
    )


def test_prepare_refuses_a_newer_database_in_words(backup: Path, folder: Path) -> None:
    place = Place(folder / "ahead")
    assert place.manage("restore", str(backup)).returncode == 0
    place.run(AHEAD)
    out = place.run("from annotator.supervisor import prepare\nprint('status', prepare.main())")
    assert "status 1" in out
