"""Encoders of real size beside transformers' own in PyTorch: `python tests/speed/families.py modernbert nomic_bert`.

Each is made from a seed by transformers, saved, and read back, so that both compute the same; states are compared
before they are timed. fp32, one thread, in turn. No test: a figure is worth something on a quiet machine alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent / name) for name in ("runtime", "model", "export")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from sestina._onnxruntime import onnxruntime, session_options  # noqa: E402
from sestina_export._build import build_graph  # noqa: E402
from sestina_export._graph.states_part import in_parts  # noqa: E402
from sestina_export._variants import CPU_FP32  # noqa: E402
from sestina_model.config import HeadConfig  # noqa: E402
from sestina_model.pretrained.families import read_architecture  # noqa: E402
from sestina_model.pretrained.weights import read_encoder, weight_files  # noqa: E402
from sestina_model.sentence import SentenceEncoder  # noqa: E402

_VOCABULARY = {
    "vocab_size": 2000,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}  # tables take no time
_BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 12}
# transformers' class, and what of its configuration makes the size that people use.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertModel", _BASE),
    "mpnet": ("MPNetModel", _BASE),
    "modernbert": (
        "ModernBertModel",
        {"cls_token_id": 1, "sep_token_id": 2},
    ),  # 22 layers: base is its default
    "nomic_bert": ("NomicBertModel", {**_BASE, "max_position_embeddings": 2048}),
}
SHAPES = ((1, 16), (1, 64), (4, 64), (1, 512))
_SECONDS = 3.0  # of each shape


def graph_and_reference(name: str, folder: Path) -> tuple[Any, Any]:
    """Our graph in a session, and the model that it is of."""
    kind, config = MODELS[name]
    model_class = getattr(transformers, kind)
    torch.manual_seed(0)
    model = model_class(model_class.config_class(**_VOCABULARY, **config)).eval()
    model.save_pretrained(folder)
    stated = json.loads((folder / "config.json").read_text("utf-8"))
    encoder, _ = read_encoder(weight_files(folder), read_architecture(stated, folder / "config.json"))
    ours = SentenceEncoder(encoder, HeadConfig(max_tokens=min(512, encoder.config.max_positions))).eval()
    graph = build_graph(ours, CPU_FP32, CPU_FP32.form(None, ()), {"sestina": "speed"})  # type: ignore[arg-type]
    whole = b"".join(in_parts(graph))
    make = onnxruntime().InferenceSession
    return make(whole, session_options(1), providers=["CPUExecutionProvider"]), model


def in_turn(ours: Callable[[], object], theirs: Callable[[], object]) -> float:
    """How many times faster ours is: the ratio of medians."""
    seconds: tuple[list[float], list[float]] = ([], [])
    until = time.perf_counter() + _SECONDS
    while time.perf_counter() < until or len(seconds[0]) < 5:
        for call, found in zip((ours, theirs), seconds, strict=True):
            begun = time.perf_counter()
            call()
            found.append(time.perf_counter() - begun)
    return median(seconds[1]) / median(seconds[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("names", nargs="+", choices=sorted(MODELS), metavar="NAME", help=", ".join(MODELS))
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    for name in parser.parse_args().names:
        with tempfile.TemporaryDirectory() as folder:
            session, model = graph_and_reference(name, Path(folder))
        for shape in SHAPES:
            ids = np.random.default_rng(0).integers(5, _VOCABULARY["vocab_size"], shape)
            tensor = torch.from_numpy(ids)
            with torch.inference_mode():
                wanted = model(input_ids=tensor).last_hidden_state.numpy()
                (states,) = session.run(["last_hidden_state"], {"input_ids": ids})
                assert abs(states - wanted).max() < 1e-4 * abs(wanted).max(), (name, shape)
                ours = partial(session.run, ["sentence_embedding"], {"input_ids": ids})
                ratio = in_turn(ours, partial(model, input_ids=tensor))
            print(f"{name}, {shape[0]} x {shape[1]} tokens: {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
