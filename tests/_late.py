"""Folders of late interaction, as sentence-transformers' MultiVectorEncoder saves them: tiny and seeded."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from _heads import head_folder
from _tiny import perturb

EXPANSION = {"strategy": "fixed", "attend": False, "length": 12}


def late_model(
    family: str,
    path: Path,
    *,
    seed: int = 3,
    words: list[str] | None = None,
    mask: dict[str, Any] | None = None,
    prompts: dict[str, str] | None = None,
    similarity: str | None = None,
    dense: bool = True,
    **lengths: Any,
) -> Any:
    """A `MultiVectorEncoder` of a family; its transformer lies at `path`."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    head_folder(family, path, seed=seed, kind="MaskedLM")
    torch.manual_seed(seed)
    modules: list[Any] = [Transformer(str(path), **lengths)]
    if dense:
        identity = torch.nn.Identity()
        modules.append(
            Dense(32, 16, bias=False, activation_function=identity, module_input_name="token_embeddings")
        )
        perturb(modules[-1], seed)
    words = list(string.punctuation) if words is None else words
    modules += [MultiVectorMask(words, **(mask or {})), Normalize(module_input_name="token_embeddings")]
    model = MultiVectorEncoder(modules=modules, device="cpu", prompts=prompts, similarity_fn_name=similarity)
    return model.eval()


def late_folder(family: str, path: Path, **options: Any) -> Path:
    """The same, saved."""
    late_model(family, path / "transformer", **options).save(str(path / "model"), create_model_card=False)
    return path / "model"
