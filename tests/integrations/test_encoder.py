"""What all integrations do with an encoder, told through one of them."""

from __future__ import annotations

import importlib
import multiprocessing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sestina
from sestina.integrations._encoder import way
from sestina.integrations._reranker import count_or_all
from sestina.integrations._rows import named
from sestina.integrations.langchain import SestinaEmbeddings


def test_who_names_the_same_bundle_shares_an_encoder(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = SestinaEmbeddings(bundle)
    monkeypatch.chdir(bundle.parent)
    assert SestinaEmbeddings(bundle.name).encoder is one.encoder
    assert SestinaEmbeddings().encoder is not one.encoder


def test_a_closed_one_is_loaded_again(bundle: Path) -> None:
    one = SestinaEmbeddings(bundle)
    one.encoder.close()
    with pytest.raises(sestina.ClosedError):
        one.embed_query("a text")
    assert SestinaEmbeddings(bundle).embed_query("a text")


def test_another_bundle_in_the_place_is_seen(bundle: Path, other: Path, tmp_path: Path) -> None:
    before = SestinaEmbeddings(bundle)
    bundle.rename(tmp_path / "old.sestina")
    other.rename(bundle)
    assert SestinaEmbeddings(bundle).space != before.space
    assert before.embed_query("a text")  # of the files that it opened


def test_an_encoder_of_ones_own_is_used_as_it_is(bundle: Path) -> None:
    with sestina.load(bundle, threads=1) as encoder:
        assert SestinaEmbeddings(encoder).encoder is encoder


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_uses_it(bundle: Path) -> None:
    embeddings = SestinaEmbeddings(bundle)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(embeddings.embed_query("a text")))
    child.start()
    assert receiver.poll(60)
    assert np.allclose(receiver.recv(), embeddings.embed_query("a text"), atol=1e-6)
    child.join(60)


@pytest.mark.parametrize(
    "wrong", ["a text", b"a", {"a": 1}, {"a", "b"}, pd.DataFrame({"a": ["b"]})], ids=type
)
def test_what_is_no_list_of_texts_is_refused(wrong: object, encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.TextTypeError, match="texts is .*; it must be a list of str"):
        SestinaEmbeddings(encoder).embed_documents(wrong)  # type: ignore[arg-type]


def test_columns_are_lists_of_texts(encoder: sestina.Encoder, documents: list[str]) -> None:
    embeddings, wanted = SestinaEmbeddings(encoder), encoder.encode(documents).tolist()
    for given in (tuple(documents), np.array(documents), pd.Series(documents, index=[7, 8, 9])):
        assert embeddings.embed_documents(given) == wanted  # type: ignore[arg-type]


def test_the_row_of_an_error_is_not_looked_for_where_it_is_known() -> None:
    texts, seen = ["a", "b", "c"] * 50, list[int]()

    def encode(some: list[str]) -> None:
        seen.append(len(some))
        raise sestina.TruncationError("text 0 has more than 4 tokens", position=0)

    told = named(sestina.TruncationError("text 149 has more", position=149), texts, encode, "text")
    assert (type(told), seen) == (sestina.TruncationError, [1])
    assert str(told) == "row 149 of a batch, column 'text': has more than 4 tokens"


class Path_:  # noqa: N801
    """A path that gives anything."""

    def __init__(self, path: object) -> None:
        self.path = path

    def __fspath__(self) -> object:
        if isinstance(self.path, Exception):
            raise self.path
        return self.path


def test_what_is_no_bundle_option_or_text_is_one_line(bundle: Path, encoder: sestina.Encoder) -> None:
    for given, kind, said in (
        (Path_(5), sestina.OptionError, "encoder is Path_; it must be the path of a bundle"),
        (Path_(b"x"), sestina.OptionError, "encoder is Path_; it must be"),
        (Path_(""), sestina.OptionError, "encoder is Path_; it must be"),
        (Path_(ZeroDivisionError()), sestina.OptionError, "encoder is Path_; it must be"),
        ("\ud800", sestina.OptionError, "no path has a lone surrogate"),
        ("a\0b", sestina.BundleNotFoundError, "it has a null character"),
    ):
        with pytest.raises(kind, match=said):
            SestinaEmbeddings(given)  # type: ignore[arg-type]
    assert SestinaEmbeddings(Path_(str(bundle))).space == encoder.space  # type: ignore[arg-type]
    huge, several = 10**5000, np.array(["document", "query"])
    for options, said in (
        ({"space": 5}, "space is 5; it must be"),
        ({"space": huge}, "space is a number of 16610 bits"),
        ({"dimensions": huge}, "dimensions is a number of 16610 bits"),
        ({"dimensions": [0] * 1000}, r"dimensions is \[0, 0, .* \.\.\. .*0\]; it must be a whole number"),
    ):
        with pytest.raises(sestina.OptionError, match=said):
            SestinaEmbeddings(encoder, **options)
    for wrong in (several, huge, "neither"):
        with pytest.raises(sestina.OptionError, match="kind is .*; it must be one of document, query"):
            way(encoder, wrong)
    with pytest.raises(sestina.OptionError, match="top_n is a number of 16610 bits; it must be"):
        count_or_all("top_n", -huge)
    for none in (None, 5, np.array("a text")):
        with pytest.raises(
            sestina.TextTypeError, match="texts is .*, which cannot be read .*; it must be a list"
        ):
            SestinaEmbeddings(encoder).embed_documents(none)  # type: ignore[arg-type]


def test_the_warning_of_empty_texts_points_at_the_caller(encoder: sestina.Encoder) -> None:
    pl = pytest.importorskip("polars")
    importlib.import_module("sestina.integrations.polars")
    with pytest.warns(sestina.EmptyTextWarning, match="1 of 2 texts are empty") as told:
        pl.Series(["a", ""]).sestina.encode(encoder)
    assert [each.filename for each in told] == [__file__]
