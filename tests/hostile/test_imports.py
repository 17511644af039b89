"""Hostile files through the real import services: nothing breaks, every row is counted, every reason is in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from annotator.common.errors import AnnotatorError
from annotator.items.models import Item
from annotator.jobs.services import run_job
from annotator.modalities import ModalityError, decoding
from annotator.modalities import image as modality
from annotator.projects.models import Project
from annotator.transfer import remote
from tests.factories import make_project
from tests.hostile import corpus
from tests.hostile.pushing import assert_words, push, reasons_of
from tests.transfer.makers import run, start, upload, zip_bytes

pytestmark = pytest.mark.django_db
ROUTINE = settings(
    derandomize=True, max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture
def texts(settings: Settings, tmp_path: Path) -> Project:
    settings.MEDIA_ROOT = tmp_path
    return make_project()


@pytest.fixture
def images(settings: Settings, tmp_path: Path) -> Project:
    settings.MEDIA_ROOT = tmp_path
    return make_project(modality="image")


# Images


def test_broken_pictures_are_told_one_by_one(images: Project) -> None:
    files = list(corpus.images())
    assert len(files) > 200
    record = push(images, *(upload(name, data) for name, data in files))
    assert record is not None
    assert record.counts["rows"] == len(files)
    assert record.counts["rejected"] > 80
    assert Item.objects.filter(external_id__startswith="whole.").count() == len(corpus.KINDS)


@given(
    st.sampled_from(corpus.KINDS),
    st.lists(st.tuples(st.integers(0, 2_000), st.binary(max_size=8)), max_size=6),
)
@settings(ROUTINE, max_examples=80)
def test_no_bytes_harm_the_decoder(kind: str, patches: list[tuple[int, bytes]]) -> None:
    data = bytearray(corpus.picture(kind))
    for at, patch in patches:
        data[at % len(data) : at % len(data) + len(patch)] = patch
    try:
        found = decoding.examine(bytes(data)).info
    except ModalityError as error:
        assert_words(str(error))
    else:
        assert found.width * found.height <= modality.MAX_PIXELS


# Archives


@pytest.mark.parametrize(("name", "data"), [pytest.param(*each, id=each[0]) for each in corpus.archives()])
def test_an_archive_does_no_harm(images: Project, name: str, data: bytes, tmp_path: Path) -> None:
    record = push(images, upload(name, data))
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert written <= {"assets", "imports", "thumbnails"}
    assert not (tmp_path.parent / "up.png").exists()
    if record is not None:
        assert not Item.objects.filter(external_id__contains="../").exists()
        assert not Item.objects.filter(external_id__startswith="/").exists()


@pytest.mark.parametrize(("name", "data"), [pytest.param(*e, id=e[0]) for e in corpus.damaged_pictures()])
def test_a_damaged_picture_does_not_end_the_import(images: Project, name: str, data: bytes) -> None:
    record = push(images, upload(name, data))
    assert record is not None
    assert (record.counts["created"], record.counts["rejected"]) == (1, 1)


# Exports, ours and others'. All into projects that have an item: there a native one is an import as any other.


def test_native_exports_of_texts_do_no_harm(texts: Project) -> None:
    push(texts, upload("first.csv", "text\nfirst\n"))
    came = [name for name, data in corpus.native_files() if push(texts, upload(name, data)) is not None]
    assert len(came) > 150
    assert Item.objects.filter(project=texts, external_id="behind it").exists()


def test_sets_of_images_do_no_harm(images: Project) -> None:
    push(images, upload("first.png", corpus.picture("PNG", size=(3, 3))))
    came = [name for name, data in corpus.image_sets() if push(images, upload(name, data)) is not None]
    assert len(came) > 50


def test_exports_of_other_programs_do_no_harm(texts: Project) -> None:
    came = [name for name, data in corpus.exports_of_others() if push(texts, upload(name, data)) is not None]
    assert len(came) > 100


@pytest.mark.parametrize("kind", ["texts", "images"])
def test_no_damaged_export_is_restored_into_an_empty_project(
    kind: str, settings: Settings, tmp_path: Path
) -> None:
    """The restore is all or nothing: refused when it is sent, or its job ends in words."""
    settings.MEDIA_ROOT = tmp_path
    files = corpus.native_files() if kind == "texts" else corpus.image_sets()
    project = make_project(modality=kind.removesuffix("s"))
    for name, data in [each for each in files if not each[0].startswith("folder")][::5]:
        try:
            _, job = run(project, upload(name, data))
        except AnnotatorError as error:
            assert_words(error.message)
            continue
        assert job.state == "failed"
        assert_words(job.error)
        assert not project.items.exists()


def test_odd_names_are_told_apart_or_refused(images: Project) -> None:
    data = dict(corpus.archives())["names.zip"]
    record = push(images, upload("names.zip", data))
    assert record is not None
    ids = set(Item.objects.values_list("external_id", flat=True))
    assert {
        "CASE.png",
        "case.png",
        "stem.png",
        "stem.jpg",
        "one/stem.png",
        "two/stem.png",
        "caf\u00e9.png",
    } <= ids
    reasons = reasons_of(record)
    assert sum("unsafe" in reason for reason in reasons) >= 6
    # The same name, written in two ways, of two pictures.
    assert sum("taken by an item with other content" in reason for reason in reasons) == 1


@given(st.binary(max_size=400), st.integers(0, 10_000))
@ROUTINE
def test_no_bytes_harm_the_reader_of_archives(images: Project, patch: bytes, at: int) -> None:
    data = bytearray(zip_bytes({"a/1.png": corpus.picture("PNG"), "b/2.gif": corpus.picture("GIF")}))
    at %= len(data)
    data[at : at + len(patch) % 40] = patch[: len(patch) % 40]
    push(images, upload("a.zip", bytes(data)))


# Texts


@pytest.mark.parametrize("n", range(len(corpus.TABLES)))
def test_a_table_does_no_harm(texts: Project, n: int) -> None:
    push(texts, upload("a.csv", corpus.data(corpus.TABLES[n])))
    push(texts, upload(f"a.{('tsv', 'txt')[n % 2]}", corpus.data(corpus.TABLES[n])))


@pytest.mark.parametrize("n", range(len(corpus.LINES)))
def test_a_line_of_json_does_no_harm_and_the_line_behind_it_comes_in(texts: Project, n: int) -> None:
    line = corpus.data(corpus.LINES[n])
    push(texts, upload("alone.jsonl", line))
    record = push(texts, upload("before.jsonl", line + b'\n{"text": "behind it", "id": "9"}\n'))
    if record is not None and not line.startswith((b"\xff\xfe", b"\0")):
        assert Item.objects.filter(project=texts, text="behind it").exists()


@given(
    st.sampled_from(["csv", "tsv", "jsonl", "txt"]), st.one_of(st.binary(max_size=300), st.text(max_size=200))
)
@settings(ROUTINE, max_examples=30)
def test_nothing_at_all_harms_the_readers_of_texts(texts: Project, ending: str, content: bytes | str) -> None:
    push(texts, upload(f"a.{ending}", corpus.data(content)))


@given(st.lists(st.text('",;|\t\n\r\\ab\0é', max_size=12), min_size=1, max_size=12))
@ROUTINE
def test_quotes_and_delimiters_in_any_order_are_counted(texts: Project, cells: list[str]) -> None:
    push(texts, upload("a.csv", "id,text\n" + ",".join(cells) + "\n1,fine\n"))


@given(st.text(max_size=60))
@ROUTINE
def test_files_may_be_called_anything(texts: Project, name: str) -> None:
    for each in (name, f"{name}.csv"):
        push(texts, upload(each or "x", "text\na\n"))


def test_pages_show_no_traceback_for_any_of_them(texts: Project, client: Client) -> None:
    """The test client raises what a view does not catch."""
    client.force_login(texts.created_by)
    for n, content in enumerate([*corpus.TABLES[::6], *corpus.LINES[::6]]):
        file = upload(f"{n}.{'csv' if n % 2 else 'jsonl'}", corpus.data(content))
        answer = client.post(reverse("transfer:import", args=[texts.pk]), {"uploads": file}, follow=True)
        assert answer.status_code in (200, 422), n
        assert "Traceback" not in answer.content.decode()


# Addresses

ADDRESSES = [
    "", " ", "x", "http://", "http:///", "https://127.0.0.1/a.png", "http://localhost/a.png", "http://[::1]/a.png", "http://0/",
    "http://169.254.169.254/latest/meta-data/", "http://[::ffff:169.254.169.254]/", "http://2852039166/", "http://0251.0376.0251.0376/",
    "http://0xa9fea9fe/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_FLUSHALL", "dict://127.0.0.1/", "ftp://127.0.0.1/a.png",
    "http://127.0.0.1:22/", "http://127.0.0.1:99999/", "http://user:password@127.0.0.1/", "http://127.0.0.1@127.0.0.1/", "//127.0.0.1/",
    "http://127.0.0.1/\r\nX: y", "http://127.0.0.1 /", "javascript:alert(1)", "data:image/png;base64,AAAA", "storage:ours/../../x.png",
    "storage:", "storage:none/a.png", "http://127。0。0。1/", "http://①②⑦.⓪.⓪.①/", "http://[fe80::1%25lo]/", "http://[64:ff9b::7f00:1]/",
    "http://" + "a" * 300 + ".test/", "http://" + "x" * 3_000, "\u202ehttp://127.0.0.1/", "HTTP://LOCALHOST/", "http://localhost./",
]  # fmt: skip


def test_no_address_of_a_list_reaches_what_is_not_public(images: Project) -> None:
    record = remote.receive_url_texts(project=images, user=None, urls=ADDRESSES)
    job = start(record, by_reference=True)
    run_job(job.pk)
    record.refresh_from_db()
    job.refresh_from_db()
    assert job.error == ""
    counts = record.counts
    blank = sum(not each.strip() for each in ADDRESSES)
    assert (counts["rows"], counts["created"]) == (len(ADDRESSES) - blank, 0)
    for reason in reasons_of(record):
        assert_words(reason)


@given(st.lists(st.text(max_size=40), max_size=5))
@ROUTINE
def test_lists_of_anything_are_read(images: Project, urls: list[str]) -> None:
    """Nothing in them is an address, so nothing is asked."""
    try:
        record = remote.receive_url_texts(project=images, user=None, urls=[f"x{url}" for url in urls])
        job = start(record)
    except AnnotatorError as error:
        assert_words(error.message)
        return
    run_job(job.pk)
    record.refresh_from_db()
    assert record.counts["rejected"] == record.counts["rows"]
