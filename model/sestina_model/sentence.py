"""The sentence head: hidden states of a text to its one vector, and the module that holds both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sestina_model._errors import ConfigError
from sestina_model.config import EncoderConfig
from sestina_model.encoder import TransformerEncoder
from sestina_model.head_config import HeadConfig, Pooling, pooling_modes
from sestina_model.head_steps import Normalize, make_step
from sestina_model.token_outputs import TokenMaps

__all__ = ["SentenceEncoder", "SentenceOutput", "make_steps", "pool"]


def pool(hidden: Tensor, mask: Tensor | None, pooling: Pooling, pooled_from: Tensor | None = None) -> Tensor:
    """One vector per text from the hidden states of its real tokens.

    Args:
        hidden: (B, S, D).
        mask: (B, S) bool, True where a token is real; None where every token is. Real ones come first.
        pooling: As `HeadConfig` has it, of n modes.
        pooled_from: (1,) int64, the first token that is pooled, as those of a prompt may not be; None: 0.

    Returns: (B, n * D). A row without a token to pool gives zeros, but "cls", which then is its first.
    """
    modes = pooling_modes(pooling)
    if not torch.compiler.is_compiling() and not hidden.shape[1]:  # a graph always has a token to read
        return hidden.new_zeros(hidden.shape[0], len(modes) * hidden.shape[2])
    if pooled_from is not None:
        real = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device) if mask is None else mask
        behind = torch.arange(hidden.shape[1], device=hidden.device)[None] >= pooled_from
        pooled = [_pool(hidden, real & behind, mode, real) for mode in modes]
    else:
        pooled = [_pool(hidden, mask, mode, mask) for mode in modes]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=-1)


def _pool(hidden: Tensor, mask: Tensor | None, mode: str, real: Tensor | None) -> Tensor:
    """One mode over the tokens of `mask`, of all that are `real`. (B, S, D) -> (B, D)."""
    length = hidden.shape[1]
    if mode == "cls":
        if mask is None or real is None:
            return hidden[:, 0]
        return _row(hidden, mask.int().argmax(1)) * real.any(1, keepdim=True)
    if mode == "lasttoken":
        if mask is None:
            return hidden[:, -1]
        return _row(hidden, length - 1 - mask.flip(1).int().argmax(1)) * mask.any(1, keepdim=True)
    if mode == "max":
        if mask is None:
            return hidden.amax(1)
        highest = hidden.masked_fill(~mask[:, :, None], -torch.inf).amax(1)
        return torch.where(mask.any(1, keepdim=True), highest, torch.zeros_like(highest))
    if mode == "weightedmean":
        weights = torch.arange(1, length + 1, dtype=hidden.dtype, device=hidden.device)[None]
        if mask is not None:
            weights = weights * mask
        return (hidden * weights[:, :, None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)
    if mask is None:
        return hidden.mean(1) if mode == "mean" else hidden.sum(1) / length**0.5
    count = mask.sum(1, keepdim=True).clamp(min=1)
    return (hidden * mask[:, :, None]).sum(1) / (count if mode == "mean" else count.sqrt())


def _row(hidden: Tensor, at: Tensor) -> Tensor:
    """The state of one token of each text. (B, S, D) and (B,) -> (B, D)."""
    return hidden[torch.arange(len(hidden), device=hidden.device), at]


def make_steps(head: HeadConfig, d_model: int) -> nn.ModuleList:
    """The modules of a head's steps, their weights fresh."""
    width = d_model * len(pooling_modes(head.pooling))
    steps = nn.ModuleList()
    for step in head.steps:
        steps.append(make_step(step, width))
        width = step.width(width)
    return steps


def check_attended(config: EncoderConfig, head: HeadConfig) -> None:
    """Refuse an encoder that does not have the token that queries are filled up with, or that has no meaning
    for tokens that attend to others and are not attended to.

    Raises:
        ConfigError: Where it has no such token; where queries are filled up with what is not attended to, and
            it is causal, tells distances apart by content, or has a window that may leave a token nothing to
            attend to.
    """
    filled = None if head.late_interaction is None else head.late_interaction.query.expansion
    if filled is None:
        return
    if filled.token >= config.vocab_size:
        raise ConfigError(
            f"expansion has the token {filled.token}; this encoder has {config.vocab_size}, from 0 on"
        )
    if filled.attended:
        return
    length, why = filled.length, ""
    if config.causal:
        why = "is causal"
    elif config.relative == "disentangled":
        why = "has disentangled attention"
    elif config.local_layers and config.window is not None and config.window < length - 1:
        why = f"has a window of {config.window} tokens to each side"
    if why:
        raise ConfigError(
            f"queries are filled up to {length} tokens with what is not attended to, and this encoder {why}: "
            f"that is not supported; expand them with attend=True, or not at all"
        )


class SentenceOutput(NamedTuple):
    """What a `SentenceEncoder` gives, named as in the exported graph."""

    sentence_embedding: Tensor  # (B, d), or of tasks by token (B, S, d)
    last_hidden_state: Tensor  # (B, S, D)


class SentenceEncoder(nn.Module):
    """A `TransformerEncoder` and the head that turns its hidden states into one vector per text.

    Args:
        encoder: The encoder.
        head: What the head does.
        tensors: The weights of the head's steps, as `steps.state_dict()` names them; None: fresh ones.
        token_tensors: The same of `token_maps`, what it gives of each token besides, with `tensors`.

    Raises:
        ConfigError: Where the length limit of the head exceeds the positions of the encoder.
    """

    def __init__(
        self,
        encoder: TransformerEncoder,
        head: HeadConfig,
        tensors: Mapping[str, Tensor] | None = None,
        token_tensors: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        if head.max_tokens > encoder.config.max_positions:
            raise ConfigError(
                f"max_tokens is {head.max_tokens}; this encoder has positions for "
                f"{encoder.config.max_positions}"
            )
        check_attended(encoder.config, head)
        self.encoder = encoder
        self.head = head
        d_model = encoder.config.d_model
        if tensors is None:
            self.steps, self.token_maps = make_steps(head, d_model), TokenMaps(head.token_outputs, d_model)
        else:
            with torch.device("meta"):  # no memory, and no random draw to throw away
                self.steps = make_steps(head, d_model)
                self.token_maps = TokenMaps(head.token_outputs, d_model)
            self.steps.load_state_dict(dict(tensors), assign=True)
            self.token_maps.load_state_dict(dict(token_tensors or {}), assign=True)

    @property
    def dimensions(self) -> int:
        """d, the width of a vector."""
        return self.head.width(self.encoder.config.d_model)

    @property
    def unit_length(self) -> bool:
        """Whether every vector has the L2 norm 1: it is normalised, and not cut afterwards."""
        return self.head.normalize and self.dimensions == self.head.full_width(self.encoder.config.d_model)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        pooled_from: Tensor | None = None,
        types: Tensor | None = None,
    ) -> SentenceOutput:
        """(B, S) int64 ids, their mask (a token that it leaves out is not attended to), (1,) int64 the first
        token that is pooled, where the head leaves prompts out, and (B, S) int64 token types -> vectors or
        logits (B, d) and hidden states (B, S, D).
        """
        hidden = self.encoder(ids, mask, types)
        if self.head.by_token:
            return SentenceOutput(self.finish(hidden), hidden)
        if self.head.sparse:
            return SentenceOutput(self.saturate(pool(self.step(hidden), mask, self.head.pooling)), hidden)
        pooled = pool(hidden, mask, self.head.pooling, None if self.head.include_prompt else pooled_from)
        return SentenceOutput(self.finish(pooled), hidden)

    def every(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        pooled_from: Tensor | None = None,
        types: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """As `forward`, and after these what `token_maps` give of the states, as an exported graph does."""
        given = self(ids, mask, pooled_from, types)
        return (*given, *self.token_maps(given.last_hidden_state))

    def step(self, pooled: Tensor) -> Tensor:
        """The steps after pooling alone. (B, n * D) -> (B, width)."""
        for step in self.steps:
            pooled = step(pooled)
        return pooled

    def saturate(self, logits: Tensor) -> Tensor:
        """log(1 + x) of what is above 0, as often as a sparse head takes it; else 0. (B, d) -> (B, d)."""
        weights = logits.relu()
        for _ in range(self.head.saturation):
            weights = weights.log1p()
        return weights

    def finish(self, pooled: Tensor) -> Tensor:
        """What follows pooling: the steps, L2 normalisation and the cut, where the head has them.

        (B, n * D) -> (B, d).
        """
        pooled = self.step(pooled)
        if self.head.normalize:
            pooled = Normalize()(pooled)
        width = self.head.truncate_dim
        return pooled if width is None else pooled[:, :width]
