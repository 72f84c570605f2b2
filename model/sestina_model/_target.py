"""Where a checkpoint may be put: a new folder, or the place of a checkpoint that holds nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sestina_model._errors import CheckpointError
from sestina_model._files import read_json_object
from sestina_model._folders import stranger

__all__ = ["checkpoint_contents"]


def checkpoint_contents(target: Path, files: tuple[str, ...]) -> Callable[[Path], tuple[str, ...]]:
    """What tells whether the folder at `target` may be replaced, wherever it lies when it is asked.

    Args:
        target: Names the folder in errors.
        files: What a checkpoint of our own layout is made of, its configuration last.

    Returns: a function from the folder to the names of its files, which raises a CheckpointError where it is
        neither empty nor a checkpoint of our own layout, or holds anything else.
    """

    def contents(folder: Path) -> tuple[str, ...]:
        if folder.is_dir() and not any(folder.iterdir()):
            return ()
        try:
            config = read_json_object(folder / files[-1])
        except (CheckpointError, ValueError):
            config = {}
        if not isinstance(config.get("format"), int) or not isinstance(config.get("encoder"), Mapping):
            raise CheckpointError(f"{target} exists and is not a Sestina checkpoint; name a new folder")
        other = stranger(folder, files)
        if other is not None:
            raise CheckpointError(
                f"{target} holds {other!r}, which is no part of a checkpoint; move it, or name a new folder"
            )
        return files

    return contents
