"""Facts to standard output, messages to standard error, and what to do where they cannot be written."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from sestina._errors import OutputError

# Controls, line breaks, what turns the direction of a line around, and halves of characters.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# The longest message, in characters. Of a longer one the beginning stays, and the end, which has the fix.
_LONGEST, _GAP, _END = 1000, " [...] ", 300


def prepare() -> None:
    """Make standard output UTF-8 in files and pipes, never fail on a character the terminal lacks, and keep
    it to ourselves.
    """
    _occupy_descriptors()
    if hasattr(sys.stdout, "reconfigure"):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
        _keep_from_libraries()


def _occupy_descriptors() -> None:
    """Where a standard stream is closed let nothing else have its descriptor.

    The next file to be opened would: a library's chatter on descriptor 1 would then end up in an output file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free


def _keep_from_libraries() -> None:
    """Let libraries of providers, which print to descriptor 1, print to standard error instead.

    Their lines would end up among vectors and JSON, some of them when the process ends.
    """
    try:
        if sys.stdout.fileno() != 1:
            return  # a test's capture, or done before
        own = os.dup(1)
    except (AttributeError, OSError, ValueError):
        return
    try:
        os.dup2(2, 1)
    except OSError:  # standard error is closed
        os.close(own)
        return
    # Not by FileIO: a console of Windows takes characters, which only `open` knows of.
    sys.stdout = os.fdopen(
        own,
        "w",
        1 if sys.stdout.line_buffering else -1,
        encoding=sys.stdout.encoding,
        errors=sys.stdout.errors,
        closefd=False,  # like Python's own: open to the end
    )


def say(line: str) -> None:
    """Print one line of facts, for people: what could disturb a terminal is escaped."""
    write(one_line(line))


def say_json(document: object) -> None:
    """Print one JSON document; numbers that JSON cannot hold (NaN, infinities) become null."""
    write(json.dumps(_finite(document), indent=2, ensure_ascii=False))


def write(text: str) -> None:
    """Print text for programs, as it is, and a line break.

    Raises:
        OutputError: Where standard output is closed, or cannot be written.
    """
    if sys.stdout is None:
        raise closed_stdout()
    try:
        sys.stdout.write(text + "\n")
    except OSError as error:
        raise stdout_error(error) from None


def closed_stdout() -> OutputError:
    """The error to raise where there is no standard output."""
    return OutputError("standard output cannot be written: it is closed")


def flush() -> None:
    """Let nothing stay behind in standard output's buffer, where an error would come too late."""
    if sys.stdout is None:
        return  # nothing was written either
    try:
        sys.stdout.flush()
    except OSError as error:
        raise stdout_error(error) from None


def stdout_error(error: OSError) -> OSError:
    """The error to raise where standard output cannot be written: a closed pipe is no failure."""
    if isinstance(error, BrokenPipeError):
        return error
    abandon()
    return OutputError(f"standard output cannot be written: {error.strerror or error}")


def abandon() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail on it when it ends."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return  # not a real file (a test's capture)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def error(message: str) -> None:
    """Print the one line that says why the command failed."""
    _message(f"error: {message}")


def warning(message: str) -> None:
    """Print one line about something that was done otherwise than one might think."""
    _message(f"warning: {message}")


def step(message: str) -> None:
    """Print one line on what is being done now, for a person who waits at a terminal."""
    if is_terminal(sys.stderr):
        _message(message)


def show_bar(*, stdout_used: bool) -> bool:
    """Whether to draw a progress bar: at a terminal, unless the results themselves scroll over it."""
    if not is_terminal(sys.stderr) or (stdout_used and is_terminal(sys.stdout)):
        return False
    return importlib.util.find_spec("tqdm") is not None


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sits at this standard stream (which may be closed, or absent)."""
    return stream is not None and not stream.closed and stream.isatty()


def one_line(text: str) -> str:
    """The text with control characters, line breaks and the like escaped: it cannot disturb a terminal."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def size(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def _message(line: str) -> None:
    # Absent, full or closed: then there is nobody to tell.
    with contextlib.suppress(AttributeError, LookupError, OSError, ValueError):
        told = _shortened(one_line(" ".join(_shortened(line).splitlines())))
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        told = told.encode(encoding, "backslashreplace").decode(encoding)
        sys.stderr.write(f"sestina: {_shortened(told)}\n")
        sys.stderr.flush()


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    return line[: _LONGEST - len(_GAP) - _END] + _GAP + line[-_END:]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def agreement(parity: Mapping[str, Any]) -> str:
    """A variant's measured agreement with PyTorch, in a few words; what is not stated is left out."""
    tolerance = f"tolerance {parity['tolerance']:.2g}"
    worst = _number(parity, "goldens", "worst")
    if worst is None:
        return tolerance
    near = f"goldens within {worst:.2g} of PyTorch ({tolerance})"
    correlation, overlap = (_number(parity, "ranks", name) for name in ("rank_correlation", "top_overlap"))
    if correlation is not None and overlap is not None:
        return f"rank correlation with PyTorch {correlation:.4f}, top-5 overlap {overlap:.0%}, {near}"
    f1 = _number(parity, "spans", "f1")
    if f1 is not None:
        return f"F1 of spans {f1:.4f} against PyTorch's, {near}"
    agreed, off = (_number(parity, "labels", name) for name in ("agreement", "probability_error"))
    if agreed is not None and off is not None:
        return f"{agreed:.1%} of labels as PyTorch's, probabilities {off:.2g} off on average, {near}"
    mean, least, texts = (_number(parity, "cosine", name) for name in ("mean", "worst", "texts"))
    if mean is None or least is None or texts is None:
        return near
    far = f"cosine to PyTorch {mean:.4f} on average, {least:.4f} at worst"
    return f"{far} over {texts:.0f} texts held back, {near}"


def _number(parity: Mapping[str, Any], part: str, name: str) -> float | None:
    """A number that a bundle MAY state, if it does."""
    found = parity.get(part)
    value = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > sys.float_info.max:
        return None
    return float(value)
