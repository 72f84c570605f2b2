"""Texts in JSON: fields of the objects of JSONL, however deep, and members of one array, read as it comes."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

from sestina._cli.files import LONGEST_LINE, InputFile
from sestina._errors import InputError

_PIECE = 1 << 16  # bytes
_BLANK = " \t\n\r"
_WORD = 16  # characters; an escape or a word such as -Infinity has fewer


def json_objects(file: InputFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers; blank lines are passed over.

    Raises:
        InputError: Where a line is not one JSON object.
    """
    for number, raw in file.lines():
        line = raw.strip()
        if not line:
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"{error.msg} at character {error.pos + 1}"
            raise InputError(f"{file.name} line {number} is not valid JSON: {problem}") from None
        except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
            raise InputError(f"{file.name} line {number} is not valid JSON: {error}") from None
        if not isinstance(record, dict):
            raise InputError(f"{file.name} line {number} is not a JSON object: every line must be one")
        yield number, record


def array_texts(
    file: InputFile, field: str | None, *, nulls: bool = False
) -> Iterator[tuple[int, str | None]]:
    """The texts of a JSON array and the number of each from 1: strings, or a field of objects.

    Args:
        file: Whose content it is.
        field: As `field_text` takes it; None: its members are strings.
        nulls: Whether a member or its field may be null, which gives None.

    Raises:
        InputError: Where it is no array, or a member of it is neither.
    """
    for number, member in enumerate(_members(file), start=1):
        where = f"{file.name} element {number}"
        if member is None and nulls:
            yield number, None
        elif field is None:
            if isinstance(member, dict):
                raise InputError(f"{where} is an object: pass --field NAME to read one of its fields")
            if not isinstance(member, str):
                raise InputError(f"{where} is {_json_type(member)}; it must be a string")
            yield number, _valid(member, where)
        elif isinstance(member, dict):
            yield number, field_text(member, field, where, nulls=nulls)
        else:
            raise InputError(f"{where} is {_json_type(member)}; with --field it must be an object")


def begins_array(file: InputFile) -> bool:
    """Whether the first character of a file that may be read again is that of an array."""
    for piece in _decoded(file):
        if begin := piece.lstrip(_BLANK):
            return begin[0] == "["
    return False


def field_text(record: dict[str, Any], field: str, where: str, *, nulls: bool = False) -> str | None:
    """A field's text. A name with dots is that of a field, or where there is none the way to an inner one.

    Args:
        record: The object.
        field: The name.
        where: What to name in an error.
        nulls: Whether it, or a field on the way to it, may be null, which gives None.

    Raises:
        InputError: Where there is no such field, or it is no text.
    """
    value: Any = record
    way = [field] if field in record else field.split(".")
    for depth, name in enumerate(way):
        outer = ".".join(way[:depth])
        if value is None and nulls:
            return None
        if not isinstance(value, dict):
            raise InputError(
                f"{where}: field {outer!r} is {_json_type(value)}; it must be an object with a field {name!r}"
            )
        if name not in value:
            have = ", ".join(value) or "none"
            if depth == 0:
                raise InputError(f"{where} has no field {field!r}; its fields are: {have}")
            raise InputError(f"{where}: field {outer!r} has no field {name!r}; its fields are: {have}")
        value = value[name]
    return None if value is None and nulls else text_of(value, field, where)


def text_of(value: object, field: str, where: str) -> str:
    """A field's value, if it is text.

    Raises:
        InputError: Where it is not a string, or one that JSON can escape but Unicode cannot hold.
    """
    if not isinstance(value, str):
        raise InputError(f"{where}: field {field!r} is {_json_type(value)}; it must be a string")
    return _valid(value, f"{where}: field {field!r}")


def _valid(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where} has the lone surrogate \\u{ord(value[error.start]):04x}, which is not text: mend the "
            "file"
        ) from None
    return value


def _members(file: InputFile) -> Iterator[object]:
    """What an array holds, one after the other: of a file of any size only one is in memory."""
    pieces = _decoded(file)
    text, at, count, ended = "", 0, 0, False
    decoder = json.JSONDecoder()

    def more(least: int = 1) -> bool:
        """Whether there is more text; what was read before `at` is dropped."""
        nonlocal text, at, ended
        taken = [text[at:]]
        size = 0
        while size < least and not ended:
            piece = next(pieces, None)
            ended = piece is None
            taken.append(piece or "")
            size += len(taken[-1])
        text, at = "".join(taken), 0
        return size > 0

    def sign() -> str:
        """The next character that is not blank; "" at the end."""
        nonlocal at
        while True:
            while at < len(text) and text[at] in _BLANK:
                at += 1
            if at < len(text) or not more():
                return text[at : at + 1]

    if sign() != "[":
        found = "is empty" if not sign() else "does not begin with ["
        raise InputError(
            f"{file.name} {found}; it must be a JSON array of strings, or of objects with --field"
        )
    at += 1
    while True:
        here = f"{file.name} element {count + 1}"
        if sign() == "]" and count == 0:
            break
        value, end = None, -1
        while end < 0:
            try:
                value, end = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                # There may be more of a string, and of what stands at the end of what was read.
                cut = error.msg.startswith("Unterminated") or error.pos + _WORD > len(text)
                if cut and len(text) - at > LONGEST_LINE:
                    raise _too_long(here) from None
                if not cut or not more(len(text) - at):
                    raise InputError(f"{here} is not valid JSON: {error.msg}") from None
            except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
                raise InputError(f"{here} is not valid JSON: {error}") from None
            # A number at the end of what was read may go on after it.
            if end == len(text) and not isinstance(value, str | list | dict) and more(len(text) - at):
                end = -1
        if end - at > LONGEST_LINE:
            raise _too_long(here)
        at = end
        count += 1
        yield value
        after = sign()
        if after == "]":
            break
        if after != ",":
            what = "the file ends" if not after else f"{after!r} stands"
            raise InputError(f"{file.name}: {what} after element {count}, where , or ] must be")
        at += 1
    at += 1
    if sign():
        raise InputError(
            f"{file.name} has something after its array, at element {count}: it must be one array"
        )


def _too_long(where: str) -> InputError:
    return InputError(f"{where} is longer than {LONGEST_LINE >> 20} MiB: split it")


def _decoded(file: InputFile) -> Iterator[str]:
    """The text of a file in pieces.

    Raises:
        InputError: Where it is not UTF-8, or cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    read = 0
    with file.open() as stream:
        while True:
            try:
                piece = stream.read(_PIECE)
            except OSError as error:
                raise file.unreadable(error) from None
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError:
                raise InputError(
                    f"{file.name} is not UTF-8 (within {_PIECE} bytes after {read}): convert the file, for "
                    "example with iconv -t UTF-8"
                ) from None
            read += len(piece)
            if not piece:
                return
            yield text


def _json_type(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return names.get(type(value), "a string" if isinstance(value, str) else "null")
