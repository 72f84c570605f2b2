"""Tokenizer classes beyond the first families, against transformers: alone, for no encoder is needed.

As in test_folders.py: an error of ours in one line, or the ids that transformers gives.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from _folders import TEXTS, alterations, tokenizer_files
from _tiny import LINES, WORDS, tiny_bpe, tiny_wordpiece
from sestina_model._errors import CheckpointError
from sestina_model._files import read_json_object
from sestina_model._tokenizers import settled_tokenizer, sound_tokenizer
from sestina_model.pretrained.tokenizer import read_folder_tokenizer

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")
transformers.logging.disable_progress_bar()
transformers.logging.set_verbosity(60)

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, and there are many

LIMIT = 40
MORE = [
    *TEXTS,
    "``quotes'' and ÉCLAIR, Straße\r\n 123 4567",
    "Qwen's don't  I'LL <extra_id_3> </s>x <pad> [MASK]x",
    "  ▁lead ▁▁  \u3000 trail \t",
    "<bos>a<eos> <|endoftext|> model<|endoftext|>",
]


def charsmap() -> bytes:
    """SentencePiece's table of normal forms with one entry, "Q" to "kw": a double array and its strings."""
    units = [0] * 512
    units[0] = 0x100 << 10  # the root: its children are at 0x100 ^ their byte
    units[0x151] = 1 << 10 | 1 << 8 | ord("Q")  # has a leaf, one position away
    units[0x150] = 1 << 31  # the leaf: its string is at 0
    trie = struct.pack("<512I", *units)
    return struct.pack("<I", len(trie)) + trie + b"kw\0"


def unigram(special: list[str], **more: float) -> Tokenizer:
    """SentencePiece's Unigram, with these pieces first."""
    pieces = [(piece, 0.0) for piece in special] + [("▁", -2.0)]
    pieces += [(f"▁{word}", -4.0 - 0.01 * at) for at, word in enumerate(WORDS)]
    pieces += [(chr(code), -6.0 - 0.01 * code) for code in range(33, 127)] + [("注意", -7.0), ("é", -7.6)]
    pieces += list(more.items())
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in special])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Precompiled(charsmap())])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def around(tokenizer: Tokenizer, first: str | None, last: str | None) -> Tokenizer:
    names = [token for token in (first, last) if token is not None]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join([*([first] if first else []), "$A", *([last] if last else [])]),
        pair="$A $B",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in names],
    )
    return tokenizer


def byte_level(*special: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=[AddedToken(token, normalized=False) for token in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(LINES * 3, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def characters(*special: str) -> Tokenizer:
    """BPE over characters and bytes, as Gemma and Llama have it."""
    words = [f"▁{word}" for word in WORDS]
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        special_tokens=[*special, *(f"<0x{at:02X}>" for at in range(256))],
    )
    tokenizer.train_from_iterator(words * 3, trainer)
    document = json.loads(tokenizer.to_str())
    kept = [token for token in document["added_tokens"] if not token["content"].startswith("<0x")]
    document["added_tokens"] = [token | {"normalized": False} for token in kept]
    document["model"] |= {"byte_fallback": True, "fuse_unk": True, "unk_token": special[0]}
    document["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    return Tokenizer.from_str(json.dumps(document))


ANGLES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
# By model type: the class that it means where a folder names none, and a file as one of its kind has it.
KINDS: dict[str, tuple[str, Callable[[], Tokenizer]]] = {
    "albert": (
        "AlbertTokenizer",
        lambda: around(unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]), "[CLS]", "[SEP]"),
    ),
    "camembert": (
        "CamembertTokenizer",
        lambda: around(
            unigram(["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<s>", "</s>", "<mask>"]), "<s>", "</s>"
        ),
    ),
    "deberta-v2": (
        "DebertaV2Tokenizer",
        lambda: around(unigram(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]), "[CLS]", "[SEP]"),
    ),
    "electra": ("BertTokenizer", tiny_wordpiece),
    "eurobert": ("PreTrainedTokenizerFast", lambda: around(byte_level("<|b|>", "<|mask|>"), "<|b|>", None)),
    "gemma3_text": (
        "GemmaTokenizer",
        lambda: around(characters("<unk>", "<pad>", "<eos>", "<bos>", "<mask>"), "<bos>", "<eos>"),
    ),
    "gte": ("XLMRobertaTokenizer", lambda: around(unigram(ANGLES), "<s>", "</s>")),
    "jina_embeddings_v3": ("XLMRobertaTokenizer", lambda: around(unigram(ANGLES), "<s>", "</s>")),
    "llama": ("PreTrainedTokenizerFast", lambda: around(characters("<unk>", "<s>", "</s>"), "<s>", None)),
    "modernbert": (
        "PreTrainedTokenizerFast",
        lambda: around(byte_level("[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"), "[CLS]", "[SEP]"),
    ),
    "mpnet": ("MPNetTokenizer", tiny_wordpiece),
    "nomic_bert": ("BertTokenizer", tiny_wordpiece),
    "qwen3": ("Qwen2Tokenizer", lambda: around(byte_level("<|endoftext|>", "<|im|>"), None, "<|endoftext|>")),
    "t5": (
        "T5Tokenizer",
        lambda: around(unigram(["<pad>", "</s>", "<unk>"], **{"<extra_id_1>": 0.0}), None, "</s>"),
    ),
    "umt5": ("PreTrainedTokenizerFast", lambda: around(unigram(["<pad>", "</s>", "<unk>"]), None, "</s>")),
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "albert": [{"keep_accents": True}, {"do_lower_case": False}, {"add_prefix_space": False}],
    "camembert": [
        {"add_prefix_space": False},
        {"unk_token": "<pad>"},
        {"unk_token": "nowhere"},
        {"additional_special_tokens": ["<s>NOTUSED"]},
        {"additional_special_tokens": []},
        {"extra_special_tokens": None},
    ],
    "deberta-v2": [
        {"do_lower_case": True, "split_by_punct": True},
        {"add_prefix_space": False, "unk_token": "a", "unk_id": 7},
        {"unk_id": 0, "vocab_type": "spm"},
    ],
    "gemma3_text": [{"add_bos_token": True, "add_eos_token": True}, {"spaces_between_special_tokens": False}],
    "llama": [
        {"tokenizer_class": "LlamaTokenizer"},
        {"tokenizer_class": "LlamaTokenizerFast", "legacy": True},
        {"tokenizer_class": "LlamaTokenizer", "legacy": None, "add_prefix_space": None},
        {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False, "pad_token": "</s>"},
    ],
    "qwen3": [
        {"add_prefix_space": True},
        {"add_prefix_space": None, "unk_token": None},
        {"bos_token": {"__type": "AddedToken", "content": "tok1", "rstrip": True, "normalized": True}},
        {"errors": "replace", "bos_token": None, "additional_special_tokens": ["<|im|>", "<|other|>"]},
    ],
    "t5": [
        {"extra_ids": 0},
        {"extra_ids": 3},
        {"extra_ids": 2, "additional_special_tokens": ["<extra_id_0>", "<extra_id_1>"]},
        {"extra_ids": 5, "additional_special_tokens": ["<extra_id_0>", "<extra_id_1>"]},
        {"additional_special_tokens": ["<ent>"]},
        {"legacy": False, "sp_model_kwargs": {}},
    ],
}
CLASSES = [
    *(
        "AlbertTokenizer",
        "CamembertTokenizerFast",
        "DebertaV2Tokenizer",
        "GPT2Tokenizer",
        "GemmaTokenizerFast",
    ),
    *("LlamaTokenizer", "LlamaTokenizerFast", "Qwen2TokenizerFast", "T5TokenizerFast", "XLMRobertaTokenizer"),
    *("PreTrainedTokenizerFast", "TokenizersBackend", "RobertaTokenizer", "BertTokenizer", "MPNetTokenizer"),
]


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": request.param}))
    KINDS[request.param][1]().save(str(path / "tokenizer.json"))
    return path


def ours(folder: Path) -> list[list[int]] | None:
    """The ids; None where the folder is refused, in one line."""
    try:
        config = read_json_object(folder / "config.json")
        found = read_folder_tokenizer(folder, config, KINDS[folder.name][0], lower_case=False)
        limit = min(found.limit or LIMIT, LIMIT)
        tokenizer = settled_tokenizer(found.tokenizer, 1 << 30, limit)
        room = limit - tokenizer.num_special_tokens_to_add(False)
        with sound_tokenizer("the tokenizer fails:"):
            rows = tokenizer.encode_batch(MORE, add_special_tokens=False)
        for row in rows:
            row.truncate(room)
        return [tokenizer.post_process(row, None, True).ids for row in rows]
    except CheckpointError as error:
        return one_line(error)


def one_line(error: CheckpointError) -> None:
    assert "\n" not in str(error)


def theirs(folder: Path) -> list[list[int]] | None:
    """None where transformers cannot read the folder."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        limit = min(tokenizer.model_max_length, LIMIT)
        return [tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in MORE]
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def compare(folder: Path, what: object) -> str:
    """What came of one folder: "equal", "refused" or "unread"."""
    here = ours(folder)
    if here is None:
        return "refused"
    there = theirs(folder)
    if there is None:
        return "unread"
    assert here == there, what
    return "equal"


def test_a_folder_of_each_model_type(folder: Path) -> None:
    assert compare(folder, "as it is") == "equal"
    config = folder / "tokenizer_config.json"
    for options in OPTIONS.get(folder.name, []):
        for named in ({}, {"tokenizer_class": KINDS[folder.name][0]}):
            config.write_text(json.dumps(named | options))
            found = compare(folder, options)
            assert found == "equal" or (found == "refused" and theirs(folder) is None), options
    # The negative control: the same folder with one option less is not the same.
    config.write_text(json.dumps({"mask_token": "tok1"}))
    changed = theirs(folder)
    config.unlink()
    assert changed != ours(folder)


def test_the_class_that_is_named(folder: Path) -> None:
    found = []
    for named in CLASSES:
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": named}))
        found.append(compare(folder, named))
    assert found.count("equal") >= 2  # the whole file, by either name


def test_the_files_beside_it(folder: Path) -> None:
    """A share of the alterations for each kind; SESTINA_ALL_FOLDERS=1 tries all."""
    every: list[Any] = list(alterations())
    if not os.environ.get("SESTINA_ALL_FOLDERS"):
        every = every[list(KINDS).index(folder.name) :: len(KINDS) * 3]
    found = {"equal": 0, "refused": 0, "unread": 0}
    kept = (folder / "config.json").read_text()
    for name, change in every:
        path = folder / name
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(change if isinstance(change, str) else json.dumps(before | change))
        found[compare(folder, (name, change))] += 1
        (folder / "config.json").write_text(kept)
        for each in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
            (folder / each).unlink(missing_ok=True)
    assert found["equal"] > 10, found


def test_the_file_itself(folder: Path) -> None:
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    known = {token["content"] for token in document["added_tokens"]}
    whole: Iterator[dict[str, Any]]
    if {"[CLS]", "[SEP]"} <= known or {"<s>", "</s>"} <= known:
        whole = tokenizer_files(document)
    else:
        whole = iter(
            [document | {"post_processor": None}, document | {"normalizer": None, "pre_tokenizer": None}]
        )
    found = []
    for altered in whole:
        path.write_text(json.dumps(altered))
        found.append(compare(folder, altered | {"model": None}))
    assert "equal" in found


def test_normal_forms_are_those_of_the_table() -> None:
    tokenizer = unigram(["<unk>"])
    assert tokenizer.normalizer.normalize_str("aQ") == "akw"
    state = json.loads(tokenizer.to_str())["normalizer"]["normalizers"][1]
    assert base64.b64decode(state["precompiled_charsmap"]) == charsmap()


def test_llama_named_over_byte_level_is_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "eurobert"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "eurobert"}')
    tiny_bpe().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizerFast"}')
    assert compare(folder, "byte level") == "equal"


NAMED = ["T5Tokenizer", "AlbertTokenizerFast", "LlamaTokenizer", "PreTrainedTokenizerFast", "NoSuchTokenizer"]


def bare(folder: Path, **config: Any) -> None:
    """The folder with nothing but a vocabulary, from which a class builds the rest and the file has none."""
    (folder / "config.json").write_text(json.dumps({"model_type": folder.name, **config}))
    document = json.loads((folder / "tokenizer.json").read_text())
    document |= {"normalizer": {"type": "Lowercase"}, "post_processor": None}
    (folder / "tokenizer.json").write_text(json.dumps(document))


@pytest.mark.parametrize("named", NAMED)
def test_umt5_has_no_class_but_the_file(tmp_path: Path, named: str) -> None:
    """Its folders name T5Tokenizer, which transformers does not look at."""
    folder = tmp_path / "umt5"
    folder.mkdir()
    KINDS["umt5"][1]().save(str(folder / "tokenizer.json"))
    bare(folder, tokenizer_class=named)
    assert compare(folder, named) == "equal"
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": named}))
    assert compare(folder, named) == "equal"


@pytest.mark.parametrize("name", ["camembertv2-base", "modernbert", "nomic", None, 5])
def test_a_model_name_of_which_no_class_is_believed(folder: Path, name: object) -> None:
    """As CamemBERT v2 has it: the class of the model type is taken, whatever is named."""
    bare(folder, model_name=name)
    for named in (*NAMED, None):
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": named}))
        compare(folder, (name, named))
