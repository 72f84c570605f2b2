"""What bundles that do not embed are measured beside: sentence-transformers, and transformers' pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sestina._errors import MissingExtraError

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._bench.run import Options
    from sestina._bundle.manifest import Manifest

Call = Callable[[], Any]


def peer_name(manifest: Manifest) -> str:
    """What the peer of a task is called in a table."""
    names = {"rerank": "CrossEncoder", "sparse": "SparseEncoder", "multi-vector": "MultiVectorEncoder"}
    return f"{names.get(manifest.task, 'transformers pipeline')} fp32"


def peer_of(options: Options, manifest: Manifest, threads: int, query: str, texts: list[str]) -> Call:
    """The checkpoint in the library that its users come from, as a call on the same texts.

    Raises:
        MissingExtraError: Where that is not installed.
    """
    try:
        import sentence_transformers
        import torch  # noqa: TID251  a peer
        import transformers  # noqa: TID251  another
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'{error.name} is not installed: pip install "sestina[bench]", or leave out --source',
            name=error.name,
        ) from None
    name = peer_name(manifest).split()[0]
    peer: Any = getattr(sentence_transformers, name, None)
    if peer is None and name != "transformers":  # MultiVectorEncoder came with version 6
        raise MissingExtraError(
            f"sentence-transformers {sentence_transformers.__version__} has no {name}: pip install -U "
            "sentence-transformers, or leave out --source",
            name="sentence_transformers",
        )
    torch.set_num_threads(threads)
    limit = manifest.contract.max_tokens
    if manifest.task == "rerank":
        model = peer(options.source or "", device="cpu", max_length=limit, local_files_only=True)
        pairs = [(query, text) for text in texts]
        return lambda: np.asarray(model.predict(pairs, show_progress_bar=False), dtype=np.float32)
    if manifest.task == "sparse":
        sparse = peer(options.source or "", device="cpu", local_files_only=True)
        sparse.max_seq_length = limit
        return lambda: sparse.encode(texts, prompt="", show_progress_bar=False)
    if manifest.task == "multi-vector":
        late = peer(options.source or "", device="cpu", local_files_only=True)

        def scored() -> Vectors:
            found = late.similarity(late.encode_query([query]), late.encode_document(texts))
            scores: Vectors = np.asarray(found, dtype=np.float32)[0]
            return scores

        return scored
    if manifest.task == "tag":
        tagging: Any = transformers.pipeline(
            "token-classification", model=options.source, device="cpu", aggregation_strategy="simple"
        )
        return lambda: counted(tagging(texts, batch_size=32))
    pipeline = transformers.pipeline("text-classification", model=options.source, device="cpu", top_k=None)
    labels = manifest.contract.labels

    def classified() -> Vectors:
        rows: Any = pipeline(texts, batch_size=32, truncation=True, max_length=limit)
        named = [{each["label"]: each["score"] for each in row} for row in rows]
        return np.array([[row[label] for label in labels] for row in named], dtype=np.float32)

    return classified


def counted(found: list[list[Any]]) -> Vectors:
    """How many spans each text has: enough to tell two taggers apart."""
    return np.array([len(row) for row in found], dtype=np.float32)
