"""Decoding what strangers sent, in child processes with limits; a child that crashes, hangs or grows is replaced.

A child costs a third of a second to start and then serves thousands of images. Safe in threads, after a fork, and in
daemonic processes, which may not use multiprocessing.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import annotator
from annotator.modalities import image
from annotator.modalities.decoder import LENGTH, MAX_HEADER, MEMORY, PATIENCE, SECONDS
from annotator.modalities.errors import ModalityError
from annotator.modalities.image import Examined, ImageInfo

START_SECONDS = 60.0
CHILDREN = 2  # at work at once in one process
USES = 5_000  # images after which a child makes room for a fresh one, whatever its libraries leaked
MAX_PART = 80 * 2**20
PIECE = 2**20
ROOT = Path(annotator.__file__).resolve().parent.parent
TOO_SLOW = f"The image could not be decoded within {SECONDS} seconds."
TOO_MUCH = f"The image could not be decoded: it needed more than {MEMORY // 2**30} GiB of memory."
OUT_OF_TIME = (-signal.SIGPROF, -signal.SIGALRM)
CRASHED = "The image could not be decoded: it is damaged in a way that ends the decoder."


class DecoderFailed(RuntimeError):
    """The decoding process cannot be started: the installation is broken, not the image."""


class ChildLost(Exception):
    """The child hung up or answered what it never would."""


class Child:
    """One decoding process. After any exception but ModalityError it is of no use any more: close it."""

    def __init__(self, memory: int = MEMORY) -> None:
        self.uses = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "annotator.modalities.decoder", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            # No secrets: nothing of the parent's environment.
            env={
                "PATH": os.defpath,
                "LC_ALL": "C.UTF-8",
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in: IO[bytes] = self._process.stdin
        self._out: IO[bytes] = self._process.stdout
        for stream in (self._in, self._out):
            os.set_blocking(stream.fileno(), False)
        try:
            self._receive(time.monotonic() + START_SECONDS)
        except (ChildLost, TimeoutError, OSError) as error:
            self.close()
            raise DecoderFailed("The process that decodes images cannot be started.") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def examine(self, data: bytes, *, thumbnail: bool, display: bool, seconds: float) -> Examined:
        """What `image.examine` gives; ModalityError, MemoryError, TimeoutError or ChildLost."""
        self.uses += 1
        deadline = time.monotonic() + PATIENCE
        wanted = {"size": len(data), "thumbnail": thumbnail, "display": display, "seconds": seconds}
        header = json.dumps(wanted).encode()
        self._send(LENGTH.pack(len(header)) + header, deadline)
        self._send(data, deadline)
        answer, parts = self._receive(deadline)
        if "error" in answer:
            raise ModalityError(str(answer["error"]))
        if "memory" in answer:
            raise MemoryError
        try:
            made = dict(zip(answer["made"], parts, strict=True))
            return Examined(_checked(answer["info"], len(data)), made.get("thumbnail"), made.get("display"))
        except (KeyError, TypeError, ValueError) as error:
            raise ChildLost from error

    def close(self) -> int:
        """End the process, whatever it does; its exit status."""
        if self._process.poll() is None:
            self._process.kill()
        for stream in (self._in, self._out):
            with suppress(OSError):
                stream.close()
        return self._process.wait()

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        with _ready(self._in, selectors.EVENT_WRITE) as wait:
            while view:
                wait(deadline)
                try:
                    view = view[os.write(self._in.fileno(), view[:PIECE]) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise ChildLost from error

    def _receive(self, deadline: float) -> tuple[dict[str, Any], list[bytes]]:
        (length,) = LENGTH.unpack(self._take(LENGTH.size, deadline))
        if length > MAX_HEADER:
            raise ChildLost
        try:
            header = json.loads(self._take(length, deadline))
            sizes = [int(size) for size in header["parts"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ChildLost from error
        if len(sizes) > 2 or not all(0 <= size <= MAX_PART for size in sizes):
            raise ChildLost
        return header, [self._take(size, deadline) for size in sizes]

    def _take(self, size: int, deadline: float) -> bytes:
        found = bytearray()
        with _ready(self._out, selectors.EVENT_READ) as wait:
            while len(found) < size:
                wait(deadline)
                try:
                    piece = os.read(self._out.fileno(), min(size - len(found), PIECE))
                except BlockingIOError:
                    continue
                if not piece:
                    raise ChildLost
                found += piece
        return bytes(found)


class Children:
    """The decoding processes of this process: at most CHILDREN at work, started when first needed."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._room = threading.BoundedSemaphore(CHILDREN)
        self._idle: list[Child] = []

    @property
    def foreign(self) -> bool:
        """Whether this process was forked from the one whose children these are."""
        return self._pid != os.getpid()

    def examine(self, data: bytes, *, thumbnail: bool, display: bool, seconds: float) -> Examined:
        with self._room:
            child = self._idle.pop() if self._idle else Child()
            try:
                found = child.examine(data, thumbnail=thumbnail, display=display, seconds=seconds)
            except ModalityError:
                self._give_back(child)
                raise
            except TimeoutError:
                child.close()
                raise ModalityError(TOO_SLOW) from None
            except MemoryError:
                child.close()
                raise ModalityError(TOO_MUCH) from None
            except ChildLost:
                raise ModalityError(TOO_SLOW if child.close() in OUT_OF_TIME else CRASHED) from None
            except BaseException:
                child.close()
                raise
            self._give_back(child)
            return found

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _give_back(self, child: Child) -> None:
        if child.uses < USES:
            self._idle.append(child)
        else:
            child.close()


_children: Children | None = None
_starting = threading.Lock()


def examine(
    data: bytes | Path, *, thumbnail: bool = True, display: bool = True, seconds: float = SECONDS
) -> Examined:
    """The facts and pictures of an image, as `image.examine` makes them; ModalityError says why there are none."""
    size = len(data) if isinstance(data, bytes) else data.stat().st_size
    if size > image.MAX_BYTES:
        raise ModalityError(f"The file is too large: {size:,} bytes, {image.MAX_BYTES:,} are allowed.")
    payload = data if isinstance(data, bytes) else data.read_bytes()
    return _of_this_process().examine(payload, thumbnail=thumbnail, display=display, seconds=seconds)


def close() -> None:
    """End the idle children; the next image starts a new one."""
    if _children is not None and not _children.foreign:
        _children.close()


def _of_this_process() -> Children:
    global _children
    with _starting:
        if _children is None or _children.foreign:
            _children = Children()
            atexit.register(close)
        return _children


def _checked(values: dict[str, Any], size: int) -> ImageInfo:
    """The child's word, as far as it can be true: it has read bytes that nobody trusts."""
    info = ImageInfo(**values)
    numbers = (info.width, info.height, info.frames)
    sound = all(type(each) is int and each > 0 for each in numbers) and info.size == size
    if not sound or info.media_type not in image.MEDIA_TYPES.values() or max(numbers[:2]) > image.MAX_SIDE:
        raise ValueError("impossible facts")
    return info


@contextmanager
def _ready(stream: IO[bytes], event: int) -> Iterator[Any]:
    """A function that waits until the stream can be used, TimeoutError after the deadline."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, event)

        def wait(deadline: float) -> None:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError

        yield wait
