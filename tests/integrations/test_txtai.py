"""txtai's own index, saved and loaded, with our vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from txtai import Embeddings

import sestina
from sestina.integrations.txtai import transform

METHOD = "sestina.integrations.txtai.SestinaVectors"
REOPENED = """
import sys
from txtai import Embeddings
for path in sys.argv[2:]:
    index = Embeddings()
    index.load(path)
    print(index.search(sys.argv[1], 1)[0][0])
"""


def test_a_function_of_a_module(documents: list[str], query: str, encoder: sestina.Encoder) -> None:
    index = Embeddings(method="external", transform=transform)
    index.index(documents)
    assert index.search(query, 1)[0][0] == 1
    assert np.array_equal(transform(documents), encoder.encode(documents))
    with pytest.raises(sestina.TextValueError, match="document 1 is empty"):
        transform(["a", ""])


def test_an_index_is_saved_and_found_in_a_new_process(
    bundle: Path, tmp_path: Path, documents: list[str], query: str, in_a_new_process: Callable[..., str]
) -> None:
    folders = []
    for path in (None, str(bundle)):
        index = Embeddings(method=METHOD, path=path)
        index.index(documents)
        assert index.search(query, 1)[0][0] == 1
        folders.append(tmp_path / f"index{len(folders)}")
        index.save(str(folders[-1]))
    assert in_a_new_process(REOPENED, query, *folders).split() == ["1", "1"]


def test_another_model_in_its_place_is_refused(
    bundle: Path,
    tmp_path: Path,
    documents: list[str],
    becomes_another: Callable[[Path], str],
    encoder: sestina.Encoder,
) -> None:
    index = Embeddings(method=METHOD, path=str(bundle))
    index.index(documents)
    index.save(str(tmp_path / "index"))
    another = becomes_another(bundle)
    again = Embeddings()
    again.load(str(tmp_path / "index"))
    with pytest.raises(sestina.BundleIntegrityError, match=f"{another}.*{encoder.space}"):
        again.search("a text", 1)


def test_prompts_and_empty_texts(prompted: object) -> None:
    index = Embeddings(method=METHOD)
    index.index(["a"])
    assert prompted.asked[-1] == ("document", ["a"])  # type: ignore[attr-defined]
    index.search("a", 1)
    assert prompted.asked[-1] == ("query", ["a"])  # type: ignore[attr-defined]


def test_an_empty_text_is_refused() -> None:
    index = Embeddings(method=METHOD)
    with pytest.raises(sestina.TextValueError, match="document 1 is empty"):
        index.index(["a", ""])
    index.index(["a"])
    with pytest.raises(sestina.TextValueError, match="query 0 is empty"):
        index.search(" ", 1)
