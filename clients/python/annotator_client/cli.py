"""The command `annotator`: login, projects, import, next, label, skip, watch."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from annotator_client import credentials
from annotator_client.client import Client, Project
from annotator_client.errors import ClientError

Json = dict[str, Any]
REFUSED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except ClientError as error:
        say(str(error))
        return REFUSED
    except OSError as error:
        say(f"{error.filename or 'A file'}: {error.strerror or error}.")
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    return status


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="annotator", description="Annotator from the command line.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], words: str, *, project: bool = True
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=words, description=words)
        made.set_defaults(run=run)
        if project:
            made.add_argument("project", type=int, help="The project's number, as in its address.")
        return made

    login_ = command("login", login, "Keep a server's address and a token for the next calls.", project=False)
    login_.add_argument("url")
    login_.add_argument("--token", help="Else it is asked for, or read from a pipe.")
    command("projects", projects, "List the projects that you may see.", project=False)

    import_ = command("import", import_files, "Import files; waits until they are read.")
    import_.add_argument("files", nargs="+", type=Path)
    import_.add_argument(
        "--options", type=json.loads, help='Columns and more as JSON, such as {"text": "body"}.'
    )
    next_ = command("next", next_items, "Claim the items that are worth labelling now; prints JSON lines.")
    next_.add_argument("--count", type=int, default=1)
    label_ = command("label", label, "Answer an item, or label one after another at the terminal.")
    label_.add_argument("item", nargs="?", type=int)
    label_.add_argument("classes", nargs="*", help="Keys of classes.")
    skip_ = command("skip", skip, "Pass an item over.")
    skip_.add_argument("item", type=int)
    skip_.add_argument("--reason", default="")
    watch_ = command("watch", watch, "Tell of rounds, models and jobs as they happen, until Ctrl-C.")
    watch_.add_argument("--every", type=float, default=2.0, help="Seconds between looks.")
    watch_.add_argument("--once", action="store_true", help="Tell how it stands and leave.")
    return top


def login(options: argparse.Namespace) -> int:
    token = options.token or (getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline())
    with Client(options.url, token.strip()) as client:
        me = client.me()
    kept = credentials.save(client.url, token.strip())
    say(f"Signed in as {me['username']}. The token is kept in {kept}.")
    return 0


def projects(options: argparse.Namespace) -> int:
    with signed_in() as client:
        for each in client.projects():
            print(f"{each['id']}\t{each['name']}\t{each['modality']}\t{each.get('role') or ''}")
    return 0


def import_files(options: argparse.Namespace) -> int:
    with signed_in() as client:
        project = client.project(options.project)
        job = project.import_files(options.files, options.options)
        project.wait(job, seen=teller())
        report = project.get(f"imports/{job['id']}/")
    say(f"{report['created']} new, {report['known']} already there, {report['rejected']} not taken.")
    for row in report["errors"]:
        say(f"{row['file']}, line {row['line']}: {row['reason']}")
    return REFUSED if report["rejected"] else 0


def next_items(options: argparse.Namespace) -> int:
    with signed_in() as client:
        found = client.project(options.project).look(options.count)
    for lease in found["leases"]:
        print(json.dumps(lease, ensure_ascii=False))
    if found["nothing"]:
        say(found["nothing"]["message"])
    return 0


def label(options: argparse.Namespace) -> int:
    with signed_in() as client:
        project = client.project(options.project)
        if options.item is None:
            return label_by_hand(project)
        print(json.dumps(project.label(options.item, options.classes), ensure_ascii=False))
    return 0


def label_by_hand(project: Project) -> int:
    """Item after item: a number (or several) and Enter, `s` to skip, `q` to leave."""
    schema = project.get("schema/")
    classes = [each for each in schema["classes"] if each.get("active", True)]
    choices = "  ".join(f"{n} {each['name']}" for n, each in enumerate(classes, start=1))
    held: list[Json] = []
    try:
        while True:
            found = project.look()
            held = found["leases"]
            if not held:
                say(found["nothing"]["message"])
                return 0
            [lease] = held[:1]
            shown = time.monotonic()
            print(f"\n{lease['item'].get('text') or lease['item'].get('url')}\n{choices}  s skip  q quit")
            if (chosen := ask(len(classes))) is None:
                return 0
            if chosen:
                keys = [classes[n - 1]["key"] for n in chosen]
                seconds = round(time.monotonic() - shown, 2)
                project.label(lease, keys, seconds=seconds, version=schema["version"])
            else:
                project.skip(lease)
            held = []
    finally:
        if held:
            project.release(held)


def ask(count: int) -> list[int] | None:
    """Numbers of classes, [] for a skip, None to leave."""
    while True:
        try:
            words = input("> ").split()
        except EOFError:
            return None
        if words in (["q"], ["s"]):
            return None if words == ["q"] else []
        if words and all(word.isdecimal() and 1 <= int(word) <= count for word in words):
            return [int(word) for word in words]
        print(f"Numbers from 1 to {count}, s or q.")


def skip(options: argparse.Namespace) -> int:
    with signed_in() as client:
        print(json.dumps(client.project(options.project).skip(options.item, options.reason)))
    return 0


def watch(options: argparse.Namespace) -> int:
    known: dict[str, str] = {}
    with signed_in() as client:
        project = client.project(options.project)
        while True:
            for name, line in standing(project).items():
                if known.get(name) != line:
                    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)
                    known[name] = line
            if options.once:
                return 0
            time.sleep(options.every)


def standing(project: Project) -> dict[str, str]:
    """A line for the ranking, for the newest round, and for each job at work."""
    health = project.get("health/")
    lines = {"health": f"{health['label']}: {health['detail']}".rstrip(": ")}
    for round_ in project.get("rounds/")["results"][:1]:
        model = f", model {round_['model']}" if round_["model"] else ""
        lines["round"] = f"Round {round_['number']} {round_['state']} ({round_['n_labels']} labels{model})"
    for job in project.get("jobs/")["results"][:20]:
        lines[f"job {job['id']}"] = job_line(job)
    return lines


def job_line(job: Json) -> str:
    share = f" {100 * job['share']:.0f} %" if job["share"] is not None and job["state"] == "running" else ""
    return " ".join(filter(None, [f"{job['title']}: {job['state']}{share}", job["message"], job["error"]]))


def teller() -> Callable[[Json], None]:
    """Says a job's line on standard error each time it has changed."""
    told = ""

    def tell(job: Json) -> None:
        nonlocal told
        if (line := job_line(job)) != told:
            told = line
            say(line)

    return tell


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def signed_in() -> Client:
    return Client(*credentials.load())


if __name__ == "__main__":
    sys.exit(main())
