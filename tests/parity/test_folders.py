"""Altered folders against transformers: every key of every file beside a tokenizer.json, to every odd value.

The oracle: an error of ours in one line, or the ids that transformers gives. A folder that transformers cannot
read has no right answer, and must only not end in an error that is not ours.

Each alteration is tried on one of the folders; SESTINA_ALL_FOLDERS=1 tries each on all, for minutes.
"""

from __future__ import annotations

import copy
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

TEXTS = [
    "",
    "a",
    "money",
    "The MODEL relates café tokens, ÀB",
    "[CLS] literal [SEP] [MASK] [PAD] [UNK] <s> </s> <pad><mask> <unk>",
    "new <ent> tok1 x<new>y TOK1 <s>NOTUSED",
    "注意力 é e\u0301 ﬁne \u200b\x00\t 👩‍🚀",
    "  spaces  two ",
    "model " * 60,
]
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

PLAIN = {"content": "tok1", "lstrip": False, "rstrip": True, "normalized": True, "single_word": False}
MARKED = {"__type": "AddedToken", **PLAIN}
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 3.5, 1e30, "", "x", "[MASK]", "<mask>", "tok1", "left", "right", "\ud800"),
    *([], ["tok1"], ["tok1", "<ent>"], [None], [["a"]], [{"content": "<ent>"}], [MARKED], ["token_type_ids"]),
    *({}, {"a": "tok1"}, {"content": "tok1"}, PLAIN, MARKED),
]
KEYS = [
    *("tokenizer_class", "do_lower_case", "strip_accents", "tokenize_chinese_chars", "model_max_length"),
    *("max_len", "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"),
    *("extra_special_tokens", "additional_special_tokens", "added_tokens_decoder", "split_special_tokens"),
    *(
        "truncation_side",
        "padding_side",
        "add_prefix_space",
        "trim_offsets",
        "add_bos_token",
        "add_eos_token",
    ),
    *(
        "model_input_names",
        "do_basic_tokenize",
        "never_split",
        "auto_map",
        "vocab",
        "merges",
        "post_processor",
    ),
    *(
        "tokenizer_object",
        "fast_tokenizer_files",
        "init_inputs",
        "image_token",
        "model_specific_special_tokens",
    ),
    *(
        "chat_template",
        "errors",
        "unk_id",
        "gguf_file",
        "tokenizer_padding",
        "max_length",
        "fix_mistral_regex",
    ),
    *("clean_up_tokenization_spaces", "name_or_path", "backend", "processor_class", "language"),
]
DECODERS: list[Any] = [
    {"5": {"content": "tok1", "special": False}},
    {"200": {"content": "tok1"}, "201": {"content": "<new>", "special": True}},
    {"1": {"content": "[MASK]", "lstrip": True}},
    {"0": {"content": "[PAD]", "special": True}, "9": {"content": "model", "single_word": True}},
    *(
        {"7": {"content": "\ud800"}},
        {"x": PLAIN},
        {"3": "tok1"},
        {"3": None},
        {"-1": PLAIN},
        {"3": PLAIN | {"odd": 1}},
        {"3": {"content": 5}},
    ),
]
ADDED: list[Any] = [
    *({"tok1": 100}, {"tok1": 5, "<new>": 6}, {"[MASK]": 4}, {"tok1": "5"}, {"tok1": None}, {"model": 77}),
    *({"<ent>": -3}, {"tok1": 1e3}, {"": 5}, {"\ud800": 5}),
]
CLASSES = [
    *(
        "BertTokenizer",
        "BertTokenizerFast",
        "DistilBertTokenizer",
        "ElectraTokenizer",
        "ElectraTokenizerFast",
    ),
    *("MPNetTokenizer", "MPNetTokenizerFast", "RobertaTokenizer", "RobertaTokenizerFast", "BartTokenizer"),
    *("LongformerTokenizer", "XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "PreTrainedTokenizerFast"),
    *("PreTrainedTokenizer", "TokenizersBackend", "MobileBertTokenizer", "SqueezeBertTokenizer"),
    *("GPT2Tokenizer", "CamembertTokenizer", "BertJapaneseTokenizer", "NoSuchTokenizer"),
]
RAW = ["null", "[]", "5", "{", "", "\ufeff{}", '"x"', "[1" * 3000, "1" * 5000]


def alterations() -> Iterator[tuple[str, Any]]:
    """(file, what is changed in it, or all of its text)."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        yield from ((name, {key: value}) for key in KEYS for value in ODD)
    yield from (("tokenizer_config.json", {"added_tokens_decoder": value}) for value in DECODERS)
    yield from (("tokenizer_config.json", {"tokenizer_class": value}) for value in CLASSES)
    yield from (("added_tokens.json", value) for value in ADDED)
    for name in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json"):
        yield from ((name, text) for text in RAW)


def template(*pieces: tuple[str, int], ids: dict[str, int]) -> dict[str, Any]:
    single = [
        {"Sequence": {"id": "A", "type_id": kind}}
        if name == "$A"
        else {"SpecialToken": {"id": name, "type_id": kind}}
        for name, kind in pieces
    ]
    special = {name: {"id": name, "ids": [id_], "tokens": [name]} for name, id_ in ids.items()}
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def tokenizer_files(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """tokenizer.json, altered part by part."""
    known = {token["content"]: token["id"] for token in document["added_tokens"]}
    first, last = ("[CLS]", "[SEP]") if "[CLS]" in known else ("<s>", "</s>")
    ids = {first: known[first], last: known[last]}
    yield from (
        document | {"post_processor": each}
        for each in (
            None,
            template((first, 0), ("$A", 1), (last, 1), ids=ids),
            template((last, 0), ("$A", 0), (first, 0), ids=ids),
            template((first, 0), ("$A", 0), ids=ids),
            template((first, 0), ("$A", 0), ("$A", 0), (last, 0), ids=ids),
            template((first, 0), ids=ids),
            template(("[X]", 0), ("$A", 0), ids=ids),
            {"type": "BertProcessing", "sep": [last, ids[last]], "cls": [first, ids[first]]},
        )
    )
    cased = {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False}
    steps = [{"type": "NFKC"}, {"type": "Lowercase"}]
    yield from (
        document | {"normalizer": each}
        for each in (
            cased | {"strip_accents": None, "lowercase": False},
            None,
            {"type": "Sequence", "normalizers": steps},
        )
    )
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": False}
    yield from (document | {"pre_tokenizer": each} for each in (None, {"type": "WhitespaceSplit"}, level))
    side = {
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<new>",
    }
    yield document | {"padding": side | {"strategy": {"Fixed": 9}}}
    cut = {"max_length": 5, "strategy": "LongestFirst", "stride": 0}
    yield from (document | {"truncation": cut | {"direction": side}} for side in ("Left", "Right"))
    free = max(len(document["model"]["vocab"]), *(id_ + 1 for id_ in known.values()))
    flags = PLAIN | {"special": False}
    for at in ((free, free + 1), (free + 1, free), (free + 3, free + 5)):
        more = [flags | {"content": name, "id": id_} for name, id_ in zip(("tok1", "<ent>"), at, strict=True)]
        yield document | {"added_tokens": [*document["added_tokens"], *more]}
    loose = {"normalized": True, "lstrip": True, "special": False}
    yield document | {"added_tokens": [token | loose for token in document["added_tokens"]]}
    yield document | {"added_tokens": []}
    for change in (
        *(
            {"unk_token": "[MASK]"},
            {"unk_token": None},
            {"unk_token": "<pad>"},
            {"type": None},
            {"unk_id": 0},
        ),
        *(
            {"continuing_subword_prefix": "sestina"},
            {"max_input_chars_per_word": 3},
            {"end_of_word_suffix": "</w>"},
        ),
        *({"fuse_unk": True}, {"byte_fallback": True}, {"ignore_merges": True}, {"unk_id": None}),
    ):
        altered = copy.deepcopy(document)
        altered["model"].update(change)
        yield altered


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
