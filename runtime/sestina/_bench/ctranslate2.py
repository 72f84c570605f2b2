"""CTranslate2's encoder: converted from the checkpoint, pooled and normalised with numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sestina._bench.contender import Configuration, Setting
from sestina._bench.padding import Texts, pool
from sestina._bench.plain_onnx import place

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors

_BATCH = 8


class CTranslate2:
    """`Encoder.forward_batch` on token ids; it needs no padding from its caller."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (
        ("fp32", "best"),
        ("fp32", "default"),
        ("int8", "best"),
    )
    modules: ClassVar[tuple[str, ...]] = ("numpy", "ctranslate2", "tokenizers")
    prepares: ClassVar[bool] = True
    processes: int = 1

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._folder = Path(setting.folder or "") / "ctranslate2"
        self._encoder: Any = None
        self._texts: Any = None
        # "Prefer increasing inter_threads over intra_threads" for much data; for one text, the reverse.
        many = setting.purpose == "throughput" and setting.entry.configuration == "best"
        self._inter, self._intra = (setting.threads, 1) if many else (1, setting.threads)

    @property
    def description(self) -> str:
        """Threads, batches and the arithmetic that was granted."""
        kind = self._encoder.compute_type
        if self._setting.entry.configuration == "default":
            return f"compute_type {kind}, intra_threads = threads, one batch after another"
        return (
            f"compute_type {kind}; one text: intra_threads = threads; corpus: inter_threads = threads, "
            f"intra_threads = 1, batches of {_BATCH} sorted by length from as many Python threads "
            "(opennmt.net/CTranslate2/performance.html, parallel.html)"
        )

    def prepare(self) -> None:
        """Convert as its guide for transformers shows."""
        if not self._folder.exists():
            from ctranslate2.converters import TransformersConverter

            TransformersConverter(str(self._readable())).convert(str(self._folder))

    def _readable(self) -> Path:
        """The checkpoint with the one member that the converter asks for and transformers 5 leaves out."""
        source = Path(self._setting.source or "")
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        if "position_embedding_type" in config:
            return source
        copy = Path(self._setting.folder or "") / "ctranslate2-source"
        copy.mkdir(exist_ok=True)
        for file in source.iterdir():
            if file.is_file() and file.name != "config.json":
                place(file, copy / file.name)
        config["position_embedding_type"] = "absolute"  # the only kind that Sestina imports
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return copy

    def load(self) -> None:
        """Read the converted model; int8 is made while loading."""
        import ctranslate2

        kinds = {"fp32": "float32", "int8": "int8"}
        self._encoder = ctranslate2.Encoder(
            str(self._folder),
            device="cpu",
            compute_type=kinds[self._setting.entry.precision],
            inter_threads=self._inter,
            intra_threads=self._intra,
        )
        self._texts = Texts(self._setting)

    def encode(self, texts: list[str]) -> Vectors:
        """Batches are submitted from as many threads as the encoder has workers."""
        from concurrent.futures import ThreadPoolExecutor

        import numpy as np

        vectors = np.zeros((len(texts), self._setting.dimensions), dtype=np.float32)
        batches = list(self._texts.batches(texts, _BATCH, self._inter))

        def forward(batch: Any) -> None:
            rows = [ids[real > 0].tolist() for ids, real in zip(batch.ids, batch.mask, strict=True)]
            hidden = np.array(self._encoder.forward_batch(rows).last_hidden_state)
            vectors[batch.places] = pool(hidden, batch.mask, self._setting)

        if self._inter == 1:
            for batch in batches:
                forward(batch)
        else:
            with ThreadPoolExecutor(self._inter) as threads:
                list(threads.map(forward, batches))
        return vectors
