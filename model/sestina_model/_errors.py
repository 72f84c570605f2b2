"""The errors of this package: one root, and leaves that are also the builtin they specialise.

Messages are one line: the value, what is allowed, and the fix. Whatever name or text a message quotes, one
line of bounded length comes out.
"""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DivergenceError",
    "FileError",
    "ModelError",
    "UnsupportedCheckpointError",
]

_LONGEST = 2000  # characters of a message


def _in_one_line(text: str) -> str:
    """Text as one printable line of bounded length: its middle gives way, and what cannot be seen is escaped.

    As the runtime has it for its own errors, which this package does not import.
    """
    if len(text) > _LONGEST:
        tail = _LONGEST // 3
        text = f"{text[: _LONGEST - tail - 5]} ... {text[-tail:]}"
    if text.isprintable():
        return text
    text = "".join(_visible(character) for character in " ".join(text.split()))
    return text if len(text) <= _LONGEST else _in_one_line(text)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


class ModelError(Exception):
    """Root of every error that `sestina_model` raises on purpose."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(_in_one_line(each) if isinstance(each, str) else each for each in arguments))


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
