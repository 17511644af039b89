"""Pages of projects as people use them, without any script."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotator.projects import services
from annotator.projects.models import Project, Role
from tests.factories import join, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(classes=("cat", "dog", "cow"))


@pytest.fixture
def page(project) -> Client:
    client = Client()
    client.force_login(project.created_by)
    return client


def url(name: str, project: Project, *more: int) -> str:
    return reverse(f"projects:{name}", args=[project.pk, *more])


def rows(project: Project, **more) -> dict[str, str]:
    """The editor's form as the page holds it before anything was touched."""
    data = {"base_version": str(project.schema.version)}
    active = project.schema.active_classes()
    for n, c in enumerate(active):
        fields = {"uid": c.key, "key": c.key, "name": c.name, "colour": c.colour, "hotkey": c.hotkey}
        data |= {f"c-{n}-{field}": value for field, value in fields.items()}
    return data | {"c-TOTAL_FORMS": str(len(active)), "c-INITIAL_FORMS": "0"} | more


def preview(page: Client, project: Project, **more):
    return page.post(url("schema", project), rows(project, action="preview", **more))


def save(page: Client, project: Project, **more):
    shown = preview(page, project, **more)
    return page.post(
        url("schema", project),
        rows(project, action="save", previewed=shown.context["previewed"], **more),
    )


def test_an_empty_list_says_what_to_do():
    client = Client()
    client.force_login(make_user())
    text = client.get(reverse("projects:list")).content.decode()
    assert "No projects yet" in text
    assert reverse("projects:create") in text


def test_archived_projects_have_a_list_of_their_own(project, page):
    page.post(url("archive", project))
    assert project.name not in page.get(reverse("projects:list")).context["cards"].__repr__()
    archived = page.get(reverse("projects:list"), {"show": "archived"})
    assert [card.project for card in archived.context["cards"]] == [project]
    page.post(url("unarchive", project))
    assert [card.project for card in page.get(reverse("projects:list")).context["cards"]] == [project]


def test_names_are_shown_as_text_not_as_markup(page, project):
    services.update_project(project=project, name="<script>alert(1)</script>")
    for name in ("settings", "members", "schema"):
        text = page.get(url(name, project)).content.decode()
        assert "<script>alert(1)" not in text
        assert "&lt;script&gt;alert(1)" in text


def test_a_project_is_made_from_a_list_of_names(page, project):
    values = {
        "name": "Mail",
        "modality": "text",
        "task": "single",
        "classes": " ham \n\nspam\n",
        "outlier": "other",
    }
    answer = page.post(reverse("projects:create"), values)
    made = Project.objects.get(name="Mail")
    assert answer["Location"] == reverse("workspace:dashboard", args=[made.pk])
    assert [(c.name, c.is_outlier) for c in made.schema.active_classes()] == [
        ("ham", False), ("spam", False), ("other", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"classes": "ham"}, "2 active classes are the least"),
        ({"classes": "ham\nHAM"}, "Two classes are named"),
        ({"name": ""}, "required"),
        ({"modality": "smell"}, "valid choice"),
    ],
)
def test_a_project_that_cannot_be_is_refused_in_words(page, project, fields, words):
    values = {"name": "Mail", "modality": "text", "task": "single", "classes": "ham\nspam"} | fields
    answer = page.post(reverse("projects:create"), values)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert Project.objects.count() == 1


def test_settings_are_saved(page, project):
    values = {"name": "Beasts", "overlap": "2", "lease_seconds": "60", "skip_policy": "nobody"}
    assert page.post(url("settings", project), values).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.overlap, project.skip_policy, project.show_suggestions) == (
        "Beasts", 2, "nobody", False,
    )  # fmt: skip
    refused = page.post(url("settings", project), values | {"overlap": "0"})
    assert refused.status_code == 422
    project.refresh_from_db()
    assert project.overlap == 2


def test_deleting_needs_the_name(page, project):
    assert page.post(url("delete", project), {"name": "pets"}).status_code == 422
    project.refresh_from_db()
    assert project.deleted_at is None
    assert page.post(url("delete", project), {"name": "Pets"}).status_code == 302
    assert page.get(url("settings", project)).status_code == 404


def test_the_untouched_editor_changes_nothing(page, project):
    answer = preview(page, project)
    assert answer.status_code == 422
    assert "Nothing would change" in answer.content.decode()


def test_a_preview_stores_nothing_and_saving_stores_what_was_previewed(page, project):
    shown = preview(page, project, **{"c-0-name": "Feline"})
    assert "“Cat” is renamed to “Feline”." in shown.content.decode()
    assert project.schema.version == 1
    assert save(page, project, note="Latin", **{"c-0-name": "Feline"}).status_code == 302
    assert (project.schema.version, project.schema.note) == (2, "Latin")
    assert [c.name for c in project.schema.active_classes()] == ["Feline", "Dog", "Cow"]


def test_what_was_changed_after_the_preview_is_shown_before_it_is_saved(page, project):
    shown = preview(page, project, **{"c-0-name": "Feline"})
    later = rows(project, action="save", previewed=shown.context["previewed"], **{"c-0-name": "Lion"})
    answer = page.post(url("schema", project), later)
    assert answer.status_code == 200
    assert "“Cat” is renamed to “Lion”." in answer.content.decode()
    assert project.schema.version == 1


def test_classes_retire_merge_and_come_back(page, project):
    save(page, project, **{"c-0-fate": "merge:dog"})
    assert project.schema.resolve() == {"cat": "dog", "dog": "dog", "cow": "cow"}
    save(page, project, back="cat", **{"c-1-fate": ""})
    assert project.schema.resolve() == {"cat": "cat", "dog": "dog", "cow": "cow"}
    save(page, project, **{"c-0-fate": "retire"})
    assert project.schema.resolve()["dog"] is None


def test_rows_are_added_moved_and_dropped_without_saving(page, project):
    def names(answer) -> list[str]:
        return [form["uid"].value() for form in answer.context["formset"]]

    added = page.post(url("schema", project), rows(project, action="add"))
    assert names(added) == ["cat", "dog", "cow", "new-1"]
    assert added.context["formset"][3]["hotkey"].value() == "4"
    assert names(page.post(url("schema", project), rows(project, action="down:cat"))) == ["dog", "cat", "cow"]
    assert names(page.post(url("schema", project), rows(project, action="up:cat"))) == ["cat", "dog", "cow"]
    assert names(page.post(url("schema", project), rows(project, action="drop:cat"))) == ["cat", "dog", "cow"]
    new = {"c-3-uid": "new-1", "c-3-key": "", "c-TOTAL_FORMS": "4"}
    assert names(page.post(url("schema", project), rows(project, action="drop:new-1", **new))) == [
        "cat", "dog", "cow",
    ]  # fmt: skip
    assert project.schema.version == 1


def test_a_new_row_becomes_a_class_in_its_place(page, project):
    new = {
        "c-3-uid": "new-1", "c-3-name": "Owl", "c-3-colour": "#112233", "c-3-hotkey": "o", "c-TOTAL_FORMS": "4",
    }  # fmt: skip
    save(page, project, **new)
    assert [(c.key, c.hotkey) for c in project.schema.active_classes()][3] == ("owl", "o")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"c-0-hotkey": "/"}, "is reserved: it searches the classes"),
        ({"c-0-hotkey": "2"}, "Two classes have the hotkey"),
        ({"c-0-name": ""}, "required"),
        ({"c-0-name": "dog"}, "Two classes are named"),
        ({"c-0-parent": "dog", "c-1-parent": "cat"}, "above itself"),
        ({"c-0-is_outlier": "on", "c-1-is_outlier": "on"}, "One class at most"),
        ({"c-0-fate": "retire", "c-1-fate": "retire"}, "2 active classes are the least"),
        ({"c-0-fate": "merge:nothing"}, "not one of the available choices"),
        ({"c-0-colour": "red"}, "is no colour"),
    ],
)
def test_the_editor_refuses_in_words_and_keeps_what_was_typed(page, project, fields, words):
    answer = preview(page, project, **fields)
    assert answer.status_code == 422
    assert words in answer.content.decode().replace("&#x27;", "'")
    for name, value in fields.items():
        assert answer.context["formset"].data[name] == value


def test_two_people_edit_and_the_second_learns_what_the_first_did(page, project):
    started = rows(project, action="preview", **{"c-1-name": "Hound"})
    save(page, project, **{"c-0-name": "Feline"})
    answer = page.post(url("schema", project), started)
    assert answer.status_code == 409
    text = answer.content.decode()
    assert "“Cat” is renamed to “Feline”." in text
    assert 'value="Hound"' in text
    fragment = page.post(url("schema", project), started, headers={"HX-Request": "true"})
    assert (fragment.status_code, fragment.json()["code"]) == (409, "stale_schema")


def test_htmx_gets_the_editor_alone(page, project):
    answer = page.post(url("schema", project), rows(project, action="add"), headers={"HX-Request": "true"})
    text = answer.content.decode()
    assert 'id="schema-editor"' in text
    assert "<html" not in text


def test_the_editor_survives_nonsense(page, project):
    for data in (
        {},
        {"action": "up:nobody"},
        {"base_version": "x"},
        {"c-TOTAL_FORMS": "9" * 30, "action": "add"},
    ):
        assert page.post(url("schema", project), data).status_code == 200
    for action in ("preview", "save"):
        assert page.post(url("schema", project), {"action": action}).status_code == 422


def test_old_versions_are_listed(page, project):
    save(page, project, note="why not", **{"c-0-name": "Feline"})
    assert "why not" in page.get(url("schema", project)).content.decode()


def test_the_project_menu_of_an_annotator_has_no_settings(project):
    client = Client()
    client.force_login(join(project, Role.ANNOTATOR))
    assert client.get(url("settings", project)).status_code == 403
