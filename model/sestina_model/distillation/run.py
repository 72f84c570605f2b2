"""The run itself: read, compare with the teacher, learn, look back now and then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from sestina_model import bpe
from sestina_model._errors import FileError
from sestina_model._lines import find_files
from sestina_model.checkpoint import Checkpoint, load, save
from sestina_model.config import HeadConfig
from sestina_model.distillation.config import DistillationConfig
from sestina_model.distillation.corpus import sample_lines
from sestina_model.distillation.curve import Curve
from sestina_model.distillation.learner import Learner
from sestina_model.distillation.source import open_lessons
from sestina_model.distillation.start import Start, continued
from sestina_model.distillation.state import Position, read_state, write_state
from sestina_model.distillation.teacher import Lesson, find_teacher
from sestina_model.distillation.warm_start import warm_start
from sestina_model.encoder import TransformerEncoder
from sestina_model.evaluation import BatchedCheckpoint, score
from sestina_model.evaluation.progress import progress_bar
from sestina_model.sentence import SentenceEncoder

__all__ = ["Run", "distil"]

_STATE = "state.safetensors"


def distil(
    config: DistillationConfig,
    out: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: bool = False,
    device: str | None = None,
) -> Position:
    """Train until the budget is spent, from wherever `out` has come to.

    Leaves in `out`: best/ and last/ (checkpoints, in float16), curve.jsonl, curve.svg, config.json, and the
    state.

    Args:
        config: The run.
        out: Its folder.
        stop: Asked after each step; true saves and returns.
        progress: Whether to draw progress bars on standard error.
        device: torch's name for it; None: "cuda" where there is one, else "cpu".

    Returns: How far the run has come.

    Raises:
        ModelError: As its subclasses say, in one line.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    run = Run(config, out, device or ("cuda" if torch.cuda.is_available() else "cpu"), progress=progress)
    run.train(stop)
    return run.position


class Run:
    """One run in its folder. Arguments are those of `distil`."""

    def __init__(self, config: DistillationConfig, out: Path, device: str, *, progress: bool) -> None:
        self._config, self._out, self._progress = config, out, progress
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{out} cannot be written: {error.strerror or error}") from error
        cache = Path(config.cache).expanduser() if config.cache else out / "cache"
        self._tokenizer = bpe.english()
        teacher = load(find_teacher(config.teacher))
        second = load(find_teacher(config.second_teacher)) if config.second_teacher is not None else None
        teachers = [teacher] if second is None else [teacher, second]
        self._source = open_lessons(config, self._tokenizer, teachers, cache, device, progress=progress)
        self._curriculum = self._source.curriculum
        contents = {"corpus_fingerprint": self._source.fingerprint, "teacher_sha256": teacher.source_sha256}
        if second is not None:
            contents["second_teacher_sha256"] = second.source_sha256
        self._identity = config.identity() | contents
        self._begun = time.monotonic()

        torch.manual_seed(config.seed)
        resuming = (out / _STATE).is_file()
        start = self._start(teacher, resuming=resuming)
        for each in teachers:
            each.model.to(device)  # once the warm start, which is quick on a CPU, has read it
        self._learner = Learner(
            start, self._source.width, teacher.model.encoder.config.n_layers, config, device
        )
        fitted = config.holds_space or config.warm_start != "none"
        if not resuming and start.projections is None and fitted:
            self._learner.fit_projections(self._first_lessons())
        self.position = Position()
        if resuming:
            self.position = read_state(
                out / _STATE, self._identity, self._learner.weights, self._learner.optimiser
            )
            if not (out / "best").is_dir():  # a kill fell between the two renames that replace it
                self.position.best = self.position.evaluated = None
        (out / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")
        self._curve = Curve(out, step=self.position.step)

    def train(self, stop: Callable[[], bool]) -> None:
        """Read batch after batch, from the position on, until the budget is spent or `stop` says so."""
        config, position = self._config, self.position
        self._begun = time.monotonic() - position.seconds
        if position.evaluated is None:
            self._evaluate()
            self._save()
        with progress_bar(
            config.tokens, self._progress, unit="token", title="distil", done=position.tokens
        ) as advance:
            while not self._spent() and not stop():
                self._visit(stop, advance)
        self._save()
        if self._spent():
            if position.evaluated != position.step:
                self._evaluate()
                self._save()
            save(self._checkpoint(), self._out / "last", half=True)
        self._curve.draw()

    def _visit(self, stop: Callable[[], bool], advance: Callable[[int], object]) -> None:
        """What is left of one shard."""
        position = self.position
        batches = self._curriculum.batches(position.visit)
        while position.batch < len(batches):
            lesson = self._source.lesson(position.visit, position.batch, batches[position.batch])
            read = self._learner.learn(lesson, position.tokens)
            position.batch, position.step = position.batch + 1, position.step + 1
            position.tokens += read
            advance(read)
            self._report()
            if stop() or self._spent():
                return
        position.visit, position.batch = position.visit + 1, 0

    def _spent(self) -> bool:
        """Whether the run is over."""
        until, position = self._config.until, self.position
        return self._curriculum.is_over(position.visit, position.tokens) or (
            until is not None and position.tokens >= until
        )

    def _report(self) -> None:
        """What is due after this step."""
        config, position = self._config, self.position
        position.seconds = time.monotonic() - self._begun
        if position.step % config.report_every == 0:
            self._learner.must_be_finite()
            facts = {"step": position.step, "tokens": position.tokens, "seconds": round(position.seconds, 1)}
            self._curve.add(facts | self._learner.averages())
        if position.step % config.evaluate_every == 0:
            self._evaluate()
        if position.step % config.save_every == 0:
            self._save()

    def _evaluate(self) -> None:
        self._learner.must_be_finite()
        config, position = self._config, self.position
        position.evaluated = position.step
        mean = None
        if config.data is not None:
            encoder = BatchedCheckpoint(self._checkpoint(), progress=False)
            scores = score(encoder, Path(config.data).expanduser(), config.tasks)
            mean = sum(result.value for result in scores) / len(scores)
            dev = {result.task: round(result.value, 3) for result in scores}
            self._curve.add(
                {"step": position.step, "tokens": position.tokens, "dev": dev, "mean": round(mean, 3)}
            )
        if mean is None or position.best is None or mean > position.best:
            position.best, position.best_step = mean, position.step
            save(self._checkpoint(), self._out / "best", half=True)
        self._curve.draw()

    def _save(self) -> None:
        self._learner.must_be_finite()
        self.position.seconds = time.monotonic() - self._begun
        write_state(
            self._out / _STATE,
            self.position,
            self._identity,
            self._learner.weights,
            self._learner.optimiser,
        )

    def _checkpoint(self) -> Checkpoint:
        """The student as it is now, to be read before the next step."""
        config = self._config
        model = SentenceEncoder(self._learner.encoder, HeadConfig(max_tokens=config.max_tokens)).eval()
        return Checkpoint(model, self._tokenizer, config.name, config.licence, None)

    def _start(self, teacher: Checkpoint, *, resuming: bool) -> Start:
        """The student's first weights; any will do where a saved state replaces them."""
        config, origin = self._config.student(self._tokenizer.get_vocab_size()), self._config.warm_start
        if resuming or origin == "none":
            return Start(TransformerEncoder(config), None)
        if origin == "teacher":
            texts = sample_lines(find_files(self._config.texts), self._config.calibration_texts)
            return warm_start(teacher, config, self._tokenizer, texts, seed=self._config.seed)
        return Start(continued(origin, config), None)

    def _first_lessons(self) -> Iterator[Lesson]:
        """Of about `calibration_texts` texts, those that the run begins with."""
        count, visit = 0, 0
        while not self._curriculum.is_over(visit, 0):
            for number, batch in enumerate(self._curriculum.batches(visit)):
                if count >= self._config.calibration_texts:
                    return
                count += len(batch)
                yield self._source.lesson(visit, number, batch, plain=True)
            visit += 1
