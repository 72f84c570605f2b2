"""A training run as data: everything that its result depends on, and how often it reports."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sestina_model._errors import ConfigError
from sestina_model.config import EncoderConfig
from sestina_model.distillation.checks import check

__all__ = ["DistillationConfig", "Phase"]

# What may differ between a run and its resumption: where things are, and what is reported. That the texts
# and the teacher are the same ones is told by their contents.
_FREE = (
    "bundle",
    "cache",
    "data",
    "evaluate_every",
    "report_every",
    "save_every",
    "second_teacher",
    "teacher",
    "texts",
    "threads",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the run: texts of up to so many tokens, for this share of the token budget."""

    max_tokens: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationConfig:
    """One run.

    Attributes:
        teacher: The teacher's checkpoint folder, or "package:NAME/FOLDER" for one inside an installed
            package.
        texts: Files or patterns of UTF-8 text, one passage a line; .xz and .gz are read as they are.
        data: The folder of dev tasks, or None to train unseen (then the last checkpoint is the best).
        tasks: Which of them choose the best checkpoint: by their mean.
        cache: Where token ids and teacher vectors are kept for any run; None: inside the run's folder.
        encoder: The student as `EncoderConfig.to_dict` writes it; None: `EncoderConfig.base` of the
            project's English tokenizer.
        max_tokens: The length limit that the finished checkpoint states.
        tokens: The budget: student tokens to train on.
        until: Where the run ends before its budget is spent, so before its rate has come down; None: not.
        phases: What is read when, short passages first.
        join_lines: Every so many lines together are one more passage, as long texts; 0: none.
        batch_tokens, batch_texts: The most that a batch holds. Its texts have one length, unless copies are
            shortened.
        shard_texts: Texts that are shuffled and batched together.
        shard_readings: With crops, how often a shard is read, each time in another order, before the next is
            drawn: two teachers take longer over it than the student.
        run_texts: A shard is made of runs of so many neighbours: passages of one source and often of one
            page, so that a batch holds pairs that are about the same thing.
        learning_rate: AdamW's, after `warm_up` (a share of the budget); a cosine takes it to `final_rate`
            of itself.
        clip: The largest gradient norm.
        dropout: While training. The teacher's vectors are no labels to overfit, so none is usual.
        cosine_weight: Of 1 - cosine to the teacher through a projection that is then thrown away.
        similarity_weight: Of the squared difference between the cosines of all pairs in a batch.
        near_weight: Of the same, of those pairs alone that the teacher holds near (a cosine above 0.5).
        altered_share: How much of a batch is copies of other texts in it with words changed, left out or
            moved: pairs that are near. At most 0.5.
        token_weight: Of 1 - cosine to the teacher's last states of the tokens that both cut alike.
        layer_weight: Of the same after each layer before the last.
        mix: None: the lines as they are, and the teacher reads them beside the student. Else, for each kind
            of text (see `material`), its share of the tokens: then the teacher's vectors are computed once
            and kept in the cache, what is held out for measuring fidelity is left out, the student's own
            space is held to the teacher's by a turn that stays as it is, and the losses of states have no
            place.
        crops: None, or, for each kind of crop (see `crops`), its share of the tokens: then texts are cut out
            of the lines anew for each shard, and the teacher reads a shard at once, on the run's device. What
            is held out is left out, and the space is held, as with a mix.
        second_teacher: With crops, another one, whose vectors stand beside the first's; None: there is none.
        second_share: Its part of the two: the cosine that is learned is so much of its own, and of the first
            teacher's the rest.
        bank_weight: With a mix or crops, of the divergence of each text's similarities to the bank, the
            student's vectors against the teacher's, from those that the teacher has.
        bank_texts: How many lines and passages of the last shards are the bank, drawn anew for each batch.
        bank_temperature: What those similarities are divided by; the smaller, the more the nearest count.
        bundle: With a mix, a bundle of the teacher: its vectors come through Sestina's runtime, which on a
            CPU is several times as fast. None: through PyTorch.
        warm_start: "teacher": layers and embeddings start from the teacher's; "none": from a draw; else
            from the weights in this checkpoint's folder.
        calibration_texts: Texts on which a warm start measures and refits; 0: mapped weights alone.
        evaluate_every, save_every, report_every: In steps.
        threads: torch's; None: as torch chooses.

    Raises:
        ConfigError: Where a value is not allowed.
    """

    teacher: str
    texts: tuple[str, ...]
    data: str | None = None
    tasks: tuple[str, ...] = ("stsb-dev", "semrel24-eng-dev", "sickr-trial")
    cache: str | None = None
    name: str = "sestina-base"
    licence: str | None = "apache-2.0"
    encoder: Mapping[str, Any] | None = None
    max_tokens: int = 256
    tokens: int
    until: int | None = None
    phases: tuple[Phase, ...] = (Phase(max_tokens=128, share=1.0),)
    join_lines: int = 0
    batch_tokens: int = 2048
    batch_texts: int = 64
    shard_texts: int = 4096
    shard_readings: int = 1
    run_texts: int = 1
    learning_rate: float = 3e-4
    warm_up: float = 0.02
    final_rate: float = 0.02
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.0
    cosine_weight: float = 1.0
    similarity_weight: float = 20.0
    near_weight: float = 0.0
    altered_share: float = 0.0
    token_weight: float = 1.0
    layer_weight: float = 0.5
    mix: Mapping[str, float] | None = None
    crops: Mapping[str, float] | None = None
    second_teacher: str | None = None
    second_share: float = 0.5
    bank_weight: float = 0.0
    bank_texts: int = 4096
    bank_temperature: float = 0.05
    bundle: str | None = None
    warm_start: str = "teacher"
    calibration_texts: int = 1500
    seed: int = 0
    evaluate_every: int = 500
    save_every: int = 250
    report_every: int = 20
    threads: int | None = None

    def __post_init__(self) -> None:
        check(self)

    @property
    def holds_space(self) -> bool:
        """Whether the student's own space is held to the teacher's."""
        return self.mix is not None or self.crops is not None

    @property
    def longest(self) -> int:
        """Tokens of the longest passage that is trained on."""
        return max(phase.max_tokens for phase in self.phases)

    def student(self, vocab_size: int) -> EncoderConfig:
        """The encoder that is trained."""
        return (
            EncoderConfig.base(vocab_size) if self.encoder is None else EncoderConfig.from_dict(self.encoder)
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    def identity(self) -> dict[str, Any]:
        """What a resumption must share with the run that it resumes, besides texts and teacher.

        A checkpoint that it started from may have been moved since: its weights are in the state.
        """
        shared = {name: value for name, value in self.to_dict().items() if name not in _FREE}
        if self.warm_start not in ("none", "teacher"):
            shared["warm_start"] = "a checkpoint"
        if self.crops is None:  # runs that were begun before there were any have no such values
            del shared["crops"], shared["second_share"], shared["shard_readings"]
        return shared

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DistillationConfig:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: On an unknown or missing name, or a value that is not allowed.
        """
        given, known = dict(values), {field.name: field for field in dataclasses.fields(cls)}
        if unknown := sorted(given.keys() - known.keys()):
            raise ConfigError(
                f"unknown configuration names: {', '.join(unknown)}; allowed are {', '.join(sorted(known))}"
            )
        required = [name for name, field in known.items() if field.default is dataclasses.MISSING]
        if missing := [name for name in required if name not in given]:
            raise ConfigError(f"{', '.join(missing)} missing from the configuration; state them")
        for name in ("texts", "tasks", "phases"):
            if name in given:
                if not isinstance(given[name], list | tuple):
                    raise ConfigError(f"{name} is {given[name]!r}; it must be a list")
                given[name] = tuple(given[name])
        try:
            given["phases"] = tuple(Phase(**phase) for phase in given["phases"]) if "phases" in given else ()
        except TypeError as error:
            raise ConfigError(f"phases: {error}; each must have max_tokens and share") from None
        if not given["phases"]:
            del given["phases"]
        return cls(**given)
