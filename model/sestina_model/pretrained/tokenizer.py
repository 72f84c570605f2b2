"""The tokenizer of a Hugging Face folder, as transformers 5 would set it up.

tokenizer.json is not the whole truth there: the classes of BERT, RoBERTa and XLM-R build most of it anew
from their options, tokens are named in three files beside it, and sentence-transformers may put
lower-casing before it. Here all of that is folded into the one tokenizer, which is then the whole truth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import read_json_object
from sestina_model._tokenizers import read_tokenizer, sound_tokenizer
from sestina_model.pretrained.tokenizer_build import as_class
from sestina_model.pretrained.tokenizer_classes import TokenizerClass, class_named
from sestina_model.pretrained.tokenizer_options import CONFIG, ROLES, TokenizerOptions, read_options

__all__ = ["MISSING", "FolderTokenizer", "lower_cased", "read_folder_tokenizer"]

MISSING = " is missing; make it:"
_PARTS = ("normalizer", "pre_tokenizer", "model", "added_tokens")
_UNWEIGHED = ("cls_token", "eos_token", "pad_token", "unk_token")
_NO_LIMIT = 1e9  # and above: "no limit" is written as the integer 1e30, at times as a float


@dataclass(frozen=True, slots=True)
class FolderTokenizer:
    """A tokenizer, and what its folder says of it that it cannot hold.

    Attributes:
        tokenizer: Without padding or truncation.
        limit: The length limit in tokens, if any.
        token_types: Whether the encoder is told the token types that the tokenizer gives.
        left_out: Tokens of roles of the folder's own that the table has no rows for: nobody can encode a text
            that has one, and here such a text is cut like any other.
        filler: The token that stands for what is masked, else the one that ends a text; None: it has neither.
        left: Whether texts are padded on their left.
        special: Ids of the tokens that begin and end a text, fill it up and stand for what is unknown.
    """

    tokenizer: Tokenizer
    limit: int | None
    token_types: bool
    left_out: tuple[str, ...] = ()
    filler: str | None = None
    left: bool = False
    special: tuple[int, ...] = ()


def read_folder_tokenizer(
    folder: Path,
    config: Mapping[str, Any],
    default_class: str,
    *,
    lower_case: bool,
    rows: int | None = None,
    pairs: bool = False,
) -> FolderTokenizer:
    """The tokenizer of a folder.

    Args:
        folder: Where tokenizer.json and the files beside it are.
        config: What config.json says.
        default_class: The tokenizer class where neither configuration names one.
        lower_case: Whether sentence-transformers lower-cases texts first.
        rows: Of the token table; None: as many as there are tokens.
        pairs: Whether it is to read pairs of texts, so that what stands around these counts.

    Raises:
        CheckpointError: Where tokenizer.json is absent (then `MISSING` is in the message) or cannot be read,
            or an option makes no sense.
        UnsupportedCheckpointError: Naming what the one file cannot hold.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(
            f'{path}{MISSING} python -c "from transformers import '
            f'AutoTokenizer as T; T.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"'
        )
    tokenizer, document = read_tokenizer(path), read_json_object(path)
    named, origin = read_json_object(folder / CONFIG, optional=True).get("tokenizer_class"), folder / CONFIG
    if named is None:
        named, origin = config.get("tokenizer_class"), folder / "config.json"
    kind = class_named(
        named,
        origin,
        config,
        default_class,
        byte_level='"ByteLevel"' in path.read_text(encoding="utf-8"),
    )
    options = read_options(folder, document)
    with sound_tokenizer(f"{path} cannot be set up as its class asks:"):
        tokenizer = _as_made(tokenizer, document.get("padding"), kind, options, pairs=pairs)
        tokenizer, left_out = _within(tokenizer, rows, options)
        if lower_case:
            tokenizer.normalizer = lower_cased(tokenizer.normalizer)
    named_tokens = {**(kind.defaults or {}), **options.roles}
    filler = named_tokens.get("mask_token") or named_tokens.get("eos_token")
    return FolderTokenizer(
        tokenizer,
        _limit(options),
        _token_types(options, kind),
        left_out,
        None if filler is None else str(filler),
        options.values.get("padding_side") == "left",
        tuple(sorted(_ids(tokenizer, (named_tokens.get(role) for role in _UNWEIGHED)))),
    )


def _ids(tokenizer: Tokenizer, tokens: Iterable[object]) -> set[int]:
    """Those that these tokens have."""
    found = (tokenizer.token_to_id(str(token)) for token in tokens if token is not None)
    return {each for each in found if each is not None}


def _within(
    tokenizer: Tokenizer, rows: int | None, options: TokenizerOptions
) -> tuple[Tokenizer, tuple[str, ...]]:
    """The tokenizer without what stands for another model's images, say, and lies beyond the table."""
    own = {str(token) for role, token in options.roles.items() if role not in ROLES}
    added = tokenizer.get_added_tokens_decoder()
    beyond = [id_ for id_ in added if rows is not None and id_ >= rows and added[id_].content in own]
    if not beyond:
        return tokenizer, ()
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [token for token in document["added_tokens"] if token["id"] not in beyond]
    return Tokenizer.from_str(json.dumps(document)), tuple(added[id_].content for id_ in sorted(beyond))


def _as_made(
    tokenizer: Tokenizer, padding: Any, kind: TokenizerClass, options: TokenizerOptions, *, pairs: bool
) -> Tokenizer:
    """The tokenizer, with those of its parts replaced that the class makes otherwise."""
    document = json.loads(tokenizer.to_str())
    if padding is not None and "pad_token" not in (kind.defaults or {}):
        kind = replace(kind, defaults={**(kind.defaults or {}), "pad_token": padding["pad_token"]})
    made = as_class(document, kind, options)
    built = json.loads(made.to_str())
    changes = {part: built[part] for part in _PARTS if not _alike(document[part], built[part])}
    if not _around_alike(tokenizer, made, pairs=pairs):
        changes["post_processor"] = built["post_processor"]
    if not changes:
        return tokenizer
    tokenizer = Tokenizer.from_str(json.dumps(document | changes))
    if tokenizer.get_vocab() != made.get_vocab():
        raise UnsupportedCheckpointError(
            f"{options.origin}: its added tokens have ids that a tokenizer.json cannot hold; save the "
            f"tokenizer with transformers 5 again"
        )
    return tokenizer


def _alike(one: Any, other: Any) -> bool:
    """Whether two parts do the same: an empty prefix or suffix of BPE is none."""
    if isinstance(one, dict) and one.get("type") == "BPE":
        one, other = ({name: value or None for name, value in each.items()} for each in (one, other))
    return bool(one == other)


def _around_alike(one: Tokenizer, other: Tokenizer, *, pairs: bool) -> bool:
    """Whether two put the same around a text, or a pair. What they put depends on nothing in it."""
    encoding = one.encode("a", add_special_tokens=False)
    put = [each.post_process(encoding, encoding if pairs else None, True) for each in (one, other)]
    return bool(put[0].ids == put[1].ids and put[0].type_ids == put[1].type_ids)


def _limit(options: TokenizerOptions) -> int | None:
    limit = options.values.get("model_max_length", options.values.get("max_len"))
    if limit is None or (isinstance(limit, int | float) and limit >= _NO_LIMIT):
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise CheckpointError(
            f"{options.origin}: model_max_length is {limit!r:.60}; it must be a whole number of at least 1"
        )
    return limit


def _token_types(options: TokenizerOptions, kind: TokenizerClass) -> bool:
    names = options.values.get("model_input_names")
    if names is None:
        return kind.token_types
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(
            f"{options.origin}: model_input_names is {names!r:.60}; it must be a list of names"
        )
    return "token_type_ids" in names


def lower_cased(normalizer: Any) -> Any:
    """A normalizer with sentence-transformers' lower-casing before it, where it has no step of that kind."""
    if normalizer is None:
        return normalizers.Lowercase()
    steps = [normalizer]
    if isinstance(normalizer, normalizers.Sequence):
        steps = [normalizer[index] for index in range(len(normalizer))]
    if any(isinstance(step, normalizers.Lowercase) for step in steps):
        return normalizer
    return normalizers.Sequence([normalizers.Lowercase(), *steps])
