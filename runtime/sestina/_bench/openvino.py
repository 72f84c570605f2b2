"""OpenVINO on the plain ONNX export, configured by performance hints as its documentation asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sestina._bench.contender import Configuration, Setting
from sestina._bench.padding import Texts, pool
from sestina._bench.plain_onnx import plain_onnx

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors

_BATCH = 8
_CALIBRATION = 300  # passages: NNCF's own default


class OpenVino:
    """`compile_model` with a hint; asynchronous requests for a corpus, one request for a text."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (
        ("fp32", "best"),
        ("auto", "default"),
        ("int8", "best"),
    )
    modules: ClassVar[tuple[str, ...]] = ("numpy", "openvino", "tokenizers")
    prepares: ClassVar[bool] = True
    processes: int = 1

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._folder = setting.folder or ""
        self._compiled: Any = None
        self._request: Any = None
        self._queue: Any = None
        self._texts: Any = None
        self._names: list[str] = []
        self._into: Any = None

    @property
    def description(self) -> str:
        """Hints, and what the device made of them."""
        kind = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if self._setting.entry.configuration == "default":
            return f"compile_model(model, 'CPU'), which chose {kind} here; asynchronous batches of {_BATCH}"
        int8 = "nncf.quantize(TRANSFORMER), " if self._setting.entry.precision == "int8" else ""
        return (
            f"{int8}PERFORMANCE_HINT LATENCY for one text; THROUGHPUT for a corpus, AsyncInferQueue with "
            f"batches of {_BATCH} sorted by length; INFERENCE_NUM_THREADS, INFERENCE_PRECISION_HINT f32 "
            "(docs.openvino.ai: high-level-performance-hints, optimizing-throughput)"
        )

    def prepare(self) -> None:
        """Export; for int8, calibrate and quantise with NNCF."""
        plain = plain_onnx(self._setting.source or "", self._folder)
        if self._setting.entry.precision == "int8":
            self._quantise(plain)

    def load(self) -> None:
        """Compile for the purpose."""
        import openvino

        setting = self._setting
        name = "openvino-int8.xml" if setting.entry.precision == "int8" else "plain.onnx"
        core = openvino.Core()
        config: dict[str, Any] = {"INFERENCE_NUM_THREADS": setting.threads}
        if setting.entry.configuration == "best":
            config["PERFORMANCE_HINT"] = setting.purpose.upper()
            config["INFERENCE_PRECISION_HINT"] = "f32"
        self._compiled = core.compile_model(core.read_model(Path(self._folder) / name), "CPU", config)
        self._names = [port.any_name for port in self._compiled.inputs]
        self._request = self._compiled.create_infer_request()
        self._queue = openvino.AsyncInferQueue(self._compiled)  # as many requests as the device finds optimal
        self._queue.set_callback(self._take)
        self._texts = Texts(setting)

    def encode(self, texts: list[str]) -> Vectors:
        """One text by the one request, more through the queue."""
        import numpy as np

        vectors = np.zeros((len(texts), self._setting.dimensions), dtype=np.float32)
        for batch in self._texts.batches(texts, _BATCH, len(self._queue)):
            if len(texts) == 1:
                self._request.infer(self._inputs(batch))
                self._take(self._request, (vectors, batch))
            else:
                self._queue.start_async(self._inputs(batch), (vectors, batch))
        self._queue.wait_all()
        return vectors

    def _inputs(self, batch: Any) -> dict[str, Any]:
        values = {
            "input_ids": batch.ids,
            "attention_mask": batch.mask,
            "token_type_ids": batch.ids * 0,
        }
        return {name: values[name] for name in self._names}

    def _take(self, request: Any, context: Any) -> None:
        vectors, batch = context
        vectors[batch.places] = pool(request.get_output_tensor(0).data, batch.mask, self._setting)

    def _quantise(self, plain: Path) -> None:
        import nncf
        import openvino

        from sestina._bench.corpus import passages

        model = openvino.Core().read_model(plain)
        self._names = [port.any_name for port in model.inputs]
        # Other passages than those that are timed: the generator's later ones.
        batches = Texts(self._setting).batches(passages(3 * _CALIBRATION)[-_CALIBRATION:], 1)
        data = nncf.Dataset([self._inputs(batch) for batch in batches])
        quantised = nncf.quantize(
            model, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=_CALIBRATION
        )
        openvino.save_model(quantised, Path(self._folder) / "openvino-int8.xml", compress_to_fp16=False)
