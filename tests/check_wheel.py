"""That a wheel holds every file of the three packages and nothing else of the tree: `python check_wheel.py WHEEL`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("runtime/sestina", "model/sestina_model", "export/sestina_export")


def sources(root: Path) -> dict[str, bytes]:
    """What the packages hold, by the names that a wheel gives it."""
    return {
        path.relative_to((root / package).parent).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in sorted((root / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def differences(wheel: Path, root: Path) -> list[str]:
    """A line for each file that is not in both, or not the same."""
    expected = sources(root)
    with zipfile.ZipFile(wheel) as archive:
        held = {
            name: archive.read(name)
            for name in archive.namelist()
            if not name.partition("/")[0].endswith(".dist-info")
        }
    return [
        *(f"{name} is not in the wheel" for name in sorted(expected.keys() - held)),
        *(f"{name} is in the wheel alone" for name in sorted(held.keys() - expected)),
        *(f"{name} is another" for name in sorted(held.keys() & expected) if held[name] != expected[name]),
    ]


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]), ROOT)
    print(*found, sep="\n", file=sys.stderr)
    sys.exit(1 if found else 0)
