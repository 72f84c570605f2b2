"""Taggers against transformers' token-classification pipeline, from the folder to spans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _heads import head_checkpoint, head_folder
from sestina_export import SpanGate, export

transformers = pytest.importorskip("transformers")

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXTS = [
    "the transformer is an innovative nlp model",
    "Attention relates the tokens of a sequence to one another, doesn't it?",
    "a sestina takes the same words and associates them anew",
    "naïve café, 注意力 and unknownwordpieces",
    "model " * 60,
    "x",
]


def reference(folder: Path, aggregation: str) -> list[list[tuple[str, int, int, float]]]:
    pipeline: Any = transformers.pipeline(
        "token-classification", model=str(folder), device="cpu", aggregation_strategy=aggregation
    )
    found = []
    for text in TEXTS:
        cut = pipeline.tokenizer(text, truncation=True, return_offsets_mapping=True)["offset_mapping"]
        some = text[: max(end for _, end in cut)]  # the pipeline does not cut by itself
        found.append(
            [
                (each["entity_group"], each["start"], each["end"], float(each["score"]))
                for each in pipeline(some)
            ]
        )
    return found


@pytest.fixture(scope="module", params=["bert", "xlm-roberta", "modernbert"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tag")
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: at for at, name in enumerate(LABELS)}}
    head_folder(request.param, folder / "checkpoint", kind="TokenClassification", labels=5, **names)
    result = export(folder / "checkpoint", folder / "out.sestina", precisions=["fp32"])
    assert (result.manifest.task, result.manifest.contract.labels) == ("tag", LABELS)
    return folder / "checkpoint", result.path


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("aggregation", ["simple", "first", "max", "average"])
def test_spans_are_the_pipelines(aggregation: Any, made: tuple[Path, Path]) -> None:
    folder, bundle = made
    wanted = reference(folder, aggregation)
    with sestina.load_tagger(bundle) as tagger:
        assert tagger.verify().passed
        found = tagger.tag(TEXTS, aggregation=aggregation, on_truncate="ignore")
        lone = tagger.tag(TEXTS[1], aggregation=aggregation)
    assert [[each[:1] + each[2:4] for each in row] for row in found] == [
        [each[:3] for each in row] for row in wanted
    ]
    scores = [each.score for row in found for each in row]
    assert np.allclose(scores, [each[3] for row in wanted for each in row], atol=1e-5)
    assert lone == found[1]
    assert sum(map(len, wanted)) > 5
    assert all(
        text[each.start : each.end] == each.text
        for text, row in zip(TEXTS, found, strict=True)
        for each in row
    )
    others = [row[:1] for row in wanted[1:] + wanted[:1]]  # of other texts they are others
    assert [[each[:1] + each[2:4] for each in row][:1] for row in found] != [
        [each[:3] for each in row] for row in others
    ]


def test_int8_masked_graphs_and_bad_input(tmp_path: Path) -> None:
    checkpoint = head_checkpoint("tag", labels=5, activation="softmax")
    gate = SpanGate(f1=0.7, probability_error=0.1)
    result = export(checkpoint, tmp_path / "out.sestina", targets=["cpu", "portable"], gate=gate)
    (int8,) = [each for each in result.manifest.variants if each.precision == "int8"]
    assert int8.parity["spans"]["gate"] == {"f1": 0.7, "probability_error": 0.1}
    assert len(result.manifest.variants) == 3
    with sestina.load_tagger(result.path, precision="int8") as tagger:
        assert tagger.verify().passed
        assert tagger.tag(TEXTS[:2]) == [tagger.tag(text) for text in TEXTS[:2]]
        assert tagger.tag([]) == []
        with pytest.raises(sestina.TextTypeError, match="text 1 is int; it must be str"):
            tagger.tag(["a", 5])  # type: ignore[list-item]
        with pytest.raises(
            sestina.OptionError, match="aggregation is 'none'; it must be one of simple, first"
        ):
            tagger.tag("a", aggregation="none")  # type: ignore[arg-type]
        with pytest.warns(sestina.TruncationWarning, match="text 1 has more than 40 tokens"):
            tagger.tag(["a", TEXTS[4]])
        with pytest.raises(sestina.TruncationError, match="the text has more than 40 tokens"):
            tagger.tag(TEXTS[4], on_truncate="error")
    with pytest.raises(sestina.OptionError, match=r"use sestina\.load_tagger$"):
        sestina.load_classifier(result.path)
