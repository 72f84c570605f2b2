"""Our own checkpoints: what is saved is what is loaded, and whatever is wrong is said in one line."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, processors

from _tiny import TEXTS, tiny_bpe, tiny_checkpoint, tiny_unigram, tiny_wordpiece
from sestina_model import checkpoint as checkpoints
from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.checkpoint import Checkpoint, load, save
from sestina_model.config import HeadConfig
from sestina_model.encoder import TransformerEncoder
from sestina_model.sentence import SentenceEncoder

TOKENIZERS = {"wordpiece": tiny_wordpiece, "bpe": tiny_bpe, "unigram": tiny_unigram}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    save(tiny_checkpoint(tiny_wordpiece()), path)
    return path


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(path: Path, kind: type[CheckpointError] = CheckpointError) -> str:
    """The one line that a load fails with."""
    with pytest.raises(kind) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestRoundTrip:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"norm": "pre", "positions": "sinusoidal", "pooling": "max", "normalize": False},
            {"scale_embeddings": True, "norm_embeddings": False, "pooling": "cls", "activation": "relu"},
        ],
        ids=["bert", "pre-norm", "paper"],
    )
    def test_everything_comes_back(self, tmp_path: Path, tokenizer: Tokenizer, options: dict) -> None:
        before = tiny_checkpoint(tokenizer, name="tiny é", licence=None, **options)
        save(before, tmp_path / "out")
        after = load(tmp_path / "out")
        assert after.model.encoder.config == before.model.encoder.config
        assert after.model.head == before.model.head
        assert (after.name, after.licence) == ("tiny é", None)
        assert after.tokenizer.to_str() == before.tokenizer.to_str()
        assert not after.model.training
        np.testing.assert_array_equal(after.encode(TEXTS), before.encode(TEXTS))

    def test_another_seed_is_another_model(self, tokenizer: Tokenizer) -> None:
        ours, other = tiny_checkpoint(tokenizer), tiny_checkpoint(tokenizer, seed=1)
        assert np.abs(ours.encode(TEXTS) - other.encode(TEXTS)).max() > 0.1

    def test_the_same_checkpoint_gives_the_same_bytes(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        for name in ("a", "b"):
            save(tiny_checkpoint(tokenizer), tmp_path / name)
        save(load(tmp_path / "a"), tmp_path / "c")
        contents = [
            {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("a", "b", "c")
        ]
        assert set(contents[0]) == {"encoder.safetensors", "sestina.json", "tokenizer.json"}
        assert contents[0] == contents[1] == contents[2]

    def test_the_hash_is_that_of_the_weight_file(self, folder: Path) -> None:
        expected = hashlib.sha256((folder / "encoder.safetensors").read_bytes()).hexdigest()
        assert load(folder).source_sha256 == expected
        assert tiny_checkpoint(tiny_bpe()).source_sha256 is None

    def test_the_model_does_not_depend_on_the_files_any_more(self, folder: Path) -> None:
        loaded = load(folder)
        before = loaded.encode(TEXTS)
        weights = folder / "encoder.safetensors"
        weights.write_bytes(bytes(weights.stat().st_size))
        np.testing.assert_array_equal(loaded.encode(TEXTS), before)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_half_precision_is_read_as_float32(self, folder: Path, dtype: torch.dtype) -> None:
        weights = folder / "encoder.safetensors"
        halves = {name: tensor.to(dtype) for name, tensor in load_file(weights).items()}
        save_file(halves, weights)
        for name, tensor in load(folder).model.encoder.state_dict().items():
            assert tensor.dtype == torch.float32
            assert torch.equal(tensor, halves[name].float())

    def test_saved_in_half_precision(self, tmp_path: Path, tokenizer: Tokenizer) -> None:
        checkpoint = tiny_checkpoint(tokenizer)
        save(checkpoint, tmp_path / "whole")
        save(checkpoint, tmp_path / "half", half=True)
        sizes = [(tmp_path / name / "encoder.safetensors").stat().st_size for name in ("whole", "half")]
        assert sizes[1] < 0.6 * sizes[0]
        again = load(tmp_path / "half")
        for name, weight in checkpoint.model.state_dict().items():
            assert torch.equal(again.model.state_dict()[name], weight.half().float()), name
        assert np.abs(again.encode(TEXTS) - checkpoint.encode(TEXTS)).max() < 1e-2

    def test_half_precision_that_would_overflow(self, tmp_path: Path) -> None:
        checkpoint = tiny_checkpoint(tiny_wordpiece())
        with torch.no_grad():
            checkpoint.model.encoder.tokens.weight[3, 3] = 7e4
        with pytest.raises(CheckpointError, match="tokens.weight holds values that float16 cannot"):
            save(checkpoint, tmp_path / "half", half=True)
        assert not (tmp_path / "half").exists()

    def test_loading_draws_no_random_numbers(self, folder: Path) -> None:
        state = torch.get_rng_state()
        load(folder)
        assert torch.equal(torch.get_rng_state(), state)


class TestTokenize:
    @pytest.mark.parametrize("limit", [2, 3, 7, 64])
    def test_cuts_as_the_tokenizers_library_does(self, tokenizer: Tokenizer, limit: int) -> None:
        ours = tiny_checkpoint(tokenizer, max_tokens=limit).tokenize(TEXTS)
        reference = Tokenizer.from_str(tokenizer.to_str())
        reference.enable_truncation(limit)
        assert ours == [encoding.ids for encoding in reference.encode_batch(list(TEXTS))]
        assert max(map(len, ours)) == limit

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(text=st.text(max_size=60), limit=st.integers(2, 12), kind=st.sampled_from(sorted(TOKENIZERS)))
    def test_cuts_any_text_as_the_tokenizers_library_does(self, text: str, limit: int, kind: str) -> None:
        tokenizer = TOKENIZERS[kind]()
        ours = tiny_checkpoint(tokenizer, max_tokens=limit).tokenize([text])[0]
        tokenizer.enable_truncation(limit)
        assert ours == tokenizer.encode(text).ids

    def test_the_last_special_token_survives_the_cut(self) -> None:
        tokenizer = tiny_wordpiece()
        ids = tiny_checkpoint(tokenizer, max_tokens=5).tokenize(["model " * 50])[0]
        assert [tokenizer.id_to_token(token) for token in ids] == [
            "[CLS]",
            "model",
            "model",
            "model",
            "[SEP]",
        ]

    def test_padding_and_truncation_of_the_tokenizer_do_not_count(self) -> None:
        tokenizer = tiny_wordpiece()
        expected = tiny_checkpoint(tokenizer).tokenize(TEXTS)
        tokenizer.enable_padding(length=40)
        tokenizer.enable_truncation(3)
        checkpoint = tiny_checkpoint(tokenizer)
        assert checkpoint.tokenize(TEXTS) == expected
        assert tokenizer.truncation["max_length"] == 3  # the caller's object is as it was
        assert checkpoint.tokenizer.truncation is None
        assert checkpoint.tokenizer.padding is None


class TestEncode:
    def test_shape_type_and_order(self, tokenizer: Tokenizer) -> None:
        checkpoint = tiny_checkpoint(tokenizer)
        vectors = checkpoint.encode(TEXTS)
        assert vectors.shape == (len(TEXTS), 32)
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(checkpoint.encode(TEXTS[::-1]), vectors[::-1])

    def test_each_text_is_computed_alone(self, tokenizer: Tokenizer) -> None:
        checkpoint = tiny_checkpoint(tokenizer)
        together = checkpoint.encode(TEXTS)
        for text, vector in zip(TEXTS, together, strict=True):
            np.testing.assert_array_equal(checkpoint.encode([text])[0], vector)

    def test_no_text_gives_no_vector(self, tokenizer: Tokenizer) -> None:
        assert tiny_checkpoint(tokenizer).encode([]).shape == (0, 32)

    def test_a_text_without_tokens_gives_zeros(self) -> None:
        checkpoint = tiny_checkpoint(tiny_bpe())
        assert checkpoint.tokenize([""]) == [[]]
        vectors = checkpoint.encode(["", "a"])
        assert not vectors[0].any()
        assert np.linalg.norm(vectors[1]) == pytest.approx(1.0)

    def test_one_text_is_not_a_sequence_of_texts(self) -> None:
        checkpoint = tiny_checkpoint(tiny_bpe())
        with pytest.raises(TypeError, match=re.escape("texts is a str; it must be a sequence of str")):
            checkpoint.encode("one text")


class TestInvariants:
    def made(self, **changes: object) -> Checkpoint:
        sound = tiny_checkpoint(tiny_wordpiece())
        fields = {"model": sound.model, "tokenizer": sound.tokenizer, "name": "x", "licence": None}
        return Checkpoint(**{**fields, "source_sha256": None, **changes})

    def test_a_model_in_training(self) -> None:
        model = tiny_checkpoint(tiny_wordpiece()).model.train()
        with pytest.raises(CheckpointError, match=r"training mode; call model\.eval\(\) first"):
            self.made(model=model)

    def test_a_model_in_half_precision(self) -> None:
        model = tiny_checkpoint(tiny_wordpiece()).model.half()
        with pytest.raises(
            CheckpointError, match=r"is torch\.float16; it must be float32: call model\.float\(\)"
        ):
            self.made(model=model)

    @pytest.mark.parametrize("value", [float("nan"), float("-inf")])
    def test_weights_that_are_not_finite(self, value: float) -> None:
        model = tiny_checkpoint(tiny_wordpiece()).model
        with torch.no_grad():
            model.encoder.positions[3, 1] = value
        with pytest.raises(
            CheckpointError, match=r"^encoder\.positions holds NaN or infinity; load or train"
        ):
            self.made(model=model)

    def test_weights_without_values(self) -> None:
        model = tiny_checkpoint(tiny_wordpiece()).model.to("meta")
        with pytest.raises(CheckpointError, match=r"^encoder\.\S+ is on the meta device, without values"):
            self.made(model=model)

    def test_a_limit_without_room_for_the_special_tokens(self) -> None:
        with pytest.raises(CheckpointError, match="max_tokens is 1; this tokenizer adds 2 special tokens"):
            tiny_checkpoint(tiny_wordpiece(), max_tokens=1)

    def test_a_tokenizer_that_draws_at_random(self) -> None:
        tokenizer = tiny_bpe()
        expected = tokenizer.encode("the transformer relates tokens").ids
        tokenizer.model.dropout = 0.9
        checkpoint = tiny_checkpoint(tokenizer)
        rows = [checkpoint.tokenize(["the transformer relates tokens"])[0] for _ in range(20)]
        assert rows == [expected] * 20
        assert json.loads(checkpoint.tokenizer.to_str())["model"]["dropout"] is None
        assert tokenizer.model.dropout == pytest.approx(0.9)  # the one that was given is as it was

    def test_added_tokens_that_are_one_when_normalized(self) -> None:
        tokenizer = tiny_wordpiece()
        tokenizer.add_tokens(["cafe", AddedToken("Cafe", normalized=False)])
        tiny_checkpoint(tokenizer)
        tokenizer.add_tokens(["CAFE"])
        message = "^the tokenizer has the added tokens 'CAFE' and 'cafe', which normalized text cannot tell"
        with pytest.raises(CheckpointError, match=message):
            tiny_checkpoint(tokenizer)

    def test_a_tokenizer_that_holds_a_text_twice(self) -> None:
        tokenizer = tiny_wordpiece()
        special = [("[CLS]", 2), ("[SEP]", 3)]
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A $A [SEP]", pair="$A $B", special_tokens=special
        )
        with pytest.raises(CheckpointError, match="its post-processor must hold the text once"):
            self.made(tokenizer=tokenizer)

    def test_a_template_with_an_id_beyond_the_table(self) -> None:
        tokenizer = tiny_wordpiece()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A", pair="$A $B", special_tokens=[("[CLS]", 999)]
        )
        with pytest.raises(CheckpointError, match="gives ids up to 999; this encoder has"):
            self.made(tokenizer=tokenizer)

    def test_a_tokenizer_that_splits_special_tokens(self) -> None:
        tokenizer = tiny_wordpiece()
        tokenizer.encode_special_tokens = True
        with pytest.raises(
            CheckpointError, match="splits special tokens, which a tokenizer.json cannot hold"
        ):
            self.made(tokenizer=tokenizer)

    def test_a_tokenizer_that_fails_or_panics(self) -> None:
        document = json.loads(tiny_wordpiece().to_str())
        del document["model"]["vocab"]["[UNK]"]
        document["added_tokens"] = [
            token for token in document["added_tokens"] if token["content"] != "[UNK]"
        ]
        checkpoint = self.made(tokenizer=Tokenizer.from_str(json.dumps(document)))
        with pytest.raises(
            CheckpointError, match=r"^the tokenizer fails on a text: WordPiece error: Missing"
        ):
            checkpoint.tokenize(["\u2603"])
        template = document["post_processor"]
        template["single"] = [{"SpecialToken": {"id": "[X]", "type_id": 0}}, *template["single"]]
        panicking = Tokenizer.from_str(json.dumps(document))
        with pytest.raises(CheckpointError, match=r"^the tokenizer fails on a short text: "):
            self.made(tokenizer=panicking)

    def test_a_tokenizer_of_another_model(self) -> None:
        with pytest.raises(CheckpointError, match=r"gives ids up to 359; this encoder has \d+ rows"):
            self.made(tokenizer=tiny_bpe())


class TestSave:
    def test_replaces_its_own_kind_and_leaves_nothing_beside(self, folder: Path) -> None:
        folder.chmod(0o750)
        save(tiny_checkpoint(tiny_wordpiece(), seed=3), folder)
        assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
        assert folder.stat().st_mode & 0o777 == 0o750
        np.testing.assert_array_equal(
            load(folder).encode(TEXTS), tiny_checkpoint(tiny_wordpiece(), seed=3).encode(TEXTS)
        )

    def test_all_files_are_equally_readable(self, folder: Path) -> None:
        assert len({path.stat().st_mode for path in folder.iterdir()}) == 1

    def test_makes_the_folders_above_and_fills_an_empty_one(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        save(tiny_checkpoint(tiny_bpe()), tmp_path / "a" / "b")
        save(tiny_checkpoint(tiny_bpe()), tmp_path / "c" / "d")
        assert load(tmp_path / "a" / "b").name == load(tmp_path / "c" / "d").name == "tiny"

    @pytest.mark.parametrize("kind", ["folder", "file"])
    def test_leaves_anything_else_alone(self, tmp_path: Path, kind: str) -> None:
        target = tmp_path / "precious"
        precious = target / "thesis.txt" if kind == "folder" else target
        precious.parent.mkdir(exist_ok=True)
        precious.write_text("years of work")
        with pytest.raises(
            CheckpointError, match="exists and is not a Sestina checkpoint; name a new folder"
        ):
            save(tiny_checkpoint(tiny_bpe()), target)
        assert precious.read_text() == "years of work"

    @pytest.mark.parametrize("foreign", ["mine.txt", "more/mine.txt"])
    def test_keeps_what_somebody_else_put_there(self, folder: Path, foreign: str) -> None:
        (folder / foreign).parent.mkdir(exist_ok=True)
        (folder / foreign).write_text("years of work")
        before = load(folder).encode(TEXTS)
        name = foreign.partition("/")[0]
        with pytest.raises(CheckpointError, match=f"holds '{name}', which is no part of a checkpoint"):
            save(tiny_checkpoint(tiny_wordpiece(), seed=3), folder)
        assert (folder / foreign).read_text() == "years of work"
        np.testing.assert_array_equal(load(folder).encode(TEXTS), before)

    def test_a_config_of_another_program_is_no_checkpoint(self, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "sestina.json").write_text('{"format": "poem"}')
        with pytest.raises(CheckpointError, match="is not a Sestina checkpoint"):
            save(tiny_checkpoint(tiny_bpe()), tmp_path / "other")
        assert (tmp_path / "other" / "sestina.json").exists()

    def test_a_loop_of_links(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(CheckpointError, match="is not a Sestina checkpoint"):
            save(tiny_checkpoint(tiny_bpe()), tmp_path / "loop")
        assert (tmp_path / "loop").is_symlink()

    def test_a_failed_save_leaves_the_old_checkpoint(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = load(folder).encode(TEXTS)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(checkpoints, "save_file", full)
        with pytest.raises(CheckpointError, match="cannot be written: No space left on device"):
            save(tiny_checkpoint(tiny_wordpiece(), seed=3), folder)
        assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
        np.testing.assert_array_equal(load(folder).encode(TEXTS), before)

    def test_a_failed_save_leaves_no_folder_that_it_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            (tmp_path / "kept" / "theirs").write_text("of another process")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(checkpoints, "save_file", full)
        with pytest.raises(CheckpointError, match="cannot be written: No space left on device"):
            save(tiny_checkpoint(tiny_bpe()), tmp_path / "kept" / "a" / "b")
        assert [path.name for path in (tmp_path / "kept").iterdir()] == ["theirs"]

    def test_a_failed_rename_puts_the_old_checkpoint_back(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = Path.rename

        def failing(self: Path, target: Path) -> Path:
            if self.suffix == ".new":
                raise OSError(5, "Input/output error")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", failing)
        with pytest.raises(CheckpointError, match="cannot be written: Input/output error"):
            save(tiny_checkpoint(tiny_wordpiece(), seed=3), folder)
        assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
        assert load(folder).name == "tiny"

    def test_a_path_through_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CheckpointError, match="cannot be written: Not a directory"):
            save(tiny_checkpoint(tiny_bpe()), tmp_path / "file" / "out")


class TestRefusal:
    def test_no_folder(self, tmp_path: Path) -> None:
        assert refused(tmp_path / "none") == (
            f"{tmp_path / 'none'} does not exist; name a folder that holds a checkpoint"
        )

    def test_a_file(self, folder: Path) -> None:
        assert refused(folder / "sestina.json").endswith("is a file; name the folder that holds it")

    def test_a_folder_without_permission(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.access", lambda *_: False)  # chmod does not stop root, who runs tests in CI
        assert refused(folder) == f"{folder} cannot be read: permission denied; allow reading it"

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        assert "holds neither sestina.json" in refused(tmp_path)

    def test_every_fault_of_the_tensors_at_once(self, folder: Path) -> None:
        weights = folder / "encoder.safetensors"
        tensors = load_file(weights)
        del tensors["positions"], tensors["layers.1.attention.key.bias"]
        tensors["positions_new"] = tensors["extra"] = torch.zeros(2)
        tensors["extra"] = torch.ones(3)
        tensors["embedding_norm.weight"] = torch.ones(31)
        tensors["layers.0.feed_forward.inner.weight"] = torch.ones(32, 64)
        save_file(tensors, weights)
        assert refused(folder) == (
            f"{weights}: the weights do not fit the configuration; "
            f"missing: layers.1.attention.key.bias, positions; unexpected: extra, positions_new; "
            f"misshapen: embedding_norm.weight [31] instead of [32], "
            f"layers.0.feed_forward.inner.weight [32, 64] instead of [64, 32]"
        )

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_weights_that_are_not_finite(self, folder: Path, value: float) -> None:
        weights = folder / "encoder.safetensors"
        tensors = load_file(weights)
        tensors["layers.1.attention_norm.bias"][3] = value
        save_file(tensors, weights)
        assert "layers.1.attention_norm.bias holds NaN or infinity" in refused(folder)

    @pytest.mark.parametrize("dtype", [torch.int8, torch.float64], ids=str)
    def test_weights_of_another_type(self, folder: Path, dtype: torch.dtype) -> None:
        weights = folder / "encoder.safetensors"
        tensors = load_file(weights)
        tensors["positions"] = tensors["positions"].to(dtype)
        save_file(tensors, weights)
        message = refused(folder, UnsupportedCheckpointError)
        assert f"positions is {str(dtype).removeprefix('torch.')}; float32, float16 and bfloat16" in message

    @pytest.mark.parametrize("keep", [0, 4, 100, -1])
    def test_truncated_weights(self, folder: Path, keep: int) -> None:
        weights = folder / "encoder.safetensors"
        weights.write_bytes(weights.read_bytes()[:keep])
        message = refused(folder)
        assert f"{weights} is not a whole safetensors file" in message
        assert message.endswith("fetch the folder again")

    @pytest.mark.parametrize("name", ["encoder.safetensors", "tokenizer.json"])
    def test_a_missing_file(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        assert str(folder / name) in refused(folder)

    def test_broken_json(self, folder: Path) -> None:
        (folder / "sestina.json").write_text('{"format": 1,')
        assert f"{folder / 'sestina.json'} is not valid JSON (" in refused(folder)

    def test_json_of_another_shape(self, folder: Path) -> None:
        (folder / "sestina.json").write_text("[1]")
        assert refused(folder).endswith("sestina.json holds [1]; it must hold a JSON object")

    @pytest.mark.parametrize("text", ["", "{}", "\ud800".encode("utf-8", "surrogatepass")], ids=repr)
    def test_a_broken_tokenizer(self, folder: Path, text: str | bytes) -> None:
        (folder / "tokenizer.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        assert "tokenizer.json is not a tokenizer that can be read" in refused(folder)

    def test_a_tokenizer_that_keeps_the_end(self, folder: Path) -> None:
        tokenizer = tiny_wordpiece()
        tokenizer.enable_truncation(8, direction="left")
        tokenizer.save(str(folder / "tokenizer.json"))
        assert "truncation direction 'left' is not supported" in refused(folder, UnsupportedCheckpointError)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": 2}, "has format 2; this version of Sestina reads 1"),
            ({"format": None}, "has format None; this version of Sestina reads 1"),
            ({"name": 3}, "name must be a string"),
            ({"licence": ["mit"]}, "licence a string or null"),
            ({"encoder": None}, "encoder is None; it must be an object"),
            ({"encoder": {"depth": 3}}, "unknown configuration names: depth"),
            ({"encoder": {"vocab_size": 0}}, "vocab_size is 0; it must be a whole number of at least 1"),
            ({"head": {"pooling": "last"}}, "pooling is 'last'; it must be one of mean, cls, max,"),
            ({"head": {"max_tokens": 65}}, "max_tokens is 65; this encoder has positions for 64"),
        ],
    )
    def test_a_configuration_that_makes_no_sense(
        self, folder: Path, change: dict[str, object], message: str
    ) -> None:
        edit(folder / "sestina.json", **change)
        text = refused(folder)
        assert message in text
        assert str(folder / "sestina.json") in text

    def test_a_folder_of_both_kinds_is_ours(self, folder: Path, tmp_path: Path) -> None:
        both = tmp_path / "both"
        shutil.copytree(folder, both)
        (both / "config.json").write_text("{}")
        assert load(both).name == "tiny"


def test_a_sinusoidal_table_is_computed_not_stored(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tiny_bpe(), positions="sinusoidal")
    save(checkpoint, tmp_path / "out")
    assert "positions" not in load_file(tmp_path / "out" / "encoder.safetensors")
    assert torch.equal(load(tmp_path / "out").model.encoder.positions, checkpoint.model.encoder.positions)


def test_a_checkpoint_of_fresh_weights_saves(tmp_path: Path) -> None:
    config = tiny_checkpoint(tiny_bpe()).model.encoder.config
    model = SentenceEncoder(TransformerEncoder(config), HeadConfig(max_tokens=8)).eval()
    fresh = Checkpoint(model=model, tokenizer=tiny_bpe(), name="f", licence=None, source_sha256=None)
    save(fresh, tmp_path / "out")
    np.testing.assert_array_equal(load(tmp_path / "out").encode(TEXTS), fresh.encode(TEXTS))
