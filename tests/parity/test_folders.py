"""Altered folders against transformers: every key of every file beside a tokenizer.json, to every odd value.

The oracle: an error of ours in one line, or the ids that transformers gives. A folder that transformers cannot
read has no right answer, and must only not end in an error that is not ours.

Each alteration is tried on one of the folders; SESTINA_ALL_FOLDERS=1 tries each on all, for minutes.
"""

from __future__ import annotations

import itertools
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from _folders import TEXTS, alterations, tokenizer_files
from _tiny import perturb, tiny_roberta, tiny_wordpiece, tiny_xlm_roberta
from sestina_model._errors import CheckpointError
from sestina_model.checkpoint import load

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")
transformers.logging.disable_progress_bar()
transformers.logging.set_verbosity(60)

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, and there are many

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
DISTIL = {"dim": 32, "n_layers": 1, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 40}
FAMILIES: dict[str, tuple[Callable[[], Tokenizer], dict[str, Any]]] = {
    "bert": (tiny_wordpiece, SHAPE),
    "distilbert": (tiny_wordpiece, DISTIL),
    "roberta": (tiny_roberta, SHAPE | {"pad_token_id": 1}),
    "xlm-roberta": (tiny_xlm_roberta, SHAPE | {"pad_token_id": 1}),
}
EVERY = bool(os.environ.get("SESTINA_ALL_FOLDERS"))
SPARE = 12  # rows of the token table behind the vocabulary, for tokens that are added


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make, shape = FAMILIES[request.param]
    path = tmp_path_factory.mktemp(request.param)
    tokenizer = make()
    values = {"vocab_size": tokenizer.get_vocab_size() + SPARE, **shape}
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(request.param, **values))
    perturb(model, seed=3)
    model.save_pretrained(path)
    (path / "config.json").write_text(json.dumps({"model_type": request.param, **values}))
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def ours(folder: Path) -> list[list[int]] | str:
    """The ids, or the one line that says why not."""
    try:
        checkpoint = load(folder)
        return [checkpoint.tokenize([text])[0] for text in TEXTS]
    except CheckpointError as error:
        one_line(error)
        return str(error)


def encoder_of(folder: Path) -> torch.nn.Module | None:
    """None where it is refused."""
    try:
        return load(folder).model.encoder
    except CheckpointError as error:
        return one_line(error)


def one_line(error: CheckpointError) -> None:
    assert "\n" not in str(error)


def theirs(folder: Path) -> list[list[int]] | None:
    """None where transformers cannot read the folder."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        limit = min(tokenizer.model_max_length, 38 if "roberta" in folder.name else 40)
        return [tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in TEXTS]
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def turns(every: Iterator[Any], turn: int, of: int) -> list[Any]:
    """The share of one of several tests."""
    return list(every) if EVERY else list(every)[turn::of]


class TestTokenizers:
    def compare(self, folder: Path, what: object) -> str:
        """What came of one folder: "equal", "refused" or "unread"."""
        here = ours(folder)
        if isinstance(here, str):
            return "refused"
        there = theirs(folder)
        if there is None:
            return "unread"
        assert here == there, what
        return "equal"

    @pytest.mark.parametrize(
        ("folder", "named", "turn"),
        [
            ("bert", None, 0),
            ("bert", "MPNetTokenizer", 1),
            ("bert", "PreTrainedTokenizerFast", 2),
            ("distilbert", None, 3),
            ("roberta", None, 4),
            ("roberta", "PreTrainedTokenizerFast", 5),
            ("xlm-roberta", None, 6),
        ],
        indirect=["folder"],
    )
    def test_the_files_beside_it(self, folder: Path, named: str | None, turn: int) -> None:
        usual = {} if named is None else {"tokenizer_class": named, "unk_token": "[UNK]"}
        config, kept = folder / "tokenizer_config.json", (folder / "config.json").read_text()
        found = {"equal": 0, "refused": 0, "unread": 0}
        for name, change in turns(alterations(), turn, 7):
            path = folder / name
            config.write_text(json.dumps(usual))
            before = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(change if isinstance(change, str) else json.dumps(before | change))
            found[self.compare(folder, (name, change))] += 1
            (folder / "config.json").write_text(kept)
            for each in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
                (folder / each).unlink(missing_ok=True)
        assert min(found["equal"], found["refused"]) > 70, found

    @pytest.mark.parametrize(
        "named",
        [
            *(None, "BertTokenizerFast", "DistilBertTokenizer", "MPNetTokenizer", "RobertaTokenizer"),
            *("XLMRobertaTokenizer", "PreTrainedTokenizerFast"),
        ],
    )
    def test_the_file_itself(self, folder: Path, named: str | None) -> None:
        path, config = folder / "tokenizer.json", folder / "tokenizer_config.json"
        kept = path.read_text()
        options: dict[str, Any] = {
            "mask_token": None,
            **({} if named is None else {"tokenizer_class": named}),
        }
        others: list[dict[str, Any]] = [
            {},
            {"do_lower_case": False, "unk_token": "<unk>"},
            {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]},
        ]
        try:
            for turn, other in enumerate(others):
                config.write_text(json.dumps(options | other))
                for document in turns(tokenizer_files(json.loads(kept)), turn, len(others)):
                    path.write_text(json.dumps(document))
                    self.compare(folder, document | {"model": None})
        finally:
            path.write_text(kept)
            config.unlink()

    def test_the_comparison_can_fail(self, folder: Path) -> None:
        kept = theirs(folder)
        config = folder / "tokenizer_config.json"
        config.write_text(json.dumps({"mask_token": "tok1"}))
        try:
            assert theirs(folder) != kept != ours(folder)
        finally:
            config.unlink()


SETTINGS = [
    *(
        "model_type",
        "vocab_size",
        "hidden_size",
        "dim",
        "num_hidden_layers",
        "n_layers",
        "num_attention_heads",
    ),
    *("n_heads", "intermediate_size", "hidden_dim", "hidden_act", "activation", "max_position_embeddings"),
    *("hidden_dropout_prob", "dropout", "layer_norm_eps", "pad_token_id", "type_vocab_size", "is_decoder"),
    *("position_embedding_type", "add_cross_attention", "rope_theta", "auto_map", "chunk_size_feed_forward"),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        3,
        -1,
        32.0,
        1e30,
        10**30,
        "",
        "x",
        "32",
        "gelu",
        "relu",
        [],
        ["a"],
        {},
        0.5,
    ),
]


@torch.no_grad()
@pytest.mark.parametrize(
    ("folder", "turn"),
    [("bert", 0), ("distilbert", 1), ("roberta", 2), ("xlm-roberta", 3)],
    indirect=["folder"],
)
def test_settings_of_the_encoder(folder: Path, turn: int) -> None:
    config = folder / "config.json"
    kept = config.read_text()
    rows = [[0, 5, 1, 7, 8, 3, 1, 1, 9, 2], [2, 9, 5, 3], [1, 1]]
    found = {"equal": 0, "refused": 0, "unread": 0}
    try:
        for key, value in turns(itertools.product(SETTINGS, VALUES), turn, 4):
            config.write_text(json.dumps(json.loads(kept) | {key: value}))
            encoder = encoder_of(folder)
            if encoder is None:
                found["refused"] += 1
                continue
            try:
                model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
                there = [model(input_ids=torch.tensor([row])).last_hidden_state for row in rows]
            except Exception:  # noqa: BLE001  whatever it is: there is no right answer
                found["unread"] += 1
                continue
            for row, states in zip(rows, there, strict=True):
                here = encoder(torch.tensor([row]))
                np.testing.assert_allclose(here, states, atol=1e-4, err_msg=f"{key} {value!r}")
            found["equal"] += 1
    finally:
        config.write_text(kept)
    assert min(found["equal"], found["refused"]) > 15, found
