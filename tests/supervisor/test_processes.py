"""The supervisor with small fake services: restarts, order of stopping, logs, failures at the start."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.supervisor import children
from annotator.supervisor.errors import StartError
from annotator.supervisor.processes import Running, Service, Supervisor
from tests.supervisor.helpers import FOREVER, eventually, gone, python

LAST_WORDS = textwrap.dedent("""
    import signal, sys, time
    def leave(*_):
        with open(sys.argv[2], "a") as file: file.write(sys.argv[1] + "\\n")
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    print("up")
    while True: time.sleep(60)
""")


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, shown: list[str]) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, show=shown.append) as running:
        yield running


def service(name: str, code: str, *arguments: str, stage: int = 1, patience: float = 10.0) -> Service:
    return Service(
        name=name,
        start=lambda out: children.spawn(python(code, *arguments), output=out),
        stage=stage,
        patience=patience,
    )


def is_up(running: Running) -> bool:
    return "up" in running.log.last


def turn_until(supervisor: Supervisor, condition: object) -> None:
    """Let the supervisor work until the condition holds."""

    def turned() -> bool:
        supervisor._turn(watch=True, longest=0.05)
        return bool(condition())

    eventually(turned)


def test_a_killed_child_is_started_again(supervisor: Supervisor, shown: list[str]) -> None:
    running = supervisor.add(service("web", "print('up')\n" + FOREVER))
    supervisor.wait(running, lambda: is_up(running), patience=20)
    first = running.child.pid
    running.log.last.clear()
    os.kill(first, signal.SIGKILL)
    turn_until(supervisor, lambda: is_up(running))
    assert running.child.pid != first
    assert shown[0].startswith("[web] left with status -9, starting it again in 0.5 s")
    assert shown[1] == "[web] runs again"


def test_a_child_that_keeps_falling_is_given_more_time_each_time(supervisor: Supervisor) -> None:
    running = supervisor.add(service("web", "raise SystemExit(3)"))
    turn_until(supervisor, lambda: running.delay == 2.0)
    assert running.child.returncode == 3


def test_the_children_of_a_killed_child_are_ended_before_it_is_started_again(supervisor: Supervisor) -> None:
    code = f"import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid)\nprint('up')\n"
    running = supervisor.add(service("worker", code + FOREVER))
    supervisor.wait(running, lambda: is_up(running), patience=20)
    grandchild = int(running.log.last[0])
    os.kill(running.child.pid, signal.SIGKILL)
    turn_until(supervisor, lambda: running.due is not None)
    eventually(lambda: gone(grandchild))


def test_stores_are_stopped_after_what_uses_them(tmp_path: Path) -> None:
    file = tmp_path / "order"
    with Supervisor(tmp_path) as supervisor:
        for name, stage in (("store", 0), ("web", 1)):
            running = supervisor.add(service(name, LAST_WORDS, name, str(file), stage=stage))
            supervisor.wait(running, lambda running=running: is_up(running), patience=20)
    assert file.read_text().split() == ["web", "store"]


def test_a_child_that_does_not_leave_is_killed_after_its_patience(tmp_path: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up')\n" + FOREVER
    with Supervisor(tmp_path) as supervisor:
        running = supervisor.add(service("deaf", code, patience=0.1))
        supervisor.wait(running, lambda: is_up(running), patience=20)
    assert running.child.returncode == -signal.SIGKILL


def test_a_second_request_to_stop_does_not_wait(tmp_path: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up')\n" + FOREVER
    with Supervisor(tmp_path) as supervisor:
        running = supervisor.add(service("deaf", code, patience=1000))
        supervisor.wait(running, lambda: is_up(running), patience=20)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        supervisor.run()
    assert running.child.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_watch(supervisor: Supervisor, number: signal.Signals) -> None:
    supervisor.add(service("web", FOREVER))
    os.kill(os.getpid(), number)
    supervisor.run()
    assert supervisor.stop_requests == 1


def test_signals_are_what_they_were_afterwards(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Supervisor(tmp_path):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_service_that_falls_while_starting_stops_the_start_with_its_last_words(
    supervisor: Supervisor,
) -> None:
    running = supervisor.add(service("web", "print('no room left')\nraise SystemExit(4)"))
    with pytest.raises(StartError, match=r"web left with status 4 while starting:\n  no room left"):
        supervisor.wait(running, lambda: False, patience=20)


def test_a_service_that_is_never_ready_stops_the_start(supervisor: Supervisor) -> None:
    running = supervisor.add(service("web", FOREVER))
    with pytest.raises(StartError, match="web was not ready within 0 seconds"):
        supervisor.wait(running, lambda: False, patience=0.1)


def test_a_command_that_fails_stops_the_start_with_its_output(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"'migrate' failed with status 5:\n  table is missing"):
        supervisor.run_once(
            "migrate",
            python("print('table is missing'); raise SystemExit(5)"),
            env=dict(os.environ),
            cwd=tmp_path,
        )


def test_a_command_is_ended_when_a_stop_is_asked_for(supervisor: Supervisor, tmp_path: Path) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        supervisor.run_once("migrate", python(FOREVER), env=dict(os.environ), cwd=tmp_path)


def test_all_output_reaches_the_log_and_only_errors_the_terminal(tmp_path: Path, shown: list[str]) -> None:
    code = "print('GET /')\nprint('ValueError: bad')\nprint('up')\n" + FOREVER
    with Supervisor(tmp_path, show=shown.append) as supervisor:
        running = supervisor.add(service("web", code))
        supervisor.wait(running, lambda: is_up(running), patience=20)
    assert (tmp_path / "logs" / "web.log").read_text().splitlines() == ["GET /", "ValueError: bad", "up"]
    assert shown == ["[web] ValueError: bad"]


def test_a_full_pipe_does_not_keep_a_child_from_leaving(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import signal, sys, time
        def leave(*_):
            for n in range(20000): print("some long line of last words", n)
            sys.exit(0)
        signal.signal(signal.SIGTERM, leave)
        print("up")
        while True: time.sleep(60)
    """)
    with Supervisor(tmp_path) as supervisor:
        running = supervisor.add(service("talker", code, patience=30))
        supervisor.wait(running, lambda: is_up(running), patience=20)
    assert running.child.returncode == 0
    assert running.log.last[-1] == "some long line of last words 19999"


def test_nothing_lives_on_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    driver = textwrap.dedent("""
        import sys
        from pathlib import Path
        from annotator.supervisor import children
        from annotator.supervisor.processes import Service, Supervisor
        with Supervisor(Path(sys.argv[1])) as supervisor:
            for name in ("web", "worker"):
                start = lambda out: children.spawn([sys.executable, "-c", sys.argv[2]], output=out)
                print(supervisor.add(Service(name=name, start=start)).child.pid)
            supervisor.run()
    """)
    with subprocess.Popen(python(driver, str(tmp_path), FOREVER), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pids = [int(process.stdout.readline()) for _ in range(2)]
        process.kill()
    for pid in pids:
        eventually(lambda pid=pid: gone(pid))
