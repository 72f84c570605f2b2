"""What follows the hidden states in a graph: each row as it is alone, whatever its neighbours."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from _tiny import perturb, tiny_checkpoint, tiny_wordpiece
from sestina_export._forms.head import finish_masked, finish_rows
from sestina_export._proof.parity import open_graph
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
