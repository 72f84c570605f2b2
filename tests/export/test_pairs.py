"""Pairs: how they are cut, how they are put together, and what is calibrated with them."""

from __future__ import annotations

from typing import Any

import pytest

import sestina
from _tiny import tiny_bpe, tiny_roberta, tiny_wordpiece, tiny_xlm_roberta
from sestina._text import pairs as runtime_pairs
from sestina_export import ExportError
from sestina_export._quantise.pairs import default_pairs, split_pairs
from sestina_model import inputs as model_inputs

LONG = "the model embeds the text, and the text is a sequence of tokens " * 4
TEXTS = ["", "a", "the model", "numbers like 1, 23", "naïve café 注意力", LONG, LONG + "x"]


def test_the_cut_is_the_librarys() -> None:
    """Every pair of lengths, in any room: what the tokenizers library keeps of either text."""
    tokenizer = tiny_wordpiece()
    tokenizer.post_processor = None  # type: ignore[assignment]
    for room in range(2, 9):
        tokenizer.enable_truncation(room, strategy="longest_first")
        for first in range(12):
            for second in range(12):
                of = tokenizer.encode("a " * first, "b " * second).sequence_ids
                wanted = (of.count(0), of.count(1))
                assert runtime_pairs.longest_first(first, second, room) == wanted
                assert model_inputs.longest_first(first, second, room) == wanted


@pytest.mark.parametrize("make", [tiny_wordpiece, tiny_roberta, tiny_xlm_roberta, tiny_bpe])
@pytest.mark.parametrize("limit", [9, 10, 41])
def test_a_pair_is_put_together_as_the_library_does(make: Any, limit: int) -> None:
    library = make()
    ours = runtime_pairs.PairTokenizer(
        library.to_str().encode(), limit, 1 << 16, types=make is tiny_wordpiece
    )
    whole_length = [len(library.encode(one, other).ids) for one in TEXTS for other in TEXTS]
    library.enable_truncation(limit, strategy="longest_first")
    pairs = [(one, other) for one in TEXTS for other in TEXTS]
    rows, cut = ours.pair_rows(pairs)
    for at, (pair, row) in enumerate(zip(pairs, rows, strict=True)):
        whole = library.encode(*pair)
        if make is tiny_wordpiece:
            assert [list(each) for each in row] == [
                [*each] for each in zip(whole.ids, whole.type_ids, strict=True)
            ]
        else:
            assert list(row) == whole.ids
        assert (at in cut) == (whole_length[at] > limit)
    assert 0 < len(cut) < len(pairs)


def test_a_post_processor_that_takes_another_order_is_refused() -> None:
    from tokenizers import processors

    tokenizer = tiny_wordpiece()
    for pair in ("[CLS] $B [SEP] $A:1", "$A $A $B"):
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        with pytest.raises(sestina.BundleFormatError, match="hold both texts of a pair once, in their order"):
            runtime_pairs.PairTokenizer(tokenizer.to_str().encode(), 40, 1 << 16, types=False)
    with pytest.raises(sestina.BundleFormatError, match="adds 3 special tokens to a pair of texts"):
        runtime_pairs.PairTokenizer(tiny_wordpiece().to_str().encode(), 4, 1 << 16, types=False)


def test_calibration_pairs() -> None:
    texts = [f"text {at} of many" for at in range(48)]
    used, held_back = split_pairs(default_pairs(texts))
    assert (len(used), len(held_back)) == (32, 16)
    assert not set(used) & set(held_back)
    lines = [f"query {at}\tdocument {at}" for at in range(40)]
    assert split_pairs(lines)[1][0] == ("query 2", "document 2")
    for given, said in (
        (lines[:31], "31 calibration pairs are too few; give at least 32$"),
        (
            [*lines[:31], *lines[:31], " \tx"],
            "31 calibration pairs are too few; give at least 32 that are neither",
        ),
        (["a"], "calibration pair 0 is 'a'; it must be a query and a document"),
        ([*lines, ("a", "b", "c")], "calibration pair 40 is"),
        ("ab", "calibration is a str; it must be a sequence of pairs"),
        (5, "calibration is a int; it must be a sequence of pairs"),
    ):
        with pytest.raises(ExportError, match=said):
            split_pairs(given)  # type: ignore[arg-type]
    with pytest.raises(sestina.TextTypeError):
        split_pairs([("a", 5)])
