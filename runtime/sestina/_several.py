"""Several outputs of one pass: vectors, sparse vectors, matrices of tokens, as far as a bundle has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, cast

import numpy as np

from sestina._arguments import members, plain_str, text_sequence, truth
from sestina._bundle.results import DENSE, MULTI_VECTOR, SPARSE
from sestina._errors import OptionError, UsageError
from sestina._progress import progress_bar
from sestina._quote import quote
from sestina._schedule.several_engine import SeveralEngine
from sestina._schedule.sparse_engine import objects
from sestina._sparse_rows import gathered
from sestina._sparse_vectors import SparseVector, SparseVectors
from sestina._text.distinct import Distinct
from sestina._text.policy import OnEmpty, OnNull, Policy
from sestina._text.prompt import Prompt
from sestina._text.truncation import OnTruncate
from sestina._text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from typing import TypedDict

    from sestina._arrays import Embeddings, Vectors
    from sestina._bundle.manifest import TextContract
    from sestina._output import Output
    from sestina._schedule.engine import Engine

    class Options(TypedDict, total=False):
        """What else `Encoder.encode` takes."""

        prompt: str | None
        prompt_text: str | None
        dimensions: int | None
        on_truncate: OnTruncate
        on_null: OnNull
        on_empty: OnEmpty | None
        output: Output
        progress: bool


OutputName = Literal["dense", "sparse", "multi-vector"]
S = TypeVar("S")
M = TypeVar("M")

_BLANK = "zeros, no weights and no rows"


class Outputs(Generic[S, M]):
    """What `encode(texts, outputs=...)` gives: for one text, or for several in their order.

    `outputs` has the names of what was asked for; anything else is an error.
    """

    __slots__ = ("_found", "outputs")

    def __init__(self, found: dict[str, Any]) -> None:
        self.outputs: tuple[str, ...] = tuple(found)
        self._found = found

    @property
    def dense(self) -> Embeddings:
        """(d,) of one text, (n, d) of several, as `encode` gives them without `outputs`."""
        dense: Embeddings = self._of(DENSE)
        return dense

    @property
    def sparse(self) -> S:
        """A `SparseVector` of one text, `SparseVectors` of several."""
        return cast("S", self._of(SPARSE))

    @property
    def multi_vector(self) -> M:
        """(m, d) float32 of one text, a row for each token; of several a list of these."""
        return cast("M", self._of(MULTI_VECTOR))

    def _of(self, name: str) -> Any:
        if name not in self._found:
            raise UsageError(
                f"these outputs have no {name}: it was not asked for; write outputs={(*self.outputs, name)}"
            )
        return self._found[name]

    def __repr__(self) -> str:
        return f"<sestina.Outputs: {', '.join(self.outputs)}>"


class Asked(NamedTuple):
    """What is asked for, and how.

    Attributes:
        names: As they were given.
        prompt: What stands before each text.
        policy: Of texts over the limit, of null and of empty ones.
        finish: Makes of vectors (n, d) what is asked for.
        shaped: Whether that is another width or form.
        progress: Whether to show a bar.
    """

    names: object
    prompt: Prompt
    policy: Policy
    finish: Callable[[Vectors], Embeddings]
    shaped: bool
    progress: object


def several(
    engine: Engine, contract: TextContract, texts: object, asked: Asked, dense: Callable[[], Embeddings]
) -> Outputs[Any, Any]:
    """All that is asked for of one text or of a sequence of them.

    Args:
        engine: Encodes.
        contract: Of the bundle.
        texts: As `Encoder.encode` takes them.
        asked: The rest of its arguments.
        dense: Gives the same texts' vectors alone.

    Raises: as `Encoder.encode`.
    """
    names = _asked(asked.names, contract, shaped=asked.shaped)
    if names == (DENSE,):  # which any engine gives
        return Outputs({DENSE: dense()})
    assert isinstance(engine, SeveralEngine)  # noqa: S101  that of a bundle which gives more is
    watch = asked.policy.watch(contract.max_tokens, prompted=bool(asked.prompt.text), blank=_BLANK)
    show, tokens, text = truth("progress", asked.progress), Vocabulary(engine.tokenizer), plain_str(texts)
    if text is not None:
        found = dict(zip(names, engine.lone(names, text, watch, asked.prompt), strict=True))
        if DENSE in found:
            found[DENSE] = asked.finish(found[DENSE][None])[0]
        if SPARSE in found:
            indices, weights = found[SPARSE]
            found[SPARSE] = SparseVector(indices, weights, _width(contract), tokens)
        watch.report()
        return Outputs(found)
    distinct = Distinct(text_sequence(texts), nulls=watch.takes_null)
    engine.sessions()  # a closed encoder refuses an empty sequence too
    columns: dict[str, Any] = {name: [] for name in names}
    if DENSE in names:
        form = asked.finish(np.zeros((0, contract.dimensions), dtype=np.float32))
        columns[DENSE] = np.empty((len(distinct.texts), form.shape[1]), dtype=form.dtype)
    begin, seen = 0, distinct.watched(watch)
    with progress_bar(len(distinct.texts) + distinct.repeated, show) as advance:
        for rows in engine.several(names, distinct.texts, lambda: seen, advance, asked.prompt):
            for name, column in zip(names, zip(*rows, strict=True), strict=True):
                if name == DENSE:
                    columns[name][begin : begin + len(rows)] = asked.finish(np.stack(column))
                else:
                    columns[name] += column
            begin += len(rows)
        advance(distinct.repeated)
    watch.report()
    return Outputs(
        {name: _spread(name, column, distinct, contract, tokens) for name, column in columns.items()}
    )


def _asked(outputs: object, contract: TextContract, *, shaped: bool) -> tuple[str, ...]:
    """The names that were asked for, each once, in the order in which they were.

    Raises:
        OptionError: Where it is no sequence of names that this bundle has; where a width or a form was asked
            for, and nothing dense.
    """
    have = (DENSE,) if contract.results is None else contract.results.names
    listed = f"this bundle has {', '.join(map(repr, have))}"
    asked = members(outputs)
    if not asked:
        raise OptionError(
            f"outputs is {quote(outputs)}; it must be a sequence of one or more names: {listed}"
        )
    names = [plain_str(name) for name in asked]
    for name, given in zip(names, asked, strict=True):
        if name not in have:
            raise OptionError(f"outputs has {quote(given)}; {listed}")
    if shaped and DENSE not in names:
        raise OptionError("dimensions and output are of dense vectors, and outputs has none: leave them out")
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _spread(name: str, found: Any, distinct: Distinct, contract: TextContract, tokens: Vocabulary) -> Any:
    """One output of the different texts, as that of all texts."""
    if name == DENSE:
        return distinct.spread(found)
    if name == MULTI_VECTOR:
        return distinct.copies(found)
    return SparseVectors(gathered(distinct.spread(objects(found)).tolist(), _width(contract)), tokens)


def _width(contract: TextContract) -> int:
    """Of a sparse vector."""
    results = contract.results
    return 0 if results is None or results.sparse is None else results.sparse.dimensions
