"""What an export may say otherwise than its source: the pooling, the normalisation, the limit."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import Any

from sestina_export._errors import ExportError
from sestina_model.checkpoint import Checkpoint
from sestina_model.encoder import TransformerEncoder
from sestina_model.head_config import HeadConfig, pooling_modes
from sestina_model.head_steps import is_count
from sestina_model.inputs import Text
from sestina_model.sentence import SentenceEncoder
from sestina_model.token_outputs import TokenMaps

__all__ = ["check_room", "prompted", "with_head", "with_outputs"]

Texts = tuple[list[Text], list[Text]]


def with_head(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """The same encoder, of whose head some members are others.

    Args:
        checkpoint: It stays as it is.
        changes: Members of `HeadConfig`; None leaves what is there.

    Raises:
        ExportError: Where the head's steps do not take what another pooling gives.
        sestina_model.ModelError: Where a value is not allowed, or the encoder cannot have it.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        return checkpoint
    model, old = checkpoint.model, checkpoint.model.head
    if old.task != "embedding" and (changed := given.keys() - {"max_tokens"}):
        raise ExportError(f"{min(changed)} is of embeddings; the task {old.task} has what its head says")
    if old.late_interaction is not None:
        most = given.get("max_tokens", old.max_tokens)
        if is_count(most):
            if most > old.late_interaction.max_tokens:
                raise ExportError(
                    f"max_tokens is {most}; this checkpoint reads at most {old.late_interaction.max_tokens} "
                    "tokens of a query or a document: leave it out, or write its lengths anew"
                )
            late = given["late_interaction"] = old.late_interaction.within(most)
            given["max_tokens"] = late.max_tokens
    head = replace(old, **given)
    encoder = _reaching(model.encoder, head.max_tokens)
    before, after = (len(pooling_modes(each.pooling)) for each in (old, head))
    if before != after and model.steps.state_dict():
        d_model = model.encoder.config.d_model
        raise ExportError(
            f"pooling {head.pooling!r:.60} gives vectors of {after * d_model} dimensions, and the "
            f"checkpoint's Dense or LayerNorm takes {before * d_model}: leave it as it is"
        )
    weights = (model.steps.state_dict(), model.token_maps.state_dict())
    return replace(checkpoint, model=SentenceEncoder(encoder, head, *weights).eval())


def with_outputs(checkpoint: Checkpoint, outputs: Iterable[str] | None) -> Checkpoint:
    """The same that gives only some of its outputs; None: all.

    Raises:
        ExportError: Where it has no such output, or the dense vectors are not among them.
    """
    if outputs is None:
        return checkpoint
    model, old = checkpoint.model, checkpoint.model.head.token_outputs
    have = ("dense", *(() if old is None else old.names))
    names = () if isinstance(outputs, str) or not isinstance(outputs, Iterable) else tuple(outputs)
    if "dense" not in names or not set(names) <= set(have) or checkpoint.model.head.task != "embedding":
        raise ExportError(
            f"outputs is {names or outputs!r:.100}; it must be a list that has "
            f"'dense', and of this checkpoint no others than {', '.join(have)}"
        )
    head = replace(model.head, token_outputs=None if old is None else old.only(names))
    kept = TokenMaps(head.token_outputs, 1)
    maps = {
        name: tensor
        for name, tensor in model.token_maps.state_dict().items()
        if name.partition(".")[0] in kept
    }
    changed = SentenceEncoder(model.encoder, head, model.steps.state_dict(), maps).eval()
    return replace(checkpoint, model=changed)


def _reaching(encoder: TransformerEncoder, length: int) -> TransformerEncoder:
    """The same encoder, of which texts of this length are asked, where its positions end nowhere (T5)."""
    if encoder.config.positions != "none" or length <= encoder.config.max_positions:
        return encoder
    longer = copy(encoder)  # with the same weights
    longer.config = replace(encoder.config, max_positions=length)
    return longer


def check_room(checkpoint: Checkpoint) -> None:
    """Refuse a limit that special tokens fill, which no bundle may have.

    Raises:
        ExportError: Saying the least that there may be.
    """
    head, special = checkpoint.model.head, checkpoint.tokenizer.num_special_tokens_to_add(False)
    late = head.late_interaction
    limit = head.max_tokens if late is None else min(late.query.max_tokens, late.document.max_tokens)
    if limit <= special:
        raise ExportError(
            f"max_tokens is {limit}, and special tokens take {special} of them in every text; it must be at "
            f"least {special + 1}: correct max_seq_length or model_max_length, or pass max_tokens "
            f"(--max-tokens)"
        )


def prompted(texts: Texts, head: HeadConfig) -> Texts:
    """Both kinds of texts as they will be read: without a prompt and with each that there is, in turn."""
    if not head.prompts or head.late_interaction is not None:  # whose prompts come of themselves
        return texts
    prompts = list(dict.fromkeys(("", *head.prompts.values())))
    first, second = (
        [f"{prompts[at % len(prompts)]}{text}" for at, text in enumerate(each)] for each in texts
    )
    return list(first), list(second)
