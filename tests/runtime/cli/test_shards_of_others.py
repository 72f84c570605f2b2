"""What is not ours in a folder of shards: a user's files, links, pipes, and what another process is writing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]  # the fixture of conftest.py
PIPE = pytest.param(
    "pipe", marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
)


@pytest.mark.parametrize("kind", ["file", "link", "link to nothing", "empty at a link's end", PIPE, "folder"])
def test_a_journal_of_somebody_else_is_left_alone(kind: str, cli: Cli, bundle: Path, tmp_path: Path) -> None:
    """It was truncated, also at the end of a link, and removed at the end of the run."""
    folder, own = tmp_path / "vectors", tmp_path / "mine.jsonl"
    folder.mkdir()
    place = folder / "unfinished.jsonl"
    own.write_text("" if kind.startswith("empty") else '{"mine": 1}\n')
    if kind == "file":
        own.rename(place)
        own = place
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("nowhere" if kind == "link to nothing" else own)
    kept, there = own.read_bytes(), os.lstat(place)
    result = cli("encode", bundle, "a", "--output", f"{folder}/")
    assert result.code == 2
    assert "unfinished.jsonl" in result.err
    assert own.read_bytes() == kept
    assert os.path.samestat(os.lstat(place), there)
    assert [path.name for path in folder.iterdir()] == ["unfinished.jsonl"]


def test_nor_is_a_link_followed_where_a_folder_was_begun(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    folder, own = tmp_path / "vectors", tmp_path / "mine.jsonl"
    assert cli("encode", bundle, "a", "--output", f"{folder}/").code == 0
    own.write_text('{"mine": 1}\n')
    (folder / "unfinished.jsonl").symlink_to(own)
    result = cli("encode", bundle, "b", "--output", f"{folder}/", "--overwrite")
    assert result.code == 2
    assert "has an unfinished.jsonl that is no file of its own: move it away" in result.err
    assert own.read_text() == '{"mine": 1}\n'


def test_what_looks_like_a_temporary_and_is_a_users_stays(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()
    own = folder / ".sestina-notes.tmp"
    own.write_text("mine")
    result = cli("encode", bundle, "a", "--output", f"{folder}/")
    assert result.code == 2
    assert "holds '.sestina-notes.tmp' and no manifest.json" in result.err
    own.rename(tmp_path / own.name)
    assert cli("encode", bundle, "a", "--output", f"{folder}/").code == 0
    (tmp_path / own.name).rename(own)
    stale = folder / f".sestina-{'0' * 12}-{'1' * 12}.tmp"  # of another boot, or another machine
    stale.touch()
    assert cli("encode", bundle, "b", "--output", f"{folder}/", "--overwrite").code == 0
    assert own.read_text() == "mine"
    assert stale.exists() is (sys.platform != "linux")  # elsewhere nothing proves that it is of another boot


@pytest.mark.skipif(sys.platform != "linux", reason="needs locks and a kernel that says when it was started")
def test_nor_what_another_process_writes_there(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    assert cli("encode", bundle, "a", "--output", f"{folder}/").code == 0
    program = (
        "import sys\nfrom sestina._cli.destination import destination\n"
        "with destination(sys.argv[1]) as out:\n    out.write(b'whole')\n    print(flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, folder / "other.npy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"\n"
        assert cli("encode", bundle, "b", "--output", f"{folder}/", "--overwrite").code == 0
        other.communicate(b"")
    assert other.returncode == 0
    assert (folder / "other.npy").read_bytes() == b"whole"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
@pytest.mark.parametrize("file", ["manifest.json", "shard-00000.npy"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(
    file: str, cli: Cli, bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "vectors"
    assert cli("encode", bundle, "a", "--output", f"{folder}/").code == 0
    whole = (folder / file).read_bytes()
    (folder / file).unlink()
    os.mkfifo(folder / file)
    result = cli("search", bundle, "a", "--in", folder)
    assert result.code == 2
    assert ("is a directory" if file == "manifest.json" else "no plain file") in result.err
    result = cli("encode", bundle, "a", "--output", f"{folder}/")
    if file == "manifest.json":
        assert result.code == 2
        assert "manifest.json that is not one of shards: it is no plain file" in result.err
    else:  # a shard is made again
        assert result.code == 0
        assert (folder / file).read_bytes() == whole


def test_shards_behind_links_are_replaced_and_what_is_at_their_end_stays(
    cli: Cli, bundle: Path, tmp_path: Path
) -> None:
    """As DVC puts what it has seen into its cache, by its checksum, and leaves links."""
    folder, cache = tmp_path / "vectors", tmp_path / "cache"
    cache.mkdir()
    assert cli("encode", bundle, "a", "--output", f"{folder}/").code == 0
    for path in list(folder.iterdir()):
        path.rename(cache / path.name)
        path.symlink_to(cache / path.name)
    kept = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert cli("search", bundle, "a", "--in", folder, "--texts", "-", stdin=b"a\n").code == 0
    assert cli("encode", bundle, "b", "--output", f"{folder}/", "--overwrite").code == 0
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == kept
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert all((folder / name).read_bytes() != content for name, content in kept.items())
