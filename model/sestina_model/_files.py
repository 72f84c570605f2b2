"""Reading JSON and tokenizer.json: whatever is wrong with the file becomes one line that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from sestina_model._errors import CheckpointError, ModelError, UnsupportedCheckpointError

__all__ = ["file_sha256", "read_json", "read_json_object", "read_tokenizer", "sound_tokenizer"]


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        CheckpointError: Where the file cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or a number of thousands of digits
        raise CheckpointError(f"{path} is not valid JSON ({error}); fetch the folder again") from error


def read_json_object(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Parse a JSON file that must hold an object. An absent optional file reads as an empty one.

    Raises:
        CheckpointError: Where the file cannot be read, or holds anything else.
    """
    if optional and not path.exists():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds {json.dumps(value)[:40]}; it must hold a JSON object")
    return value


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json, with the padding and truncation that may be baked into it switched off.

    Raises:
        CheckpointError: Where the file is absent or the tokenizers library cannot read it.
        UnsupportedCheckpointError: Where it keeps the end of a long text instead of its beginning.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not a tokenizer that can be read: {error}") from error
    with sound_tokenizer(path):
        tokenizer = Tokenizer.from_str(text)
    if tokenizer.truncation is not None and tokenizer.truncation["direction"] != "right":
        raise UnsupportedCheckpointError(
            f"{path}: truncation direction {tokenizer.truncation['direction']!r} is not supported; only "
            f"'right' is"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@contextmanager
def sound_tokenizer(what: object) -> Iterator[None]:
    """Whatever the tokenizers library raises inside the block becomes one line about `what`.

    It raises plain Exceptions, and where it panics a BaseException of a class that cannot be imported.

    Raises:
        CheckpointError: In the place of those.
    """
    try:
        yield
    except ModelError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
            raise
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{what} is not a tokenizer that can be read: {reason}") from error


def file_sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
