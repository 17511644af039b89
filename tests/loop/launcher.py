"""The supervisor as `make run` starts it, but that a process killed again and again is started again soon."""

from __future__ import annotations

from annotator.supervisor import processes
from annotator.supervisor.__main__ import main

if __name__ == "__main__":
    processes.LONGEST_DELAY = processes.FIRST_DELAY
    raise SystemExit(main())
