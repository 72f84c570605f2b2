"""The package that an integration is for: it is there, or one line says how to get it."""

from __future__ import annotations

from types import TracebackType

from sestina import MissingExtraError


class Host:
    """A block that imports a host: `with Host("langchain-core"): from langchain_core import ...`.

    Args:
        package: What pip calls it, and what it needs beside it, with spaces between.

    Raises:
        MissingExtraError: Where a module that the block imports is not installed.
    """

    def __init__(self, package: str) -> None:
        self._package = package

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, ModuleNotFoundError) and not isinstance(error, MissingExtraError):
            packages = " ".join(f'"{each}"' for each in self._package.split())
            raise MissingExtraError(
                f"{error.name} is not installed: pip install {packages}", name=error.name
            ) from error
