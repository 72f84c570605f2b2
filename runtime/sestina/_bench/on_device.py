"""Who takes part on an accelerator: the bundle, and PyTorch with fused attention on the same device."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import sestina
from sestina._bench.contender import Configuration, Setting
from sestina._bench.sestina import Sestina
from sestina._bench.torch import Torch

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors


class SestinaOn(Sestina):
    """`sestina.load(BUNDLE, provider=...)`, which must not end on another provider."""

    @property
    def description(self) -> str:
        """What was loaded."""
        report = self._encoder.report()
        return f"{report.variant} on {report.provider} ({report.device}), placed {report.share:.0%}"

    def load(self) -> None:
        """Open the bundle.

        Raises:
            ProviderError: Where the provider does not run it.
        """
        setting = self._setting
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sestina.ProviderWarning)
            self._encoder = sestina.load(
                setting.bundle,
                provider=setting.provider,
                precision=setting.entry.precision,
                threads=setting.threads,
            )
        report = self._encoder.report()
        if report.provider != setting.provider:
            raise sestina.ProviderError("; ".join(report.passed_over))


class TorchOn(Torch):
    """The checkpoint in float16 on a GPU, in float32 on a CPU; attention is scaled_dot_product_attention."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (("fp16", "best"),)
    compiled: ClassVar[bool] = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._model: Any = None
        self._device: Any = None

    @property
    def description(self) -> str:
        """The device, the arithmetic, and how it runs."""
        how = "torch.compile(dynamic=True)" if self.compiled else "as it is"
        dtype = str(self._checkpoint.model.encoder.tokens.weight.dtype).removeprefix("torch.")
        return (
            f"the checkpoint on {self._device}, {dtype}, scaled_dot_product_attention, inference_mode, {how}"
        )

    def load(self) -> None:
        """Read the checkpoint and move it to the device.

        Raises:
            RuntimeError: Where PyTorch finds no such device.
        """
        super().load()
        import torch  # noqa: TID251  a peer, in a process of its own

        device = torch.device("cpu" if self._setting.provider == "cpu" else "cuda")
        model = self._checkpoint.model.to(device)
        if device.type == "cuda":
            model = model.half()
        self._model = torch.compile(model, dynamic=True) if self.compiled else model
        self._device = device

    def encode(self, texts: list[str]) -> Vectors:
        """All texts as one batch; without padding it carries no mask, which lets attention be fused."""
        import numpy as np
        import torch  # noqa: TID251

        vectors = np.zeros((len(texts), self._setting.dimensions), dtype=np.float32)
        with torch.inference_mode():
            for places, ids, mask in self._texts.batches(texts, len(texts)):
                real = None if mask.all() else torch.from_numpy(mask.astype(bool)).to(self._device)
                given = torch.from_numpy(ids).to(self._device)
                vectors[places] = self._model(given, real).sentence_embedding.float().cpu().numpy()
        return vectors


class TorchCompiled(TorchOn):
    """The same, compiled once for all shapes."""

    compiled: ClassVar[bool] = True
