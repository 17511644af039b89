"""Rules of the house that no other tool checks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("acquisition", "models_zoo", "annotator")
LONGEST = 500
DISPATCHED = {"pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed", "pre_init", "post_init"}
UNSAFE = {"mark_safe", "csrf_exempt"}


@cache
def sources() -> dict[Path, ast.Module]:
    files = [ROOT / "manage.py", *(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))]
    return {
        file: ast.parse(file.read_text(encoding="utf-8")) for file in files if "migrations" not in file.parts
    }


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of these kinds with the place where it stands."""
    for file, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                yield f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def test_packages_import_only_what_stands_below_them() -> None:
    # In a process of its own: the linter turns off every logger that is there already.
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_file_is_too_long_to_read() -> None:
    patterns = [
        *(f"{package}/**/*.py" for package in (*PACKAGES, "tests", "benchmarks")),
        "static/js/**/*.js",
        "static/css/*.css",
        "templates/**/*.html",
        "tests/js/**/*.js",
    ]
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for pattern in patterns
        for file in ROOT.glob(pattern)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_errors_are_caught_by_name() -> None:
    caught_all = [place for place, node in nodes(ast.ExceptHandler) if node.type is None]
    assert caught_all == []


def test_no_model_has_side_effects_by_signal() -> None:
    imported = [
        f"{place} {alias.name}"
        for place, node in nodes(ast.ImportFrom)
        for alias in node.names
        if alias.name in DISPATCHED
    ]
    assert imported == []


def test_no_template_or_view_opts_out_of_protection() -> None:
    """`mark_safe` and `csrf_exempt` need a reason that a reader can check: ruff's S308 and a comment."""
    lines = {
        place: (ROOT / place.split(":")[0])
        .read_text(encoding="utf-8")
        .splitlines()[int(place.split(":")[1]) - 1]
        for place, node in nodes(ast.Call)
        if ast.unparse(node.func).split(".")[-1] in UNSAFE
    }
    assert {place: line for place, line in lines.items() if "# noqa: S308 - " not in line} == {}


def codes() -> Iterator[tuple[str, str]]:
    """Codes of errors with their places: of the classes, and those that whoever raises one gives."""
    for place, node in nodes(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        for line in node.body:
            if not isinstance(line, ast.Assign | ast.AnnAssign) or line.value is None:
                continue
            targets = line.targets[0] if isinstance(line, ast.Assign) else line.target
            for name, value in zip(
                targets.elts if isinstance(targets, ast.Tuple) else [targets],
                line.value.elts if isinstance(line.value, ast.Tuple) else [line.value],
                strict=False,
            ):
                if ast.unparse(name) == "code" and isinstance(value, ast.Constant):
                    yield f"{place} {node.name}", str(value.value)
    for place, node in nodes(ast.Call):
        assert isinstance(node, ast.Call)
        for keyword in node.keywords:
            for value in ast.walk(keyword.value) if keyword.arg == "code" else ():
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield place, value.value


def test_codes_of_errors_have_one_spelling() -> None:
    """Programs compare them: small letters and underscores."""
    found = list(codes())
    assert {"forbidden", "missing_signal", "not_enough_data", "already_decided"} <= {
        code for _, code in found
    }
    assert [each for each in found if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", each[1])] == []


def test_nothing_is_read_from_pickles() -> None:
    readers = {"pickle.load", "pickle.loads", "dill.load", "dill.loads", "joblib.load"}
    assert [place for place, node in nodes(ast.Call) if ast.unparse(node.func) in readers] == []


def test_arrays_and_weights_are_read_without_pickles() -> None:
    trusting = [
        place
        for place, node in nodes(ast.Call)
        for keyword in node.keywords
        if (keyword.arg, ast.unparse(keyword.value)) in {("allow_pickle", "True"), ("weights_only", "False")}
    ]
    assert trusting == []
    careless = [
        place
        for place, node in nodes(ast.Call)
        if ast.unparse(node.func) == "torch.load"
        and not any(keyword.arg == "weights_only" for keyword in node.keywords)
    ]
    assert careless == []


def test_the_environment_is_read_in_one_place() -> None:
    """Processes that start others pass theirs on; everybody else in the product asks annotator.env."""
    allowed = {
        "annotator/env.py",
        "annotator/celery.py",
        "annotator/asgi.py",
        "annotator/wsgi.py",
        "manage.py",
    }
    readers = {
        place.split(":")[0]
        for place, node in nodes(ast.Attribute)
        if ast.unparse(node) in {"os.environ", "os.getenv"}
    }
    product = {name for name in readers - allowed if name.startswith("annotator/")}
    assert {name for name in product if not name.startswith("annotator/supervisor/")} == set()


def test_tests_do_not_sleep() -> None:
    helper = "tests/supervisor/helpers.py"  # its one loop waits for other processes
    sleeping = [
        str(file.relative_to(ROOT))
        for file in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"
    ]
    assert [name for name in sleeping if name != helper] == []


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("acquisition", ("django", "torch", "celery", "models_zoo", "annotator")),
        ("models_zoo", ("django", "celery", "acquisition", "annotator")),
        ("annotator.regions", ("django", "torch")),
        ("annotator.env", ("django", "torch", "celery")),
        ("annotator.supervisor.__main__", ("django", "torch", "celery")),
    ],
)
def test_importing_a_package_loads_nothing_it_must_not_know(package: str, forbidden: tuple[str, ...]) -> None:
    code = textwrap.dedent(f"""
        import importlib, pkgutil, sys
        package = importlib.import_module({package!r})
        for module in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + "."):
            if "adapters" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        print(*sorted(set({forbidden!r}) & set(sys.modules)))
    """)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_locked_files_name_no_addresses_and_no_paths_of_a_machine() -> None:
    for name in ("requirements.lock", "package-lock.json"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "/home/" not in text
        assert "file:" not in text


def test_every_locked_python_package_has_hashes_and_torch_stays_out() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    packages = [number for number, line in enumerate(lines) if line[:1].isalnum()]
    assert all("--hash=sha256:" in lines[number + 1] for number in packages)
    names = {lines[number].split("==")[0] for number in packages}
    assert not names & {"torch", "torchvision", "triton"}
    assert not {name for name in names if name.startswith(("nvidia-", "cuda-"))}
