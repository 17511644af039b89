"""The process in which images are decoded: what it may not do, and what becomes of it when an image ends it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from annotator.modalities import decoding, image
from annotator.modalities.decoding import Child, ChildLost, Children
from annotator.modalities.errors import ModalityError
from tests.modalities.images import image_bytes, png_claiming

ROOT = Path(decoding.ROOT)


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.close()


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children()
    yield made
    made.close()


def large(mode: str, kind: str, side: int) -> bytes:
    out = io.BytesIO()
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    Image.new(mode, (side, side)).save(out, kind, **options)
    return out.getvalue()


def limits(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[0] for line in lines}


def test_the_child_says_what_the_same_code_says_here(child: Child) -> None:
    data = image_bytes((600, 400), "TIFF")
    assert child.examine(data, thumbnail=True, display=True, seconds=10) == image.examine(data)
    small = child.examine(data, thumbnail=False, display=False, seconds=10)
    assert (small.thumbnail, small.display) == (None, None)


def test_one_child_serves_many_images_and_survives_broken_ones(children: Children) -> None:
    first = children.examine(image_bytes(), thumbnail=True, display=True, seconds=10)
    [child] = children._idle
    with pytest.raises(ModalityError, match="not an image"):
        children.examine(b"hello", thumbnail=True, display=True, seconds=10)
    with pytest.raises(ModalityError, match="too large"):
        children.examine(png_claiming(60_000, 60_000), thumbnail=True, display=True, seconds=10)
    assert children.examine(image_bytes(), thumbnail=True, display=True, seconds=10) == first
    assert children._idle == [child]
    assert child.uses == 4


def test_the_child_can_open_nothing_write_nothing_and_start_nothing(child: Child) -> None:
    found = limits(child.pid)
    expected = {
        "Max core file size": "0",
        "Max file size": "0",
        "Max address space": str(2**30),
        "Max open files": "0",
        "Max processes": "0",
    }
    assert {name: found[name] for name in expected} == expected
    process = psutil.Process(child.pid)
    assert process.nice() >= os.nice(0) + 10 or process.nice() == 19
    assert process.uids().effective != 0
    assert not process.environ().keys() & {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "ANNOTATOR_HOME"}


def test_an_image_that_takes_too_long_is_refused_and_the_next_one_gets_a_new_child(
    children: Children,
) -> None:
    children.examine(image_bytes(), thumbnail=False, display=False, seconds=10)
    [before] = children._idle
    with pytest.raises(ModalityError, match="within 10 seconds"):
        children.examine(large("RGB", "PNG", 3_000), thumbnail=True, display=True, seconds=0.02)
    assert children._idle == []
    assert children.examine(image_bytes(), thumbnail=False, display=False, seconds=10).info.width == 6
    assert children._idle[0].pid != before.pid


def test_an_image_that_needs_too_much_memory_is_refused_in_words(children: Children) -> None:
    starving = Child(memory=150 * 2**20)
    children._idle.append(starving)
    with pytest.raises(ModalityError, match="more than 1 GiB"):
        children.examine(large("RGBA", "TIFF", 4_000), thumbnail=True, display=True, seconds=10)
    assert starving not in children._idle


def test_a_child_that_was_killed_is_one_refused_image(children: Children) -> None:
    children.examine(image_bytes(), thumbnail=False, display=False, seconds=10)
    os.kill(children._idle[0].pid, signal.SIGKILL)
    with pytest.raises(ModalityError, match="damaged in a way"):
        children.examine(image_bytes(), thumbnail=False, display=False, seconds=10)
    assert children.examine(image_bytes(), thumbnail=False, display=False, seconds=10).info.height == 4


@pytest.mark.parametrize(
    "facts",
    [
        {"media_type": "image/svg+xml"},
        {"width": -1},
        {"width": 10**9},
        {"height": "4"},
        {"size": 5},
        {"frames": 0},
        {"other": 1},
    ],
)
def test_impossible_facts_are_not_believed(facts: dict[str, object]) -> None:
    whole = {"media_type": "image/png", "size": 77, "width": 6, "height": 4, "frames": 1}
    decoding._checked(whole, 77)
    with pytest.raises((ValueError, TypeError)):
        decoding._checked(whole | facts, 77)


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\2{}",
        b"\0\0\0\4null",
        b'\0\0\0\x1e{"parts": [99999999999999999]}',
        b"\0\0\0\x0d" + b'{"parts": []}',
    ],
)
def test_an_answer_that_no_child_gives_loses_the_child(child: Child, answer: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, answer)
    os.close(writing)
    child._out.close()
    child._out = os.fdopen(reading, "rb", buffering=0)
    with pytest.raises(ChildLost):
        child.examine(image_bytes(), thumbnail=False, display=False, seconds=10)


def test_threads_share_a_bounded_number_of_children(children: Children) -> None:
    def work(_: int) -> int:
        return children.examine(image_bytes(), thumbnail=True, display=True, seconds=10).info.width

    with ThreadPoolExecutor(5) as threads:
        found = list(threads.map(work, range(25)))
    assert found == [6] * 25
    assert 1 <= len(children._idle) <= decoding.CHILDREN


def test_a_child_makes_room_after_many_images(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "USES", 2)
    for _ in range(2):
        children.examine(image_bytes(), thumbnail=False, display=False, seconds=10)
    assert children._idle == []


PARENT = """
    import os, sys
    {before}
    from annotator.modalities import decoding
    decoding.examine({data!r}, thumbnail=False, display=False)
    print(decoding._children._idle[0].pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def run_parent(before: str) -> int:
    code = textwrap.dedent(PARENT).format(before=before, data=image_bytes())
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(done.stdout)


# A fork that then asks has children of its own; a daemonic process may start them too.
DAEMONIC = (
    "import multiprocessing.process; multiprocessing.process.current_process()._config['daemon'] = True"
)
FORKED = "from annotator.modalities import decoding; decoding.examine({data!r})\nif os.fork(): os._exit(os.wait()[1] and 0)"


@pytest.mark.parametrize("before", ["", DAEMONIC, FORKED.format(data=image_bytes())])
def test_the_child_ends_with_its_parent(before: str) -> None:
    pid = run_parent(before)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_a_decoder_that_cannot_start_is_no_fault_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(decoding.DecoderFailed):
        Child()


def test_an_ordinary_user_is_as_confined_as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    code = """
        import json, os, sys
        os.setgid(65534); os.setuid(65534)
        from annotator.modalities import decoding
        decoding.examine({data!r})
        with open(f"/proc/{{decoding._children._idle[0].pid}}/limits") as file: print(json.dumps(file.read()))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code).format(data=image_bytes())],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "Permission denied" in done.stderr or "No module" in done.stderr:
        pytest.skip("the checkout is not readable for others")
    assert "Max open files            0" in json.loads(done.stdout)
