"""The PyTorch source of the bundle: the reference of every vector, and the first peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sestina._bench.contender import Configuration, Setting
from sestina._bench.padding import Texts

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors

_BATCH = 32


class Torch:
    """The checkpoint through `sestina_model`, in padded batches of texts of like length."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (("fp32", "best"),)
    modules: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "sestina_model.checkpoint")
    prepares: ClassVar[bool] = False
    processes: int = 1

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._checkpoint: Any = None
        self._texts: Any = None

    @property
    def description(self) -> str:
        """The batches, and the mode."""
        return f"the checkpoint, inference_mode, padded batches of {_BATCH} sorted by length, set_num_threads"

    def prepare(self) -> None:
        """Nothing: the checkpoint is read as it is."""

    def load(self) -> None:
        """Read the checkpoint."""
        import torch  # noqa: TID251  a peer, in a process of its own

        from sestina_model import checkpoint  # noqa: TID251  the source that the bundle was made from

        torch.set_num_threads(self._setting.threads)
        self._checkpoint = checkpoint.load(self._setting.source or "")
        self._texts = Texts(self._setting)

    def encode(self, texts: list[str]) -> Vectors:
        """Batches without padding carry no mask, as `Checkpoint.encode` runs them."""
        import numpy as np
        import torch  # noqa: TID251

        vectors = np.zeros((len(texts), self._setting.dimensions), dtype=np.float32)
        with torch.inference_mode():
            for places, ids, mask in self._texts.batches(texts, _BATCH):
                if not ids.size:  # only tokenizers without special tokens give texts without a token
                    continue
                real = None if mask.all() else torch.from_numpy(mask.astype(bool))
                vectors[places] = self._checkpoint.model(
                    torch.from_numpy(ids), real
                ).sentence_embedding.numpy()
        return vectors

    def reference(self, texts: list[str]) -> Vectors:
        """What every contender is held to: each text alone."""
        vectors: Vectors = self._checkpoint.encode(texts)
        return vectors
