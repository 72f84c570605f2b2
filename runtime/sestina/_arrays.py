"""Kinds of arrays, for annotations: only type checkers import them, as `numpy.typing` delays a start."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
