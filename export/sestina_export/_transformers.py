"""The library transformers, where it is installed: a reference, and the maker of what only it can make.

It is imported where it is asked for, which takes seconds. Nothing here lets it fetch anything, or run code
that comes with a folder.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

__all__ = ["auto_tokenizer", "installed", "offline", "quiet"]

_OLDEST = 5  # before it the classes read a folder in another way


def installed() -> str | None:
    """The version of transformers; None where there is none, or one that reads a folder in another way."""
    try:
        version = metadata.version("transformers")
    except metadata.PackageNotFoundError:
        return None
    major = version.split(".")[0]
    return version if major.isdigit() and int(major) >= _OLDEST else None


def auto_tokenizer(folder: str) -> Any:
    """The tokenizer that transformers makes of a folder."""
    from transformers import AutoTokenizer

    with offline():
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@contextmanager
def offline() -> Iterator[None]:
    """Whatever in there wanted to open a connection after all is refused it."""
    with _set("huggingface_hub.constants", "HF_HUB_OFFLINE", True):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Neither logs nor warnings of a library, nor bars of transformers'."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), _set("transformers.utils.logging", "_tqdm_active", False):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _set(module: str, name: str, value: object) -> Iterator[None]:
    """A global of a module that is imported already, set while the block runs."""
    names = vars(sys.modules[module]) if module in sys.modules else {}
    before = names.get(name)
    try:
        if name in names:
            names[name] = value
        yield
    finally:
        if name in names:
            names[name] = before
