"""What stands for a missing text in the libraries themselves is a null: an error that names its row, or a zero vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sestina

TEXTS: list[Any] = ["a cat", None, "the sea"]
COLUMNS: dict[str, Any] = {
    "pandas, None": pd.Series(TEXTS, dtype=object),
    "pandas, NaN": pd.Series(["a cat", float("nan"), "the sea"], dtype=object, index=[7, 7, 1]),
    "pandas, NA": pd.Series(["a cat", pd.NA, "the sea"], dtype=object),
    "pandas, NaT": pd.Series(["a cat", pd.NaT, "the sea"], dtype=object),
    "pandas, str": pd.Series(TEXTS, dtype="str"),
    "pandas, string": pd.Series(TEXTS, dtype="string"),
    "pandas, category": pd.Series(TEXTS, dtype="category"),
    "pandas, Index": pd.Index(TEXTS, dtype=object),
    "a list of pandas": pd.Series(TEXTS, dtype="str").tolist(),
    "polars": pl.Series(TEXTS),
    "polars, categories": pl.Series(TEXTS, dtype=pl.Categorical),
    "Arrow": pa.array(TEXTS),
    "Arrow, large": pa.array(TEXTS, pa.large_string()),
    "Arrow, dictionary": pa.array(TEXTS).dictionary_encode(),
    "Arrow, chunks": pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
    "numpy": np.array(["a cat", pd.NA, "the sea"], dtype=np.dtypes.StringDType(na_object=pd.NA)),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=list(COLUMNS))
def test_a_null_of_a_column(column: Any, encoder: sestina.Encoder) -> None:
    wanted = encoder.encode(["a cat", "the sea"])
    for call in (
        encoder.encode,
        lambda given, **options: np.array(list(encoder.stream(given, **options))),
        lambda given, **options: encoder.encode_document(given, **options),
    ):
        vectors = call(column, on_null="zero")
        np.testing.assert_allclose(vectors[[0, 2]], wanted, atol=1e-6)
        assert not vectors[1].any()
        with pytest.raises(sestina.TextTypeError, match="^row 1 is null; it must be str"):
            call(column)
    assert [len(each) > 0 for each in encoder.hidden_states(column, on_null="zero")] == [True, False, True]
    assert not encoder.similarity("a cat", column, on_null="zero")[0, 1]
