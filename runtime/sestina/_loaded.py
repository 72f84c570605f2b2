"""What a bundle became in one process, and how another process comes by the same."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import TextContract
from sestina._errors import ClosedError
from sestina._process.fork import ForkLock, this_process
from sestina._process.native import opening
from sestina._providers.choice import Choice
from sestina._recipe import Recipe
from sestina._schedule.engine import Engine

if TYPE_CHECKING:
    from typing import Self

    from sestina._bundle.goldens import Verification
    from sestina._report import Report

    Describe = Callable[[bool], Report]


_CLOSED = "this encoder is closed: load the bundle again"


class Loaded(NamedTuple):
    """What a bundle became in one process.

    Attributes:
        process: The one in which it was loaded (`this_process`).
        bundle: The files.
        choice: The variant and the provider.
        engine: What encodes.
        tolerance: Of the goldens here.
        describe: Makes the report; is told whether this came of a fork.
        contract: The bundle's, or what that is for what it was loaded for.
    """

    process: object
    bundle: Bundle
    choice: Choice
    engine: Engine
    tolerance: float
    describe: Describe
    contract: TextContract


class Reloading:
    """What is loaded from a bundle, of whatever task, and what all of these have in common.

    By recipe: a copy, a pickle and a forked child load it anew.

    Args:
        loaded: What it is in this process.
        recipe: How it was loaded.
        again: Loads it by that.
    """

    def __init__(self, loaded: Loaded, recipe: Recipe, again: Callable[[Recipe], Reloading]) -> None:
        self._loaded, self._recipe, self._again = loaded, recipe, again
        self._contract = loaded.contract
        self._closed = self._reloaded = False
        self._lock = ForkLock()

    def __reduce__(self) -> tuple[Callable[[Recipe], Reloading], tuple[Recipe]]:
        """By recipe: where it arrives, or in a copy, the bundle is loaded anew, of the same space.

        Raises:
            ClosedError: After `close`.
        """
        if self._closed:
            raise ClosedError(_CLOSED)
        return self._again, (self._recipe,)

    @property
    def _engine(self) -> Engine:
        """What encodes in this process."""
        loaded = self._loaded
        if loaded.process is not this_process():
            if self._closed:
                raise ClosedError(_CLOSED)
            if self._recipe.on_fork == "reload":
                return self._lock.holding(self._reload)
        return loaded.engine

    def _reload(self) -> Engine:
        """In a forked child, at the first use: what was loaded there works only in the parent."""
        if self._loaded.process is not this_process():
            fresh = self._again(self._recipe)
            if self._closed:  # meanwhile
                fresh.close()
                raise ClosedError(_CLOSED)
            self._loaded, self._reloaded = fresh._loaded, True
        return self._loaded.engine

    @property
    def _bundle(self) -> Bundle:
        return self._loaded.bundle

    @property
    def max_tokens(self) -> int:
        """The length limit in tokens, special tokens included."""
        return self._contract.max_tokens

    @property
    def space(self) -> str:
        """Fingerprint of the embedding space: vectors are comparable where it is equal."""
        return self._bundle.manifest.space

    def verify(self) -> Verification:
        """Encode the bundle's goldens here and compare with what PyTorch made of them.

        Checks the SHA-256 of every file of the bundle too, the graphs of other variants included.

        Raises:
            BundleFormatError: Where the goldens cannot be read.
            BundleIntegrityError: Where a file is not the one that was exported.
            ClosedError, ForkError, ProviderError: As their names say.
        """
        with opening:
            from sestina._verification import verify

        return verify(self._engine, self._bundle, self._loaded.tolerance)

    def report(self) -> Report:
        """What was asked for, what is used, and why."""
        self._engine.sessions()  # those of this process
        return self._loaded.describe(self._reloaded)

    def __repr__(self) -> str:
        choice = self._loaded.choice
        return (
            f"<sestina.{type(self).__name__} {self._bundle.manifest.name}: {self._facts()}, "
            f"{self.max_tokens} tokens, {choice.variant.precision} on {choice.provider}>"
        )

    def _facts(self) -> str:
        """What is worth telling of it in a few words."""
        return f"{len(self._contract.labels)} labels"

    def close(self) -> None:
        """Free weights and files. Encoding or tokenizing then raises ClosedError; closing twice is fine."""
        self._closed = True
        self._loaded.engine.close()
        self._loaded.bundle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
