"""One step of learning: a batch of equal lengths in, weights a little better."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model._errors import ConfigError, DivergenceError
from sestina_model.distillation.arithmetic import fast_products, prepare
from sestina_model.distillation.config import DistillationConfig
from sestina_model.distillation.objective import Losses, Objective, Weights
from sestina_model.distillation.optimiser import named_weights, new_optimiser, rate
from sestina_model.distillation.start import Start, fitted_projections, fitted_turn
from sestina_model.distillation.teacher import Lesson, states_at
from sestina_model.encoder import TransformerEncoder
from sestina_model.sentence import pool

__all__ = ["Learner", "read_states"]


def read_states(encoder: TransformerEncoder, lesson: Lesson) -> tuple[Tensor, list[Tensor]]:
    """The student's mean-pooled vectors (B, D), and each layer's states at the lesson's places, (n, D)."""
    hidden, states = states_at(encoder, lesson.ids, lesson.mask, lesson.texts, lesson.places)
    return pool(hidden, lesson.mask, "mean"), states


class Learner:
    """Holds the encoder, the objective and the optimiser on a device.

    Args:
        start: What is trained, with the projections to begin with where there are some. Its dropout is the
            configuration's while it learns.
        width: Of the teacher's vectors, T.
        n_teacher_layers: How many layers it has.
        config: The run.
        device: torch's name. Where it is fast there, products are in bfloat16, weights and all else in
            float32.

    Raises:
        ConfigError: Where layers are to be compared and the teacher has another number of them.
    """

    def __init__(
        self, start: Start, width: int, n_teacher_layers: int, config: DistillationConfig, device: str
    ) -> None:
        self._config, self._device = config, torch.device(device)
        self._n_teacher_layers = n_teacher_layers
        weights = Weights(
            config.cosine_weight,
            config.similarity_weight,
            config.near_weight,
            config.token_weight,
            config.layer_weight,
            config.bank_weight,
            config.bank_temperature,
        )
        shape = start.encoder.config
        if config.layer_weight and shape.n_layers != n_teacher_layers:
            raise ConfigError(
                f"the teacher has {n_teacher_layers} layers, the student {shape.n_layers}: they cannot be "
                "compared one by one; set layer_weight to 0"
            )
        objective = Objective(shape.d_model, width, shape.n_layers, weights)
        objective.start_from(start.projections or ())
        if config.holds_space:
            objective.hold()
        prepare(self._device)
        self.encoder = start.encoder.to(self._device)
        self._objective = objective.to(self._device)
        for module in self.encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
        self.weights: dict[str, Tensor] = named_weights(self.encoder, self._objective)
        self.optimiser = new_optimiser(self.weights, config)
        self._seen: list[Tensor] = []  # since the last report: the losses, and the gradient's norm
        self._rate = 0.0

    def learn(self, lesson: Lesson, tokens: int) -> int:
        """One step, after so many tokens of the run. Returns: tokens read."""
        self._rate = rate(tokens, self._config)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate
        self.encoder.train()
        with fast_products(self._device):
            vectors, states = read_states(self.encoder, lesson)
        losses = self._objective(vectors, states, lesson)
        self.optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self._config.clip)
        self.optimiser.step()
        # Kept as tensors: reading a number would make the CPU wait for the GPU at every step.
        self._seen.append(torch.stack([*(loss.detach() for loss in losses), norm]))
        return lesson.ids.numel()

    def must_be_finite(self) -> None:
        """To be asked before anything is kept of the weights.

        Raises:
            DivergenceError: Where they are not.
        """
        if not all(bool(weight.isfinite().all()) for weight in self.weights.values()):
            raise DivergenceError(
                f"the run diverged: weights are infinite or not numbers, at the rate {self._rate:.3g}; "
                f"begin another with a learning_rate below {self._config.learning_rate:.3g}"
            )

    @torch.no_grad()
    def fit_projections(self, lessons: Iterable[Lesson]) -> None:
        """Start from the projections that fit the encoder as it is; a checkpoint does not hold any."""
        if self._config.holds_space:
            # A text counts by its tokens: the space is that of texts, and words are yet to find theirs.
            pairs = (
                (
                    F.normalize(read_states(self.encoder, lesson)[0], dim=-1) * lesson.ids.shape[1],
                    F.normalize(lesson.vectors, dim=-1),
                )
                for lesson in lessons
            )
            self._objective.hold(fitted_turn(pairs).to(self._device))
        elif len(self._objective.projections) == self._n_teacher_layers:
            states = ((read_states(self.encoder, lesson)[1], lesson.states) for lesson in lessons)
            self._objective.start_from(fitted_projections(states))

    def averages(self) -> dict[str, float]:
        """Means since the last call."""
        names = ("loss", *Losses._fields[1:], "gradient_norm")
        means = torch.stack(self._seen).mean(0).tolist() if self._seen else [0.0] * len(names)
        self._seen.clear()
        return {name: round(value, 5) for name, value in zip(names, means, strict=True)} | {
            "learning_rate": self._rate
        }
