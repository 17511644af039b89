from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from annotator.items.models import Item
from annotator.items.services import add_items
from annotator.projects.models import Project, Role
from tests.factories import join, make_items, make_project
from tests.items.makers import add_image, text_item
from tests.modalities.images import image_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def api(project: Project) -> APIClient:
    client = APIClient()
    client.force_authenticate(join(project, Role.MANAGER))
    return client


def root(project: Project) -> str:
    return f"/api/v1/projects/{project.pk}/items/"


def test_items_come_page_by_page(project: Project, api: APIClient) -> None:
    make_items(project, 10)
    rows, after = [], None
    while True:
        page = api.get(root(project), {"limit": 4} if after is None else {"limit": 4, "after": after}).json()
        rows += [item["row"] for item in page["results"]]
        if (after := page["next_after"]) is None:
            break
    assert rows == list(range(10))


def test_items_can_be_filtered(project: Project, api: APIClient) -> None:
    items = [text_item("a", "1"), text_item("b", "2", split="test", classes=("cat",), meta={"k": 1})]
    add_items(project_id=project.pk, items=items, source="x")
    [found] = api.get(root(project), {"external_id": "2"}).json()["results"]
    assert (found["text"], found["imported_labels"], found["meta"]) == ("b", ["cat"], {"k": 1})
    assert [i["external_id"] for i in api.get(root(project), {"split": "pool"}).json()["results"]] == ["1"]
    assert api.get(root(project), {"archived": "true"}).json()["results"] == []
    assert len(api.get(root(project), {"archived": "false"}).json()["results"]) == 2
    assert api.get(root(project), {"split": "x"}).status_code == 400


def test_archive_restore_and_delete(project: Project, api: APIClient) -> None:
    items = make_items(project, 3)
    ids = [item.pk for item in items]
    assert api.post(f"{root(project)}archive/", {"items": ids[:2]}, format="json").json() == {"count": 2}
    assert api.get(f"{root(project)}{ids[0]}/").json()["archived_at"]
    assert api.post(f"{root(project)}restore/", {"items": ids}, format="json").json() == {"count": 2}
    assert api.delete(f"{root(project)}{ids[0]}/").status_code == 204
    assert api.get(f"{root(project)}{ids[0]}/").json()["code"] == "not_found"
    assert Item.objects.count() == 2


def test_images_give_their_address(api: APIClient, project: Project) -> None:
    project.modality = "image"
    project.save()
    item = add_image(project, image_bytes((300, 200)))
    found = api.get(f"{root(project)}{item.pk}/").json()["asset"]
    assert (found["width"], found["height"], found["media_type"]) == (300, 200, "image/png")
    original = api.get(found["url"])
    assert original.content == image_bytes((300, 200))
    assert original["Content-Disposition"].startswith("attachment")
    assert api.get(found["url"], {"variant": "thumbnail"})["Content-Type"] == "image/webp"
    assert api.get(found["url"], {"variant": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("role", "see", "act"), [(Role.REVIEWER, 200, 403), (Role.VIEWER, 200, 403), (Role.ANNOTATOR, 403, 403)]
)
def test_roles(project: Project, role: str, see: int, act: int) -> None:
    item = make_items(project, 1)[0]
    client = APIClient()
    client.force_authenticate(join(project, role))
    assert client.get(root(project)).status_code == see
    assert client.get(f"{root(project)}{item.pk}/").status_code == see
    assert client.delete(f"{root(project)}{item.pk}/").status_code == act
    for action in ("archive", "restore"):
        assert (
            client.post(f"{root(project)}{action}/", {"items": [item.pk]}, format="json").status_code == act
        )


def test_a_foreign_project_and_its_items_do_not_exist(project: Project, api: APIClient) -> None:
    other = make_project(modality="image")
    item = add_image(other)
    assert api.get(root(other)).status_code == 404
    assert api.get(f"{root(project)}{item.pk}/").status_code == 404
    assert api.delete(f"{root(project)}{item.pk}/").status_code == 404
    assert api.post(f"{root(project)}archive/", {"items": [item.pk]}, format="json").json() == {"count": 0}
    assert api.get(f"/api/v1/projects/{project.pk}/assets/{item.asset_id}/").status_code == 404
    assert Item.objects.filter(pk=item.pk, archived_at=None).exists()
