"""Checkpoints as Hugging Face and sentence-transformers lay them out, read without either library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import read_json_object
from sestina_model.config import EncoderConfig, HeadConfig
from sestina_model.encoder import TransformerEncoder
from sestina_model.head_config import LOGITS, Task
from sestina_model.pretrained.card import read_licence, read_name
from sestina_model.pretrained.families import Architecture, read_architecture
from sestina_model.pretrained.families.keys import Keys
from sestina_model.pretrained.modules import read_steps, step_files
from sestina_model.pretrained.multi_vector import late_head
from sestina_model.pretrained.sentence_transformers import MODULES, Contract, read_contract
from sestina_model.pretrained.sequence_heads import read_sequence_head, read_token_head
from sestina_model.pretrained.static import read_static
from sestina_model.pretrained.tasks import read_activation, stated_task
from sestina_model.pretrained.token_heads import FILES, TokenHeads, read_token_heads
from sestina_model.pretrained.tokenizer import read_folder_tokenizer
from sestina_model.pretrained.vocabulary_heads import read_vocabulary_head
from sestina_model.pretrained.weights import read_with_head, weight_files, weights_sha256

__all__ = ["CONFIG", "Pretrained", "read", "recognises", "stated_task"]

CONFIG = "config.json"
_READ = frozenset(
    {CONFIG, MODULES, "tokenizer.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"}
    | {"model.safetensors", "model.safetensors.index.json", "config_sentence_transformers.json"}
    | {*FILES.values()}
)


@dataclass(frozen=True, slots=True, eq=False)
class Pretrained:
    """What a folder holds, in our own terms; `notes` say in a line each what of it is left out."""

    encoder: TransformerEncoder
    head: HeadConfig
    steps: dict[str, Tensor]
    token_maps: Mapping[str, Tensor]
    tokenizer: Tokenizer
    name: str
    licence: str | None
    sha256: str
    notes: tuple[str, ...]


def recognises(folder: Path) -> bool:
    """Whether a folder is laid out as Hugging Face or sentence-transformers do."""
    return (folder / CONFIG).is_file() or (folder / MODULES).is_file()


def read(folder: Path, tokenizer: Path | None = None, task: Task = "embedding") -> Pretrained:
    """Read a folder.

    Args:
        folder: The folder.
        tokenizer: Where the files of its tokenizer are; None: in it.
        task: What is read: of `LOGITS` tasks the head of sequence classification too, of sparse that of the
            vocabulary.

    Raises:
        CheckpointError: Where it is incomplete or damaged.
        UnsupportedCheckpointError: Naming what Sestina's encoder or head does not have.
    """
    _check_files(folder)
    contract = read_contract(folder, task)
    root = contract.transformer
    _check_files(root)
    if contract.static:
        return _read_static(folder, contract)
    if (root / "adapter_config.json").is_file():
        raise UnsupportedCheckpointError(
            f"{root / 'adapter_config.json'}: adapters are not supported; merge the adapter into its model"
        )
    if not (root / CONFIG).is_file():
        raise CheckpointError(f"{root / CONFIG} is missing; fetch the folder again")
    config = read_json_object(root / CONFIG)
    if not (folder / MODULES).is_file():
        _check_chat(tokenizer or root)
    architecture = read_architecture(config, root / CONFIG)
    found = read_folder_tokenizer(
        tokenizer or root,
        config,
        architecture.family.tokenizer,
        lower_case=contract.lower_case,
        rows=architecture.config.vocab_size,
        pairs=task == "rerank",
    )
    if found.token_types and architecture.n_token_types:
        if task == "rerank":
            architecture = _with_types(architecture, found.tokenizer)
        else:
            _check_token_types(found.tokenizer, root)
    _check_ids(found.tokenizer, architecture.config.vocab_size, root)
    files = weight_files(root)
    stated = contract.max_seq_length
    architecture = architecture.reaching(stated if architecture.states_positions else stated or found.limit)
    limits = (stated or found.limit, architecture.config.max_positions)
    limit = min(value for value in limits if value is not None)
    _check_padding(found.tokenizer, architecture.config, stated or found.limit, root)
    if contract.late is not None:
        architecture = architecture.reaching(contract.late.longest)
    sequence, heads = None, TokenHeads()
    d_model = architecture.config.d_model
    if task in LOGITS:
        read_head = read_token_head if task == "tag" else read_sequence_head
        sequence = read_head(Keys(config, root / CONFIG), d_model)
    elif task == "sparse":
        sequence = read_vocabulary_head(Keys(config, root / CONFIG), d_model, architecture.config.vocab_size)
    encoder, steps, notes = read_with_head(files, architecture, sequence)
    if sequence is not None and task == "sparse":
        head = contract.sparse_head(limit, sequence.steps)
    elif sequence is None:
        steps = read_steps(contract.modules, d_model)
        if task == "embedding":
            heads = read_token_heads(folder, d_model, found.special)
        head = (
            replace(contract.head(limit), token_outputs=heads.outputs)
            if contract.late is None
            else late_head(
                contract.late,
                contract.modules,
                contract.prompts,
                found,
                limit,
                architecture.config.max_positions,
            )
        )
    else:
        activation = read_activation(folder, config, task, len(sequence.labels))
        head = sequence.config(task, activation, limit)
    return Pretrained(
        encoder=encoder,
        head=head,
        steps=steps,
        token_maps=heads.tensors,
        tokenizer=found.tokenizer,
        name=read_name(folder, config),
        licence=read_licence(folder),
        sha256=weights_sha256([*files, *step_files(contract.modules), *heads.files]),
        notes=notes,
    )


def _check_files(folder: Path) -> None:
    """Refuse what is there by name alone: a link to a blob that was never fetched, say, or a pipe.

    A folder whose modules.json leads nowhere would be one that has none, and its vectors others.
    """
    try:
        there = sorted(folder.iterdir())
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error.strerror or error}") from error
    for path in there:
        if (path.name in _READ or path.name.endswith("_config.json")) and not path.is_file():
            what = "is a link that leads nowhere" if path.is_symlink() and not path.exists() else "is no file"
            raise CheckpointError(f"{path} {what}; fetch the folder again")


def _read_static(folder: Path, contract: Contract) -> Pretrained:
    static = read_static(contract.transformer)
    _check_ids(static.tokenizer, static.encoder.config.vocab_size, contract.transformer)
    return Pretrained(
        encoder=static.encoder,
        head=contract.head(static.encoder.config.max_positions),
        steps=read_steps(contract.modules, static.encoder.config.d_model),
        token_maps={},
        tokenizer=static.tokenizer,
        name=read_name(folder, read_json_object(folder / CONFIG, optional=True)),
        licence=read_licence(folder),
        sha256=weights_sha256([*static.files, *step_files(contract.modules)]),
        notes=static.notes,
    )


def _check_chat(root: Path) -> None:
    """One of a folder without modules.json is what sentence-transformers puts every text into."""
    config = root / "tokenizer_config.json"
    named = [config] if read_json_object(config, optional=True).get("chat_template") is not None else []
    files = (root / "chat_template.jinja", *sorted(root.glob("additional_chat_templates/*.jinja")))
    found = [*(path for path in files if path.is_file()), *named]
    if found:
        raise UnsupportedCheckpointError(
            f"{found[0]}: a chat template, which sentence-transformers puts every text into, is not "
            f"supported; take it out (tokenizer.chat_template = None before save_pretrained) to encode texts "
            f"as they are"
        )


def _with_types(architecture: Architecture, tokenizer: Tokenizer) -> Architecture:
    """The same whose encoder is told types apart, where a pair of texts has several."""
    if not any(tokenizer.encode("a", "b").type_ids):
        return architecture
    changes: dict[str, Any] = {"token_types": "none", "n_token_types": architecture.n_token_types}
    return replace(architecture, config=replace(architecture.config, **changes))


def _check_token_types(tokenizer: Tokenizer, root: Path) -> None:
    """Type 0 is folded into the token table, so that every token must be of it."""
    types = sorted(set(tokenizer.encode("a").type_ids) - {0})
    if types:
        raise UnsupportedCheckpointError(
            f"{root / 'tokenizer.json'}: its post-processor gives a text token type {types[0]}, which is not "
            f"supported; only 0 is"
        )


def _check_padding(tokenizer: Tokenizer, config: EncoderConfig, limit: int | None, root: Path) -> None:
    """Padding that stands in every text takes no position: more tokens fit than there are positions."""
    short = limit is None or limit > config.max_positions
    if config.positions == "counted" and short and config.pad_id in tokenizer.encode("").ids:
        token = tokenizer.id_to_token(config.pad_id)
        raise UnsupportedCheckpointError(
            f"{root / CONFIG} has pad_token_id {config.pad_id}, which is {token!r} and stands in every text; "
            f"state a max_seq_length of at most {config.max_positions} in "
            "sentence_bert_config.json, or a pad_token_id that no text has"
        )


def _check_ids(tokenizer: Tokenizer, vocab_size: int, root: Path) -> None:
    """Classes add the tokens that they need and the vocabulary lacks; the table may have no rows for them."""
    beyond = {token: id_ for token, id_ in tokenizer.get_vocab().items() if id_ >= vocab_size}
    if beyond:
        named = ", ".join(sorted(beyond, key=lambda token: beyond[token])[:5])
        raise CheckpointError(
            f"{root}: the tokenizer gives ids up to {max(beyond.values())}; this encoder has {vocab_size} "
            f"rows in its token table. Beyond it are {len(beyond)} tokens ({named:.120}): where its class "
            f"adds them, name others in tokenizer_config.json"
        )
