"""Distillation: a warm start that is exact where it can be, and runs that end the same however often killed."""

from __future__ import annotations

import dataclasses
import gzip
import json
import lzma
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from _tiny import LINES, tiny_checkpoint, tiny_wordpiece
from sestina_model import bpe
from sestina_model._errors import ConfigError, DivergenceError, FileError, ModelError
from sestina_model._lines import find_files, read_lines
from sestina_model.checkpoint import load, save
from sestina_model.config import EncoderConfig
from sestina_model.distillation import DistillationConfig, Phase, Recipe, __main__, distil
from sestina_model.distillation.alterations import shortened
from sestina_model.distillation.corpus import passages, sample_lines, tokenized
from sestina_model.distillation.curriculum import Curriculum
from sestina_model.distillation.curve import Curve, draw
from sestina_model.distillation.learner import Learner, read_states
from sestina_model.distillation.objective import Objective, Weights
from sestina_model.distillation.optimiser import named_weights, new_optimiser, rate
from sestina_model.distillation.run import Run
from sestina_model.distillation.start import Start, fitted_projections
from sestina_model.distillation.teacher import Lesson, Teacher, find_teacher
from sestina_model.distillation.warm_start import heads, warm_start
from sestina_model.distillation.warm_start.entries import entry_vectors, pieces
from sestina_model.distillation.warm_start.layers import Slots, Widening, widen_layer
from sestina_model.encoder import Layer, TransformerEncoder

VOCABULARY = 12_000
STUDENT = EncoderConfig(
    vocab_size=VOCABULARY, n_layers=2, d_model=48, n_heads=2, d_ff=96, max_positions=64, dropout=0.1
)


def lines(n: int, seed: int = 0) -> list[str]:
    """Sentences of 2 to 12 of the tiny vocabulary's words."""
    draw = np.random.default_rng(seed)
    words = sorted({word for line in LINES for word in line.split()})
    return [" ".join(draw.choice(words, size=draw.integers(2, 13))) for _ in range(n)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A teacher, texts and a dev task."""
    save(tiny_checkpoint(tiny_wordpiece()), tmp_path / "teacher")
    (tmp_path / "a.txt").write_text("\n".join(lines(120)) + "\n")
    (tmp_path / "b.txt.xz").write_bytes(lzma.compress(("\n".join(lines(120, 1)) + "\n").encode()))
    left, right = lines(20, 2), lines(20, 3)
    pairs = [f"{number}\t{a}\t{b}" for number, (a, b) in enumerate(zip(left, right, strict=True))]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stsb-dev.tsv").write_text("\n".join(pairs) + "\n")
    return tmp_path


def settings(folder: Path, **changes: Any) -> DistillationConfig:
    values: dict[str, Any] = {
        "teacher": str(folder / "teacher"),
        "texts": (str(folder / "a.txt"), str(folder / "*.xz")),
        "data": str(folder / "data"),
        "tasks": ("stsb-dev",),
        "encoder": STUDENT.to_dict(),
        "max_tokens": 32,
        "tokens": 4000,
        "phases": (Phase(max_tokens=8, share=0.4), Phase(max_tokens=32, share=0.6)),
        "batch_tokens": 256,
        "batch_texts": 16,
        "shard_texts": 64,
        "dropout": 0.1,
        "near_weight": 5.0,
        "altered_share": 0.25,
        "calibration_texts": 20,
        "evaluate_every": 7,
        "save_every": 4,
        "report_every": 2,
    }
    return DistillationConfig(**(values | changes))


def pads(encoder: TransformerEncoder, widening: Widening) -> torch.Tensor:
    rest = torch.ones(encoder.config.d_model, dtype=torch.bool)
    rest[widening.places] = False
    return rest


class TestWarmStart:
    """A tiny teacher with even gains, laid into a wider student of the same activation and heads."""

    slots: ClassVar[Slots] = [(0,), (1,), (2,), (3,)]

    @staticmethod
    def teacher(*, even: bool = True) -> TransformerEncoder:
        encoder = tiny_checkpoint(tiny_wordpiece()).model.encoder
        if even:
            with torch.no_grad():
                for number, (name, weight) in enumerate(encoder.named_parameters()):
                    if name.endswith("norm.weight"):
                        weight.fill_(0.5 + 0.1 * number)
        return encoder

    @staticmethod
    def widen(
        teacher: TransformerEncoder, slots: Slots, *, gain: float | None = None, scale: float = 1.0
    ) -> tuple[TransformerEncoder, Widening]:
        config = dataclasses.replace(
            teacher.config, d_model=64, n_heads=4, d_ff=96, norm_embeddings=False, layer_norm_eps=1e-5
        )
        student = TransformerEncoder(config).eval()
        widening = Widening(32, 64, noise=0.0, generator=torch.Generator().manual_seed(0))
        if gain is not None:
            widening.gain = gain
        assert teacher.embedding_norm is not None
        shift = teacher.embedding_norm.bias.mean()
        with torch.no_grad():
            for number, (old, new) in enumerate(zip(teacher.layers, student.layers, strict=True)):
                assert isinstance(old, Layer)
                assert isinstance(new, Layer)
                shift = widen_layer(
                    old, new, widening, slots, scale=scale, shift=shift, keep_shift=number == 1
                )
                scale = 1.0
        return student, widening

    @staticmethod
    def error(
        teacher: TransformerEncoder, student: TransformerEncoder, widening: Widening, *, scale: float = 1.0
    ) -> float:
        """Of the hidden states after the last layer; the free dimensions must be zero."""
        ids = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            x = teacher.embed(ids)
            assert teacher.embedding_norm is not None
            wide = widening.vectors((x - teacher.embedding_norm.bias.mean()).flatten(0, 1)).unflatten(
                0, (3, 9)
            )
            found = student.transform(wide * scale)
            assert float(found[..., pads(student, widening)].abs().max()) < 1e-5
            return float((found[..., widening.places] - teacher.transform(x)).abs().max())

    @pytest.mark.parametrize("scale", [1.0, 3.0])
    def test_exact_with_all_heads_and_the_same_activation(self, scale: float) -> None:
        teacher = self.teacher()
        student, widening = self.widen(teacher, self.slots, scale=scale)
        assert self.error(teacher, student, widening, scale=scale) < 1e-4

    def test_heads_may_go_to_any_slot(self) -> None:
        teacher = self.teacher()
        student, widening = self.widen(teacher, [(2,), (0,), (3,), (1,)])
        assert self.error(teacher, student, widening) < 1e-4

    def test_the_controls_fail(self) -> None:
        teacher = self.teacher()
        for slots, gain, even in (
            (self.slots, 1.0, True),  # the wider LayerNorm's deviation not made up for
            ([(0,), (1,), (2,)], None, True),  # a head lost
            (self.slots, None, False),  # uneven gains leave a mean in the stream: close, not exact
        ):
            teacher = self.teacher(even=even)
            student, widening = self.widen(teacher, slots, gain=gain)
            assert self.error(teacher, student, widening) > 1e-2

    def test_a_rider_with_the_pattern_of_its_host_is_exact(self) -> None:
        teacher = self.teacher()
        with torch.no_grad():
            for layer in teacher.layers:
                assert isinstance(layer, Layer)
                for linear in (layer.attention.query, layer.attention.key):
                    linear.weight[24:] = linear.weight[8:16]  # head 3 attends as head 1 does
                    linear.bias[24:] = linear.bias[8:16]
        student, widening = self.widen(teacher, [(0,), (1, 3), (2,)])
        assert self.error(teacher, student, widening) < 1e-4
        student, widening = self.widen(teacher, [(0, 3), (1,), (2,)])
        assert self.error(teacher, student, widening) > 1e-2

    def test_riding_costs_find_that_host(self) -> None:
        teacher = self.teacher()
        layer = teacher.layers[0]
        assert isinstance(layer, Layer)
        with torch.no_grad():
            for linear in (layer.attention.query, layer.attention.key):
                linear.weight[24:] = linear.weight[8:16]
                linear.bias[24:] = linear.bias[8:16]
            costs = heads.riding_costs(layer, teacher.embed(torch.arange(5, 25)[None]))
        assert costs.shape == (5, 4)
        assert float(costs[1, 3]) < 1e-6
        assert float(costs[[0, 2, 4], 3].min()) > 1e-3
        assert (1, 3) in heads.assign(costs, 3, room=2) or (3, 1) in heads.assign(costs, 3, room=2)

    def test_without_room_the_least_head_is_dropped(self) -> None:
        costs = torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [3, 1, 2]])
        assert heads.assign(costs, 2, room=1) == [(0,), (2,)]

    def test_pieces(self) -> None:
        vocabulary = {"in": 1, "innov": 2, "##ative": 3, "##in": 4, "!": 5}
        assert pieces(" innovative", vocabulary) == [2, 3]
        assert pieces("in", vocabulary) == [4]
        assert pieces("!", vocabulary) == [5]
        assert pieces(" zebra", vocabulary) == []

    def test_entries_are_the_teachers_embeddings(self) -> None:
        teacher, tokenizer = tiny_checkpoint(tiny_wordpiece()), bpe.english()
        with torch.no_grad():
            rows, shift = entry_vectors(teacher, tokenizer)
        encoder = teacher.model.encoder
        assert encoder.embedding_norm is not None
        word = encoder.tokens.weight[teacher.tokenizer.token_to_id("attention")] + encoder.positions[6]
        (entry,) = tokenizer.encode("attention").ids
        assert torch.allclose(rows[entry], encoder.embedding_norm(word), atol=1e-6)
        assert float(shift) == pytest.approx(float(encoder.embedding_norm.bias.detach().mean()))

    def test_the_whole_is_closer_than_chance_and_closer_refitted(self) -> None:
        teacher, tokenizer = tiny_checkpoint(tiny_wordpiece()), bpe.english()
        texts, unseen = lines(300), lines(40, 9)
        goal = teacher.encode(unseen)

        def closeness(encoder: TransformerEncoder, projection: torch.Tensor) -> float:
            rows = [tokenizer.encode(text).ids for text in unseen]
            with torch.no_grad():
                pooled = torch.cat([encoder.eval()(torch.tensor([row])).mean(1) for row in rows])
                return float(torch.cosine_similarity(pooled @ projection.T, torch.from_numpy(goal)).mean())

        def started(texts: list[str]) -> float:
            start = warm_start(teacher, STUDENT, tokenizer, texts, seed=0)
            assert start.projections is not None
            return closeness(start.encoder, start.projections[-1])

        mapped = started([])
        refitted = started(texts)
        torch.manual_seed(0)
        chance = closeness(TransformerEncoder(STUDENT), torch.eye(32, 48))
        assert refitted > 0.8
        assert refitted > mapped + 0.05
        assert mapped > chance

    def test_no_dimension_is_out_of_reach(self) -> None:
        teacher, tokenizer = tiny_checkpoint(tiny_wordpiece()), bpe.english()
        start = warm_start(teacher, STUDENT, tokenizer, lines(60), seed=0)
        assert start.projections is not None
        objective = Objective(48, 32, 2, Weights(1.0, 20.0, 5.0, 1.0, 0.5))
        objective.start_from(start.projections)
        ids = torch.randint(300, 9000, (8, 6), generator=torch.Generator().manual_seed(0))
        at = torch.arange(8)
        goal = torch.randn(8, 32, generator=torch.Generator().manual_seed(1))
        lesson = Lesson(ids, None, goal, at, at % 6, [goal, goal])
        losses = objective(*read_states(start.encoder, lesson), lesson)
        losses.total.backward()
        norm = start.encoder.layers[-1].feed_forward_norm  # type: ignore[union-attr]
        for learned in (norm.weight, norm.bias, objective.projections[-1].weight):  # type: ignore[union-attr]
            moved = learned.grad.abs().reshape(-1, 48).amax(0)
            assert float(moved.min()) > 0

    def test_a_student_too_small_is_refused(self) -> None:
        teacher = tiny_checkpoint(tiny_wordpiece())
        small = dataclasses.replace(STUDENT, d_model=16, n_heads=2)
        with pytest.raises(ConfigError, match='d_model is 32, the student\'s 16.*warm_start to "none"'):
            warm_start(teacher, small, bpe.english(), [], seed=0)
        deep = dataclasses.replace(STUDENT, n_layers=3)
        with pytest.raises(ConfigError, match="the teacher has 2 post-norm layers, the student 3"):
            warm_start(teacher, deep, bpe.english(), [], seed=0)


class TestCorpus:
    def test_reads_three_kinds_alike(self, tmp_path: Path) -> None:
        text = "one\ntwo\u2028still two\r\n\nthree"
        (tmp_path / "a.txt").write_bytes(text.encode())
        (tmp_path / "b.gz").write_bytes(gzip.compress(text.encode()))
        (tmp_path / "c.xz").write_bytes(lzma.compress(text.encode()))
        for path in find_files([str(tmp_path / "*")]):
            assert list(read_lines(path)) == ["one", "two\u2028still two", "", "three"]
        assert list(passages([tmp_path / "a.txt"], 2)) == [
            "one", "two\u2028still two", "one two\u2028still two", "three"
        ]  # fmt: skip

    def test_cache_holds_what_the_tokenizers_say(self, folder: Path) -> None:
        teacher, student = load(folder / "teacher"), bpe.english()
        paths = find_files([str(folder / "a.txt")])
        corpus = tokenized(paths, student, teacher, folder / "cache", longest=12)
        kept = [text for text in lines(120) if len(student.encode(text).ids) <= 12]
        assert 0 < len(kept) < 120
        assert [row.tolist() for row in corpus.student] == [student.encode(text).ids for text in kept]
        assert [row.tolist() for row in corpus.teacher] == teacher.tokenize(kept)
        assert corpus.student[0].dtype == np.uint16
        for number, text in enumerate(kept):
            mine, theirs = student.encode(text), teacher.tokenizer.encode(text)
            places = corpus.student_places[number], corpus.teacher_places[number]
            spans = [
                [each.offsets[place] for place in row]
                for each, row in zip((mine, theirs), places, strict=True)
            ]
            assert spans[0] == spans[1]
            assert len(spans[0]) == len(set(mine.offsets) & set(theirs.offsets))
        assert corpus.student_places.lengths.sum() > 200
        again = tokenized(paths, student, teacher, folder / "cache", longest=12)
        assert again.fingerprint == corpus.fingerprint
        longer = tokenized(paths, student, teacher, folder / "cache", longest=13)
        assert longer.fingerprint != corpus.fingerprint

    def test_sample_takes_from_every_file(self, folder: Path) -> None:
        paths = find_files([str(folder / "a.txt"), str(folder / "*.xz")])
        sample = sample_lines(paths, 10)
        assert len(sample) == 10
        assert set(sample[:5]) <= set(lines(120))
        assert set(sample[5:]) <= set(lines(120, 1))

    def test_errors(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match="matches no file"):
            find_files([str(tmp_path / "*.xz")])
        (tmp_path / "cut.xz").write_bytes(lzma.compress(b"words " * 1000)[:-30])
        with pytest.raises(FileError, match=r"cut\.xz cannot be read .* must be text"):
            list(read_lines(tmp_path / "cut.xz"))
        (tmp_path / "latin").write_bytes("é".encode("latin-1"))
        with pytest.raises(FileError, match="not UTF-8"):
            list(read_lines(tmp_path / "latin"))
        with pytest.raises(FileError, match="pip install no-such-teacher"):
            find_teacher("package:no_such_teacher/model")


class TestCurriculum:
    def test_order_and_batches(self, folder: Path) -> None:
        config = settings(folder)
        lengths = np.random.default_rng(0).integers(2, 33, 600)
        curriculum = Curriculum(lengths, config)
        same = Curriculum(lengths, config)
        assert np.array_equal(curriculum.visits, same.visits)
        covered = np.concatenate([shard.texts for shard in curriculum.shards])
        assert np.array_equal(np.sort(covered), np.arange(600))
        spent, longest = 0, []
        for visit in range(len(curriculum.visits)):
            texts = curriculum.shards[int(curriculum.visits[visit])].texts
            batches, again = curriculum.batches(visit), same.batches(visit)
            assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
            for batch in batches:
                assert len(set(lengths[texts[batch]])) == 1
                assert lengths[texts[batch]].sum() <= config.batch_tokens
                spent += int(lengths[texts[batch]].sum())
            read = np.concatenate(batches)
            assert len(np.unique(read)) == len(read)
            longest.append(int(lengths[texts].max()))
        short = next(place for place, length in enumerate(longest) if length > 8)
        assert 0 < short < len(longest)  # the short ones come first
        assert config.tokens <= spent < config.tokens + 2 * 64 * 32
        other = Curriculum(lengths, dataclasses.replace(config, seed=1))
        assert not np.array_equal(other.shards[0].texts, curriculum.shards[0].texts)

    def test_runs_of_neighbours_stay_together(self, folder: Path) -> None:
        lengths = np.full(600, 5)
        shards = Curriculum(lengths, settings(folder, run_texts=16)).shards
        covered = np.concatenate([shard.texts for shard in shards])
        assert np.array_equal(np.sort(covered), np.arange(600))
        for shard in shards[:-1]:
            assert len(shard.texts) == 64
            assert np.sum(np.diff(shard.texts) == 1) >= 64 - 6  # few runs, so few jumps
        assert not np.array_equal(covered, np.arange(600))
        scattered = Curriculum(lengths, settings(folder)).shards[0].texts  # the control
        assert np.sum(np.diff(scattered) == 1) < 32


class TestTeacher:
    @staticmethod
    def lesson(folder: Path) -> tuple[Lesson, Any, Any]:
        teacher = load(folder / "teacher")
        corpus = tokenized(
            find_files([str(folder / "a.txt")]), bpe.english(), teacher, folder / "cache", longest=32
        )
        # Of one length to the student, of several to the teacher, so its batch is padded.
        length = np.bincount(corpus.student.lengths).argmax()
        texts = np.flatnonzero(corpus.student.lengths == length)[:6]
        assert len({len(corpus.teacher[int(text)]) for text in texts}) > 1
        readings = [corpus.reading(int(text)) for text in texts]
        return Teacher(teacher).lesson(readings), teacher, [reading.teacher for reading in readings]

    def test_each_text_as_if_alone(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sestina_model.distillation.arithmetic.has_bfloat16", lambda _: False)
        lesson, teacher, rows = self.lesson(folder)
        assert lesson.ids.shape[0] == lesson.vectors.shape[0] == len(rows)
        assert len(lesson.states) == 2
        for text, row in enumerate(rows):
            ids = torch.from_numpy(row.astype(np.int64))[None]
            with torch.no_grad():
                vector, hidden = teacher.model(ids)
                below = teacher.model.encoder.layers[0](teacher.model.encoder.embed(ids))[0]
            cosine = torch.cosine_similarity(lesson.vectors, vector)
            assert float(cosine[text]) > 1 - 1e-6
            assert float(cosine[text - 1]) < 1 - 1e-4  # the control
            found = lesson.states[1][lesson.texts == text]
            assert len(found) > 0
            # Every state is one of the text's own, in order, and the layer below's is of the same token.
            places = [int((hidden[0] - state).abs().amax(1).argmin()) for state in found]
            assert places == sorted(set(places))
            assert float((hidden[0, places] - found).abs().max()) < 1e-5
            assert float((below[places] - lesson.states[0][lesson.texts == text]).abs().max()) < 1e-5

    def test_shortened_copies_are_read_as_if_alone(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sestina_model.distillation.arithmetic.has_bfloat16", lambda _: False)
        teacher = load(folder / "teacher")
        corpus = tokenized(
            find_files([str(folder / "a.txt")]), bpe.english(), teacher, folder / "cache", longest=32
        )
        text = corpus.reading(int(corpus.student.lengths.argmax()))
        copies = [shortened(text, text, np.random.default_rng(seed)) for seed in range(4)]
        assert len({len(copy.student) for copy in copies}) > 1
        lesson = Teacher(teacher).lesson(copies)
        assert lesson.mask is not None
        torch.manual_seed(0)
        encoder = TransformerEncoder(STUDENT).eval()
        with torch.no_grad():
            vectors, states = read_states(encoder, lesson)
            unmasked, _ = read_states(encoder, lesson._replace(mask=None))  # the control
            for row, copy in enumerate(copies):
                alone = encoder(torch.from_numpy(copy.student.astype(np.int64))[None])[0]
                assert float((vectors[row] - alone.mean(0)).abs().max()) < 1e-5
                here = states[-1][lesson.texts == row]
                assert float((here - alone[copy.student_places.astype(np.int64)]).abs().max()) < 1e-5
        shortest = int(lesson.mask.sum(1).argmin())
        assert float((vectors[shortest] - unmasked[shortest]).abs().max()) > 1e-3

    def test_projections_are_fitted_to_a_student(self, folder: Path) -> None:
        lesson, *_ = self.lesson(folder)
        torch.manual_seed(0)
        encoder = TransformerEncoder(STUDENT).eval()
        with torch.no_grad():
            states = read_states(encoder, lesson)[1]
            turn = [torch.randn(32, 48) for _ in states]
            goals = [state @ each.T for state, each in zip(states, turn, strict=True)]
            fitted = fitted_projections([(states, goals)])
            for state, goal, projection, other in zip(states, goals, fitted, reversed(fitted), strict=True):
                assert float((state @ projection.T - goal).norm() / goal.norm()) < 0.05
                assert float((state @ other.T - goal).norm() / goal.norm()) > 0.5  # the control

    def test_layers_must_be_as_many(self, folder: Path) -> None:
        teacher = load(folder / "teacher")
        start = Start(TransformerEncoder(dataclasses.replace(STUDENT, n_layers=3)), None)
        shape = teacher.model.encoder.config
        with pytest.raises(ConfigError, match="the teacher has 2 layers, the student 3.*layer_weight to 0"):
            Learner(start, shape.d_model, shape.n_layers, settings(folder), "cpu")
        Learner(start, shape.d_model, shape.n_layers, settings(folder, layer_weight=0.0), "cpu")


class TestLearning:
    def test_objective(self) -> None:
        generator = torch.Generator().manual_seed(0)
        goal = torch.randn(6, 4, generator=generator)
        states = [torch.randn(9, 4, generator=generator) for _ in range(3)]
        at = torch.zeros(9, dtype=torch.int64)
        lesson = Lesson(torch.zeros(6, 2), None, goal, at, at, states)
        objective = Objective(5, 4, 3, Weights(1.0, 2.0, 5.0, 3.0, 4.0))
        turn = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q[:4]
        objective.start_from([turn] * 3)
        turned = [state @ turn for state in states]
        with torch.no_grad():
            same = objective(goal @ turn * 3.0, turned, lesson)  # turned and scaled: the same geometry
            other = objective(goal.flip(0) @ turn, turned, lesson)
            last = objective(goal @ turn, [*turned[:2], turned[2].flip(0)], lesson)
            first = objective(goal @ turn, [turned[0].flip(0), *turned[1:]], lesson)
            # A batch of one has no pair, and one without shared tokens has no states to compare.
            one = objective(
                goal[:1] @ turn,
                [state[:0] for state in turned],
                Lesson(torch.zeros(1, 2), None, goal[:1], at[:0], at[:0], [state[:0] for state in states]),
            )
        assert [float(loss) for loss in same] == pytest.approx([0] * 7, abs=1e-5)
        assert float(other.total) == pytest.approx(
            float(other.cosine) + 2 * float(other.similarity) + 5 * float(other.near), abs=1e-5
        )
        assert float(other.cosine) > 0.1
        assert float(other.similarity) > 0.01
        assert float(last.total) == pytest.approx(3 * float(last.token), abs=1e-5)
        assert float(last.token) > 0.1
        assert float(first.total) == pytest.approx(4 * float(first.layer), abs=1e-5)
        assert float(first.layer) > 0.1
        assert [float(loss) for loss in one] == pytest.approx([0] * 7, abs=1e-5)

    def test_near_pairs_are_those_of_the_teacher(self) -> None:
        """Two of three texts are near, at a cosine of 0.8; the student has that pair at 0.5, others right."""
        at, no_states = torch.zeros(0, dtype=torch.int64), [torch.zeros(0, 3)] * 2
        goal = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
        mine = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.75**0.5, 0.0], [0.0, 0.0, 1.0]])
        objective = Objective(3, 3, 2, Weights(0.0, 0.0, 1.0, 0.0, 0.0))

        def near(student: torch.Tensor, teacher: torch.Tensor) -> float:
            lesson = Lesson(torch.zeros(3, 2), None, teacher, at, at, no_states)
            with torch.no_grad():
                losses = objective(student, no_states, lesson)
            assert float(losses.total) == float(losses.near)
            return float(losses.near)

        assert near(mine, goal) == pytest.approx(0.3**2, rel=1e-4)
        assert near(mine[[0, 2, 1]], goal[[0, 2, 1]]) == pytest.approx(0.3**2, rel=1e-4)
        assert near(goal, torch.eye(3)) == 0.0  # none is near to the teacher, whatever the student thinks

    def test_rate(self, folder: Path) -> None:
        config = settings(folder, tokens=1000, warm_up=0.1, learning_rate=1e-3, final_rate=0.1)
        assert rate(50, config) == pytest.approx(5e-4)
        assert rate(100, config) == pytest.approx(1e-3)
        assert rate(550, config) == pytest.approx(5.5e-4)
        assert rate(1000, config) == rate(9999, config) == pytest.approx(1e-4)

    def test_the_token_table_does_not_decay(self, folder: Path) -> None:
        encoder = TransformerEncoder(STUDENT)
        weights = named_weights(encoder, torch.nn.Linear(2, 2))
        decayed, others = new_optimiser(weights, settings(folder)).param_groups
        assert any(weight is encoder.tokens.weight for weight in others["params"])
        assert all(weight.dim() == 2 for weight in decayed["params"])
        assert len(decayed["params"]) + len(others["params"]) == len(weights)

    def test_curve_draws_and_forgets_what_was_undone(self, tmp_path: Path) -> None:
        curve = Curve(tmp_path, step=0)
        for step in range(6):
            curve.add(
                {"step": step, "tokens": 10 * step, "loss": 2.0 - step, "cosine": 1.0, "similarity": 0.5}
            )
        curve.add({"step": 5, "tokens": 50, "dev": {"stsb-dev <&>": 80.0}, "mean": 80.0})
        with (tmp_path / "curve.jsonl").open("a") as file:
            file.write('{"step": 6, "tok')
        resumed = Curve(tmp_path, step=3)
        assert [point["step"] for point in resumed.points] == [0, 1, 2, 3]
        assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 4
        resumed.draw()
        for text in ((tmp_path / "curve.svg").read_text(), draw(curve.points), draw([])):
            assert ET.fromstring(text).tag.endswith("svg")
        assert len(re.findall("<polyline", draw(curve.points))) == 4


class KilledError(Exception):
    """Stands for a kill: nothing after it runs."""


def kill_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make the run die within its `steps`-th step from here on, past the learning and before any saving."""
    honest, done = Run._report, [0]

    def report(run: Run) -> None:
        done[0] += 1
        if done[0] == steps:
            raise KilledError
        honest(run)

    monkeypatch.setattr(Run, "_report", report)
    return lambda: monkeypatch.setattr(Run, "_report", honest)


def curve(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]


class TestRun:
    def test_killed_twice_equals_never_killed(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = settings(folder)
        whole = distil(config, folder / "whole")
        assert whole.step > 20
        for steps in (11, 6):  # saves are at every 4th step, so both lose work
            restore = kill_after(steps, monkeypatch)
            with pytest.raises(KilledError):
                distil(config, folder / "killed")
            restore()
        resumed = distil(config, folder / "killed")
        assert (resumed.step, resumed.tokens, resumed.best) == (whole.step, whole.tokens, whole.best)
        for name in ("last", "best"):
            ours, theirs = (
                load_file(folder / run / name / "encoder.safetensors") for run in ("whole", "killed")
            )
            assert all(torch.equal(ours[key], theirs[key]) for key in ours)
        steps = [point["step"] for point in curve(folder / "killed")]
        assert steps == sorted(steps)
        for number, other in enumerate((settings(folder, seed=1), settings(folder, altered_share=0.0))):
            out = folder / f"other-{number}"  # the controls
            assert distil(other, out).step > 20
            theirs = load_file(out / "last" / "encoder.safetensors")
            assert not torch.equal(ours["tokens.weight"], theirs["tokens.weight"])

    def test_learns_and_leaves_a_checkpoint(self, folder: Path) -> None:
        position = distil(settings(folder, warm_start="none", learning_rate=1e-3), folder / "run")
        points = curve(folder / "run")
        losses = [point["loss"] for point in points if "loss" in point]
        assert losses[-1] < 0.7 * losses[0]
        scores = {point["step"]: point["mean"] for point in points if "dev" in point}
        assert position.best == pytest.approx(max(scores.values()), abs=1e-3)
        best = load(folder / "run" / "best")
        assert best.model.head.max_tokens == 32
        assert best.model.encoder.config == STUDENT
        assert best.encode(["the transformer"]).shape == (1, 48)
        finished = distil(settings(folder, warm_start="none", learning_rate=1e-3), folder / "run")
        assert finished.step == position.step  # run again, it has nothing left to do

    def test_goes_on_from_a_checkpoint(self, folder: Path) -> None:
        config = settings(folder, learning_rate=1e-3)
        first = distil(config, folder / "first")
        assert first.best is not None
        more = settings(folder, warm_start=str(folder / "first" / "last"), tokens=600, calibration_texts=200)
        distil(more, folder / "second")
        losses = [
            [point["cosine"] for point in curve(folder / run) if "loss" in point]
            for run in ("first", "second")
        ]
        # It begins about where the other ended: weights and, fitted anew, the projections are there.
        assert losses[1][0] < losses[0][-1] + 0.5 * (losses[0][0] - losses[0][-1])
        deeper = settings(
            folder, warm_start=str(folder / "first" / "last"), encoder=STUDENT.to_dict() | {"d_ff": 112}
        )
        with pytest.raises(ConfigError, match="d_ff 96 where the run has 112"):
            distil(deeper, folder / "third")

    def test_stops_when_asked_and_refuses_another_configuration(self, folder: Path) -> None:
        config = settings(folder, data=None, calibration_texts=0)
        asked = iter([False, False, False, True, True, True])
        position = distil(config, folder / "run", stop=lambda: next(asked))
        assert 0 < position.step < 10
        assert not (folder / "run" / "last").exists()
        with pytest.raises(ConfigError, match=r"learning_rate 0\.0003, now 0\.1; restore that, or name ano"):
            distil(dataclasses.replace(config, learning_rate=0.1), folder / "run")
        assert json.loads((folder / "run" / "config.json").read_text()) == config.to_dict()
        shutil.rmtree(folder / "run" / "best")  # as a kill at the worst moment leaves it
        more = distil(dataclasses.replace(config, report_every=50), folder / "run")  # cadence may change
        assert more.step > position.step
        assert (folder / "run" / "best").is_dir()
        assert (folder / "run" / "last").is_dir()

    def test_a_run_that_diverges_keeps_nothing_of_it(self, folder: Path) -> None:
        config = settings(folder, learning_rate=1e30, clip=1e30, save_every=50, report_every=3)
        with pytest.raises(DivergenceError, match=r"weights are infinite .* learning_rate below 1e\+30"):
            distil(config, folder / "run")
        assert not (folder / "run" / "last").exists()
        for file in ("best/encoder.safetensors", "state.safetensors"):  # as before the first step
            assert all(bool(value.isfinite().all()) for value in load_file(folder / "run" / file).values())
        assert all("NaN" not in json.dumps(point) for point in curve(folder / "run"))

    def test_command(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(settings(folder, tokens=600, teacher="none", data=None).to_dict()))
        assert __main__.main([str(path), "--out", str(folder / "run")]) == 1
        assert (
            capsys.readouterr().err
            == "error: stage whole: teacher is none, which is no folder; name one with --teacher\n"
        )
        options = ["--teacher", str(folder / "teacher"), "--data", str(folder / "data")]
        assert __main__.main([str(path), "--out", str(folder / "run"), *options]) == 0
        assert re.search(r"run: done; \d+ tokens in \d+ steps; best -?\d", capsys.readouterr().out)


class TestConfig:
    @pytest.mark.parametrize(
        "changes, said",
        [
            ({"tokens": 0}, "tokens is 0; it must be a whole number of at least 1"),
            ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0"),
            ({"dropout": 0.95}, "dropout is 0.95; it must be at least 0, at most 0.9"),
            ({"cosine_weight": 0, "similarity_weight": 0}, "are both 0"),
            (
                {"warm_start": ""},
                """warm_start is ''; it must be "teacher", "none" or a checkpoint's folder""",
            ),
            ({"run_texts": 0}, "run_texts is 0; it must be a whole number of at least 1"),
            ({"layer_weight": -1}, "layer_weight is -1; it must be at least 0"),
            ({"near_weight": -1}, "near_weight is -1; it must be at least 0 and finite"),
            ({"near_weight": float("inf")}, "near_weight is inf; it must be at least 0 and finite"),
            ({"learning_rate": float("nan")}, "learning_rate is nan; it must be above 0 and finite"),
            ({"altered_share": 0.6}, "altered_share is 0.6; it must be at least 0, at most 0.5"),
            ({"texts": ()}, "texts is empty"),
            ({"phases": (Phase(max_tokens=8, share=0.5),)}, "add up to 0.5; they must add up to 1"),
            ({"phases": (Phase(max_tokens=33, share=1.0),)}, "must be a whole number from 1 to 32"),
            ({"batch_tokens": 100}, "batch_tokens is 100; it must be at least 256, 8 texts of the longest"),
        ],
    )
    def test_refuses(self, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            settings(tmp_path, **changes)
        assert said in str(caught.value)

    def test_round_trip_and_files(self, tmp_path: Path) -> None:
        config = settings(tmp_path)
        assert DistillationConfig.from_dict(config.to_dict()) == config
        path = tmp_path / "config.json"
        for text, said in (
            ("{", "is not valid JSON"),
            ("[]", "must hold a JSON object"),
            (
                '{"teachers": 1}',
                "unknown configuration names: teachers; allowed are altered_share, bank_temperature",
            ),
            ("{}", "teacher, texts, tokens missing"),
            ('{"teacher": "t", "texts": "a", "tokens": 1}', "texts is 'a'; it must be a list"),
            (
                '{"teacher": "t", "texts": ["a"], "tokens": 1, "phases": [{}]}',
                "must have max_tokens and share",
            ),
        ):
            path.write_text(text)
            with pytest.raises(ModelError, match=re.escape(said)):
                Recipe.from_file(path)

    def test_the_shipped_recipe(self) -> None:
        recipe = Recipe.from_file(Path(__main__.__file__).with_name("base.json"))
        assert [stage.name for stage in recipe.stages] == [
            "begin", "settle", "further", "larger", "near", "nearer", "two-teachers"
        ]  # fmt: skip
        assert recipe["two-teachers"].second_teacher == "all-mpnet-base-v2"
        other = recipe.with_second_teacher("elsewhere")
        assert [stage.config.second_teacher for stage in other.stages] == [None] * 6 + ["elsewhere"]
        with pytest.raises(ConfigError, match="no stage has a second teacher; leave elsewhere out"):
            Recipe(recipe.stages[:6]).with_second_teacher("elsewhere")
        for stage in recipe.stages:
            assert stage.config.student(VOCABULARY) == EncoderConfig.base(VOCABULARY)
