"""What an output may not take the place of: a file that a manifest of ours vouches for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sestina

Cli = Callable[..., Any]  # the fixture of conftest.py


@pytest.fixture
def own(bundle: Path, tmp_path: Path) -> Path:
    """A bundle to write to."""
    return Path(shutil.copytree(bundle, tmp_path / "own.sestina"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "argv",
    [
        ("encode", "{own}", "a", "--output", "{own}/golden.npy"),
        ("encode", "{own}", "a", "--output", "{own}/tokenizer.json", "--format", "jsonl"),
        ("encode", "{own}", "a", "--output", "{link}"),
        ("explain", "{own}", "a", "--output", "{own}/manifest.json"),
        ("explain", "{own}", "a", "--output", "{free}", "--png", "{own}/cpu-fp32.onnx"),
    ],
)
def test_no_file_of_a_bundle_is_replaced(argv: tuple[str, ...], own: Path, tmp_path: Path, cli: Cli) -> None:
    link, free = tmp_path / "link.npy", tmp_path / "free.html"
    link.symlink_to(own / "golden.npy")
    before = content(own)
    result = cli(*(each.format(own=own, link=link, free=free) for each in argv))
    assert result.code == 2
    assert f"is a file of {own}, a bundle: name a file that is not among its own" in result.err
    assert content(own) == before
    assert not free.exists()
    assert sestina.load(own).verify().passed


def test_nor_a_shard(own: Path, tmp_path: Path, cli: Cli) -> None:
    vectors = tmp_path / "vectors"
    assert cli("encode", str(own), "a", "b", "--output", f"{vectors}/", "--shard-rows", "1").code == 0
    before = content(vectors)
    (shard, _) = sorted(path for path in vectors.iterdir() if path.suffix == ".npy")
    result = cli("encode", str(own), "c", "--output", str(shard))
    assert result.code == 2
    assert f"is a file of {vectors}, vectors in shards" in result.err
    assert content(vectors) == before


def test_what_is_no_part_of_one_is(own: Path, tmp_path: Path, cli: Cli) -> None:
    beside = own / "mine.npy"  # as long as it is not there, nothing is lost
    assert cli("encode", str(own), "a", "--output", str(beside)).code == 0
    for stated in ('{"format": "other"}', "[1]", "{", '{"format": []}'):
        (tmp_path / "manifest.json").write_text(stated)
        (tmp_path / "old.npy").write_bytes(b"old")
        assert cli("encode", str(own), "a", "--output", str(tmp_path / "old.npy")).code == 0
        assert (tmp_path / "old.npy").read_bytes() != b"old"
