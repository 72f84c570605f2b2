"""What lies after pooling: steps as data, in our own layout, and as a folder of sentence-transformers has them."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from _tiny import TEXTS, perturb, tiny_checkpoint, tiny_wordpiece
from sestina_model import CheckpointError, ConfigError, UnsupportedCheckpointError
from sestina_model.checkpoint import Checkpoint, load, save
from sestina_model.config import HeadConfig
from sestina_model.head_steps import Step
from sestina_model.sentence import SentenceEncoder, pool

STEPS = (
    Step(kind="dense", out_features=24, activation="GELU"),
    Step(kind="normalize"),
    Step(kind="dense", out_features=17, bias=False, residual=True),
    Step(kind="layer_norm"),
    Step(kind="dense", out_features=17, activation="PReLU", residual=True),
)
HEAD = HeadConfig(
    pooling="mean+lasttoken",
    max_tokens=64,
    steps=STEPS,
    truncate_dim=9,
    include_prompt=False,
    prompts={"query": "the "},
    default_prompt="query",
    similarity="dot",
)


@pytest.fixture
def checkpoint() -> Checkpoint:
    tiny = tiny_checkpoint(tiny_wordpiece())
    model = SentenceEncoder(tiny.model.encoder, HEAD)
    perturb(model.steps, 4)
    return Checkpoint(model.eval(), tiny.tokenizer, "tiny", None, None)


def test_our_own_layout_keeps_all_of_it(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "own")
    again = load(tmp_path / "own")
    assert again.model.head == HEAD
    assert again.dimensions == 9
    assert np.array_equal(again.encode(TEXTS, "the "), checkpoint.encode(TEXTS, "the "))


def test_what_the_first_version_had_is_all_that_is_written_of_a_plain_head() -> None:
    assert HeadConfig().to_dict() == {"pooling": "mean", "normalize": True, "max_tokens": 512}
    assert HeadConfig.from_dict(json.loads(json.dumps(HEAD.to_dict()))) == HEAD


def test_weights_of_steps_that_do_not_fit(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "own")
    file = tmp_path / "own" / "encoder.safetensors"
    tensors = load_file(file)
    tensors["steps.9.linear.weight"] = tensors.pop("steps.0.linear.weight")
    save_file(tensors, file)
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "own")
    assert "missing: steps.0.linear.weight; unexpected: steps.9.linear.weight" in str(caught.value)


def test_loading_draws_nothing_at_random(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "own")
    state = torch.get_rng_state()
    load(tmp_path / "own")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "pooling", ["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
)
@pytest.mark.parametrize("start", [None, 0, 2, 3, 4])
def test_padding_changes_nothing(pooling: str, start: int | None) -> None:
    hidden = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(5))
    mask = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    pooled_from = None if start is None else torch.tensor([start])
    together = pool(hidden, mask, pooling, pooled_from)
    torch.testing.assert_close(together[:1], pool(hidden[:1], None, pooling, pooled_from))
    torch.testing.assert_close(together[1:], pool(hidden[1:, :3], None, pooling, pooled_from))
    if start is not None and start >= 3:  # the second has no token left
        assert bool(together[1].any()) == (pooling == "cls")


@pytest.mark.parametrize("pooling", ["mean+cls", "max+max+lasttoken"])
def test_several_poolings_stand_one_after_the_other(pooling: str) -> None:
    hidden = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(6))
    parts = [pool(hidden, None, mode) for mode in pooling.split("+")]
    assert torch.equal(pool(hidden, None, pooling), torch.cat(parts, 1))


def test_more_poolings_than_there_may_be() -> None:
    with pytest.raises(ConfigError, match="pooling is 'mean"):
        HeadConfig(pooling="+".join(["mean"] * 17))


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A folder of sentence-transformers 6 with one Dense, by hand."""
    transformers = pytest.importorskip("transformers")
    tokenizer = tiny_wordpiece()
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=32, **shape
    )
    path = tmp_path / "tiny"
    transformers.BertModel(config).save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    kinds = {"": "base.modules.transformer.Transformer", "1": "models.Pooling", "2": "models.Dense"}
    modules = [{"path": where, "type": f"sentence_transformers.{kind}"} for where, kind in kinds.items()]
    (path / "modules.json").write_text(json.dumps(modules))
    for where, values in (
        ("1", {"pooling_mode": "mean"}),
        (
            "2",
            {"in_features": 16, "out_features": 3, "activation_function": "torch.nn.modules.activation.Tanh"},
        ),
    ):
        (path / where).mkdir()
        (path / where / "config.json").write_text(json.dumps(values))
    save_file(
        {"linear.weight": torch.ones(3, 16), "linear.bias": torch.zeros(3)}, path / "2/model.safetensors"
    )
    return path


def test_a_dense_of_any_version(dense: Path) -> None:
    assert load(dense).model.head.steps == (Step(kind="dense", out_features=3, activation="Tanh"),)
    assert load(dense).dimensions == 3
    without = load(dense).source_sha256
    save_file(
        {"linear.weight": torch.ones(3, 16), "linear.bias": torch.ones(3)}, dense / "2/model.safetensors"
    )
    assert load(dense).source_sha256 != without  # its weights are weights of the checkpoint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_features": 17}, "in_features is 17; what comes before it is 16 wide"),
        ({"in_features": None}, "in_features is None; it must be a whole number from 1 to 16777216"),
        ({"out_features": "3"}, "out_features is '3'; it must be a whole number from 1 to 16777216"),
        ({"bias": 1}, "bias is 1; it must be true or false"),
        ({"use_residual": "no"}, "use_residual is 'no'; it must be true or false"),
        (
            {"activation_function": "torch.nn.modules.activation.Softmax"},
            "activation_function 'torch.nn.modules.activation.Softmax' is not supported; torch.nn's Identity, Tanh",
        ),
        ({"activation_function": "custom.Tanh"}, "activation_function 'custom.Tanh' is not supported"),
        ({"activation_function": "torch.Tanh"}, "activation_function 'torch.Tanh' is not supported"),
        ({"activation_function": None}, "activation_function None is not supported"),
        (
            {"module_input_name": "token_embeddings"},
            "module_input_name 'token_embeddings' is not supported; 'sentence_embedding' is",
        ),
        ({"module_output_name": "x"}, "module_output_name 'x' is not supported"),
    ],
)
def test_a_dense_that_is_refused(dense: Path, changes: dict[str, Any], message: str) -> None:
    path = dense / "2" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CheckpointError) as caught:
        load(dense)
    assert str(caught.value).startswith(f"{path}: {message}")


def removed(dense: Path) -> str:
    (dense / "2/model.safetensors").unlink()
    return "2/model.safetensors is missing"


def pickled(dense: Path) -> str:
    (dense / "2/model.safetensors").rename(dense / "2/pytorch_model.bin")
    return "2/pytorch_model.bin is pickled and pickles are never read"


def misshapen(dense: Path) -> str:
    save_file({"linear.weight": torch.ones(4, 16), "other": torch.zeros(3)}, dense / "2/model.safetensors")
    return "missing: linear.bias; unexpected: other (unknown); misshapen: linear.weight [4, 16] instead of [3, 16]"


@pytest.mark.parametrize("spoil", [removed, pickled, misshapen])
def test_weights_that_are_refused(dense: Path, spoil: Callable[[Path], str]) -> None:
    message = spoil(dense)
    with pytest.raises(CheckpointError) as caught:
        load(dense)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "more", "pooling"),
    [
        ("BertModel", {}, "mean"),
        ("BertForCausalLM", {}, "lasttoken"),
        ("BertForCausalLM", {"is_causal": False}, "mean"),
        ("BertLMHeadModel", {}, "mean"),
    ],
)
def test_a_folder_without_modules(dense: Path, architecture: str, more: dict[str, Any], pooling: str) -> None:
    (dense / "modules.json").unlink()
    path = dense / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": [architecture]} | more))
    head = load(dense).model.head
    assert (head.pooling, head.normalize, head.steps) == (pooling, False, ())


def test_a_router_is_refused_by_name(dense: Path) -> None:
    kind = "sentence_transformers.base.modules.router.Router"
    (dense / "modules.json").write_text(json.dumps([{"path": "", "type": kind}]))
    with pytest.raises(UnsupportedCheckpointError, match=f"the module {kind} is not supported"):
        load(dense)


def test_a_head_can_be_copied_and_pickled() -> None:
    head = HeadConfig(prompts={"query": "query: "}, default_prompt="query", pooling="mean+cls")
    for other in (copy.deepcopy(head), copy.copy(head), pickle.loads(pickle.dumps(head))):
        assert other == head
        assert other.to_dict() == head.to_dict()
