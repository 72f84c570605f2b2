"""Models that look back, and that is_causal makes look ahead too: hidden states as transformers has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sestina_model.pretrained.families import read_architecture
from sestina_model.pretrained.weights import read_encoder, weight_files

transformers = pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SLIDING = {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
BOTH = {"sliding_window": 5, "use_bidirectional_attention": True}


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("kind", "changes"),
    [("Qwen3", {}), ("Qwen3", SLIDING), ("Gemma3Text", {"sliding_window": 3}), ("Gemma3Text", BOTH)],
    ids=["qwen3", "qwen3-window", "gemma3", "gemma3-both"],
)
def test_is_causal(kind: str, changes: dict[str, Any], causal: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SIZES, **changes, is_causal=causal)
    model = getattr(transformers, f"{kind}Model")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    model = getattr(transformers, f"{kind}Model").from_pretrained(tmp_path).eval()
    ids = torch.arange(1, 20)[None]
    with torch.inference_mode():
        expected = model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    stated = json.loads((tmp_path / "config.json").read_text())
    assert stated["is_causal"] is causal

    def states(**other: Any) -> torch.Tensor:
        architecture = read_architecture({**stated, **other}, tmp_path / "config.json")
        encoder, _ = read_encoder(weight_files(tmp_path), architecture)
        with torch.inference_mode():
            return encoder.eval()(ids)

    torch.testing.assert_close(states(), expected, atol=2e-5, rtol=1e-4)
    assert (states(is_causal=not causal) - expected).abs().max() > 1e-2  # the comparison can fail
