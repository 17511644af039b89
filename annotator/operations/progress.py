"""How far a command is: one line that is written over on a terminal, a line every ten percent elsewhere."""

from __future__ import annotations

from django.core.management.base import OutputWrapper


class Line:
    """Call it with (done, total) in bytes."""

    def __init__(self, out: OutputWrapper, what: str) -> None:
        self.out, self.what = out, what
        self.last = -1
        self.step = 1 if out.isatty() else 10

    def __call__(self, done: int, total: int) -> None:
        percent = min(100, 100 * done // total) if total else 100
        if percent == self.last or (percent % self.step and percent < 100):
            return
        self.last = percent
        text = f"{self.what}: {percent} %"
        if self.out.isatty():
            self.out.write(f"\r{text}", ending="\n" if percent == 100 else "")
        else:
            self.out.write(text)
