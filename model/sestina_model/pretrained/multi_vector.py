"""A model of late interaction as sentence-transformers 6 lays it out: a vector for each token of a text.

Its modules are a Transformer, any number of Dense and Normalize on the vectors of tokens, and the one that
says which of these count (MultiVectorMask). How queries and documents are read stands beside the Transformer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import read_json_object
from sestina_model.head_config import HeadConfig
from sestina_model.head_steps import is_count
from sestina_model.late_interaction import Expansion, LateInteraction, MaxSim, Role
from sestina_model.pretrained.modules import MASK, MODULES, TOKENS, Modules, listed_modules, read_module
from sestina_model.pretrained.tasks import MULTI_VECTOR, SENTENCE_TRANSFORMERS
from sestina_model.pretrained.tokenizer import FolderTokenizer
from sestina_model.pretrained.transformer_module import ROLES, options_of, transformer_config

__all__ = ["Stated", "late_head", "read_late_modules", "read_stated"]

# What PyLate has beside its modules, and sentence-transformers reads there too.
_OF_PYLATE = (
    *ROLES, "query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens",
    "attend_to_mask_tokens", "skiplist_words",
)  # fmt: skip
_TASKS = ("query", "document")
_STRATEGIES = ("fixed", "min")


class Stated(NamedTuple):
    """What a folder says of how queries and documents are read.

    Attributes:
        origin: The file that says most of it.
        query_length: The limit of a query in tokens; None: the tokenizer's.
        document_length: The same of a document.
        expansion: What queries are filled up with, as it is written; None: nothing.
        words: The tokens whose vectors are left out.
        skipping: Of which they are: "query", "document" or both.
        similarity: How both are compared.
    """

    origin: Path
    query_length: int | None
    document_length: int | None
    expansion: Mapping[str, Any] | None
    words: tuple[str, ...]
    skipping: tuple[str, ...]
    similarity: MaxSim

    @property
    def longest(self) -> int | None:
        """The longest text that it states; None: it states no length."""
        filled = (self.expansion or {}).get("length")
        lengths = (self.query_length, self.document_length, filled if is_count(filled) else None)
        return max((length for length in lengths if length is not None), default=None)


def read_late_modules(folder: Path) -> tuple[Modules, Path | None]:
    """What its modules do with vectors of tokens, and where the one is that says which count.

    Raises:
        CheckpointError: Where a file is damaged.
        UnsupportedCheckpointError: Naming the module or option that is not supported.
    """
    modules = listed_modules(folder, (MASK,))
    kinds = [kind for kind, _ in modules]
    allowed = {"Dense", "Normalize", MASK}
    if kinds[:1] != ["Transformer"] or not set(kinds[1:]) <= allowed or kinds.count(MASK) > 1:
        raise UnsupportedCheckpointError(
            f"{folder / MODULES}: the modules {', '.join(kinds) or '(none)':.160} of a {MULTI_VECTOR} are "
            f"not supported; a Transformer and then any number of Dense and Normalize and one {MASK} are"
        )
    steps = []
    for kind, path in modules[1:]:
        if kind != MASK:
            steps.append(read_module(kind, path, TOKENS))
            config = read_json_object(path / "config.json", optional=True)
            if kind == "Normalize" and config.get("module_input_name") != TOKENS:
                raise UnsupportedCheckpointError(
                    f"{path / 'config.json'}: module_input_name is missing or null, so that it normalises "
                    f"nothing; {TOKENS!r} is supported"
                )
    normalize = bool(steps) and steps[-1].step.kind == "normalize"
    between = tuple(steps[:-1] if normalize else steps)
    mask = next((path for kind, path in modules if kind == MASK), None)
    return Modules(modules[0][1], steps=between, normalize=normalize), mask


def read_stated(folder: Path, transformer: Path, mask: Path | None) -> Stated:
    """How queries and documents are read.

    Args:
        folder: The whole.
        transformer: Of its Transformer.
        mask: Of its MultiVectorMask; None: there is none.

    Raises:
        CheckpointError: Where a value makes no sense.
        UnsupportedCheckpointError: Naming what is not supported.
    """
    outer = folder / SENTENCE_TRANSFORMERS
    config = read_json_object(outer, optional=True)
    if config.get("model_type") != MULTI_VECTOR:
        raise UnsupportedCheckpointError(
            f"{outer}: model_type {config.get('model_type')!r:.60} is none of late interaction; "
            f"{MULTI_VECTOR!r} is"
        )
    for key in _OF_PYLATE:
        if config.get(key) is not None:
            raise UnsupportedCheckpointError(
                f"{outer}: {key} {config[key]!r:.60} is PyLate's and not supported there; save the model "
                "with sentence-transformers 6"
            )
    path, own = transformer_config(transformer)
    of_query, of_document = (_length(own, key, path) for key in ROLES[:2])
    expansion = options_of(own, "query_expansion", path) or None
    if expansion is not None and mask is None:
        raise UnsupportedCheckpointError(
            f"{path}: query_expansion without a {MASK}, which would count what it adds, is not supported"
        )
    words, skipping = ((), ("document",)) if mask is None else _skipped(mask / "config.json")
    named = config.get("similarity_fn_name")
    known: tuple[MaxSim, ...] = get_args(MaxSim)
    similarity = next((each for each in known if each == named), known[0])  # as it is there
    return Stated(path, of_query, of_document, expansion, words, skipping, similarity)


def _length(config: Mapping[str, Any], key: str, path: Path) -> int | None:
    value = config.get(key)
    if value is not None and not is_count(value):
        raise CheckpointError(
            f"{path}: {key} is {value!r:.60}; it must be a whole number of at least 1, or null"
        )
    return value


def _skipped(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    config = read_json_object(path)
    if config.get("keep_only_token_ids"):
        raise UnsupportedCheckpointError(
            f"{path}: keep_only_token_ids {config['keep_only_token_ids']!r:.60} is not supported; null is"
        )
    words, tasks = config.get("skiplist_words") or [], config.get("skiplist_tasks")
    tasks = ["document"] if tasks is None else [tasks] if isinstance(tasks, str) else tasks
    for key, value in (("skiplist_words", words), ("skiplist_tasks", tasks)):
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise CheckpointError(f"{path}: {key} is {value!r:.60}; it must be a list of strings")
    return tuple(words), tuple(task for task in tasks if task in _TASKS)


def late_head(
    stated: Stated,
    modules: Modules,
    prompts: Mapping[str, str],
    tokenizer: FolderTokenizer,
    limit: int,
    positions: int,
) -> HeadConfig:
    """The text contract.

    Args:
        stated: What the folder says of queries and documents.
        modules: What follows the encoder.
        prompts: By name, what is put before a text.
        tokenizer: Of the folder.
        limit: Of texts whose kind has none of its own.
        positions: Of the encoder: no text has more tokens.

    Raises:
        CheckpointError: Where an expansion makes no sense.
        UnsupportedCheckpointError: Naming what is not supported.
    """
    expansion, most = _expansion(stated, tokenizer), stated.query_length or limit
    if expansion is not None:
        fixed = (stated.expansion or {}).get("strategy") == "fixed"
        if expansion.length > positions:
            raise CheckpointError(
                f"{stated.origin}: query_expansion has the length {expansion.length}, and the encoder "
                f"{positions} positions"
            )
        if not fixed and most < expansion.length:
            raise UnsupportedCheckpointError(
                f"{stated.origin}: query_expansion has the length {expansion.length}, and texts are cut at "
                f"{most} tokens before; give it a query_length"
            )
        most = expansion.length if fixed else most
    ids = {tokenizer.tokenizer.token_to_id(word) for word in stated.words}
    skip = tuple(sorted(each for each in ids if each is not None))  # words that are no token skip nothing
    query = Role(
        max_tokens=min(most, positions),
        skip=skip if "query" in stated.skipping else (),
        expansion=expansion,
    )
    document = Role(
        max_tokens=min(stated.document_length or limit, positions),
        skip=skip if "document" in stated.skipping else (),
    )
    return HeadConfig(
        normalize=modules.normalize,
        max_tokens=max(query.max_tokens, document.max_tokens),
        steps=tuple(module.step for module in modules.steps),
        prompts={name: prompts[name] for name in _TASKS if prompts.get(name)},
        task="multi-vector",
        late_interaction=LateInteraction(query=query, document=document, similarity=stated.similarity),
    )


def _expansion(stated: Stated, tokenizer: FolderTokenizer) -> Expansion | None:
    given, where = stated.expansion, stated.origin
    if given is None:
        return None
    strategy, length, attended = given.get("strategy"), given.get("length"), given.get("attend", False)
    known = set(given) <= {"strategy", "attend", "token", "length"}
    if not known or strategy not in _STRATEGIES or not is_count(length) or not isinstance(attended, bool):
        raise CheckpointError(
            f"{where}: query_expansion is {given!r:.120}; it must have a strategy "
            f"({' or '.join(_STRATEGIES)}) and a length, and may have attend and token"
        )
    if stated.query_length is not None and stated.query_length < int(length or 0):
        raise CheckpointError(
            f"{where}: query_length is {stated.query_length}; query_expansion has the length {length}"
        )
    if tokenizer.left:
        raise UnsupportedCheckpointError(
            f"{where}: query_expansion with a tokenizer that pads on the left is not supported"
        )
    token = tokenizer.filler if given.get("token") is None else given["token"]
    number = tokenizer.tokenizer.token_to_id(token) if isinstance(token, str) else None
    if number is None:
        raise CheckpointError(
            f"{where}: query_expansion fills queries up with {token!r:.60}, which the tokenizer does not have"
        )
    return Expansion(length=int(length or 0), token=number, attended=attended)
