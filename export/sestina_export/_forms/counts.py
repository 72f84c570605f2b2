"""How often the parts of an encoder occur in a graph, whatever they are written as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sestina_model.config import EncoderConfig

__all__ = ["GROUPED_MULTIPLE", "Counts"]

GROUPED_MULTIPLE = 8  # of the width of a head: what kernels of GroupQueryAttention take
# Activations that are one node of this type; the others are spelt out.
_ACTIVATIONS = {"relu": "Relu", "gelu": "Gelu", "gelu_tanh": "Gelu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


@dataclass(frozen=True, slots=True)
class Counts:
    """The parts of one encoder's graph.

    Attributes:
        config: Of the encoder.
        again: Whether the last layer stands there once more, for the one token that is pooled: all of it but
            keys and values.
    """

    config: EncoderConfig
    again: bool = False

    @property
    def layers(self) -> int:
        """Times that a layer is run, that of one token included."""
        return self.config.n_layers + self.again

    def runs(self) -> list[tuple[int, bool]]:
        """Whose weights each run of a layer has, by their number, and whether it is that of one token."""
        numbers = self.config.shared_layers or range(self.config.n_layers)
        whole = [(number, False) for number in numbers]
        return [*whole, (whole[-1][0], True)] if self.again else whole

    def readers(self, again: bool) -> Mapping[str, int]:
        """The inputs of a layer's linear maps by the name of the first that reads each, and how many do."""
        return {
            "attention.query": 1 if again else 3,
            "attention.output": 1,
            "feed_forward.inner": 1 + self.config.gated,
            "feed_forward.output": 1,
        }

    @property
    def linears(self) -> int:
        """Linear maps of layers."""
        return sum(sum(self.readers(again).values()) for _, again in self.runs())

    @property
    def grouped(self) -> int:
        """Attentions that are GroupQueryAttention, as `scores.is_grouped` has it."""
        config = self.config
        plain = config.causal and config.relative == "none" and config.d_head % GROUPED_MULTIPLE == 0
        return config.n_layers if plain else 0

    def norms(self) -> Mapping[str, int]:
        """LayerNorms and RMSNorms, by the operator that they are."""
        config = self.config
        each = 4 if config.norm == "sandwich" else 2
        bare = config.norm == "pre" and not config.first_norm  # the first layer of a run has one less
        final = config.norm != "post"
        kinds: Counter[str] = Counter(LayerNormalization=0, RMSNormalization=0)
        kind = "RMSNormalization" if config.norm_kind == "rms" else "LayerNormalization"
        kinds[kind] += each * self.layers - bare * (1 + (self.again and config.n_layers == 1))
        kinds[kind] += config.norm_embeddings + final * (1 + self.again)
        if config.query_key_norm:
            kinds["RMSNormalization"] += 2 * config.n_layers + self.again
        return kinds

    def activations(self) -> Mapping[str, int]:
        """The activations, where each is one node."""
        name = _ACTIVATIONS.get(self.config.activation)
        return {name: self.layers} if name else {}
