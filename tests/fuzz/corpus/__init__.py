"""Everything found so far: recipes with a name, what was wrong, and how they have to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from fuzz.core import Recipe

_FOLDER = Path(__file__).parent


class Entry(NamedTuple):
    """One of the corpus.

    Attributes:
        name: What it is.
        target: Which target runs it.
        recipe: What is run.
        right: How it may end: "right", "refused".
        why: What was wrong, and what is right.
        long: Whether it takes seconds, and a shorter one holds the same mechanism: the tests leave it out.
    """

    name: str
    target: str
    recipe: Recipe
    right: tuple[str, ...]
    why: str
    long: bool = False


def entries() -> list[Entry]:
    """All of them: each file is a list, of one area."""
    found = []
    for file in sorted(_FOLDER.glob("*.json")):
        for each in json.loads(file.read_text(encoding="utf-8")):
            right = tuple(each.get("right", ("right", "refused")))
            long = each.get("long", False)
            found.append(Entry(each["name"], each["target"], each["recipe"], right, each["why"], long))
    names = [entry.name for entry in found]
    assert len(set(names)) == len(names), "two entries have one name"
    return found
