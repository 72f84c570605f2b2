"""How long a normalizer may make a text: the library runs it as soon as it reads a file, on added tokens."""

from __future__ import annotations

import json
from binascii import a2b_base64
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sestina_model._errors import UnsupportedCheckpointError

__all__ = ["check_growth"]

_MOST = 1 << 14  # characters made of one, by all steps together; what a bundle's reader allows, too
# What Unicode adds at most, by step: U+FDFA has 18 characters in a compatible form.
_BY_UNICODE = {"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 2, "BertNormalizer": 8}


def check_growth(text: str, path: Path) -> None:
    """Refuse a normalizer that multiplies a text step by step.

    The library ends the process where there is not so much memory.

    Args:
        text: Of tokenizer.json.
        path: Where it is from, for the message.

    Raises:
        UnsupportedCheckpointError: Where one character may become more than 16,384.
    """
    with suppress(json.JSONDecodeError, RecursionError):  # what is no JSON is told by the library
        document = json.loads(text, parse_int=float)  # Python refuses to read a whole number of 5,000 digits
        normalizer = document.get("normalizer") if isinstance(document, dict) else None
        growth = 1.0
        for step in _steps(normalizer):
            growth *= _growth(step)
            if growth > _MOST:
                raise UnsupportedCheckpointError(
                    f"{path}: the normalizer makes more than {_MOST} characters of one, step by step; "
                    "no tokenizer needs that: take the steps out that write so much"
                )


def _steps(state: Any) -> Iterator[dict[str, Any]]:
    waiting = [state]
    while waiting:
        step = waiting.pop()
        if isinstance(step, dict):
            inner = step.get("normalizers")
            if isinstance(inner, list):
                waiting += reversed(inner)
            else:
                yield step


def _of_table(charsmap: str) -> float:
    """Of SentencePiece's table: the size of a trie, the trie, and replacements that a null byte ends each."""
    try:
        table = a2b_base64(charsmap)
    except ValueError:
        return 1.0  # the library cannot read it either
    replacements = table[4 + int.from_bytes(table[:4], "little") :].split(b"\0")
    return max(1.0, *(len(each.decode(errors="replace")) for each in replacements))


def _growth(step: dict[str, Any]) -> float:
    """The most characters that a step makes of one."""
    content, prepend = step.get("content"), step.get("prepend")
    if isinstance(content, str):
        pattern = step.get("pattern")
        wanted = pattern.get("String") if isinstance(pattern, dict) else pattern
        if isinstance(wanted, str) and wanted:
            return max(1.0, len(content) / len(wanted))
        return 1.0 + len(content)  # an expression may match nothing, between any two characters
    if isinstance(prepend, str):
        return 1.0 + len(prepend)
    if "precompiled_charsmap" in step:
        return _of_table(str(step["precompiled_charsmap"]))
    return _BY_UNICODE.get(str(step.get("type")), 1)
