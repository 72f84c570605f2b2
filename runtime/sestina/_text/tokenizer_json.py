"""What a tokenizer.json may not ask for: chance, growth without bound, a text left out or taken twice.

The tokenizers library runs whatever the file says. What is checked here is read off the file's own members,
without running any of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from sestina._errors import BundleFormatError
from sestina._handlers import let_through
from sestina._quote import quote
from sestina._text.added import check_added
from sestina._text.charsmap import longest_replacement

# How many characters one character of a text may become. What the file writes in itself (`Replace`,
# `Prepend`) is told apart from what Unicode, bytes and word boundaries add, which real tokenizers do by up to
# some thousand in the worst case of all their steps: a step that doubles is else hidden among these.
_WRITTEN_MOST = 64
_GROWTH_MOST = 1 << 14
_STEPS_MOST = 256

# The most characters that each makes of one: U+FDFA has 18 in a compatible form, U+0390 three in a canonical
# one, U+0130 two in lower case; BertNormalizer puts spaces around a Chinese character and decomposes; a
# character has up to four bytes, and each piece of text may get a mark in front.
_BY_UNICODE = {
    "NFC": 3,
    "NFD": 4,
    "NFKC": 18,
    "NFKD": 18,
    "Lowercase": 2,
    "BertNormalizer": 8,
    "Bert": 8,
    "ByteLevel": 5,
    "Metaspace": 2,
}
_ADDED = {"BertProcessing": (1, 1), "RobertaProcessing": (1, 1), "ByteLevel": (0, 0)}

_ESCAPED_LETTER = re.compile(rb"\\u00([46][1-9a-fA-F]|[57][0-9aA])")
_NORMALIZER = re.compile(rb'"normalizer"\s*:\s*(?=\{)')


class Added(NamedTuple):
    """How many special tokens come before a text, and after it."""

    before: int
    after: int


def check_normalizer(content: bytes) -> None:
    """Refuse a normalizer that multiplies a text, before the library runs it on the tokens that it adds.

    Only that member is parsed: all of it would cost every start as much as loading it does.

    Args:
        content: Of tokenizer.json.

    Raises:
        BundleFormatError: Where a text may grow beyond the limits.
    """
    if _ESCAPED_LETTER.search(content):  # nobody who writes JSON escapes letters; the name may hide so
        content = _ESCAPED_LETTER.sub(lambda match: bytes.fromhex(match[1].decode()), content)
    found = list(_NORMALIZER.finditer(content))
    if len(found) > 1:
        raise BundleFormatError("tokenizer.json has several normalizers: export the bundle again")
    for match in found:
        _check_growth(_value(content, match.end()))


def check_parts(tokenizer: Any) -> Added:
    """Refuse chance, growth, and a post-processor that does not take the text exactly once.

    Args:
        tokenizer: As the library has read it.

    Returns: the special tokens around every text.

    Raises:
        BundleFormatError: Where a part is refused.
    """
    model = tokenizer.model
    for name in ("dropout", "alpha", "nbest_size"):  # of BPE; of Unigram, where the library reads them
        value = getattr(model, name, None)
        if value:
            raise BundleFormatError(
                f"tokenizer.json sets {name} to {quote(value)}, which makes tokens a matter of chance: "
                "remove it and export the bundle again"
            )
    check_added(tokenizer)
    _check_growth(_state(tokenizer.normalizer), _state(tokenizer.pre_tokenizer))
    added = _added(_state(tokenizer.post_processor))
    if sum(added) != tokenizer.num_special_tokens_to_add(False):
        raise BundleFormatError(
            "tokenizer.json has a post-processor of a kind that is not known, whose special tokens cannot be "
            "counted: export the bundle again"
        )
    return added


def word_ends(tokenizer: Any) -> str:
    """The characters that end a word for a tokenizer that forms its tokens word by word; "" for others.

    Added tokens that swallow the space beside them, or hold one, can reach over the end of a word, and a
    normalizer may take the space away.
    """
    for token in tokenizer.get_added_tokens_decoder().values():
        if token.lstrip or token.rstrip or any(character.isspace() for character in token.content):
            return ""
    steps = list(_steps(_state(tokenizer.pre_tokenizer)))
    ends = " ▁" if any(step.get("type") == "Metaspace" for step in steps) else " "
    if not all(_keeps_spaces(step, ends) for step in _steps(_state(tokenizer.normalizer))):
        return ""
    for step in steps:
        kind = step.get("type")
        if kind in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit"):
            return " \n\t"
        if kind == "ByteLevel":
            return " \n\t" if step.get("use_regex", True) else ""
        if kind == "Metaspace":
            return " " if step.get("split", True) else ""
        if kind not in ("Digits", "Punctuation"):  # these look at single characters
            return ""
    return ""


def _keeps_spaces(step: dict[str, Any], ends: str) -> bool:
    """Whether a word that ends at a space still ends, at one of `ends`, after this step of a normalizer."""
    if "content" in step:
        pattern = step.get("pattern")
        wanted = pattern.get("String") if isinstance(pattern, dict) else None
        if isinstance(wanted, str) and wanted and not any(character.isspace() for character in wanted):
            return True
        return pattern == {"Regex": " {2,}"} and step["content"] in tuple(ends)
    return "prepend" not in step and step.get("type") != "ByteLevel"


def _state(part: Any) -> Any:
    """A part of the tokenizer as tokenizer.json has it; None where there is none."""
    return None if part is None else json.loads(part.__getstate__())


def _steps(state: Any) -> Iterator[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer in order, sequences within sequences opened.

    Members decide, not the type: the library takes some without one.
    """
    waiting = [state]
    while waiting:
        step = waiting.pop()
        if isinstance(step, dict):
            inner = [
                step[name] for name in ("normalizers", "pretokenizers") if isinstance(step.get(name), list)
            ]
            if inner:
                waiting += [each for part in reversed(inner) for each in reversed(part)]
            else:
                yield step


def _check_growth(*states: Any) -> None:
    written = growth = 1.0
    steps = [step for state in states for step in _steps(state)]
    for step in steps:
        own, unicode = _growth(step)
        written, growth = written * own, growth * own * unicode
        if written > _WRITTEN_MOST or growth > _GROWTH_MOST:
            limit = _WRITTEN_MOST if written > _WRITTEN_MOST else _GROWTH_MOST
            raise BundleFormatError(
                f"tokenizer.json makes more than {limit} characters of one, step by step: no tokenizer needs "
                "that; export the bundle again"
            )
    if len(steps) > _STEPS_MOST:
        raise BundleFormatError(
            f"tokenizer.json has {len(steps)} steps before its model; it may have {_STEPS_MOST}: export the "
            "bundle again"
        )


def _growth(step: dict[str, Any]) -> tuple[float, float]:
    """The most characters that a step makes of one: by what it writes in, and by what is fixed."""
    if isinstance(content := step.get("content"), str):
        pattern = step.get("pattern")
        wanted = pattern.get("String") if isinstance(pattern, dict) else pattern
        if isinstance(wanted, str) and wanted:
            return max(1.0, len(content) / len(wanted)), 1
        return 1.0 + len(content), 1  # an expression may match nothing, between any two characters
    if isinstance(prepend := step.get("prepend"), str):
        return 1.0 + len(prepend), 1
    if "precompiled_charsmap" in step:
        longest = longest_replacement(step["precompiled_charsmap"])
        return max(1.0, longest / _WRITTEN_MOST), max(1, longest)
    if step.get("type") == "Metaspace" and step.get("prepend_scheme") == "never":
        return 1, 1
    return 1, _BY_UNICODE.get(str(step.get("type")), 1)


def _added(state: Any) -> Added:
    """The special tokens that a post-processor puts around a text."""
    if state is None:
        return Added(0, 0)
    if isinstance(state.get("processors"), list):
        parts = [_added(part) for part in state["processors"]]
        return Added(sum(part.before for part in parts), sum(part.after for part in parts))
    if state.get("type") != "TemplateProcessing":
        return Added(*_ADDED.get(state.get("type"), (0, 0)))
    around, seen = [0, 0], []
    for piece in state["single"]:
        if "Sequence" in piece:
            seen.append(piece["Sequence"]["id"])
            continue
        name = piece["SpecialToken"]["id"]
        token = state["special_tokens"].get(name)
        if token is None or len(token["ids"]) != len(token["tokens"]):
            fault = "does not define" if token is None else "has more ids than tokens, or fewer, for"
            raise BundleFormatError(
                f"tokenizer.json {fault} the special token {quote(name)} of its template: export the bundle "
                "again"
            )
        around[bool(seen)] += len(token["ids"])
    if seen != ["A"]:
        raise BundleFormatError(
            f"tokenizer.json has a template with the texts {quote(seen)}; it must take the one text once, as "
            "['A']: export the bundle again"
        )
    return Added(*around)


def _value(content: bytes, begin: int) -> Any:
    """The JSON value that begins there; None where there is none that can be read."""
    size = 1 << 12
    while True:
        try:
            return json.JSONDecoder().raw_decode(content[begin : begin + size].decode(errors="replace"))[0]
        except RecursionError:
            raise BundleFormatError("tokenizer.json nests too deep: export the bundle again") from None
        except ValueError as error:
            let_through(error)
            if begin + size >= len(content):
                return None
            size *= 16
