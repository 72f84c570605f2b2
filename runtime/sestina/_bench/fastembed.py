"""fastembed with a custom model: the plain ONNX export and the checkpoint's tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sestina._bench.contender import Configuration, Setting
from sestina._bench.plain_onnx import place, plain_onnx

if TYPE_CHECKING:
    from sestina._bench.contender import Vectors

_NAME = "sestina-bench/checkpoint"
# Its default of 256 pads 256 texts in input order to the longest of them, which costs gigabytes and time.
_BATCH = 16
_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json")


class FastEmbed:
    """`TextEmbedding(...).embed(texts)`; the best configuration for a corpus adds `parallel`."""

    entries: ClassVar[tuple[tuple[str, Configuration], ...]] = (("fp32", "best"), ("fp32", "default"))
    modules: ClassVar[tuple[str, ...]] = ("fastembed",)
    prepares: ClassVar[bool] = True

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._folder = Path(setting.folder or "") / "fastembed"
        self._model: Any = None
        in_parallel = setting.entry.configuration == "best" and setting.purpose == "throughput"
        self.processes = setting.threads if in_parallel else 1

    @property
    def description(self) -> str:
        """Whether corpora are shared out among processes."""
        if self._setting.entry.configuration == "default":
            return "add_custom_model, threads, embed(texts)"
        return (
            f"add_custom_model, threads, batch_size={_BATCH} (less padding than its 256); parallel=threads "
            "for a corpus (qdrant.tech/documentation/fastembed/fastembed-optimize)"
        )

    def prepare(self) -> None:
        """A model folder as fastembed reads it, with the bundle's length limit."""
        if self._folder.exists():
            return
        source = Path(self._setting.source or "")
        self._folder.mkdir()
        for name in _FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, self._folder / name)
        path = self._folder / "tokenizer_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["model_max_length"] = self._setting.max_tokens
        config.pop("max_length", None)
        path.write_text(json.dumps(config), encoding="utf-8")
        place(plain_onnx(str(source), self._setting.folder or ""), self._folder / "model.onnx")

    def load(self) -> None:
        """Register the model, then load it from its folder."""
        from fastembed import TextEmbedding
        from fastembed.common.model_description import ModelSource, PoolingType

        setting = self._setting
        if setting.pooling not in ("mean", "cls"):
            raise ValueError(f"fastembed has no {setting.pooling} pooling")
        TextEmbedding.add_custom_model(
            model=_NAME,
            pooling=PoolingType.MEAN if setting.pooling == "mean" else PoolingType.CLS,
            normalization=setting.normalize,
            sources=ModelSource(hf=_NAME),
            dim=setting.dimensions,
            model_file="model.onnx",
        )
        self._model = TextEmbedding(
            _NAME,
            cache_dir=setting.folder,
            threads=setting.threads,
            specific_model_path=str(self._folder),
            local_files_only=True,
        )

    def encode(self, texts: list[str]) -> Vectors:
        """Its generator, collected."""
        import numpy as np

        if self._setting.entry.configuration == "default":
            return np.stack(list(self._model.embed(texts)))
        parallel = self.processes if self.processes > 1 else None
        return np.stack(list(self._model.embed(texts, batch_size=_BATCH, parallel=parallel)))
