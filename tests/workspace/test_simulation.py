"""The parts of a simulation that need no application: gold, measures, quota, copies, accounts, errors in words."""

from __future__ import annotations

import json
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from django.core.management import CommandError, call_command
from pytest_django import DjangoCaptureOnCommitCallbacks

from annotator.accounts.models import ApiToken, User
from annotator.items.features import open_store
from annotator.items.files import asset_path, store
from annotator.items.models import Asset, Item
from annotator.jobs.models import Job
from annotator.labeling.models import Annotation
from annotator.learning.models import Encoding, LearningSettings
from annotator.projects.models import Membership, Project
from annotator.workspace.simulation import client
from annotator.workspace.simulation.client import Api, Refused, check_server
from annotator.workspace.simulation.copies import copy_project, delete_copy
from annotator.workspace.simulation.errors import SimulationError, Stopped
from annotator.workspace.simulation.gold import checked_gold, read_gold
from annotator.workspace.simulation.measures import (
    Point,
    make_point,
    most_frequent,
    predicted,
    summaries,
    wilson,
)
from annotator.workspace.simulation.people import PREFIX, make_people, remove_people
from annotator.workspace.simulation.players import Quota
from tests.factories import make_items, make_project, make_user
from tests.learning import world


def point(labels: int, accuracy: float) -> Point:
    return Point(labels, accuracy, 0.0, 1.0, 100, 1, 0.0)


class TestGold:
    def read(self, tmp_path: Path, *lines: str) -> dict[str, tuple[str, ...]]:
        path = tmp_path / "gold.jsonl"
        path.write_text("\n".join(lines), encoding="utf-8")
        return read_gold(path)

    def test_it_is_one_json_object_a_line(self, tmp_path: Path) -> None:
        lines = ['{"external_id": "a", "classes": ["cat"]}', "", '{"external_id": "b", "classes": []}']
        assert self.read(tmp_path, *lines) == {"a": ("cat",), "b": ()}

    @pytest.mark.parametrize(
        "line", ["a,cat", '{"external_id": "a"}', "[1]", '{"external_id": "a", "classes": "cat"}']
    )
    def test_a_bad_line_is_named(self, tmp_path: Path, line: str) -> None:
        with pytest.raises(SimulationError, match=r"gold\.jsonl, line 2"):
            self.read(tmp_path, '{"external_id": "b", "classes": ["cat"]}', line)

    def test_an_item_with_two_answers_is_refused(self, tmp_path: Path) -> None:
        lines = [json.dumps({"external_id": "a", "classes": [name]}) for name in ("cat", "dog")]
        with pytest.raises(SimulationError, match="'a' has two answers"):
            self.read(tmp_path, *lines)

    def test_a_file_that_is_not_there_is_told_in_words(self, tmp_path: Path) -> None:
        with pytest.raises(SimulationError, match="cannot be read"):
            read_gold(tmp_path / "none.jsonl")


@pytest.mark.django_db
class TestGoldOfAProject:
    @pytest.fixture
    def project(self) -> Project:
        project = make_project()
        make_items(project, 3)
        make_items(project, 1, split=Item.Split.TEST)
        return project

    def complete(self, project: Project, name: str = "cat") -> dict[str, tuple[str, ...]]:
        return {item.external_id: (name,) for item in project.items.all()}

    def test_classes_are_named_by_key_or_by_name(self, project: Project) -> None:
        assert set(checked_gold(project, self.complete(project, "Dog")).values()) == {("dog",)}
        assert set(checked_gold(project, self.complete(project, "dog")).values()) == {("dog",)}

    def test_what_is_said_about_other_items_is_left_out(self, project: Project) -> None:
        gold = checked_gold(project, self.complete(project) | {"elsewhere": ("bird",)})
        assert len(gold) == 4

    def test_items_without_an_answer_are_counted_and_named(self, project: Project) -> None:
        gold = self.complete(project)
        del gold["text-1"]
        with pytest.raises(SimulationError, match=r"no answer for 1 of 4 items, such as 'text-1'"):
            checked_gold(project, gold)

    def test_a_class_that_the_project_does_not_have_is_named(self, project: Project) -> None:
        with pytest.raises(SimulationError, match="'bird'"):
            checked_gold(project, self.complete(project, "bird"))

    def test_an_item_of_a_single_class_project_has_one_class(self, project: Project) -> None:
        gold = self.complete(project) | {"text-0": ("cat", "dog")}
        with pytest.raises(SimulationError, match="one class each"):
            checked_gold(project, gold)

    def test_a_project_without_test_items_cannot_be_measured(self) -> None:
        project = make_project()
        make_items(project, 2)
        with pytest.raises(SimulationError, match="no held-out test items"):
            checked_gold(project, self.complete(project))


class TestMeasures:
    def test_wilsons_interval_is_that_of_the_textbook(self) -> None:
        # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20.
        assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
        assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
        assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)

    def test_the_most_probable_class_is_predicted_or_every_probable_one(self) -> None:
        probabilities = {"cat": 0.6, "dog": 0.5, "fox": 0.1}
        assert predicted(probabilities, multi=False) == ("cat",)
        assert predicted(probabilities, multi=True) == ("cat", "dog")
        assert predicted({"cat": 0.2}, multi=True) == ()

    def test_without_a_model_the_commonest_answer_is_taken(self) -> None:
        assert most_frequent([("b",), ("a",), ("b",)]) == ("b",)
        assert most_frequent([("b",), ("a",)]) == ("a",)
        assert most_frequent([]) == ()

    def test_a_point_counts_exact_matches(self) -> None:
        gold = {"1": ("cat",), "2": ("dog",), "3": ("cat", "dog")}
        found = make_point(
            predictions={"1": ("cat",), "2": ("cat",), "3": ("cat", "dog")},
            gold=gold,
            labels=20,
            model=3,
            seconds=1.23456,
        )
        line = found.as_json()
        assert (line["accuracy"], line["n_test"], line["labels"], line["model"]) == (0.6667, 3, 20, 3)
        assert line["low"] < line["accuracy"] < line["high"]
        assert line["seconds"] == 1.2346

    def test_areas_are_averaged_and_differences_are_paired_by_seed(self) -> None:
        curves = {
            "margin": {0: [point(10, 0.6), point(20, 0.8)], 1: [point(10, 0.4), point(20, 0.6)]},
            "random": {0: [point(10, 0.5), point(20, 0.7)], 1: [point(10, 0.3), point(20, 0.5)]},
        }
        margin, random, difference = summaries(curves, compared=["random"])
        assert (margin["value"], margin["final"], margin["seeds"]) == (0.6, 0.7, 2)
        assert random["value"] == 0.5
        assert (difference["compared_to"], difference["value"]) == ("random", 0.1)
        # The seeds differ by 0.2, the pairs not at all.
        assert (difference["low"], difference["high"]) == (0.1, 0.1)
        assert margin["low"] == 0.5

    def test_one_seed_has_no_interval_and_a_run_that_is_missing_is_left_out(self) -> None:
        curves: dict[str, dict[int, list[Point]]] = {
            "margin": {0: [point(10, 0.6)], 1: [point(10, 0.9)]},
            "random": {0: [point(10, 0.5)]},
        }
        lines = list(summaries(curves, compared=["random"]))
        assert lines[-1] == {
            "summary": "area_difference",
            "strategy": "margin",
            "compared_to": "random",
            "value": 0.1,
            "seeds": 1,
        }


class TestQuota:
    def test_exactly_as_many_are_answered_as_were_opened(self) -> None:
        quota, asked = Quota(), []

        def work() -> None:
            while quota.take():
                asked.append(1)
                quota.give(("cat",))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for limit in (7, 9):
            quota.open(limit)
            assert quota.wait_until_full(10)
            assert (len(quota.answers), len(asked)) == (limit, limit)
        quota.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()

    def test_an_annotators_error_ends_the_wait(self) -> None:
        quota = Quota()
        quota.open(1)
        quota.close(SimulationError("no gold"))
        with pytest.raises(SimulationError, match="no gold"):
            quota.wait_until_full(10)

    def test_it_is_full_when_nothing_is_left_and_no_answer_is_on_its_way(self) -> None:
        quota = Quota()
        quota.open(5)
        assert quota.take()
        assert quota.take()
        quota.exhaust()
        assert not quota.wait_until_full(0.01)
        quota.give(("cat",))
        assert quota.wait_until_full(10)
        assert quota.exhausted
        assert not quota.take()


@pytest.mark.django_db
class TestPeople:
    def test_accounts_go_on_from_those_of_other_runs_and_have_no_password(self) -> None:
        first, second = make_people(2), make_people(1)
        names = [person.user.username for person in (*first, *second)]
        assert names == [f"{PREFIX}1", f"{PREFIX}2", f"{PREFIX}3"]
        assert not any(person.user.has_usable_password() for person in first)
        assert len({person.token for person in first}) == 2

    def test_they_are_deleted_but_stay_closed_where_their_answers_are_kept(self) -> None:
        idle, busy = make_people(2)
        project = make_project()
        item = make_items(project, 1)[0]
        world.answer(project, busy.user, item, "cat")
        remove_people([idle, busy])
        assert list(
            User.objects.filter(username__startswith=PREFIX).values_list("username", "is_active")
        ) == [(f"{PREFIX}2", False)]
        assert not ApiToken.objects.exists()


@pytest.mark.django_db
class TestCopies:
    @pytest.fixture
    def project(self) -> Project:
        return world.make_world(30, overlap=2)

    def copy(self, project: Project, strategy: str = "random", **options: Any) -> Project:
        return copy_project(
            project=project,
            owner=make_user(),
            annotators=[make_user()],
            strategy=strategy,
            **{"seed": 7, "batch": 5} | options,
        )

    def test_it_has_the_same_items_at_the_same_rows_and_none_of_the_answers(self, project: Project) -> None:
        make_items(project, 2, split=Item.Split.TEST)
        items = world.items_of(project)
        Item.objects.filter(pk=items[3].pk).delete()
        world.answer_truly(project, make_user(), items[:2])
        copy = self.copy(project)
        columns = ("row", "external_id", "text", "split", "content_hash", "meta", "archived_at")
        assert list(copy.items.order_by("row").values(*columns)) == list(
            project.items.order_by("row").values(*columns)
        )
        assert not copy.annotations.exists()
        fresh = Project.objects.get(pk=copy.pk)
        original = Project.objects.get(pk=project.pk)
        assert (fresh.next_row, fresh.overlap, fresh.task) == (original.next_row, 2, original.task)
        assert fresh.schema.as_json() == original.schema.as_json()

    def test_features_are_copied_and_changing_them_there_changes_nothing_here(self, project: Project) -> None:
        copy = self.copy(project)
        ours, theirs = (open_store(p.pk, world.DIGEST) for p in (project, copy))
        assert ours is not None
        assert theirs is not None
        rows = np.arange(30)
        kept = ours.features_of(rows).copy()
        assert np.array_equal(theirs.features_of(rows), kept)
        assert Encoding.objects.get(project=copy).digest == world.DIGEST
        theirs.write(np.array([0]), np.full((1, world.DIM), 9.0))
        assert np.array_equal(ours.features_of(rows), kept)

    def test_files_are_there_without_being_stored_twice(self, project: Project) -> None:
        store(project.pk, "ab" * 32, b"bytes")
        asset = Asset.objects.create(project=project, digest="ab" * 32, media_type="image/png", size=5)
        Item.objects.filter(project=project, row=0).update(asset=asset, text=None)
        copy = self.copy(project)
        item = copy.items.get(row=0)
        assert item.asset is not None
        assert item.asset.project_id == copy.pk
        theirs = asset_path(copy.pk, "ab" * 32)
        assert theirs.samefile(asset_path(project.pk, "ab" * 32))
        delete_copy(copy.pk)
        assert not theirs.exists()
        assert asset_path(project.pk, "ab" * 32).read_bytes() == b"bytes"

    def test_it_learns_as_the_original_but_with_the_strategy_seed_and_batch(self, project: Project) -> None:
        LearningSettings.objects.filter(project=project).update(
            strategy="margin", exploration_share=0.3, cold_strategy="kmeans", paused=True, stop_asking=True
        )
        margin, random = self.copy(project, "margin", seed=1), self.copy(project, "random")
        ours, theirs = (LearningSettings.objects.get(project=copy) for copy in (margin, random))
        assert (ours.strategy, ours.cold_strategy, ours.seed, ours.batch_size, ours.retrain_labels) == (
            "margin", "kmeans", 1, 5, 5,
        )  # fmt: skip
        assert (theirs.strategy, theirs.cold_strategy, theirs.exploration_share) == ("random", "random", 0.3)
        assert not ours.paused
        assert not ours.stop_asking

    def test_the_originals_owners_own_it_and_annotators_annotate(self, project: Project) -> None:
        owner, annotator = make_user(), make_user()
        copy = copy_project(
            project=project, owner=owner, annotators=[annotator], strategy="random", seed=0, batch=5
        )
        roles = dict(Membership.objects.filter(project=copy).values_list("user_id", "role"))
        assert roles == {project.created_by_id: "owner", owner.pk: "owner", annotator.pk: "annotator"}

    def test_something_is_served_at_once_and_its_job_ranks_it(
        self, project: Project, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        copy = self.copy(project)
        assert len(world.queue_of(copy)) == 30
        assert Job.objects.filter(project=copy, kind="encode").exists()

    def test_deleting_it_leaves_nothing_and_the_original_as_it_was(self, project: Project) -> None:
        copy, annotator = self.copy(project, "margin"), make_user()
        Job.objects.filter(project=copy).update(state=Job.State.SUCCEEDED)
        world.answer_truly(copy, annotator, world.items_of(copy)[:6])
        round_ = world.run_round(copy)
        assert round_.model is not None
        pk = copy.pk
        delete_copy(pk)
        assert not Project.objects.filter(pk=pk).exists()
        assert not Annotation.objects.filter(annotator=annotator).exists()
        assert open_store(pk, world.DIGEST) is None
        assert project.items.count() == 30
        assert open_store(project.pk, world.DIGEST) is not None


class TestClient:
    def api(self, handler: Any, monkeypatch: pytest.MonkeyPatch) -> Api:
        monkeypatch.setattr(client, "WAIT", 0.0)
        api = Api("http://127.0.0.1:1", 5, "token", threading.Event())
        api._client.close()
        api._client = httpx.Client(base_url="http://127.0.0.1:1/", transport=httpx.MockTransport(handler))
        return api

    def test_what_a_falling_server_leaves_open_is_sent_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[bytes] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request.content)
            if len(seen) == 1:
                raise httpx.ReadError("gone")
            return httpx.Response(502 if len(seen) == 2 else 201, json={"fine": True})

        with self.api(handler, monkeypatch) as api:
            assert api.post("annotations/", {"id": "a"}) == {"fine": True}
        assert len(seen) == 3
        assert len(set(seen)) == 1

    def test_a_server_that_stays_away_is_an_error_that_names_its_log(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (
            self.api(lambda request: httpx.Response(500), monkeypatch) as api,
            pytest.raises(SimulationError, match="status 500") as caught,
        ):
            api.get("rounds/")
        assert "web.log" in caught.value.hint

    def test_a_refusal_keeps_its_code_and_is_not_repeated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        problem = {"code": "no_model", "title": "There is no model yet.", "detail": "Label some."}
        handler = lambda request: httpx.Response(409, json=problem)  # noqa: E731
        with self.api(handler, monkeypatch) as api, pytest.raises(Refused, match="no model yet") as caught:
            api.get("predictions/")
        assert (caught.value.code, caught.value.status) == ("no_model", 409)

    def test_another_database_is_recognised(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with (
            self.api(lambda request: httpx.Response(401), monkeypatch) as api,
            pytest.raises(SimulationError, match="another database"),
        ):
            api.get("rounds/")

    def test_nothing_is_sent_any_more_once_somebody_asked_to_stop(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.api(lambda request: httpx.Response(200, json={}), monkeypatch) as api:
            api._stop.set()
            with pytest.raises(Stopped):
                api.get("rounds/")

    def test_no_server_is_told_in_words(self) -> None:
        with pytest.raises(SimulationError, match="No application answers") as caught:
            check_server("http://127.0.0.1:1")
        assert "make run" in caught.value.hint


@pytest.mark.django_db
class TestCommand:
    def run(self, *arguments: str) -> None:
        call_command("simulate", *arguments, stdout=StringIO(), stderr=StringIO())

    @pytest.fixture
    def gold(self, tmp_path: Path) -> str:
        path = tmp_path / "gold.jsonl"
        path.write_text(
            "\n".join(json.dumps({"external_id": f"text-{n}", "classes": ["cat"]}) for n in range(3))
        )
        return str(path)

    def test_an_unknown_project_is_told_with_those_there_are(self, gold: str) -> None:
        project = make_project(name="Rocks")
        with pytest.raises(CommandError, match=rf"no project 'Stones'. There are: {project.pk} \(Rocks\)"):
            self.run("--project", "Stones", "--gold", gold)

    def test_a_name_that_two_projects_have_needs_an_id(self, gold: str) -> None:
        for _ in range(2):
            make_project(name="Rocks")
        with pytest.raises(CommandError, match="name one by its id"):
            self.run("--project", "Rocks", "--gold", gold)

    def test_a_strategy_that_does_not_fit_is_refused_before_anything_is_made(self, gold: str) -> None:
        make_project(name="Rocks")
        with pytest.raises(CommandError, match="'wishful' cannot be used"):
            self.run("--project", "Rocks", "--gold", gold, "--strategy", "wishful")

    def test_a_server_that_is_not_there_leaves_no_accounts_behind(self, gold: str) -> None:
        project = make_project(name="Rocks")
        make_items(project, 2)
        make_items(project, 1, split=Item.Split.TEST)
        with pytest.raises(CommandError, match="No application answers at http://127"):
            self.run("--project", str(project.pk), "--gold", gold, "--url", "http://127.0.0.1:1")
        assert not User.objects.filter(username__startswith=PREFIX).exists()
        assert Project.objects.count() == 1

    def test_items_that_are_still_being_encoded_are_waited_for(self, gold: str) -> None:
        project = make_project(name="Rocks")
        make_items(project, 2)
        make_items(project, 1, split=Item.Split.TEST)
        Job.objects.create(project=project, kind="encode", queue="gpu")
        with pytest.raises(CommandError, match="still being encoded"):
            self.run("--project", "Rocks", "--gold", gold)
