"""Byte Pair Encoding: learn a tokenizer from lines of text, and load the one learned for English.

A text is brought to NFKC and lower case, split into words and single punctuation marks, and each of these is
spelled in bytes behind a boundary mark. Since all 256 bytes are entries, no text ever has an unknown token.

On a command line: `python -m sestina_model.bpe INPUT... --output tokenizer.json`.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import gzip
import importlib.resources
import json
import lzma
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from sestina_model._errors import ConfigError, FileError, ModelError
from sestina_model._folders import keep_mode

__all__ = ["PAD", "PAD_ID", "english", "main", "train"]

PAD = "<pad>"
PAD_ID = 0

_ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
_SMALLEST = len(_ALPHABET) + 1  # every byte, and the padding entry


def train(
    lines: Iterable[str], *, vocab_size: int = 12_000, min_frequency: int = 2, progress: bool = False
) -> Tokenizer:
    """Learn a byte-level BPE. The same lines give the same tokenizer, byte for byte once saved.

    Args:
        lines: Any iterable of text, read once; only the counts of distinct words are held in memory.
        vocab_size: Entries to learn, `<pad>` and the 256 bytes included. Poor text may yield fewer.
        min_frequency: How often a pair must occur to become an entry.
        progress: Whether to draw progress bars on standard error.

    Raises:
        ConfigError: Where a number is too small, or `lines` does not yield text.
    """
    for name, value, smallest in (("vocab_size", vocab_size, _SMALLEST), ("min_frequency", min_frequency, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
            raise ConfigError(f"{name} is {value!r}; it must be a whole number of at least {smallest}")
    if isinstance(lines, str | bytes):
        raise ConfigError(f"lines is one {type(lines).__name__}; pass an iterable of lines, as in [text]")
    tokenizer = _untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=progress,
        special_tokens=[PAD],  # takes the first id, PAD_ID
        initial_alphabet=_ALPHABET,
    )
    tokenizer.train_from_iterator(_checked(lines), trainer)
    return _without_added_tokens(tokenizer)


def english() -> Tokenizer:
    """The project's English tokenizer, a fresh copy at each call."""
    file = importlib.resources.files("sestina_model").joinpath("english.tokenizer.json")
    return Tokenizer.from_str(file.read_text(encoding="utf-8"))


def _untrained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("isolated"),
            # The boundary mark stands before marks of punctuation too, so `model !` and `model!` are the
            # same tokens. It takes the place of no character, so offsets need no trimming afterwards.
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _checked(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not isinstance(line, str):
            raise ConfigError(f"line {number} is {type(line).__name__}; it must be str: decode it first")
        try:
            line.encode()
        except UnicodeEncodeError as error:
            found = line[error.start]
            raise ConfigError(
                f"line {number} holds the lone surrogate {found!r}; decode the text with errors='replace'"
            ) from None
        yield line


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """Keep `<pad>` in the vocabulary but not among the tokens that are searched for in a text.

    The trainer makes it an added token, and then a user who types `<pad>` would get the padding id.
    """
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(state))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 on an error, 130 on an interrupt; usage errors exit 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sestina_model.bpe", description="Learn a byte-level BPE tokenizer from lines of text."
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="UTF-8 text, one passage a line; .xz, .gz, or - for stdin"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the tokenizer.json to write"
    )
    parser.add_argument(
        "--vocab-size", type=int, default=12_000, metavar="N", help="entries (default: 12000)"
    )
    parser.add_argument(
        "--min-frequency",
        type=int,
        default=2,
        metavar="N",
        help="occurrences that make a pair an entry (default: 2)",
    )
    args = parser.parse_args(argv)
    try:
        tokenizer, n_lines = _train_files(args.inputs, args.output, args.vocab_size, args.min_frequency)
    except ModelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was written\n")
        return 130
    sys.stdout.write(f"{args.output}: {tokenizer.get_vocab_size()} entries from {n_lines} lines\n")
    return 0


def _train_files(
    names: list[str], output: Path, vocab_size: int, min_frequency: int
) -> tuple[Tokenizer, int]:
    for name in names:  # all of them before the first: training takes minutes
        if name != "-" and (not os.access(name, os.R_OK) or Path(name).is_dir()):
            raise FileError(
                f"{name} is not a file that can be read; INPUT must be text files, or - for standard input"
            )
    n_lines = 0

    def counted() -> Iterator[str]:
        nonlocal n_lines
        for name in names:
            for line in _read_lines(name):
                n_lines += 1
                yield line

    with _replacing(output) as file:
        tokenizer = train(
            counted(), vocab_size=vocab_size, min_frequency=min_frequency, progress=sys.stderr.isatty()
        )
        if not n_lines:
            raise FileError(f"{', '.join(names)} holds no line; there is nothing to learn from")
        file.write(tokenizer.to_str().encode() + b"\n")
    return tokenizer, n_lines


def _read_lines(name: str) -> Iterator[str]:
    with _open(name) as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            try:
                yield text.decode()
            except UnicodeDecodeError as error:
                byte = text[error.start]
                raise FileError(
                    f"{name} line {number} has the byte 0x{byte:02x}, not UTF-8; convert the file to UTF-8"
                ) from None


@contextlib.contextmanager
def _open(name: str) -> Iterator[Iterable[bytes]]:
    try:
        if name == "-":
            yield sys.stdin.buffer
            return
        with Path(name).open("rb") as file:
            if name.endswith(".xz"):
                with lzma.open(file) as lines:
                    yield lines
            elif name.endswith(".gz"):
                with gzip.open(file) as lines:
                    yield lines
            else:
                yield file
    except FileError:
        raise
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(
            f"{name} cannot be read ({reason}); INPUT must be UTF-8 text, or that in a whole .xz or .gz"
        ) from None


@contextlib.contextmanager
def _replacing(output: Path) -> Iterator[BinaryIO]:
    """A new file beside `output` that takes its place at the end, or vanishes on any error.

    It is opened before the work so that an output that cannot be written is refused at once.
    """
    target = Path(os.path.realpath(output))  # a symbolic link keeps pointing at what is written
    if os.path.lexists(target) and not target.is_file():  # a device or a folder must not be replaced
        raise FileError(f"{output} is not a regular file; --output must name a file to write or replace")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            keep_mode(target, temporary)
            yield file
        temporary.replace(target)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"{output} cannot be written ({error.strerror or error}); choose another --output"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
