"""Typed errors of the model package; the product maps them to its own at the border."""

from __future__ import annotations


class ModelError(Exception):
    """Base of every error that this package raises on purpose."""

    code = "model_error"


class UnknownModel(ModelError):
    """No model is registered under this key."""

    code = "unknown_model"


class InvalidParameters(ModelError):
    """Parameters do not fit the model's JSON schema."""

    code = "invalid_parameters"


class ModelUnavailable(ModelError):
    """A package or weights are missing; `hint` says what to do."""

    code = "model_unavailable"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotFitted(ModelError):
    """The model learns from samples first (`needs_fit`) and has not done so."""

    code = "not_fitted"


class NotEnoughData(ModelError):
    """The labels cannot train a model yet; the message says what is missing."""

    code = "not_enough_data"


class SampleError(ModelError):
    """One sample cannot be read; `index` is its position in the samples of the call."""

    code = "sample_error"

    def __init__(self, message: str, *, index: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.index = index

    def at(self, index: int) -> SampleError:
        """Return the same error for position `index`."""
        return type(self)(self.message, index=index)

    def __str__(self) -> str:
        return f"sample {self.index}: {self.message}" if self.index >= 0 else self.message


class CheckpointError(ModelError):
    """A checkpoint is missing, damaged, or not one of ours."""

    code = "checkpoint_error"


class Cancelled(ModelError):
    """The caller's `should_stop` said so; nothing was saved."""

    code = "cancelled"
