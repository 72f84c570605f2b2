"""The Transformer encoder in PyTorch: model, tokenizer training, checkpoints."""

from sestina_model._errors import (
    CheckpointError,
    ConfigError,
    DivergenceError,
    FileError,
    ModelError,
    UnsupportedCheckpointError,
)

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DivergenceError",
    "FileError",
    "ModelError",
    "UnsupportedCheckpointError",
]
