"""What is right, computed by others: plain onnxruntime and plain tokenizers on the files as they were made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import tokenizers

TEXTS = (
    "the transformer is an innovative nlp model",
    "a",
    "",
    "Attention relates the tokens, of a sequence!",
    "注意力 naïve 👍🏽 [SEP] <s>",
    "model " * 90,
    "a",
)


class Reference:
    """The vectors that a bundle's own fp32 graph has for token ids, and the ids of texts."""

    def __init__(self, bundle: Path) -> None:
        manifest = json.loads((bundle / "manifest.json").read_text())
        self.max_tokens = manifest["contract"]["max_tokens"]
        self.width = manifest["contract"]["dimensions"]
        self.d_model = manifest["encoder"]["d_model"]
        self.vocabulary = manifest["encoder"]["vocab_size"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        content = (bundle / "cpu-fp32.onnx").read_bytes()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._tokenizer = tokenizer(bundle / "tokenizer.json", self.max_tokens)

    def of_ids(self, ids: Sequence[int]) -> np.ndarray:
        """(d,) float32."""
        if not ids:
            return np.zeros(self.width, dtype=np.float32)
        found: np.ndarray = self._session.run(["sentence_embedding"], {"input_ids": np.array([ids])})[0][0]
        return found

    def ids(self, text: str) -> list[int]:
        """Cut at the limit."""
        found: list[int] = self._tokenizer.encode(text).ids
        return found

    def of(self, text: str) -> np.ndarray:
        """(d,) float32 of a text."""
        return self.of_ids(self.ids(text))


def tokenizer(file: Path, max_tokens: int) -> tokenizers.Tokenizer:
    """A tokenizer.json as the library reads it, with the bundle's limit and no padding."""
    found = tokenizers.Tokenizer.from_file(str(file))
    found.no_padding()
    found.enable_truncation(max_tokens)
    return found
