"""Reading JSON: whatever is wrong with the file becomes one line that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sestina_model._errors import CheckpointError

__all__ = ["file_sha256", "flag", "read_json", "read_json_object"]


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        CheckpointError: Where the file cannot be read or is not JSON.
    """
    try:
        if path.is_fifo() or path.is_char_device():  # which may have no end
            raise CheckpointError(f"{path} is no file; fetch the folder again")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except CheckpointError:  # a ValueError too
        raise
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or a number of thousands of digits
        raise CheckpointError(f"{path} is not valid JSON ({error}); fetch the folder again") from error


def read_json_object(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Parse a JSON file that must hold an object. An absent optional file reads as an empty one.

    Raises:
        CheckpointError: Where the file cannot be read, or holds anything else.
    """
    if optional and not path.exists() and not path.is_symlink():  # a link that leads nowhere is no absence
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds {json.dumps(value)[:40]}; it must hold a JSON object")
    return value


def file_sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flag(config: Mapping[str, Any], key: str, path: Path) -> bool:
    """A flag; null is false there, and here.

    Raises:
        CheckpointError: Where it is anything else.
    """
    value = config.get(key)
    if value is not None and not isinstance(value, bool):
        raise CheckpointError(f"{path}: {key} is {value!r:.60}; it must be true or false")
    return bool(value)
