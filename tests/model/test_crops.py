"""Crops: texts cut out of a corpus, whose tokens and teachers' vectors are those of the same texts read whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from _tiny import LINES, tiny_checkpoint, tiny_wordpiece
from sestina_model import bpe
from sestina_model._errors import ConfigError, FileError
from sestina_model.checkpoint import Checkpoint, save
from sestina_model.config import EncoderConfig
from sestina_model.distillation import DistillationConfig, Recipe, follow
from sestina_model.distillation.crops import CROPS, Crops, Pool
from sestina_model.distillation.objective import Objective, Weights
from sestina_model.distillation.pools import FromCrops
from sestina_model.distillation.start import fitted_turn
from sestina_model.distillation.teacher import Lesson
from sestina_model.distillation.units import Units, keep_units, split_units
from sestina_model.evaluation.held_out import is_held_out

STUDENT = EncoderConfig(
    vocab_size=12_000, n_layers=2, d_model=48, n_heads=2, d_ff=96, max_positions=64, dropout=0.0
)
SHARES = {
    "words": 0.05,
    "terms": 0.1,
    "windows": 0.2,
    "lines": 0.2,
    "passages": 0.3,
    "altered": 0.1,
    "queries": 0.05,
}
LONGEST = 32


def lines(n: int) -> list[str]:
    """Sentences of the tiny vocabulary's words and of 300 made-up ones, with punctuation about them."""
    draw = np.random.default_rng(0)
    words = sorted({word for line in LINES for word in line.split()})
    made = ["".join(draw.choice(list("aeilmnorst"), 5)) for _ in range(300)]
    return [
        f"{' '.join([*draw.choice(words, draw.integers(2, 8)), f'({draw.choice(made)}),', draw.choice(made)])} ."
        for _ in range(n)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two teachers and texts. Shared: write to nothing but new folders."""
    path = tmp_path_factory.mktemp("crops")
    for seed, name in enumerate(("teacher", "second")):
        save(tiny_checkpoint(tiny_wordpiece(), seed=seed), path / name)
    (path / "a.txt").write_text("\n".join(lines(700)) + "\n")
    (path / "b.txt").write_text("\n".join(line.upper() for line in lines(200)) + "\n")
    return path


@pytest.fixture(scope="module")
def teachers() -> list[Checkpoint]:
    return [tiny_checkpoint(tiny_wordpiece(), seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def units(folder: Path, teachers: list[Checkpoint]) -> Units:
    files = [folder / "a.txt", folder / "b.txt"]
    return keep_units(files, bpe.english(), [each.tokenizer for each in teachers], folder / "cache")


def crops(units: Units, shares: dict[str, float] = SHARES, texts: int = 600, seed: int = 3) -> Crops:
    return Crops(units, shares, texts=texts, longest=(LONGEST, 40, 40), run=4, seed=seed)


def texts_of(pool: Pool, kind: str) -> list[str]:
    """As the student's tokens spell them."""
    tokenizer = bpe.english()
    numbers = np.flatnonzero(pool.kinds == CROPS.index(kind))
    return [tokenizer.decode(pool.student[int(number)].tolist()).strip() for number in numbers]


def same(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> bool:
    return left.shape == right.shape and bool((left == right).all())


class TestUnits:
    def test_the_tokens_of_a_line_are_those_of_its_units(self, units: Units) -> None:
        begin = 0
        for end in units.lines[:60]:
            row = units.units[begin:end]
            text = units.text(row)
            assert units.student.flat(row).tolist() == bpe.english().encode(text).ids
            for teacher in units.teachers:
                expected = tiny_wordpiece().encode(text, add_special_tokens=False).ids
                assert teacher.flat(row).tolist() == expected
            begin = end

    def test_what_is_held_out_is_not_there_and_parts_blocks(self, folder: Path, units: Units) -> None:
        told: list[tuple[int, str]] = []
        block = 0
        for name in ("a.txt", "b.txt"):
            block += 1
            for line in (folder / name).read_text().splitlines():
                if is_held_out(line):
                    block += 1
                else:
                    told.append((block, line))
        assert 0 < 900 - len(told) < 90
        assert units.blocks.tolist() == [block for block, _ in told]
        begins = [0, *units.lines[:-1]]
        found = [units.text(units.units[begin:end]) for begin, end in zip(begins, units.lines, strict=True)]
        assert found == [" ".join(split_units(line)) for _, line in told]

    def test_they_are_cut_once(
        self, folder: Path, teachers: list[Checkpoint], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files, tokenizers = [folder / "b.txt"], [teachers[0].tokenizer]
        first = keep_units(files, bpe.english(), tokenizers, folder / "once")
        monkeypatch.setattr("sestina_model.distillation.units.split_units", None)
        again = keep_units(files, bpe.english(), tokenizers, folder / "once")
        assert same(first.units, again.units)
        assert first.fingerprint == again.fingerprint

    def test_words(self, units: Units) -> None:
        names = [units.bytes[number].tobytes().decode() for number in range(len(units.words))]
        counts = np.bincount(units.units)
        assert units.words.tolist() == [
            name.isalpha() and 2 <= len(name) < 25 and n > 1 for name, n in zip(names, counts, strict=True)
        ]

    def test_refuses_a_tokenizer_that_looks_beyond_a_word(self, folder: Path, tmp_path: Path) -> None:
        tokenizer = Tokenizer(models.BPE(unk_token="?"))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
        tokenizer.train_from_iterator(lines(200), trainers.BpeTrainer(vocab_size=900, special_tokens=["?"]))
        with pytest.raises(
            ConfigError, match=r"tokenizer of teacher-1 cuts words otherwise in a text than alone"
        ):
            keep_units([folder / "b.txt"], bpe.english(), [tokenizer], tmp_path)
        assert not list(tmp_path.iterdir())

    def test_refuses_no_text(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "none.txt").write_text("\n\n")
        with pytest.raises(FileError, match="hold no text that is not held out"):
            keep_units([tmp_path / "none.txt"], bpe.english(), [tiny_wordpiece()], tmp_path / "cache")


class TestCrops:
    def test_the_same_number_is_the_same_pool(self, units: Units) -> None:
        one, other = crops(units), crops(units)
        other.pool(0)
        first, again, next_ = one.pool(5), other.pool(5), one.pool(6)
        for left, right in zip(
            (first.student, *first.teachers), (again.student, *again.teachers), strict=True
        ):
            assert same(left.values, right.values)
            assert same(left.ends, right.ends)
        assert not same(first.student.values, next_.student.values)
        assert not same(first.student.values, crops(units, seed=4).pool(5).student.values)

    def test_shares_are_of_the_tokens(self, units: Units) -> None:
        pool = crops(units, texts=6000).pool(0)
        whole = pool.student.lengths.sum()
        for kind, share in SHARES.items():
            found = pool.student.lengths[pool.kinds == CROPS.index(kind)].sum() / whole
            assert found == pytest.approx(share, rel=0.35), kind

    def test_no_text_is_too_long_for_anyone(self, units: Units) -> None:
        pool = Crops(units, SHARES, texts=900, longest=(LONGEST, 17, 40), run=4, seed=0).pool(0)
        assert pool.student.lengths.max() <= LONGEST
        assert pool.teachers[0].lengths.max() == 17
        assert min(side.lengths.min() for side in (pool.student, *pool.teachers)) > 0

    def test_each_reads_the_same_text(self, units: Units) -> None:
        pool = crops(units).pool(1)
        tokenizer = tiny_wordpiece()
        for number in range(0, len(pool.kinds), 23):
            text = bpe.english().decode(pool.student[number].tolist())
            for teacher in pool.teachers:
                assert teacher[number].tolist() == tokenizer.encode(text, add_special_tokens=False).ids

    def test_stretches_are_of_one_block(self, units: Units) -> None:
        begins = np.concatenate([[0], units.lines[:-1]])
        blocks = [
            units.text(
                units.units[begins[units.blocks == block].min() : units.lines[units.blocks == block].max()]
            )
            for block in np.unique(units.blocks)
        ]
        pool = crops(units).pool(2)
        assert len(texts_of(pool, "passages")) > 10
        for kind in ("words", "terms", "windows", "lines", "passages"):
            for text in texts_of(pool, kind):
                assert any(text in block for block in blocks), (kind, text)

    def test_passages_have_few_lengths(self, units: Units) -> None:
        pool = crops(units, {"passages": 1.0}).pool(0)
        # A word of several tokens may not fit any more: that makes it one or two less.
        assert np.isin(pool.student.lengths, (22, 23, 24, 30, 31, 32)).mean() > 0.8
        assert np.isin(pool.student.lengths, (24, 32)).mean() > 0.4

    def test_queries_are_words_of_a_text_and_rare_ones_before_others(self, units: Units) -> None:
        pool = crops(units, SHARES | {"queries": 0.5}, texts=3000).pool(0)
        asked = [text.split() for text in texts_of(pool, "queries")]
        known = {
            units.bytes[int(number)].tobytes().decode(): number for number in np.flatnonzero(units.words)
        }
        counts = np.bincount(units.units)
        assert all(1 <= len(words) < 8 and set(words) <= known.keys() for words in asked)
        mean = np.mean([counts[known[word]] for words in asked for word in words])
        as_read = np.mean(counts[units.units[units.words[units.units]]])
        assert mean < 0.85 * as_read

    def test_altered_texts_are_near_to_others(self, units: Units) -> None:
        pool = crops(units, {"lines": 0.5, "altered": 0.5}).pool(0)
        originals = [set(text.split()) for text in texts_of(pool, "lines")]
        altered = [text.split() for text in texts_of(pool, "altered")]
        shares = [
            max(len(set(text) & each) / len(set(text)) for each in originals)
            for text in altered
            if len(text) > 3
        ]
        assert np.mean(shares) > 0.85
        whole = {" ".join(sorted(each)) for each in originals}
        assert np.mean([" ".join(sorted(set(text))) in whole for text in altered]) < 0.5


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "teacher": str(folder / "teacher"),
        "texts": [str(folder / "*.txt")],
        "encoder": STUDENT.to_dict(),
        "max_tokens": LONGEST,
        "tokens": 4000,
        "phases": [{"max_tokens": LONGEST, "share": 1.0}],
        "crops": SHARES,
        "token_weight": 0.0,
        "layer_weight": 0.0,
        "bank_weight": 0.5,
        "bank_texts": 60,
        "batch_tokens": 256,
        "batch_texts": 32,
        "shard_texts": 200,
        "run_texts": 4,
        "calibration_texts": 100,
        "warm_start": "none",
        "evaluate_every": 1000,
        "save_every": 4,
        "report_every": 2,
    } | changes


class TestLessons:
    def source(self, folder: Path, units: Units, teachers: list[Checkpoint], **changes: Any) -> FromCrops:
        given = config(
            folder, second_teacher=str(folder / "second") if len(teachers) == 2 else None, **changes
        )
        return FromCrops(units, teachers, DistillationConfig.from_dict(given), "cpu")

    def test_a_pool_is_read_as_often_as_asked(
        self, folder: Path, units: Units, teachers: list[Checkpoint]
    ) -> None:
        once, thrice = (
            [tuple(batch) for batch in self.source(folder, units, teachers, shard_readings=n).batches(1)]
            for n in (1, 3)
        )
        n = len(once)
        assert thrice[:n] == once
        assert len(thrice) == 3 * n
        for at in (n, 2 * n):
            assert sorted(thrice[at : at + n]) == sorted(once)
            assert thrice[at : at + n] != once

    def test_vectors_are_the_teachers(self, folder: Path, units: Units, teachers: list[Checkpoint]) -> None:
        source = self.source(folder, units, teachers, second_share=0.25)
        assert source.width == 64
        similar = []
        for number, batch in enumerate(source.batches(0)[:6]):
            lesson = source.lesson(0, number, batch)
            texts = [bpe.english().decode(row.tolist()) for row in lesson.ids]
            ours, theirs = (torch.from_numpy(teacher.encode(texts)) for teacher in teachers)
            assert torch.allclose(lesson.vectors, torch.cat([ours * 0.75**0.5, theirs * 0.5], 1), atol=2e-6)
            wanted = 0.75 * ours @ ours.T + 0.25 * theirs @ theirs.T
            assert torch.allclose(lesson.vectors @ lesson.vectors.T, wanted, atol=5e-6)
            similar.append(float((wanted - ours @ ours.T).abs().max()))
        assert max(similar) > 0.01  # and the second teacher's are others

    def test_one_teacher_alone(self, folder: Path, units: Units, teachers: list[Checkpoint]) -> None:
        alone = units._replace(teachers=units.teachers[:1])
        source = self.source(folder, alone, teachers[:1])
        batch = source.batches(2)[0]
        lesson = source.lesson(2, 0, batch)
        texts = [bpe.english().decode(row.tolist()) for row in lesson.ids]
        assert np.abs(lesson.vectors.numpy() - teachers[0].encode(texts)).max() < 2e-6

    def test_a_batch_is_of_one_length_and_full(
        self, folder: Path, units: Units, teachers: list[Checkpoint]
    ) -> None:
        source = self.source(folder, units, teachers, shard_texts=2000)
        batches = source.batches(0)
        for number, batch in enumerate(batches):
            ids = source.lesson(0, number, batch).ids
            assert ids.numel() <= 256
            assert len(ids) * 4 >= min(32, 256 // ids.shape[1])
        read = np.concatenate(batches)
        assert len(np.unique(read)) == len(read)
        lengths = {source.lesson(0, number, batch).ids.shape[1] for number, batch in enumerate(batches)}
        assert {1, 2, 8, 32} <= lengths

    def test_the_bank_tells_which_is_the_text_itself(
        self, folder: Path, units: Units, teachers: list[Checkpoint]
    ) -> None:
        source = self.source(folder, units, teachers, bank_texts=150)
        found = 0
        for number, batch in enumerate(source.batches(0)):
            lesson = source.lesson(0, number, batch)
            assert lesson.bank is not None
            assert lesson.own is not None
            assert lesson.own.shape == (len(batch), len(lesson.bank))
            rows, columns = lesson.own.nonzero(as_tuple=True)
            assert torch.equal(lesson.vectors[rows], lesson.bank[columns])
            found += len(rows)
        assert found > 20

    def test_a_text_is_not_held_to_itself(self) -> None:
        objective = Objective(2, 2, 1, Weights(0.0, 0.0, 0.0, 0.0, 0.0, bank=1.0, temperature=0.5))
        objective.hold(torch.eye(2))
        nothing = torch.zeros(0, dtype=torch.int64)
        goal = F.normalize(torch.tensor([[1.0, 0.2]]), dim=-1)
        others = F.normalize(torch.tensor([[0.3, 1.0], [-1.0, 0.5]]), dim=-1)
        mine = torch.tensor([[0.6, 0.8]])
        ids = torch.zeros(1, 2)
        with torch.no_grad():
            without = objective(mine, [], Lesson(ids, None, goal, nothing, nothing, [], others))
            own = torch.tensor([[True, False, False]])
            bank = torch.cat([goal, others])
            masked = objective(mine, [], Lesson(ids, None, goal, nothing, nothing, [], bank, own))
            held = objective(mine, [], Lesson(ids, None, goal, nothing, nothing, [], bank))
        assert float(masked.bank) == pytest.approx(float(without.bank), abs=1e-5)
        assert abs(float(held.bank) - float(without.bank)) > 0.01


class TestRun:
    def test_comes_nearer_to_both_teachers(self, folder: Path, tmp_path: Path) -> None:
        changes = {"tokens": 14_000, "learning_rate": 2e-3, "second_teacher": str(folder / "second")}
        follow(Recipe.from_dict(config(folder, cache=str(folder / "cache"), **changes)), tmp_path / "out")
        curve = tmp_path / "out" / "whole" / "curve.jsonl"
        points = [json.loads(line) for line in curve.read_text().splitlines()]
        for name in ("cosine", "similarity", "bank"):
            seen = [point[name] for point in points if "loss" in point]
            assert np.mean(seen[-15:]) < 0.87 * np.mean(seen[:15]), name

    def test_stopped_anywhere_equals_never_stopped(self, folder: Path, tmp_path: Path) -> None:
        given = config(
            folder,
            tokens=2500,
            cache=str(folder / "cache"),
            second_teacher=str(folder / "second"),
            shard_readings=2,
        )
        whole = follow(Recipe.from_dict(given), tmp_path / "whole")
        for steps in (3, 9):
            left = [steps]

            def stop(left: list[int] = left) -> bool:
                left[0] -= 1
                return left[0] <= 0

            follow(Recipe.from_dict(given), tmp_path / "halting", stop=stop)
        resumed = follow(Recipe.from_dict(given), tmp_path / "halting")
        assert whole is not None
        assert resumed is not None
        assert (resumed.step, resumed.tokens) == (whole.step, whole.tokens)
        ours, theirs = (
            load_file(tmp_path / run / "whole" / "last" / "encoder.safetensors")
            for run in ("whole", "halting")
        )
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    def test_a_teacher_that_is_not_there_is_told_before_the_first_stage(
        self, folder: Path, tmp_path: Path
    ) -> None:
        own = config(folder, second_teacher=str(tmp_path / "nobody"))
        first = {name: own[name] for name in ("tokens", "batch_tokens", "batch_texts", "shard_texts")}
        crops = {name: value for name, value in own.items() if name in (*first, "crops", "second_teacher")}
        shared = {name: value for name, value in own.items() if name not in crops and name != "bank_weight"}
        stages = {"first": first, "last": crops | {"bank_weight": 0.5}}
        recipe = Recipe.from_dict(shared | {"stages": stages})
        begun: list[str] = []
        with pytest.raises(FileError, match=r"stage last: second_teacher is .*nobody, which is no folder"):
            follow(recipe, tmp_path / "out", begun=begun.append)
        assert not begun

    def test_a_turn_of_a_wider_teacher_keeps_most_of_it(self) -> None:
        draw = torch.Generator().manual_seed(0)
        scale = torch.tensor([1.0, 0.9, 0.8, 0.7, 0.05, 0.04])
        goals = [torch.randn(40, 6, generator=draw) * scale for _ in range(3)]
        spread = torch.linalg.qr(torch.randn(4, 4, generator=draw)).Q
        found = fitted_turn((goal[:, :4] @ spread, goal) for goal in goals)
        assert torch.allclose(found.T @ found, torch.eye(4), atol=1e-5)
        kept = torch.cat(goals) @ found
        assert float(kept.square().sum() / torch.cat(goals).square().sum()) > 0.995
        assert torch.allclose(kept, torch.cat(goals)[:, :4] @ spread, atol=0.1)

    @pytest.mark.parametrize(
        "changes, said",
        [
            (
                {"crops": {"verbs": 1.0}},
                "crops is {'verbs': 1.0}; it must give shares to some of words, terms, ",
            ),
            ({"crops": {"lines": 0.4}}, "the shares of the crops add up to 0.4; they must add up to 1"),
            (
                {"crops": {"words": 0.5, "queries": 0.5}},
                "altered texts and queries are drawn from windows, lines",
            ),
            ({"mix": {"lines": 1.0}}, "there are a mix and crops; state one of them"),
            ({"token_weight": 1.0}, "token_weight is 1.0; with crops it must be 0"),
            ({"calibration_texts": 0}, "calibration_texts is 0; with crops some are needed"),
            ({"bundle": "b"}, "bundle is 'b' without a mix"),
            ({"second_share": 1.5}, "second_share is 1.5; it must be at least 0, at most 1"),
            (
                {"crops": None, "bank_weight": 0.0, "second_teacher": "x"},
                "second_teacher is 'x' without crops",
            ),
            ({"shard_readings": 0}, "shard_readings is 0; it must be a whole number of at least 1"),
            (
                {"crops": None, "bank_weight": 0.0, "shard_readings": 2},
                "shard_readings is 2 without crops; state crops, or leave it out",
            ),
        ],
    )
    def test_refuses(self, folder: Path, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            DistillationConfig.from_dict(config(folder, **changes))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
