"""Where to compute, and with how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models_zoo.errors import ModelUnavailable

# Small fits are slower with more threads once another process is busy on the machine: the threads wait for
# each other at every operation.
HEAD_THREADS = 1


def pick_device(wanted: str = "auto") -> torch.device:
    """Return the device called `wanted`; 'auto' takes CUDA, then Apple's, then the processor."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelUnavailable(
            f"the device {wanted!r} was asked for but CUDA is not available",
            hint="Use 'auto' or 'cpu', or install a CUDA build of torch.",
        )
    return device


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Limit torch to `count` threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
