"""sentence-transformers on its ONNX backend: what its documentation advises for CPUs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sestina._bench.contender import Configuration, Setting

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors

_FILES = {"fp32": "onnx/model.onnx", "int8": "onnx/model_qint8_{}.onnx"}


class SentenceTransformersOnnx:
    """`SentenceTransformer(folder, backend="onnx").encode(texts)`, of files that its own functions make."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (("fp32", "best"), ("int8", "best"))
    modules: ClassVar[tuple[str, ...]] = ("sentence_transformers", "optimum")
    prepares: ClassVar[bool] = True
    processes: int = 1

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._folder = Path(setting.folder or "") / "sentence-transformers-onnx"
        self._model: Any = None

    @property
    def description(self) -> str:
        """Which file, and by which function it was made."""
        made = "" if self._setting.entry.precision == "fp32" else (
            f"export_dynamic_quantized_onnx_model(model, {_instructions()!r}), "
        )  # fmt: skip
        return (
            f'backend="onnx" (optimum), {made}batches of 32 sorted by length, intra_op_num_threads=threads '
            "(sbert.net/docs/sentence_transformer/usage/efficiency.html)"
        )

    def prepare(self) -> None:
        """The checkpoint with its ONNX file beside it, and the quantized one."""
        if self._folder.exists():
            return
        from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

        source = Path(self._setting.source or "")
        model = SentenceTransformer(str(source), backend="onnx", device="cpu", local_files_only=True)
        fresh = self._folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        model.save_pretrained(str(fresh))
        export_dynamic_quantized_onnx_model(model, _instructions(), str(fresh))
        fresh.rename(self._folder)

    def load(self) -> None:
        """Read the file of the entry's precision."""
        import onnxruntime
        from sentence_transformers import SentenceTransformer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._setting.threads
        file = _FILES[self._setting.entry.precision].format(_instructions())
        self._model = SentenceTransformer(
            str(self._folder),
            backend="onnx",
            device="cpu",
            local_files_only=True,
            model_kwargs={
                "file_name": file,
                "provider": "CPUExecutionProvider",
                "session_options": options,
            },
        )
        self._model.max_seq_length = self._setting.max_tokens

    def encode(self, texts: list[str]) -> Vectors:
        """As its first page shows."""
        vectors: Vectors = self._model.encode(texts, show_progress_bar=False)
        return vectors


def _instructions() -> str:
    """Its name for what this processor multiplies bytes with."""
    from sestina._bench.machine import describe

    has = describe(1)["instructions"]
    if "asimddp" in has:
        return "arm64"
    return "avx512_vnni" if "avx512_vnni" in has else "avx2"
