"""What of tests/ is named in documentation, in make targets or in the code is there, and so is what is listed as slow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import _slow

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"(?<!build/)\btests/[\w/]+(?:\.(?:py|sh|txt)\b)?")
PLACES = [
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
    *ROOT.glob("*.md"),
    *(path for kind in ("md", "py") for path in (ROOT / "docs").rglob(f"*.{kind}")),
    *(path for folder in ("demo", "runtime", "export", "model") for path in (ROOT / folder).rglob("*.py")),
    *(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)),
]


def missing(text: str) -> list[str]:
    return [name for name in NAMED.findall(text) if not (ROOT / name).exists()]


@pytest.mark.parametrize(
    "place", sorted({path.relative_to(ROOT).parts[0] for path in PLACES}), ids=lambda part: part
)
def test_is_there(place: str) -> None:
    paths = [path for path in PLACES if path.relative_to(ROOT).parts[0] == place]
    found = {path.as_posix(): missing(path.read_text("utf-8")) for path in paths}
    assert {path: names for path, names in found.items() if names} == {}


def test_what_is_not_there_is_found() -> None:
    """Negative control."""
    assert missing("see tests/runtime/test_nothing.py and tests/runtime/bundle/test_bundle.py") == [
        "tests/runtime/test_nothing.py"
    ]


def functions(path: Path) -> Iterator[str]:
    """The test functions of a file, as slow.txt names them."""
    name = path.relative_to(ROOT).as_posix()
    for node in ast.parse(path.read_text("utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for each in inner:
            if isinstance(each, ast.FunctionDef) and each.name.startswith("test"):
                yield f"{name}::{prefix}{each.name}"


def test_what_is_listed_as_slow_is_there() -> None:
    """A test that was renamed would be quick from then on: rename it in tests/slow.txt, or make measure-tests."""
    found = {name for path in (ROOT / "tests").rglob("test_*.py") for name in functions(path)}
    assert len(found) > 900
    assert sorted(set(_slow.slow()) - found) == []
