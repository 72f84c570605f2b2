"""In which numbers a device multiplies while it trains: bfloat16 where it is built for that."""

from __future__ import annotations

import torch

__all__ = ["fast_products", "has_bfloat16"]


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
