"""sentence-transformers on PyTorch: what most people embed text with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sestina._bench.contender import Configuration, Setting

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors


class SentenceTransformers:
    """`SentenceTransformer(folder, device="cpu").encode(texts)`."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (("fp32", "best"),)
    modules: ClassVar[tuple[str, ...]] = ("sentence_transformers",)
    prepares: ClassVar[bool] = False
    processes: int = 1

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._model: Any = None

    @property
    def description(self) -> str:
        """Its default is its best on PyTorch."""
        return (
            "backend torch, as it comes: batches of 32 sorted by length (sbert.net/docs/sentence_transformer/"
            "usage/efficiency.html: for CPU it advises its ONNX and OpenVINO backends, of which the first is "
            "measured as sentence-transformers-onnx)"
        )

    def prepare(self) -> None:
        """Nothing: it reads the checkpoint."""

    def load(self) -> None:
        """Read the checkpoint."""
        import torch  # noqa: TID251  a peer, in a process of its own
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(self._setting.threads)
        self._model = SentenceTransformer(self._setting.source, device="cpu", local_files_only=True)

    def encode(self, texts: list[str]) -> Vectors:
        """As its first page shows."""
        vectors: Vectors = self._model.encode(texts, show_progress_bar=False)
        return vectors
