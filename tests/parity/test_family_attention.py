"""What `explain` finds in the graphs of families is PyTorch's attention, with all that bears on a score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import sestina
from _families import family_checkpoint
from sestina_export import export

TEXT = "the transformer is an innovative nlp model and a sestina takes the same words anew"


@pytest.mark.parametrize("family", ["mpnet", "gemma3_text, causal", "deberta-v2"])
def test_attention_is_that_of_pytorch(family: str, tmp_path: Path) -> None:
    checkpoint = family_checkpoint(family)
    bundle = export(checkpoint, tmp_path / "out.sestina", precisions=["fp32"]).path
    with sestina.load(bundle) as encoder:
        found = encoder.explain(TEXT)
    ids = torch.tensor([found.tokens.ids])
    assert ids.shape[1] > 12  # beyond every window
    reference = torch.cat(checkpoint.model.encoder.attention_weights(ids)).numpy()
    np.testing.assert_allclose(found.attention, reference, atol=1e-5)
    for other in (reference[:, ::-1], reference[::-1], reference.swapaxes(-1, -2)):  # it can fail
        assert np.abs(found.attention - other).max() > 1e-2
