"""The page of the layout from the code itself: python docs/layout.py

A table for each folder of each package: its modules, and the first line of each one's docstring. So it is
that of the code by construction; `tests/test_docs.py` holds that it was rendered after the last change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "layout.md"
PACKAGES = (
    ROOT / "runtime" / "sestina",
    ROOT / "export" / "sestina_export",
    ROOT / "model" / "sestina_model",
)
HEAD = """\
# The layout

Every module and what it is for, as its docstring says; rendered by docs/layout.py. How they work together is
in [How it works inside](inside.md).
"""


def rendered() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for package in PACKAGES for line in _package(package))])


def _package(package: Path) -> Iterator[str]:
    folders = {path.parent for path in package.rglob("*.py")}
    for folder in sorted(folders, key=lambda folder: folder.relative_to(package).parts):
        yield f"## {folder.relative_to(ROOT).as_posix()}"
        yield ""
        about = _purpose(folder / "__init__.py")
        if about:
            yield from (about, "")
        modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        if modules:
            yield from ("| module | |", "|---|---|")
            yield from (f"| `{path.stem}` | {_purpose(path)} |" for path in modules)
            yield ""


def _purpose(path: Path) -> str:
    """The first line of a module's docstring; nothing where there is no module."""
    if not path.is_file():
        return ""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(rendered(), "utf-8")
