"""From a file with errors through its dry run to the items, as a person does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.jobs.services import run_job
from annotator.projects.models import Project, Role
from annotator.transfer import dry_run, tasks, uploads
from tests.e2e.person import Person
from tests.factories import join, make_project
from tests.modalities.images import image_bytes

pytestmark = pytest.mark.django_db(transaction=True)
HANDLERS = tasks.run_import  # importing registers it
TABLE = """key,body,label
1,"The first text, which is good.",cat
2,,dog
3,Another good one,unicorn
1,Not the first text,cat
4,too,many,fields
"""


@pytest.fixture
def project() -> Project:
    return make_project()


def picture(person: Person, name: str) -> None:
    """A picture of the page where somebody wants to look at them."""
    if folder := os.environ.get("SCREENSHOTS"):
        person.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def tile(person: Person, label: str) -> str:
    return person.page.locator(".stat", has_text=label).locator(".stat__value").inner_text()


def test_a_file_with_errors_is_checked_mapped_again_and_imported(
    people: Callable[..., Person], project: Project
) -> None:
    manager = people(join(project, Role.MANAGER), color_scheme="dark")
    page = manager.open("transfer:import", project.pk)
    content = {"name": "pets.csv", "mimeType": "text/csv", "buffer": TABLE.encode()}
    page.get_by_label("Choose files").set_input_files(content)
    expect(page.locator("[data-chosen]")).to_contain_text("pets.csv")
    picture(manager, "import-chosen")
    page.get_by_role("button", name="Upload and check").click()

    expect(page.get_by_role("heading", name="What the import would do")).to_be_visible()
    assert (tile(manager, "Rows read"), tile(manager, "Would not come in")) == ("5", "3")
    rows = page.locator("#check table tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("The text is empty.")
    expect(page.locator(".preview").first).to_contain_text("The first text, which is good.")
    expect(page.get_by_text("unicorn").first).to_be_visible()
    assert not Item.objects.exists()
    picture(manager, "import-checked")
    with page.expect_download() as download:
        page.get_by_role("link", name="as CSV").click()
    assert "too many" in Path(download.value.path()).read_text()

    changed = page.get_by_text("The mapping was changed")
    expect(changed).to_be_hidden()
    page.get_by_label("When an id has other content here").select_option("new")
    expect(changed).to_be_visible()
    page.get_by_role("button", name="Check again").press("Enter")
    expect(page.locator(".stat", has_text="Would not come in").locator(".stat__value")).to_have_text("2")
    expect(page.get_by_label("When an id has other content here")).to_have_value("new")

    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Waiting").first).to_be_visible()
    run_job(Job.objects.get(kind="import").pk)
    page.reload()
    assert (tile(manager, "New items"), tile(manager, "Rows with errors")) == ("3", "2")
    names = list(Item.objects.order_by("row").values_list("external_id", flat=True))
    assert names == ["1", "3", "1#2"]
    picture(manager, "import-report")


def test_an_upload_survives_a_lost_connection_and_a_reload(
    people: Callable[..., Person], project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(uploads, "CHUNK_BYTES", 1000)
    manager = people(join(project, Role.MANAGER))
    manager.expected += ["ERR_INTERNET_DISCONNECTED", "ERR_FAILED"]
    page = manager.open("transfer:import", project.pk)
    body = "id,text\n" + "".join(f"{n},text number {n}\n" for n in range(300))
    content = tmp_path / "a.csv"
    content.write_text(body)
    sent: list[str] = []

    def piece(route: Route) -> None:
        sent.append(route.request.url)
        route.abort() if len(sent) == 3 else route.continue_()

    page.route("**/uploads/*/?file=*", piece)
    page.get_by_label("Choose files").set_input_files(content)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_text("goes on by itself")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("within a day")).to_be_visible()
    before = len(sent)

    page.unroute("**/uploads/*/?file=*")
    page.reload()
    again: list[str] = []
    page.on("request", lambda request: again.append(request.url) if "?file=" in request.url else None)
    page.get_by_label("Choose files").set_input_files(content)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("heading", name="What the import would do")).to_be_visible()
    assert tile(manager, "New items") == "300"
    pieces = -(-len(body) // 1000)
    assert len(again) == pieces - (before - 1)


def test_a_folder_per_class_is_checked_by_the_worker_and_shows_its_pictures(
    people: Callable[..., Person], tmp_path: Path
) -> None:
    project = make_project(modality="image")
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes((300 + len(name), 200 if "cat" in name else 300)))
    (tmp_path / "set/dog/broken.png").write_bytes(b"no image")
    (tmp_path / "set/notes.txt").write_text("left out")
    manager = people(join(project, Role.MANAGER))
    page = manager.open("transfer:import", project.pk)
    page.get_by_label("or a whole folder").set_input_files(tmp_path / "set")
    expect(page.locator("[data-chosen]")).to_contain_text("1 of other kinds are left out")
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_text("Check before the import").first).to_be_visible()
    run_job(Job.objects.get(kind=dry_run.KIND).pk)
    page.reload()
    expect(page.locator(".preview img")).to_have_count(3)
    expect(page.locator("#check table tbody tr")).to_have_count(1)
    assert tile(manager, "New items") == "3"
    picture(manager, "import-images")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Waiting").first).to_be_visible()
    run_job(Job.objects.get(kind="import").pk)
    names = list(Item.objects.order_by("row").values_list("external_id", "imported_label__classes"))
    assert names == [("cat/1.png", ["cat"]), ("cat/2.png", ["cat"]), ("dog/1.png", ["dog"])]
