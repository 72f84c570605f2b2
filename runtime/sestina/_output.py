"""Vectors in the form in which a store keeps them: smaller, and nearly as good for finding neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from sestina._arguments import one_of
from sestina._bits import packed_signs
from sestina._errors import OptionError

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

Output = Literal["float32", "float16", "int8", "binary"]
OUTPUTS = get_args(Output)
_DTYPES = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "binary": np.uint8}
_LARGEST = 127  # of an int8 whose sign may be turned


class OutputForm:
    """Makes of finished vectors what was asked for, each by itself: no row depends on another.

    "float16" keeps three digits. "int8" divides each vector by its largest number and multiplies by 127, so
    that all of int8 is used: a cosine does not see by how much, and there is nothing to be kept beside the
    vectors. Ranges measured by dimension would be a state that every later vector and query needs, would make
    a vector depend on its neighbours, and find no more. "binary" packs the signs, eight a byte, as
    `numpy.packbits(vectors > 0, axis=1)`.

    Args:
        output: Which form.
        direction: Whether a vector's direction is all that the bundle compares.

    Attributes:
        dtype: Of the result.

    Raises:
        OptionError: Where there is no such form, or it would lose what the bundle compares.
    """

    def __init__(self, output: Output, *, direction: bool) -> None:
        self._name = one_of("output", output, OUTPUTS)
        if self._name in ("int8", "binary") and not direction:
            raise OptionError(
                f"output is {output!r}, which keeps no lengths, and this bundle compares vectors by theirs "
                "too: pass 'float16' or 'float32'"
            )
        self.dtype = np.dtype(_DTYPES[self._name])

    def width(self, dimensions: int) -> int:
        """Of a row of so many dimensions."""
        return -(-dimensions // 8) if self._name == "binary" else dimensions

    def of(self, rows: Vectors) -> npt.NDArray[Any]:
        """(n, d) float32 as (n, width).

        Raises:
            OptionError: Where a number is beyond float16, or a smaller form would hide that it is none.
        """
        if self._name == "float32":
            return rows
        if not np.isfinite(rows).all():
            raise OptionError(
                f"output is {self._name!r}, and a vector is not finite: pass 'float32' to look at it, and "
                "see what Encoder.verify says of the bundle"
            )
        if self._name == "binary":
            return packed_signs(rows)
        if self._name == "int8":
            largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
            shares = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
            levels: npt.NDArray[np.int8] = np.rint(shares * _LARGEST).astype(np.int8)
            return levels
        with np.errstate(over="ignore", under="ignore"):
            half = rows.astype(np.float16)
        if not np.isfinite(half).all():
            raise OptionError(
                "output is 'float16', and a vector has a number beyond 65504, its largest: pass 'float32'"
            )
        return half
