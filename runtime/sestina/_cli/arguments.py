"""The arguments of a command that takes texts: which is the bundle, and which are texts."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from sestina._cli import compressed
from sestina._errors import BundleNotFoundError, InputError, OptionError

if TYPE_CHECKING:
    from sestina._cli.texts import Text

# Of what the commands read and write: an argument that ends so and has no spaces is meant as a path.
_SUFFIXES = (
    ".sestina", ".json", ".jsonl", ".npy", ".npz", ".csv", ".tsv", ".txt", ".parquet", ".arrow", ".onnx",
    ".ort",
)  # fmt: skip
_BUNDLE = ".sestina"
_SEPARATORS = os.sep + (os.altsep or "")


def add_arguments(parser: argparse.ArgumentParser, texts: str = "", what: str = "") -> None:
    """The bundle to work with, and the texts that the command takes after it.

    They are one list to argparse, which takes positional arguments up to the first option only;
    `take_bundle` tells them apart.

    Args:
        parser: The command's.
        texts: How usage shows the texts; "" where the command takes none.
        what: What they are.
    """
    shown = f"[BUNDLE] {texts}".strip()
    bundle = "directory of a bundle (default: the one that comes with sestina)"
    if texts:
        what += "; the first is BUNDLE where it is written as a path or something of its name is there, and "
        what += "what follows -- is text whatever it looks like"
    parser.usage = f"{parser.prog} [options] {shown}"
    parser.set_defaults(shape=shown)
    parser.add_argument("arguments", metavar=shown, nargs="*", help=f"{bundle}; {what}" if what else bundle)


def take_bundle(args: argparse.Namespace, least: int, most: int | None = None) -> list[str]:
    """Set `args.bundle` and return the texts.

    The first argument is the bundle where it is written as a path or something of its name is there, or
    where it is one more than the texts that the command takes. What comes after -- is a text, whatever it
    looks like.

    Args:
        args: With `arguments`, and those after --, `dashed`.
        least: Texts that the command needs.
        most: Texts that it takes; None: any number.

    Raises:
        OptionError: Where there are too few or too many.
        BundleNotFoundError: Where the first is written as a path and nothing is there.
    """
    given: list[str] = args.arguments
    dashed: list[str] = args.dashed
    if most == 0:
        given, dashed = given + dashed, []
    count = len(given) + len(dashed)
    counted = most is not None and count == most + 1
    named = bool(given) and (counted or looks_like_path(given[0]))
    args.bundle, texts = (given[0], given[1:] + dashed) if named else (None, given + dashed)
    if len(texts) < least or (most is not None and len(texts) > most):
        told = f"not {'1 argument' if count == 1 else f'{count} arguments'}"
        if named and len(texts) < least and most != 0:
            told = f"and {args.bundle} is taken for the BUNDLE: put -- before it if it is a text"
        raise OptionError(f"{args.command} takes {args.shape}, {told} (see sestina {args.command} --help)")
    if named and not counted and most != 0:
        _check_there(args)
    if hasattr(args, "input"):
        _check_no_file(texts[: len(texts) - len(dashed)])
    return texts


def check_stdin(args: argparse.Namespace) -> None:
    """Texts come in one way: what is piped in is not dropped for an argument that may be no text at all.

    Raises:
        OptionError: Where they come both ways.
    """
    from sestina._cli.files import stdin_has_data

    if args.texts and not args.dashed and stdin_has_data():
        raise OptionError(
            f"{args.texts[0]} is a TEXT argument, and texts come through standard input too: write a BUNDLE "
            "as a path, such as ./minilm, or put -- before the TEXT to leave standard input alone"
        )


def looks_like_path(argument: str) -> bool:
    """Whether an argument that may be a text is none: something is there, or it is written as a path is."""
    if os.path.lexists(argument):
        return True
    bare = argument.rstrip(_SEPARATORS)
    if not any(character.isspace() for character in argument):
        is_path = any(separator in argument for separator in _SEPARATORS) and "://" not in argument
        return is_path or compressed.plain_name(bare).endswith(_SUFFIXES)
    folder, name = os.path.split(bare)
    spaced = any(character.isspace() for character in name)
    in_folder = not spaced and folder.strip() != "" and os.path.isdir(folder)  # noqa: PTH112
    return name.lower().endswith(_BUNDLE) or in_folder


def _check_there(args: argparse.Namespace) -> None:
    """What was taken for the bundle by its looks alone is there, or may be."""
    path = args.bundle
    if _is_absent(path):
        is_bundle = path.rstrip(_SEPARATORS).lower().endswith(_BUNDLE)
        fix = "export one" if is_bundle else "put -- before it if it is a text"
        raise BundleNotFoundError(f"there is no bundle at {path}: check the path, or {fix}")
    if hasattr(args, "input"):
        _check_no_file([path])


def _is_absent(path: str) -> bool:
    """Whether there is certainly nothing; behind a closed door there may be."""
    try:
        os.lstat(path)
    except PermissionError:
        return False
    except (OSError, ValueError):  # of a null character
        return True
    return False


def _check_no_file(arguments: list[str]) -> None:
    """The name of a file is not encoded for what the file holds."""
    for path in arguments:
        if os.path.isfile(path) and not path.isalnum():  # noqa: PTH113  "Makefile" may be a word
            raise OptionError(
                f"{path} is a file: pass --input {path} to encode its texts, or put -- before it as a text"
            )


def argument_texts(values: list[str], name: str = "text") -> list[Text]:
    """Texts given as arguments, named by their place among them.

    Raises:
        InputError: Where one has bytes that are not in the encoding of the command line.
    """
    from sestina._cli.texts import Text

    texts = []
    for at, value in enumerate(values, start=1):
        where = f"{name} {at}" if len(values) > 1 else f"the {name}"
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"{where} is not valid UTF-8: pass it in a file, or convert it") from None
        texts.append(Text(value, where, None))
    return texts
