"""What a folder says about itself: its name and its licence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["read_licence", "read_name"]


def read_name(folder: Path, config: dict[str, Any]) -> str:
    """The folder's name, unless it says nothing ("model", or a commit in Hugging Face's cache)."""
    folder = folder.resolve()
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        return folder.parent.parent.name.rpartition("--")[2]
    origin = config.get("_name_or_path")
    if folder.name == "model" and isinstance(origin, str):
        return origin.rstrip("/").rpartition("/")[2] or folder.name
    return folder.name


def read_licence(folder: Path) -> str | None:
    """The licence in the front matter of README.md: a name, or several joined by commas."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The front matter is YAML; one scalar or one list of scalars of it does not need a YAML parser.
    matter = re.match(r"\ufeff?---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", text, re.DOTALL)
    if matter is None:
        return None
    values = {
        key: _scalars(value)
        for key, value in re.findall(r"^(license\w*):((?:.*)(?:\n[ \t]*- .*)*)", matter[1], re.MULTILINE)
    }
    licence = values.get("license")
    return values.get("license_name") or licence if licence in (None, "other") else licence


def _scalars(value: str) -> str | None:
    parts = re.split(r"\n[ \t]*- |,", value.strip().removeprefix("- ").strip("[]"))
    return ", ".join(part.strip().strip("\"'") for part in parts if part.strip()) or None
