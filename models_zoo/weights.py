"""Identity of loaded weights, and weights from files. Never unpickles anything but tensors."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from models_zoo.errors import ModelUnavailable

_HINT = "Give a state_dict saved by torch.save, or a .safetensors file."


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the state_dict in a `.safetensors` or `torch.save` file, or raise ModelUnavailable."""
    if not path.is_file():
        raise ModelUnavailable(f"the weights file {path.name} does not exist", hint=_HINT)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, safetensors.SafetensorError) as error:
        raise ModelUnavailable(f"the weights file {path.name} cannot be read: {error}", hint=_HINT) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelUnavailable(f"the weights file {path.name} holds no state_dict", hint=_HINT)
    return state
