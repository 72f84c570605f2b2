"""onnxruntime as most people use it: a plain export, default options, padded batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sestina._bench.contender import Configuration, Setting
from sestina._bench.padding import Texts, pool
from sestina._bench.plain_onnx import place, plain_onnx

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors

_BATCH = 32


class OnnxRuntimePlain:
    """The plain graph in an `InferenceSession`; int8 by `quantize_dynamic`."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (("fp32", "best"), ("int8", "best"))
    modules: ClassVar[tuple[str, ...]] = ("numpy", "onnxruntime", "tokenizers")
    prepares: ClassVar[bool] = True
    processes: int = 1

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._path = Path(setting.folder or "") / f"onnxruntime-{setting.entry.precision}.onnx"
        self._session: Any = None
        self._texts: Any = None
        self._names: list[str] = []

    @property
    def description(self) -> str:
        """The session, and how texts reach it."""
        quantised = (
            "quantize_dynamic(QInt8, per_channel), " if self._setting.entry.precision == "int8" else ""
        )
        return (
            f"plain export with attention mask, {quantised}default session options (all optimisations) but "
            f"for intra_op_num_threads, padded batches of {_BATCH} sorted by length "
            "(onnxruntime.ai/docs/performance/model-optimizations)"
        )

    def prepare(self) -> None:
        """Export, and quantise as onnxruntime's documentation does for transformers."""
        plain = plain_onnx(self._setting.source or "", self._setting.folder or "")
        if self._setting.entry.precision == "int8":
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(plain, self._path, weight_type=QuantType.QInt8, per_channel=True)
        else:
            place(plain, self._path)

    def load(self) -> None:
        """Open the session."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._setting.threads
        self._session = onnxruntime.InferenceSession(
            str(self._path), options, providers=["CPUExecutionProvider"]
        )
        self._names = [tensor.name for tensor in self._session.get_inputs()]
        self._texts = Texts(self._setting)

    def encode(self, texts: list[str]) -> Vectors:
        """Run batch after batch; every run uses all threads."""
        import numpy as np

        vectors = np.zeros((len(texts), self._setting.dimensions), dtype=np.float32)
        for places, ids, mask in self._texts.batches(texts, _BATCH):
            values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            hidden = self._session.run(None, {name: values[name] for name in self._names})[0]
            vectors[places] = pool(hidden, mask, self._setting)
        return vectors
