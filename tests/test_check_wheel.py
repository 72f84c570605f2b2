"""The check of a wheel's files can fail."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from check_wheel import PACKAGES, ROOT, differences, sources


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        (tmp_path / package / "part").mkdir(parents=True)
        (tmp_path / package / "part" / "code.py").write_bytes(b"code\n")
    (tmp_path / PACKAGES[0] / "page.js").write_bytes(b"page\n")
    return tmp_path


def wheel(tree: Path, files: dict[str, bytes]) -> Path:
    path = tree / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sestina-1.dist-info/METADATA", b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_whole_wheel(tree: Path) -> None:
    assert differences(wheel(tree, sources(tree)), tree) == []


def test_what_is_missing_foreign_or_another_is_named(tree: Path) -> None:
    files = sources(tree) | {"sestina/part/code.py": b"other\n", "tests/_tiny.py": b""}
    del files["sestina/page.js"]
    assert differences(wheel(tree, files), tree) == [
        "sestina/page.js is not in the wheel",
        "tests/_tiny.py is in the wheel alone",
        "sestina/part/code.py is another",
    ]


def test_files_that_are_no_code_are_looked_for() -> None:
    kinds = {Path(name).suffix for name in sources(ROOT)}
    assert kinds >= {".py", ".typed", ".json", ".js", ".onnx"}
