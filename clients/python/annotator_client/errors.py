"""What can go wrong between a program and a server, in words."""

from __future__ import annotations


class ClientError(Exception):
    """Anything that this package raises. `hint` says what to do, where something can be done."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return " ".join(filter(None, [self.message, self.hint]))


class Unreachable(ClientError):
    """No answer, however often it was tried."""


class Refused(ClientError):
    """The server said no: `status` and `code` are its own (RFC 9457 problem documents)."""

    def __init__(self, message: str, *, status: int, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status, self.code = status, code


class JobFailed(ClientError):
    """A job ended otherwise than well; `job` is its last state."""

    def __init__(self, message: str, *, job: dict[str, object]) -> None:
        super().__init__(message)
        self.job = job
