"""What follows the hidden states in a graph: each row as it is alone, whatever its neighbours."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

import sestina
from _families import family_checkpoint
from _tiny import TEXTS, perturb, tiny_checkpoint, tiny_wordpiece
from sestina_export import ExportError, export
from sestina_export._forms.head import finish_masked, finish_rows
from sestina_export._head import with_head
from sestina_export._proof.parity import open_graph
from sestina_model import ConfigError
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import HeadConfig
from sestina_model.head_steps import ACTIVATIONS, Step
from sestina_model.sentence import SentenceEncoder

WIDTH = 17  # no multiple of what a processor takes at once


class Head(nn.Module):
    def __init__(self, model: SentenceEncoder, finish: Callable[[SentenceEncoder, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.finish = model, finish

    def forward(self, pooled: Tensor) -> Tensor:
        return self.finish(self.model, pooled)


@pytest.fixture(scope="module")
def model() -> SentenceEncoder:
    """Every activation, one after the other, each brought back to one size before the next."""
    steps: list[Step] = []
    for name in ACTIVATIONS:
        steps.append(Step(kind="dense", out_features=WIDTH, activation=name, residual=name == "Tanh"))
        steps.append(Step(kind="layer_norm"))
    encoder = tiny_checkpoint(tiny_wordpiece()).model.encoder
    model = SentenceEncoder(encoder, HeadConfig(max_tokens=64, steps=(*steps, Step(kind="normalize"))))
    perturb(model.steps, 2)
    return model.eval()


@functools.cache
def opened(finish: Callable[[SentenceEncoder, Tensor], Tensor], model: SentenceEncoder) -> Any:
    """A graph of the head alone."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Head(model, finish).eval(),
            (torch.randn(3, 32),),
            dynamo=True,
            opset_version=20,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    logging.disable(logging.NOTSET)
    assert program is not None
    graph = program.model_proto
    assert all(node.domain == "" for node in graph.graph.node)
    return open_graph(graph.SerializeToString())


def run(session: Any, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    (found,) = session.run(None, {session.get_inputs()[0].name: rows})
    result: npt.NDArray[np.float32] = found
    return result


@pytest.mark.parametrize("finish", [finish_rows, finish_masked])
def test_every_step_is_pytorchs(
    model: SentenceEncoder, finish: Callable[[SentenceEncoder, Tensor], Tensor]
) -> None:
    session = opened(finish, model)
    rows = np.random.default_rng(0).standard_normal((7, 32)).astype(np.float32)
    with torch.no_grad():
        reference = model.finish(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(run(session, rows), reference, atol=2e-5)
    assert np.abs(run(session, rows[::-1].copy()) - reference).max() > 1e-3


def test_every_step_is_bit_equal_in_any_company(model: SentenceEncoder) -> None:
    session = opened(finish_rows, model)  # texts of the masked form run alone
    for batch in (2, 5, 7):
        rows = np.random.default_rng(batch).standard_normal((batch, 32)).astype(np.float32)
        together = run(session, rows)
        for at in range(batch):
            assert together[at].tobytes() == run(session, rows[at : at + 1])[0].tobytes()


def test_a_zero_vector_stays_zero() -> None:
    """ReLU makes one of what is below zero; its norm is not divided by."""
    encoder = tiny_checkpoint(tiny_wordpiece()).model.encoder
    steps = (Step(kind="dense", out_features=3, activation="ReLU", bias=False),)
    model = SentenceEncoder(encoder, HeadConfig(max_tokens=64, steps=steps)).eval()
    nn.init.constant_(model.steps[0].linear.weight, -1.0)  # type: ignore[union-attr, arg-type]
    rows = torch.ones(2, 32)
    assert not bool(finish_masked(model, rows).any())
    assert torch.equal(finish_masked(model, rows), model.finish(rows))


@pytest.mark.parametrize(
    "activation", ["GELU", "Mish"]
)  # one that the layers have too, and one of several nodes
def test_steps_behind_the_pooled_token_alone(activation: str, tmp_path: Path) -> None:
    """The nodes of the steps are told from those of the layer that stands there once more."""
    base = tiny_checkpoint(tiny_wordpiece())
    steps = (
        Step(kind="dense", out_features=24, activation=activation),
        Step(kind="layer_norm"),
        Step(kind="dense", out_features=24, activation=activation, residual=True),
        Step(kind="dense", out_features=16, residual=True),
    )
    model = SentenceEncoder(base.model.encoder, HeadConfig(max_tokens=64, pooling="cls", steps=steps))
    perturb(model.steps, 2)
    result = export(model.eval(), tmp_path / "out", tokenizer=base.tokenizer, precisions=["fp32"])
    reference = Checkpoint(model, base.tokenizer, "tiny", None, None).encode(TEXTS)
    with sestina.load(result.path) as encoder:
        np.testing.assert_allclose(encoder.encode(TEXTS, on_truncate="ignore"), reference, atol=1e-5)


@pytest.mark.parametrize("family, longest", [("t5, mt5", 300), ("bert, distilbert", 48)])
def test_a_limit_beyond_what_the_folder_says(family: str, longest: int) -> None:
    checkpoint = family_checkpoint(family)
    if longest == 48:  # a table has no more rows
        with pytest.raises(ConfigError, match="max_tokens is 300; this encoder has positions for 48"):
            with_head(checkpoint, max_tokens=300)
        return
    longer = with_head(checkpoint, max_tokens=300)
    assert (longer.model.head.max_tokens, longer.model.encoder.config.max_positions) == (300, 300)
    assert checkpoint.model.encoder.config.max_positions == 48  # it stays as it was
    text = "model tokens " * 140
    assert len(longer.tokenize([text])[0]) > 250
    assert np.abs(longer.encode([text]) - checkpoint.encode([text])).max() > 1e-3


def test_a_limit_that_special_tokens_fill(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="max_tokens is 2, and special tokens take 2 of them .* at least 3"):
        export(tiny_checkpoint(tiny_wordpiece()), tmp_path / "out", max_tokens=2)
    assert not list(tmp_path.iterdir())
