"""A recipe that fails made smaller while it fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from fuzz.core import Recipe

_TRIES, _SECONDS = 60, 20  # each try is a case run anew


def shrunk(recipe: Recipe, fails: Callable[[Recipe], bool]) -> Recipe:
    """Lists of a recipe without what is not needed, its strings cut where that does no harm."""
    tries, smaller, end = 0, True, time.monotonic() + _SECONDS
    while smaller and tries < _TRIES and time.monotonic() < end:
        smaller = False
        for candidate in _smaller(recipe):
            tries += 1
            if fails(candidate):
                recipe, smaller = candidate, True
                break
            if tries >= _TRIES or time.monotonic() > end:
                break
    return recipe


def _smaller(recipe: Recipe) -> Iterator[Recipe]:
    for key, value in recipe.items():
        if not isinstance(value, list):
            continue
        if len(value) > 3:
            yield {**recipe, key: value[: len(value) // 2]}
            yield {**recipe, key: value[len(value) // 2 :]}
        for at in range(len(value)):
            if len(value) > 1:
                yield {**recipe, key: value[:at] + value[at + 1 :]}
        for at, item in enumerate(value):
            if isinstance(item, str) and len(item) > 1:
                for part in (item[: len(item) // 2], item[len(item) // 2 :]):
                    yield {**recipe, key: [*value[:at], part, *value[at + 1 :]]}
