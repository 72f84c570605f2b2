"""Every error that Sestina raises on purpose: one root, and leaves that are also a builtin.

Messages are one line: the value, what is allowed, and the fix. Whatever name or text a message quotes, one
line of bounded length comes out.
"""

from sestina._quote import in_one_line

__all__ = [
    "BundleError",
    "BundleFormatError",
    "BundleIntegrityError",
    "BundleNotFoundError",
    "BundlePermissionError",
    "ClosedError",
    "EmptyTextError",
    "EmptyTextWarning",
    "ForkError",
    "InputError",
    "MissingExtraError",
    "OptionError",
    "OutputError",
    "ProviderError",
    "ProviderWarning",
    "SestinaError",
    "TextTypeError",
    "TextValueError",
    "TruncationError",
    "TruncationWarning",
    "UnknownAttributeError",
    "UsageError",
]


def _lines(arguments: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(in_one_line(each) if isinstance(each, str) else each for each in arguments)


class SestinaError(Exception):
    """Root of every error that Sestina raises on purpose."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*_lines(arguments))


class BundleError(SestinaError):
    """Something about a bundle keeps it from being loaded."""


class BundleNotFoundError(BundleError, FileNotFoundError):
    """There is no bundle at the path given."""


class BundleFormatError(BundleError, ValueError):
    """The path holds no bundle, or one of a format that this version does not read."""


class BundleIntegrityError(BundleError, ValueError):
    """A file of the bundle is missing, truncated or altered, or lies outside the bundle."""


class BundlePermissionError(BundleError, PermissionError):
    """The operating system does not let this process read the bundle."""


class OptionError(SestinaError, ValueError):
    """An option has a value that is not allowed, or that this bundle cannot serve."""


class UsageError(SestinaError, TypeError):
    """A call is written as another library has it; the message says what to write here."""


class UnknownAttributeError(SestinaError, AttributeError):
    """An attribute has the name that another library gives it; the message says what to write.

    Attributes:
        name: Which; `obj`: of what, as in every `AttributeError`.
    """

    def __init__(self, message: str, *, name: str | None = None, obj: object = None) -> None:
        super().__init__(message)
        self.name, self.obj = name, obj


class ProviderError(SestinaError, RuntimeError):
    """No execution provider that was allowed could run the bundle."""


class ProviderWarning(UserWarning):
    """No provider that was named could run the bundle, so the CPU does; the message says why not."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*_lines(arguments))


class TextTypeError(SestinaError, TypeError):
    """What was given as a text is not a `str`."""


class TextValueError(SestinaError, ValueError):
    """A text is not valid Unicode (it holds lone surrogates), too long to look inside, or has no tokens.

    The last is where a bundle's tokenizer knows no token for what is in the text, and none for the unknown.
    """


class _OneText(Exception):  # noqa: N818  a part of what is raised
    """What is said of one text.

    Attributes:
        position: Of the text in the input, from 0; None where it was given alone.
    """

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class _SomeTexts(UserWarning):
    """What is said of some texts at once.

    Attributes:
        count: How many they are.
        first: Position of the first in the input, from 0; None where it was given alone.
    """

    def __init__(self, message: str, *, count: int = 1, first: int | None = None) -> None:
        super().__init__(*_lines((message,)))
        self.count = count
        self.first = first


class EmptyTextError(_OneText, TextValueError):
    """A text has no token of its own, and `on_empty` is "error", or it was meant for a store.

    Attributes:
        position: Of the text in the input, from 0; None where it was given alone.
    """


class EmptyTextWarning(_SomeTexts):
    """A text has no token of its own, and got a zero vector.

    Attributes:
        count: How many texts did.
        first: Position of the first in the input, from 0; None where it was given alone.
    """


class TruncationError(_OneText, SestinaError, ValueError):
    """A text is longer than the bundle reads, and `on_truncate` is "error".

    Attributes:
        position: Of the text in the input, from 0; None where it was given alone.
    """


class TruncationWarning(_SomeTexts):
    """A text is longer than the bundle reads; only its beginning was encoded.

    Attributes:
        count: How many texts were.
        first: Position of the first in the input, from 0; None where it was given alone.
    """


class ClosedError(SestinaError, RuntimeError):
    """The encoder was used after `close()`, or where Python's end takes away what it needs."""


class ForkError(SestinaError, RuntimeError):
    """What was begun in another process was used in its fork, where the threads for it do not exist."""


class InputError(SestinaError, ValueError):
    """A file given to the command line cannot be read as asked."""


class OutputError(SestinaError, OSError):
    """A file that the caller asked for cannot be written."""


class MissingExtraError(SestinaError, ModuleNotFoundError):
    """A command needs an optional part of Sestina that is not installed.

    Attributes:
        name: Of the module that is missing, as in every `ImportError`.
    """

    def __init__(self, message: str, *, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name
