"""The process in which images of strangers are decoded: one request after the other over its standard streams.

It has 1 GiB of address space, writes no file, opens nothing, has no network and no secrets, and ends with its parent:
when the pipe is closed, or by the alarm clock while it is busy. Started by `annotator.modalities.decoding`.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Any, BinaryIO

from PIL import Image, features

from annotator.modalities import image
from annotator.modalities.errors import ModalityError

MEMORY = 2**30
SECONDS = 10  # of the processor: a busy machine makes no image a bad one
PATIENCE = 40  # of the clock
NICE = 10
NOBODY = 65534
PR_SET_NO_NEW_PRIVS = 38
LENGTH = struct.Struct(">I")
MAX_HEADER = 2**16


def main() -> None:
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    _prepare()
    _confine(int(sys.argv[1]))
    write_message(outgoing, {"ready": True})
    while (header := read_header(incoming)) is not None:
        data = incoming.read(header["size"])
        _set_clocks(header["seconds"])
        answer, parts = _answer(data, header)
        _set_clocks(0)
        write_message(outgoing, answer, *parts)


def write_message(stream: BinaryIO, header: dict[str, Any], *parts: bytes) -> None:
    """A length, a JSON header that tells the lengths of the parts, the parts."""
    text = json.dumps(header | {"parts": [len(part) for part in parts]}).encode()
    stream.write(LENGTH.pack(len(text)) + text)
    for part in parts:
        stream.write(part)
    stream.flush()


def read_header(stream: BinaryIO) -> dict[str, Any] | None:
    """The next header; None when the other side has hung up."""
    start = stream.read(LENGTH.size)
    if len(start) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(start)
    found: dict[str, Any] = json.loads(stream.read(length))
    return found


def _set_clocks(seconds: float) -> None:
    """After so many seconds of the processor, or PATIENCE of the clock, the kernel ends this process: in the middle of
    a decoder, whether there is still a parent or not."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE if seconds else 0)


def _answer(data: bytes, header: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    try:
        found = image.examine(data, thumbnail=header["thumbnail"], display=header["display"])
    except ModalityError as error:
        return {"error": str(error)[:1000]}, []
    except MemoryError:
        return {"memory": True}, []
    pictures = {"thumbnail": found.thumbnail, "display": found.display}
    made = {name: data for name, data in pictures.items() if data is not None}
    return {"info": asdict(found.info), "made": list(made)}, list(made.values())


def _prepare() -> None:
    """Load whatever a decoder may load later: after this nothing can be opened any more."""
    Image.init()
    features.get_supported()
    for kind in image.MEDIA_TYPES:
        sample = io.BytesIO()
        Image.new("RGB", (2, 2)).save(sample, kind)
        image.examine(sample.getvalue())
    for mode in ("1", "LA", "P", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "F"):
        image._drawable(Image.new(mode, (2, 2)))
    for name in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "ascii", "cp1252", "idna"):
        "a".encode(name)


def _confine(memory: int) -> None:
    """Limits of this process, from here to its end; `memory` in bytes."""
    with suppress(OSError):
        os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if os.geteuid() == 0:
        # In some containers root may not become anybody else: the limits hold all the same.
        with suppress(PermissionError):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    # Nothing beyond the three streams, not even in the place of one that is closed: no file can be read, no connection made.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
