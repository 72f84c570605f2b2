"""Sestina by its public face, as an application calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import sestina
from sestina._bench.contender import Configuration, Setting

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors


class Sestina:
    """`sestina.load(BUNDLE, precision=..., threads=...)`."""

    # One entry for each precision that the bundle has: see `plan`.
    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ("numpy", "onnxruntime", "tokenizers", "sestina._load")
    prepares: ClassVar[bool] = False
    processes: int = 1

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._encoder: Any = None

    @property
    def description(self) -> str:
        """What was loaded."""
        report = self._encoder.report()
        return f"{report.variant}, {report.threads} threads; nothing set but precision and threads"

    def prepare(self) -> None:
        """Nothing: a bundle is ready."""

    def load(self) -> None:
        """Open the bundle."""
        setting = self._setting
        self._encoder = sestina.load(
            setting.bundle, precision=setting.entry.precision, threads=setting.threads
        )

    def encode(self, texts: list[str]) -> Vectors:
        """One text is given as one text, as an application would."""
        if len(texts) == 1:
            return self._encoder.encode(texts[0], on_truncate="ignore")[None]  # type: ignore[no-any-return]
        return self._encoder.encode(texts, on_truncate="ignore")  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let go of the session, which is when onnxruntime writes its profile."""
        self._encoder.close()
        self._encoder = None


class SestinaDefault(Sestina):
    """`sestina.load()`: another encoder than the checkpoint's, so it is held to its own goldens."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (("int8", "best"),)

    @property
    def description(self) -> str:
        """What was loaded."""
        return f"the embedded bundle, another encoder: {super().description}"

    def load(self) -> None:
        """Open the embedded bundle."""
        self._encoder = sestina.load(threads=self._setting.threads)

    def verify(self) -> bool:
        """Whether it passes its goldens."""
        return bool(self._encoder.verify().passed)
