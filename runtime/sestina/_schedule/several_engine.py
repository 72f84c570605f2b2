"""An engine whose graph gives more than vectors of texts: what is asked for, in one pass of the encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sestina._bundle.results import DENSE, MULTI_VECTOR, SPARSE, TENSORS, Results
from sestina._schedule.engine import Engine
from sestina._schedule.pipeline import flow
from sestina._schedule.sparse_engine import objects
from sestina._session.token_results import finished
from sestina._text.prompt import NO_PROMPT, Prompt
from sestina._text.truncation import TruncationWatch, Watch

if TYPE_CHECKING:
    from sestina._arrays import Ids
    from sestina._schedule.pipeline import Run
    from sestina._session.session import Run as Session


class SeveralEngine(Engine):
    """As `Engine`, and what the tokens of a text have besides its vector.

    Args:
        results: What that is.
        given: As `Engine` has them.
    """

    def __init__(self, results: Results, *given: Any) -> None:
        super().__init__(*given)
        self._results = results

    def lone(
        self, names: Sequence[str], text: str, watch: TruncationWatch, prompt: Prompt
    ) -> tuple[Any, ...]:
        """What is asked for of one text alone, by the quickest path: as a member of what `several` gives."""
        sessions = self.sessions()
        ids = self.ids([text], None, watch, prompt)
        if not ids[0]:
            return self._nothing(names)
        batch = np.array(ids, dtype=np.int64)
        found: tuple[Any, ...] = self._run(sessions.whole(), names, prompt.pooled_from, batch)[0]
        return found

    def several(
        self,
        names: Sequence[str],
        texts: Iterable[str | None],
        watch: Callable[[], Watch],
        on_progress: Callable[[int], object],
        prompt: Prompt = NO_PROMPT,
    ) -> Iterator[Any]:
        """What is asked for of one window of texts after the other, in order.

        Args:
            names: Of `Results.names`, each once; vectors alone are cheaper by `vectors`.
            texts: The texts.
            watch: As `vectors` has it.
            on_progress: The same.
            prompt: What stands before each text.

        Yields: (n,) objects, each a tuple in the order of the names: of dense (d,), of sparse a `Row` of
            indices and weights, of multi-vector (m, d).
        """
        begun = self._begin_all(texts, watch, prompt, partial(self._several, names))
        return flow(begun, lambda count: objects([self._nothing(names)] * count), on_progress)

    def _several(self, names: Sequence[str], start: int) -> Run:
        return partial(self._run, self.sessions().whole_shared(), names, start)

    def _run(self, session: Session, names: Sequence[str], start: int, batch: Ids) -> Any:
        """One batch of texts of one length: (B,) objects as `several` gives them."""
        found = session.run_for([TENSORS[name] for name in names], batch, start)
        return objects(
            [
                tuple(finished(name, self._results, ids, found[TENSORS[name]][at]) for name in names)
                for at, ids in enumerate(batch)
            ]
        )

    def _nothing(self, names: Sequence[str]) -> tuple[Any, ...]:
        """What is asked for, of a text without tokens."""
        vectors = self._results.multi_vector
        blank = {
            DENSE: np.zeros(self._width, dtype=np.float32),
            SPARSE: (np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)),
            MULTI_VECTOR: np.zeros((0, 0 if vectors is None else vectors.dimensions), dtype=np.float32),
        }
        return tuple(blank[name] for name in names)


class WeightsEngine(SeveralEngine):
    """The same, asked for sparse vectors alone: `vectors` and `row` are those of a `SparseEngine`."""

    def row(self, text: str, watch: TruncationWatch, prompt: Prompt = NO_PROMPT) -> Any:
        """Of one text alone."""
        return self.lone((SPARSE,), text, watch, prompt)[0]

    def vectors(
        self,
        texts: Iterable[str | None],
        watch: Callable[[], Watch],
        on_progress: Callable[[int], object],
        prompt: Prompt = NO_PROMPT,
    ) -> Iterator[Any]:
        """Of one window of texts after the other: (n,) objects, each a `Row`."""
        several: Any = self.several((SPARSE,), texts, watch, on_progress, prompt)
        with closing(several):
            for found in several:
                yield objects([row for (row,) in found])
