"""The one place that makes torchvision importable.

torchvision registers shape functions for `nms` and `qnms` while it is imported. When its compiled part does not fit
the installed torch (a CPU build of one beside a CUDA build of the other), the two operators do not exist and the
import fails, although backbones and transforms need neither. Declaring the two (without an implementation) before
the import is enough. Where the compiled part loads, nothing is declared. sentence-transformers imports
torchvision through transformers, so it passes here too.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
# torch does not annotate these parts.
_torch: Any = torch
# The registration lives as long as this object does.
_declared: list[Any] = []


def has_operator(name: str) -> bool:
    """Tell whether `torchvision::name` is declared in this process."""
    return bool(torch._C._jit_get_schemas_for_operator(f"torchvision::{name}"))


def _load_compiled_part() -> None:
    """Load torchvision's library of operators as torchvision itself would; a misfit stays unloaded."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        library = folder / f"_C{suffix}"
        if library.exists():
            try:
                _torch.ops.load_library(library)
            except (OSError, ImportError):
                return
            return


@functools.cache
def declare_missing_operators() -> tuple[str, ...]:
    """Declare the operators that torchvision's import needs and that nobody declared; return their names."""
    _load_compiled_part()
    missing = tuple(name for name in SCHEMAS if not has_operator(name))
    if missing:
        library = _torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            library.define(SCHEMAS[name])
        _declared.append(library)
    return missing


def import_torchvision() -> ModuleType:
    """Import torchvision, whichever way it was built."""
    declare_missing_operators()
    return importlib.import_module("torchvision")
