"""The client and the guide drive whole projects over HTTP, as programs do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from annotator_client import Client, JobFailed

from annotator import env
from annotator.labeling.models import Annotation, ItemLease
from annotator.learning.models import ModelVersion
from annotator.projects.models import Project
from tests.loop.application import Application
from tests.loop.players import make_person, until

GUIDE = env.ROOT / "docs" / "guide" / "api.md"
CLIENT = env.ROOT / "clients" / "python"


@pytest.fixture
def token(app: Application) -> str:
    return make_person(app, administrator=True).token


@pytest.fixture
def client(app: Application, token: str) -> Client:
    made = Client(app.url, token)
    app.clients.callback(made.close)
    return made


def run(app: Application, token: str, *arguments: object, home: Path, said: str = "") -> tuple[int, str, str]:
    """The command in a process of its own: (status, output, messages)."""
    done = subprocess.run(
        [sys.executable, "-m", "annotator_client.cli", *map(str, arguments)],
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(CLIENT)},
    )
    return done.returncode, done.stdout, done.stderr


def test_a_program_takes_a_project_from_nothing_to_a_model(client: Client, tmp_path: Path) -> None:
    classes = [{"key": "warm", "name": "Warm"}, {"key": "cold", "name": "Cold"}]
    project = client.create_project(name="Seasons", modality="text", task="single", classes=classes)
    file = tmp_path / "texts.csv"
    words = {"warm": "summer sun heat", "cold": "winter snow ice"}
    rows = [f"{kind}-{n},{words[kind]} number {n}" for n in range(8) for kind in words]
    file.write_text("id,text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    stages: list[str] = []
    job = project.wait(project.import_files([file]), seen=lambda job: stages.append(job["state"]))
    assert (job["result"]["created"], stages[-1]) == (16, "succeeded")
    project.http.json("PATCH", f"{project.path}learning/", json={"retrain_labels": 6})
    names = dict(Project.objects.get(pk=project.id).items.values_list("pk", "external_id"))
    for _ in range(6):
        [lease] = project.next()
        project.label(lease, [names[lease["item"]["id"]].split("-")[0]], seconds=1.0)
    until(lambda: ModelVersion.objects.filter(project_id=project.id, in_use=True).exists())
    [lease] = project.next()
    project.skip(lease, "not sure")
    project.release(project.next())
    assert not ItemLease.objects.filter(project_id=project.id, returned_at=None).exists()
    assert Annotation.objects.filter(project_id=project.id, current=True).count() == 6


def test_a_job_that_fails_is_raised_in_the_servers_words(client: Client, tmp_path: Path) -> None:
    project = client.create_project(
        name="Broken",
        modality="text",
        task="single",
        classes=[{"key": "a", "name": "A"}, {"key": "b", "name": "B"}],
    )
    job = {"id": 0, "state": "failed", "error": "The disk is full."}
    with pytest.raises(JobFailed, match="The disk is full"):
        project.wait(job)


def test_the_command_signs_in_imports_labels_and_tells(
    app: Application, token: str, client: Client, tmp_path: Path
) -> None:
    project = client.create_project(
        name="At the terminal", modality="text", task="single",
        classes=[{"key": "warm", "name": "Warm"}, {"key": "cold", "name": "Cold"}],
    )  # fmt: skip

    def command(*arguments: object, said: str = "") -> tuple[int, str, str]:
        return run(app, token, *arguments, home=tmp_path / "config", said=said)

    status, _, words = command("projects")
    assert (status, "annotator login" in words) == (1, True)
    status, _, words = command("login", app.url, said=f"{token}\n")
    assert status == 0, words
    assert "Signed in as" in words
    assert f"{project.id}\tAt the terminal\ttext\t" in command("projects")[1]

    file = tmp_path / "texts.csv"
    file.write_text("id,text\na,sun\nb,snow\nc,\nd,ice\n", encoding="utf-8")
    status, _, words = command("import", project.id, file)
    assert (status, "3 new, 0 already there, 1 not taken" in words, "line 4" in words) == (1, True, True), (
        words
    )

    status, out, words = command("next", project.id)
    assert status == 0, words
    lease: dict[str, Any] = json.loads(out)
    assert command("label", project.id, lease["item"]["id"], "warm")[0] == 0
    status, out, words = command("label", project.id, said="9\n2\ns\n")
    assert status == 0, words
    assert "Numbers from 1 to 2, s or q." in out
    answers = (
        Annotation.objects.filter(project_id=project.id)
        .values_list("regions", flat=True)
        .order_by("created_at")
    )
    assert [regions[0]["classes"] for regions in answers] == [["warm"], ["cold"]]
    status, out, words = command("export", project.id, "--format", "csv", "--to", tmp_path / "out")
    assert status == 0, words
    with zipfile.ZipFile(out.strip()) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".csv")]
        assert len(archive.read(name).decode("utf-8-sig").splitlines()) == 4
    assert "Import of texts.csv: succeeded" in command("watch", project.id, "--once")[1]
    assert command("label", project.id, 2**40, "warm")[2].startswith("This item was not given to you.")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_every_command_of_the_guide_runs_as_it_stands(app: Application, token: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 5
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "URL": app.url, "TOKEN": token},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(5, 0)" in done.stdout
    assert "(4, 0, 0)" in done.stdout
    assert "everything.zip: OK" in done.stdout
