"""The net in short: what was ever found, some cases of every kind from a fixed seed, and that the net holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("resource", reason="the net forks for every case")

from fuzz import surgery
from fuzz.core import TARGETS, drawn, target
from fuzz.corpus import Entry, entries
from fuzz.runner import command, possible, recipe_of
from fuzz.sandbox import Sandbox
from fuzz.shrink import shrunk
from fuzz.world import World, prepare

# Cases run in processes of the net's own, whose time _slow.py does not see.
pytestmark = pytest.mark.slow

SEED = 13
# Cases of each target; those of the corpus are more.
CASES = {
    name: {"forks": 1, "kills": 1, "overwrites": 0, "streams": 1, "checkpoints": 3}.get(name, 6)
    for name in TARGETS
}


@pytest.fixture(scope="session")
def world() -> World:
    return prepare()


@pytest.fixture(scope="session")
def sandbox(world: World) -> Iterator[Sandbox]:
    with Sandbox(world) as opened:
        yield opened


@pytest.mark.parametrize(
    "entry", [entry for entry in entries() if not entry.long], ids=lambda entry: entry.name
)
def test_what_was_found_before(entry: Entry, sandbox: Sandbox, world: World) -> None:
    if not possible(entry.target, world):
        pytest.skip("transformers is not installed")
    verdict = sandbox.run(entry.target, entry.recipe)
    assert verdict.kind in entry.right, f"{verdict.sort}: {verdict.what}; {entry.why}"


@pytest.mark.parametrize("name", TARGETS)
def test_cases_of_a_fixed_seed(name: str, sandbox: Sandbox, world: World) -> None:
    for number in range(CASES[name] if possible(name, world) else 0):
        verdict = sandbox.run(name, recipe_of(name, SEED, number, world))
        assert verdict.kind != "fault", f"{verdict.sort}: {verdict.what}\n{command(name, SEED, number)}"


@pytest.mark.parametrize(
    "what, sort",
    [
        ("crash", "ended by SIGABRT"),
        ("exit", "ended without a word"),
        ("exhaust", "the net broke: MemoryError at trials.py:"),
        ("fault", "as asked"),
        ("foreign-error", "ZeroDivisionError at no line of ours"),
        ("foreign-warning", "RuntimeWarning from a library"),
        ("two-lines", "_Unwalled at no line of ours is no line"),
        ("long", "_Unwalled at no line of ours is long"),
        ("wrong-vector", "a vector: another value"),
        ("no-vector", "a vector: another value"),
        ("another-shape", "a vector: another shape"),
        ("neighbours", "a text alone and in a list: another value"),
        ("hang", "endless"),
    ],
)
def test_the_net_tells(what: str, sort: str, sandbox: Sandbox) -> None:
    verdict = sandbox.run("trials", {"do": what})
    assert verdict.kind == "fault"
    assert verdict.sort.startswith(sort)
    assert "\n" not in verdict.what


def test_the_net_lets_pass(sandbox: Sandbox) -> None:
    assert sandbox.run("trials", {"do": "nothing"}).kind == "right"


@pytest.mark.parametrize("name", TARGETS)
def test_a_case_is_the_same_every_time(name: str, world: World) -> None:
    if not possible(name, world):
        pytest.skip("transformers is not installed")
    recipes = [recipe_of(name, seed, 1, world) for seed in (1, 1, 2, 3, 4)]
    assert recipes[0] == recipes[1]
    assert any(recipe != recipes[0] for recipe in recipes[2:])
    assert drawn(name, 1, 1).random() != drawn(name, 1, 2).random()
    assert target(name).SECONDS > 0


@pytest.mark.parametrize(
    "step",
    [
        *(["dtype", "sentence_embedding", kind] for kind in ("FLOAT16", "BOOL", "DOUBLE", "INT64")),
        *(["shape", "sentence_embedding", shape] for shape in surgery.SHAPES),
        *(["loop", kind] for kind in ("Loop", "Scan", "If", "SequenceMap")),
        ["value", "last_hidden_state", "nan"],
    ],
    ids=lambda step: "-".join(step),
)
def test_an_operation_leaves_a_graph_that_runs(step: list[str], world: World) -> None:
    """Else all that is held of it would be that what is broken does not load."""
    content = (world.bundle("bpe") / "cpu-fp32.onnx").read_bytes()
    feed = {"input_ids": np.array([[1, 2, 3], [4, 5, 6]])}
    usual, other = (
        dict(zip(names, session.run(names, feed), strict=True))
        for names in [["sentence_embedding", "last_hidden_state"]]
        for session in map(_plain, (content, surgery.operated(content, [step])))
    )
    for name, value in usual.items():
        if step[0] == "loop" or name != step[1]:
            np.testing.assert_allclose(other[name], value, atol=1e-6)
        else:
            assert (
                other[name].dtype != value.dtype
                or other[name].shape != value.shape
                or np.isnan(other[name]).all()
            )


def _plain(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def test_a_fault_is_made_small(sandbox: Sandbox) -> None:
    recipe = {"do": "several", "numbers": list(range(12))}
    small = shrunk(recipe, lambda other: sandbox.run("trials", other).sort == "3 and 7")
    assert small["numbers"] == [3, 7]


def test_every_target_has_its_corpus() -> None:
    assert {entry.target for entry in entries()} == set(TARGETS)
