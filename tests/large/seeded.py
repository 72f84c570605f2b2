"""Folders of large encoders as Hugging Face lays them out: weights drawn from a seed, in shards, and a small tokenizer.

Shards are drawn and written one after another, so that making a folder takes the memory of one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import _tiny

_SHARD = 512 << 20  # bytes
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Shapes = dict[str, tuple[int, ...]]

XLM_R_LARGE = {
    "architectures": ["XLMRobertaModel"],
    "model_type": "xlm-roberta",
    "vocab_size": 250002,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "position_embedding_type": "absolute",
}


QWEN3_0_6B = {
    "architectures": ["Qwen3Model"],
    "model_type": "qwen3",
    "vocab_size": 151669,
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "max_position_embeddings": 32768,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "rope_theta": 1000000,
    "rope_scaling": None,
    "sliding_window": None,
    "use_sliding_window": False,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def xlm_roberta(config: dict[str, Any]) -> Shapes:
    """Names and shapes of the weights of an XLM-R encoder, as transformers saves them."""
    d, d_ff = config["hidden_size"], config["intermediate_size"]
    shapes: Shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], d),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], d),
        **_norm("embeddings.LayerNorm", d),
    }
    for layer in range(config["num_hidden_layers"]):
        base = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            shapes |= _linear(f"{base}.attention.self.{name}", d, d)
        shapes |= _linear(f"{base}.attention.output.dense", d, d)
        shapes |= _norm(f"{base}.attention.output.LayerNorm", d)
        shapes |= _linear(f"{base}.intermediate.dense", d, d_ff)
        shapes |= _linear(f"{base}.output.dense", d_ff, d)
        shapes |= _norm(f"{base}.output.LayerNorm", d)
    return shapes


def write(
    folder: Path, config: dict[str, Any], shapes: Shapes, *, dtype: str = "float32", seed: int = 0
) -> None:
    """Write a folder whose vectors are neither all alike nor beyond float32."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    shards = list(_shards(shapes))
    index: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        tensors = {name: _drawn(name, shapes[name], generator).to(_DTYPES[dtype]) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(names, file)
    _json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": index})
    _json(folder / "config.json", config)


def float32_bytes(folder: Path) -> int:
    """The size of one copy of its weights."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            names = list(opened.keys())
            total += sum(4 * math.prod(opened.get_slice(name).get_shape()) for name in names)
    return total


def write_xlm_roberta(folder: Path) -> None:
    """XLM-R large."""
    config = XLM_R_LARGE
    write(folder, config, xlm_roberta(config))
    _tiny.tiny_xlm_roberta().save(str(folder / "tokenizer.json"))
    _json(
        folder / "tokenizer_config.json", {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 512}
    )


def qwen3(config: dict[str, Any]) -> Shapes:
    """Names and shapes of the weights of a Qwen3 encoder, as transformers saves them."""
    d, d_ff, d_head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * d_head, config["num_key_value_heads"] * d_head
    shapes: Shapes = {"embed_tokens.weight": (config["vocab_size"], d), "norm.weight": (d,)}
    for layer in range(config["num_hidden_layers"]):
        base = f"layers.{layer}"
        shapes |= {
            f"{base}.input_layernorm.weight": (d,),
            f"{base}.self_attn.q_proj.weight": (queries, d),
            f"{base}.self_attn.k_proj.weight": (keys, d),
            f"{base}.self_attn.v_proj.weight": (keys, d),
            f"{base}.self_attn.o_proj.weight": (d, queries),
            f"{base}.self_attn.q_norm.weight": (d_head,),
            f"{base}.self_attn.k_norm.weight": (d_head,),
            f"{base}.post_attention_layernorm.weight": (d,),
            f"{base}.mlp.gate_proj.weight": (d_ff, d),
            f"{base}.mlp.up_proj.weight": (d_ff, d),
            f"{base}.mlp.down_proj.weight": (d, d_ff),
        }
    return shapes


def write_qwen3(folder: Path) -> None:
    """Qwen3-Embedding's smallest, in bfloat16 as it is published, read for its last token."""
    write(folder, QWEN3_0_6B, qwen3(QWEN3_0_6B), dtype="bfloat16")
    _tiny.tiny_bpe().save(str(folder / "tokenizer.json"))
    _json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512},
    )


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _shards(shapes: Shapes) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        names.append(name)
        size += 4 * torch.Size(shape).numel()
        if size >= _SHARD:
            yield names
            names, size = [], 0
    if names:
        yield names


def _drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Gains about 1, small biases, and matrices that keep the size of what they multiply."""
    noise = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        return 0.1 * noise + float(name.endswith("weight"))
    return noise.mul_(0.05 if "embeddings" in name else shape[-1] ** -0.5)


def _json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


SIZES: dict[str, Callable[[Path], None]] = {
    "xlm-roberta-large": write_xlm_roberta,
    "qwen3-0.6b": write_qwen3,
}
