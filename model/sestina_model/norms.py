"""Normalisation of one token's vector: around its mean, or by its size alone."""

from __future__ import annotations

from torch import nn

from sestina_model.config import EncoderConfig

__all__ = ["make_norm"]


def make_norm(config: EncoderConfig, width: int) -> nn.Module:
    """LayerNorm (Ba et al. 2016), or x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019, section 4).

    Args:
        config: With its kind and its eps.
        width: Of the last axis, which it works on.
    """
    if config.norm_kind == "rms":
        return nn.RMSNorm(width, eps=config.layer_norm_eps)
    return nn.LayerNorm(width, eps=config.layer_norm_eps, bias=config.norm_bias)
