"""The errors of this package: one root, and leaves that are also the builtin they specialise."""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DivergenceError",
    "FileError",
    "ModelError",
    "UnsupportedCheckpointError",
]


class ModelError(Exception):
    """Root of every error that `sestina_model` raises on purpose."""


class ConfigError(ModelError, ValueError):
    """A configuration value is outside what the encoder allows."""


class DivergenceError(ModelError, ArithmeticError):
    """Training has left the weights infinite or no numbers at all."""


class FileError(ModelError, OSError):
    """A file of text cannot be read, or a result cannot be written."""


class CheckpointError(ModelError, ValueError):
    """A checkpoint folder is incomplete, or its tensors do not fit its configuration."""


class UnsupportedCheckpointError(CheckpointError, NotImplementedError):
    """A checkpoint is sound but needs a feature that Sestina's encoder does not have."""
