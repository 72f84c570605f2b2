"""Recipes: stages that follow one another, whatever interrupts them, and the stage that learns from kept vectors."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from _tiny import LINES, tiny_checkpoint, tiny_wordpiece
from sestina_model._errors import ConfigError, ModelError
from sestina_model.checkpoint import load, save
from sestina_model.config import EncoderConfig
from sestina_model.distillation import DistillationConfig, Recipe, __main__, distil, follow
from sestina_model.distillation.objective import Objective, Weights
from sestina_model.distillation.start import fitted_turn
from sestina_model.distillation.teacher import Lesson

STUDENT = EncoderConfig(
    vocab_size=12_000, n_layers=2, d_model=48, n_heads=2, d_ff=96, max_positions=64, dropout=0.0
)
MIXED = {
    "mix": {"words": 0.2, "terms": 0.2, "lines": 0.4, "passages": 0.2},
    "phases": [{"max_tokens": 32, "share": 1.0}],
    "token_weight": 0.0,
    "layer_weight": 0.0,
    "bank_weight": 0.5,
    "bank_texts": 40,
}


def lines(n: int, seed: int = 0) -> list[str]:
    """Sentences of 2 to 8 of the tiny vocabulary's words and one of 300 made-up ones."""
    draw = np.random.default_rng(seed)
    words = sorted({word for line in LINES for word in line.split()})
    made = ["".join(draw.choice(list("aeilmnorst"), 5)) for _ in range(300)]
    pairs = [" ".join(made[at : at + 2]) for at in range(0, 300, 2)]
    return [" ".join([*draw.choice(words, draw.integers(2, 8)), draw.choice(pairs)]) for _ in range(n)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A teacher, texts and a dev task."""
    save(tiny_checkpoint(tiny_wordpiece()), tmp_path / "teacher")
    (tmp_path / "a.txt").write_text("\n".join(lines(900)) + "\n")
    pairs = [f"{at}\t{a}\t{b}" for at, (a, b) in enumerate(zip(lines(20, 2), lines(20, 3), strict=True))]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stsb-dev.tsv").write_text("\n".join(pairs) + "\n")
    return tmp_path


def values(folder: Path, **changes: Any) -> dict[str, Any]:
    """What stages share."""
    return {
        "teacher": str(folder / "teacher"),
        "texts": [str(folder / "a.txt")],
        "data": str(folder / "data"),
        "tasks": ["stsb-dev"],
        "encoder": STUDENT.to_dict(),
        "max_tokens": 32,
        "tokens": 2000,
        "phases": [{"max_tokens": 32, "share": 1.0}],
        "batch_tokens": 256,
        "batch_texts": 16,
        "shard_texts": 128,
        "run_texts": 4,
        "calibration_texts": 100,
        "evaluate_every": 7,
        "save_every": 4,
        "report_every": 2,
    } | changes


def recipe(folder: Path, **changes: Any) -> Recipe:
    """Two stages: the teacher beside the student, then its kept vectors."""
    stages = {"first": {"seed": 1}, "second": MIXED | {"seed": 2, "learning_rate": 1e-3}}
    return Recipe.from_dict(values(folder, stages=stages, **changes))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "encoder.safetensors")


def same(left: Path, right: Path) -> bool:
    ours, theirs = weights(left), weights(right)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


class TestFollow:
    def test_each_stage_starts_from_the_one_before(self, folder: Path) -> None:
        begun: list[str] = []
        position = follow(recipe(folder), folder / "out", begun=begun.append)
        assert begun == ["first", "second"]
        assert position is not None
        assert position.tokens >= 2000
        for name in ("first", "second"):
            assert load(folder / "out" / name / "last").model.encoder.config == STUDENT
        # By hand: the second as a run of its own, from the first's last checkpoint.
        config = dataclasses.replace(
            recipe(folder)["second"], warm_start=str(folder / "out" / "first" / "last")
        )
        distil(config, folder / "alone")
        assert same(folder / "alone" / "last", folder / "out" / "second" / "last")
        assert not same(folder / "out" / "first" / "last", folder / "out" / "second" / "last")
        # All of it is over: nothing is begun, nothing is read, and nothing changes.
        shutil.rmtree(folder / "teacher")
        assert follow(recipe(folder), folder / "out", begun=begun.append) is None
        assert begun == ["first", "second"]

    @pytest.mark.parametrize("after", [3, 40])  # steps: within the first stage, and within the second
    def test_stopped_anywhere_equals_never_stopped(self, folder: Path, after: int) -> None:
        whole = follow(recipe(folder), folder / "whole")
        assert whole is not None
        for steps in (after, 5):
            left = [steps]

            def stop(left: list[int] = left) -> bool:
                left[0] -= 1
                return left[0] <= 0

            follow(recipe(folder), folder / "halting", stop=stop)
        resumed = follow(recipe(folder), folder / "halting")
        assert resumed is not None
        assert (resumed.step, resumed.tokens) == (whole.step, whole.tokens)
        for name in ("first", "second"):
            assert same(folder / "whole" / name / "last", folder / "halting" / name / "last")

    def test_a_moved_folder_goes_on(self, folder: Path) -> None:
        left = [45]

        def stop() -> bool:
            left[0] -= 1
            return left[0] <= 0

        follow(recipe(folder), folder / "here", stop=stop)
        assert (folder / "here" / "second" / "state.safetensors").is_file()
        (folder / "here").rename(folder / "there")
        begun: list[str] = []
        assert follow(recipe(folder), folder / "there", begun=begun.append) is not None
        assert begun == ["second"]
        with pytest.raises(ConfigError, match="learning_rate"):
            follow(recipe(folder, learning_rate=0.1), folder / "there")

    def test_until_ends_a_stage_before_its_budget(self, folder: Path) -> None:
        short = follow(Recipe.from_dict(values(folder, until=500)), folder / "short")
        long = follow(Recipe.from_dict(values(folder)), folder / "long")
        assert short is not None
        assert long is not None
        assert 500 <= short.tokens < 500 + 256
        assert long.tokens >= 2000
        assert (folder / "short" / "whole" / "last").is_dir()
        rates = [
            [json.loads(line).get("learning_rate") for line in path.read_text().splitlines()]
            for path in (folder / "short/whole/curve.jsonl", folder / "long/whole/curve.jsonl")
        ]
        assert rates[0] == rates[1][: len(rates[0])]  # as far as it goes, it is the same run


class TestKeptStage:
    def test_comes_nearer_to_the_teacher_by_every_measure(self, folder: Path) -> None:
        changes = MIXED | {"tokens": 12_000, "learning_rate": 2e-3, "warm_start": "none"}
        follow(Recipe.from_dict(values(folder, **changes)), folder / "out")
        out = folder / "out" / "whole"
        points = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
        for name in ("cosine", "similarity", "bank"):
            seen = [point[name] for point in points if "loss" in point]
            assert np.mean(seen[-5:]) < 0.7 * np.mean(seen[:5])

    def test_the_turn_stays_through_a_resumption(self, folder: Path) -> None:
        turns = []
        for steps in (2, 8, 20):
            left = [steps]

            def stop(left: list[int] = left) -> bool:
                left[0] -= 1
                return left[0] <= 0

            follow(Recipe.from_dict(values(folder, **MIXED)), folder / "out", stop=stop)
            state = load_file(folder / "out" / "whole" / "state.safetensors")
            turns.append(state["weight.objective.projections.1.weight"])
        assert torch.equal(turns[0], turns[1])
        assert torch.equal(turns[0], turns[2])
        assert torch.allclose(turns[0] @ turns[0].T, torch.eye(32), atol=1e-5)

    def test_a_bundle_gives_the_same_lessons(self, folder: Path, bundle: Path) -> None:
        short = values(folder, **(MIXED | {"tokens": 600}))
        follow(Recipe.from_dict(short), folder / "torch")
        follow(Recipe.from_dict(short).with_bundle(str(bundle)), folder / "runtime")
        ours, theirs = (weights(folder / run / "whole" / "last") for run in ("torch", "runtime"))
        assert all(float((ours[name] - theirs[name]).abs().max()) < 2e-3 for name in ours)
        save(tiny_checkpoint(tiny_wordpiece(), seed=4), folder / "teacher")
        with pytest.raises(ConfigError, match="whose vectors are not the teacher's; export it again"):
            follow(Recipe.from_dict(short).with_bundle(str(bundle)), folder / "other")


class TestBank:
    @staticmethod
    def lesson(goal: torch.Tensor, bank: torch.Tensor | None) -> Lesson:
        nothing = torch.zeros(0, dtype=torch.int64)
        return Lesson(torch.zeros(len(goal), 2), None, goal, nothing, nothing, [], bank)

    def test_by_hand(self) -> None:
        objective = Objective(3, 2, 1, Weights(0.0, 0.0, 0.0, 0.0, 0.0, bank=2.0, temperature=0.5))
        objective.hold(torch.eye(2, 3))
        bank = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        goal, mine = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.0, 0.8]])
        with torch.no_grad():
            losses = objective(mine, [], self.lesson(goal, bank))
            true = objective(torch.tensor([[3.0, 0.0, 0.0]]), [], self.lesson(goal, bank))
            none = objective(mine, [], self.lesson(goal, None))
        wanted = torch.tensor([2.0, 0.0]).softmax(0)
        found = torch.tensor([1.2, 0.0]).softmax(0)  # what lies outside the teacher's dimensions is lost
        divergence = float((wanted * (wanted / found).log()).sum())
        assert float(losses.bank) == pytest.approx(divergence, abs=2e-3)
        assert float(losses.total) == pytest.approx(2 * float(losses.bank))
        assert float(losses.cosine) == pytest.approx(0.4)
        assert float(true.bank) == pytest.approx(0.0, abs=1e-6)
        assert float(none.bank) == 0.0

    def test_a_turn_is_found_and_held(self) -> None:
        draw = torch.Generator().manual_seed(0)
        turn = torch.linalg.qr(torch.randn(6, 6, generator=draw)).Q[:4]
        goals = [F.normalize(torch.randn(9, 4, generator=draw), dim=-1) for _ in range(3)]
        found = fitted_turn((goal @ turn, goal) for goal in goals)
        assert torch.allclose(found, turn, atol=1e-5)
        objective = Objective(6, 4, 2, Weights(1.0, 1.0, 0.0, 0.0, 0.0, bank=1.0))
        objective.hold(found)
        vectors = torch.randn(9, 6, generator=draw, requires_grad=True)
        objective(vectors, [], self.lesson(goals[0], goals[1])).total.backward()
        assert vectors.grad is not None
        assert float(vectors.grad.abs().min()) > 0  # the dimensions that the teacher has not, too
        assert all(each.grad is None for each in objective.parameters())


class TestRecipe:
    @pytest.mark.parametrize(
        "changes, said",
        [
            ({"stages": []}, "stages is []; it must hold an object for each stage"),
            ({"stages": {"a": 1}}, "it must hold an object for each stage"),
            ({"stages": {}}, "stages is empty; a recipe has at least one"),
            ({"stages": {"A b": {}}}, "a stage has the name 'A b'; it must be lower-case letters"),
            ({"stages": {"cache": {}}}, "hyphens, and not 'cache'"),
            ({"stages": {"a": {"tokens": 0}}}, "stage a: tokens is 0; it must be"),
            ({"tokens": 0}, "tokens is 0; it must be"),
            (
                MIXED | {"mix": {"verbs": 1.0}},
                "mix is {'verbs': 1.0}; it must give shares to some of words, ",
            ),
            (MIXED | {"mix": {"words": 0.4}}, "the shares of the mix add up to 0.4; they must add up to 1"),
            (MIXED | {"mix": {"words": 1.5}}, "mix gives words the share 1.5; it must be a number above 0"),
            (MIXED | {"token_weight": 1.0}, "token_weight is 1.0; with a mix it must be 0"),
            (MIXED | {"altered_share": 0.1}, "altered_share is 0.1; with a mix it must be 0"),
            (MIXED | {"calibration_texts": 0, "warm_start": "none"}, "calibration_texts is 0; with a mix"),
            (MIXED | {"bank_temperature": 0}, "bank_temperature is 0; it must be above 0"),
            (
                MIXED | {"phases": [{"max_tokens": 8, "share": 0.5}, {"max_tokens": 32, "share": 0.5}]},
                "there are 2 phases; with a mix there is one",
            ),
            ({"bank_weight": 1.0}, "bank_weight is 1.0 without a mix or crops; state one, or leave it out"),
            ({"until": 0}, "until is 0; it must be a whole number of at least 1"),
        ],
    )
    def test_refuses(self, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Recipe.from_dict(values(tmp_path, **changes))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_begins_where_it_is_told(self, folder: Path) -> None:
        whole = recipe(folder)
        later = whole.beginning_with("second", "somewhere")
        assert [stage.name for stage in later.stages] == ["second"]
        assert later["second"].warm_start == "somewhere"
        assert whole.beginning_with("first", None) == whole
        with pytest.raises(ConfigError, match="no stage keeps the teacher's vectors; leave the bundle b out"):
            Recipe.from_dict(values(folder)).with_bundle("b")
        with pytest.raises(ConfigError, match="there is no stage 'third'; this recipe has first, second"):
            whole.beginning_with("third", None)

    def test_command(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = folder / "recipe.json"
        stages = {"first": {}, "second": MIXED}
        path.write_text(json.dumps(values(folder, tokens=600, stages=stages)))
        assert __main__.main([str(path), "--out", str(folder / "out")]) == 0
        said = capsys.readouterr()
        assert said.err == "stage first\nstage second\n"
        assert "out: done; " in said.out
        assert __main__.main([str(path), "--out", str(folder / "out")]) == 0
        assert capsys.readouterr().out.endswith("out: every stage is done\n")
        start = ["--stage", "second", "--start", str(folder / "out" / "second" / "last")]
        assert __main__.main([str(path), "--out", str(folder / "more"), *start]) == 0
        assert capsys.readouterr().err == "stage second\n"
        assert __main__.main([str(path), "--out", str(folder / "more"), "--stage", "none"]) == 1
        assert capsys.readouterr().err.startswith("error: there is no stage 'none'; ")
        assert __main__.main([str(path), "--out", str(folder / "more"), "--threads", "0"]) == 1
        assert "threads is 0; it must be a whole number of at least 1" in capsys.readouterr().err
        path.write_text("{")
        assert __main__.main([str(path), "--out", str(folder / "more")]) == 1
        assert "is not valid JSON" in capsys.readouterr().err

    def test_configurations_go_there_and_back(self, folder: Path) -> None:
        for stage in recipe(folder).stages:
            assert DistillationConfig.from_dict(stage.config.to_dict()) == stage.config
        with pytest.raises(ModelError, match="recipe.json cannot be read"):
            Recipe.from_file(folder / "recipe.json")
