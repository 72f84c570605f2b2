"""In which numbers a device multiplies while it trains, and by what: bfloat16 where it is built for that."""

from __future__ import annotations

import torch

__all__ = ["fast_products", "has_bfloat16", "prepare"]


def has_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are faster there than in float32: CUDA, and CPUs with AVX512_BF16 or AMX.

    Other CPUs convert back and forth, which costs more than it saves.
    """
    if device.type != "cpu":
        return device.type == "cuda"
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def fast_products(device: torch.device) -> torch.autocast:
    """A context in which products are in bfloat16 where that is fast; weights and sums stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


def prepare(device: torch.device) -> None:
    """What this process is to do on a GPU from now on while it trains; nothing on a CPU."""
    if device.type == "cuda":
        # What is not in bfloat16 is in TF32: three decimal digits of a factor, and sums as ever.
        torch.set_float32_matmul_precision("high")
        # cuDNN's plans for every new shape, and there are hundreds: 27 seconds for a pool that takes 12.
        torch.backends.cuda.enable_cudnn_sdp(False)
