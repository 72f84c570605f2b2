"""BGE-M3's two heads beside a folder: read as plain tensors, refused in one line where they are anything else."""

from __future__ import annotations

import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from _m3 import FILES, SPECIAL, WIDTH, m3_folder, m3_heads, several_checkpoint
from sestina_model import checkpoint
from sestina_model._errors import CheckpointError, ConfigError
from sestina_model.head_config import HeadConfig
from sestina_model.token_outputs import TokenOutputs

SPARSE, COLBERT = FILES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")  # which makes it
    return m3_folder(tmp_path_factory.mktemp("m3") / "m3")


@pytest.fixture
def other(folder: Path, tmp_path: Path) -> Path:
    """The same folder, to change."""
    return Path(shutil.copytree(folder, tmp_path / "m3"))


def test_both_are_read_beside_the_dense_part(folder: Path) -> None:
    read = checkpoint.load(folder)
    assert read.model.head.token_outputs == TokenOutputs(
        sparse=True, skip=SPECIAL, multi_vector=WIDTH, first=1
    )
    for (linear, _), name in zip(m3_heads().values(), ("sparse", "multi_vector"), strict=True):
        assert torch.equal(read.model.token_maps.linear(name).weight, linear.weight)
        assert torch.equal(read.model.token_maps.linear(name).bias, linear.bias)


@pytest.mark.parametrize("file, wanted", [(SPARSE, ("sparse",)), (COLBERT, ("multi-vector",))])
def test_one_alone_is_that_one(other: Path, file: str, wanted: tuple[str, ...]) -> None:
    (other / next(each for each in FILES if each != file)).unlink()
    outputs = checkpoint.load(other).model.head.token_outputs
    assert outputs is not None
    assert outputs.names == wanted


def test_none_is_the_dense_part_as_ever(folder: Path, other: Path) -> None:
    for file in FILES:
        (other / file).unlink()
    plain, read = checkpoint.load(other), checkpoint.load(folder)
    assert plain.model.head == HeadConfig.from_dict(
        {name: value for name, value in read.model.head.to_dict().items() if name != "token_outputs"}
    )
    assert np.array_equal(plain.encode(["the model"]), read.encode(["the model"]))
    assert plain.source_sha256 != read.source_sha256


def test_a_checkpoint_of_ours_holds_them(folder: Path, tmp_path: Path) -> None:
    read = checkpoint.load(folder)
    for half in (False, True):
        checkpoint.save(read, tmp_path / "ours", half=half)
        again = checkpoint.load(tmp_path / "ours")
        assert again.model.head == read.model.head
        for name, tensor in read.model.token_maps.state_dict().items():
            kept = tensor.half().float() if half else tensor
            assert torch.equal(again.model.token_maps.state_dict()[name], kept)


class _Runs:
    """What a pickle that runs something has."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_something_is_not_run(other: Path, tmp_path: Path) -> None:
    made = tmp_path / "run"
    torch.save({"weight": torch.zeros(1, WIDTH), "bias": _Runs(made)}, other / SPARSE)
    with pytest.raises(
        CheckpointError, match=r"sparse_linear\.pt is no state_dict .*; nothing of it was run"
    ) as error:
        checkpoint.load(other)
    assert "\n" not in str(error.value)
    assert not made.exists()
    torch.load(other / SPARSE, weights_only=False)  # the negative control: it would have
    assert made.exists()


_WHOLE = {"weight": torch.zeros(1, WIDTH), "bias": torch.zeros(1)}
_NAN = torch.full((1, WIDTH), float("nan"))


@pytest.mark.parametrize(
    "held, said",
    [
        ([1], "holds a list; it must hold weight and bias"),
        ({"weight": torch.zeros(1, WIDTH)}, "holds the keys weight; it must hold weight and bias"),
        ({**_WHOLE, "more": torch.zeros(1)}, "the keys bias, more, weight;"),
        ({**_WHOLE, "bias": 0.5}, "bias is a float; it must be a whole tensor of floats"),
        (
            {**_WHOLE, "bias": torch.zeros(1, dtype=torch.int8)},
            r"bias is a tensor of int8 of shape \[1\] on cpu;",
        ),
        ({**_WHOLE, "weight": torch.zeros(1).expand(1, 10**9)}, "must be a whole tensor of floats"),
        ({**_WHOLE, "weight": torch.zeros(1, WIDTH).to_sparse()}, "must be a whole tensor of floats"),
        (
            {**_WHOLE, "weight": torch.zeros(1, WIDTH + 1)},
            r"weight has the shape \[1, 33\]; it must be \[1, 32\]",
        ),
        ({**_WHOLE, "weight": torch.zeros(WIDTH)}, r"weight has the shape \[32\]; it must be \[1, 32\]"),
        ({**_WHOLE, "bias": torch.zeros(2)}, r"bias has the shape \[2\]; it must be \[1\]"),
        ({**_WHOLE, "weight": _NAN}, "weight holds NaN or infinity"),
    ],
    ids=range(11),
)
def test_what_is_no_linear_map_is_one_line(other: Path, held: Any, said: str) -> None:
    torch.save(held, other / SPARSE)
    with pytest.raises(CheckpointError, match=said) as error:
        checkpoint.load(other)
    assert str(other / SPARSE) in str(error.value)
    assert "\n" not in str(error.value)


def test_nested_tensors_and_packed_files_are_one_line(other: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of nested tensors
        torch.save({**_WHOLE, "weight": torch.nested.nested_tensor([torch.zeros(2)])}, other / SPARSE)
        with pytest.raises(CheckpointError, match=r"sparse_linear\.pt") as error:
            checkpoint.load(other)
    assert "\n" not in str(error.value)
    torch.save({**_WHOLE, "bias": torch.zeros(10**6)}, other / SPARSE)
    with zipfile.ZipFile(other / SPARSE) as stored:
        parts = {each.filename: stored.read(each) for each in stored.infolist()}
    with zipfile.ZipFile(other / SPARSE, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, part in parts.items():
            packed.writestr(name, part)
    with pytest.raises(CheckpointError, match=r"holds 4[0-9]{6} bytes in [0-9]+; torch\.save packs nothing"):
        checkpoint.load(other)


def test_what_is_no_file_of_torch_is_one_line(other: Path) -> None:
    for content in (b"", b"PK\x03\x04", pickle.dumps([1]), (other / COLBERT).read_bytes()[:200]):
        (other / COLBERT).write_bytes(content)
        with pytest.raises(CheckpointError, match="is no state_dict that torch reads|holds a list") as error:
            checkpoint.load(other)
        assert "\n" not in str(error.value)
    (other / COLBERT).unlink()
    (other / COLBERT).symlink_to(other / "blob")
    with pytest.raises(CheckpointError, match="is a link that leads nowhere"):
        checkpoint.load(other)


def test_the_width_of_vectors_is_the_file_s(tmp_path: Path) -> None:
    read = checkpoint.load(m3_folder(tmp_path / "m3", (COLBERT,), d=8))
    assert read.model.head.token_outputs == TokenOutputs(multi_vector=8, first=1)


@pytest.mark.parametrize(
    "values, said",
    [
        ({}, "neither sparse nor multi_vector"),
        ({"sparse": 1}, "sparse is 1"),
        ({"sparse": True, "skip": [2, 1]}, r"skip is \(2, 1\)"),
        ({"multi_vector": 0}, "multi_vector is 0"),
        ({"multi_vector": 8, "first": -1}, "first is -1"),
        ({"multi_vector": 8, "skip": [1]}, "skip is of sparse"),
        ({"dense": True}, "must be an object of"),
        (7, "must be an object of"),
    ],
    ids=range(8),
)
def test_a_configuration_that_makes_no_sense_is_one_line(values: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        HeadConfig.from_dict({"token_outputs": values})


def test_other_tasks_have_none() -> None:
    head = several_checkpoint().model.head.to_dict()
    with pytest.raises(ConfigError, match="the task tag has no token_outputs"):
        HeadConfig.from_dict({**head, "task": "tag", "labels": ["a"], "normalize": False, "prompts": {},
                              "steps": [{"kind": "dense", "out_features": 1}]})  # fmt: skip
