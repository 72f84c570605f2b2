"""Folders of late interaction, as sentence-transformers' MultiVectorEncoder saves them: tiny and seeded."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _heads import head_folder
from _tiny import perturb


def late_model(
    family: str,
    path: Path,
    *,
    seed: int = 3,
    words: Sequence[str] = tuple(string.punctuation),
    mask: dict[str, Any] | None = None,
    prompts: dict[str, str] | None = None,
    similarity: str | None = None,
    dense: bool = True,
    more: Sequence[Any] = (),
    **lengths: Any,
) -> Any:
    """A `MultiVectorEncoder` of a family; its transformer lies at `path`."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    head_folder(family, path, seed=seed, kind="TokenClassification")
    torch.manual_seed(seed)
    modules: list[Any] = [Transformer(str(path), **lengths)]
    if dense:
        plain = torch.nn.Identity()
        modules.append(
            Dense(32, 16, bias=False, activation_function=plain, module_input_name="token_embeddings")
        )
        perturb(modules[-1], seed)
    modules += [MultiVectorMask(list(words), **(mask or {})), Normalize(module_input_name="token_embeddings")]
    model = MultiVectorEncoder(
        modules=[*modules, *more], device="cpu", prompts=prompts, similarity_fn_name=similarity
    )
    return model.eval()


def late_folder(family: str, path: Path, **options: Any) -> Path:
    """The same, saved."""
    late_model(family, path / "transformer", **options).save(str(path / "model"), create_model_card=False)
    return path / "model"
