"""Links in a bundle: where they lead does not matter, what is there does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sestina

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs links")
FILES = ("manifest.json", "tokenizer.json", "golden.json", "golden.npy", "cpu-fp32.onnx", "LICENSE")


def hub_cache(bundle: Path, root: Path) -> Path:
    """snapshots/REVISION/NAME/file -> ../../../blobs/DIGEST, as a hub's cache keeps what it downloaded."""
    (root / "blobs").mkdir(parents=True)
    snapshot = root / "snapshots" / "0123abc" / "tiny.sestina"
    snapshot.mkdir(parents=True)
    for path in bundle.iterdir():
        blob = hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, root / "blobs" / blob)
        (snapshot / path.name).symlink_to(Path("../../../blobs") / blob)
    return snapshot


def volume(bundle: Path, root: Path) -> Path:
    """file -> ..data/file, and ..data -> ..2024_05_01, as Kubernetes mounts a volume."""
    root.mkdir()
    shutil.copytree(bundle, root / "..2024_05_01_10_00_00.1")
    (root / "..data").symlink_to("..2024_05_01_10_00_00.1")
    for path in bundle.iterdir():
        (root / path.name).symlink_to(Path("..data") / path.name)
    return root


def data_cache(bundle: Path, root: Path) -> Path:
    """file -> /absolute/cache/files/md5/ab/cdef, read-only, as DVC links what it manages."""
    workspace = root / "work" / "tiny.sestina"
    workspace.mkdir(parents=True)
    for path in bundle.iterdir():
        name = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        kept = root / "cache" / "files" / "md5" / name[:2] / name[2:]
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, kept)
        kept.chmod(0o444)
        (workspace / path.name).symlink_to(kept.absolute())
    return workspace


def linked_as_a_whole(bundle: Path, root: Path) -> Path:
    root.mkdir()
    (root / "current").symlink_to(bundle)
    return root / "current"


@pytest.mark.parametrize("layout", [hub_cache, volume, data_cache, linked_as_a_whole])
def test_layouts_of_links(
    layout: Callable[[Path, Path], Path], bundle: Path, tmp_path: Path, encoder: sestina.Encoder
) -> None:
    path = layout(bundle, tmp_path / "root")
    with sestina.load(path) as found:
        assert found.verify().passed
        assert np.array_equal(found.encode("the model"), encoder.encode("the model"))
        assert found.encode(["the model", "a"]).shape == (2, 32)
        found.explain("the model")


@pytest.mark.parametrize("layout", [hub_cache, volume, data_cache])
def test_what_a_link_leads_to_is_checked(
    layout: Callable[[Path, Path], Path], bundle: Path, tmp_path: Path
) -> None:
    path = layout(bundle, tmp_path / "root") / "tokenizer.json"
    target = path.resolve()
    content = target.read_bytes()
    target.chmod(0o644)
    target.write_bytes(content[:-1] + b"?")
    with pytest.raises(sestina.BundleIntegrityError) as caught:
        sestina.load(path.parent)
    assert str(caught.value) == (
        f"{path} is not the file that was exported (its SHA-256 differs): copy the bundle again"
    )
    target.unlink()
    with pytest.raises(sestina.BundleIntegrityError) as caught:
        sestina.load(path.parent)
    assert str(caught.value) == f"{path} is missing: copy the bundle again"


def test_a_volume_that_is_updated_in_use(bundle: Path, tmp_path: Path) -> None:
    """Kubernetes leads `..data` elsewhere and removes what it led to."""
    path = volume(bundle, tmp_path / "root")
    with sestina.load(path, precision="fp32", threads=2) as encoder:
        expected = encoder.encode("the model")
        (path / "..later").mkdir()
        (path / "..fresh").symlink_to("..later")
        (path / "..fresh").rename(path / "..data")
        shutil.rmtree(path / "..2024_05_01_10_00_00.1")
        assert np.abs(encoder.encode(["the model", "a"])[0] - expected).max() < 1e-6
        assert encoder.verify().passed
    with pytest.raises(sestina.BundleFormatError, match=r"it has no manifest\.json"):
        sestina.load(path)


@pytest.mark.parametrize("name", ["LICENSE", "tokenizer.json", "cpu-fp32.onnx"])
def test_a_link_swapped_after_the_check(name: str, own_bundle: Path) -> None:
    path = own_bundle / name
    path.rename(own_bundle.parent / "outside")
    path.symlink_to(own_bundle.parent / "outside")
    with sestina.load(own_bundle, precision="fp32", threads=2) as encoder:
        expected = encoder.encode("the model")
        path.unlink()
        path.symlink_to("/etc/passwd")
        assert np.abs(encoder.encode(["the model", "a"])[0] - expected).max() < 1e-6
        assert encoder.verify().passed
        encoder.explain("the model")


def loop(path: Path) -> None:
    path.symlink_to("second")
    path.with_name("second").symlink_to(path.name)


def pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


HOSTILE = {
    "/etc/passwd": lambda path: path.symlink_to("/etc/passwd"),
    "nowhere": lambda path: path.symlink_to("nowhere"),
    "itself": lambda path: path.symlink_to(path.name),
    "loop": loop,
    "pipe": pipe,
    "zeroes": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "standard input": lambda path: path.symlink_to("/dev/stdin"),
    "directory": lambda path: path.symlink_to("."),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_links(kind: str, file: str, own_bundle: Path) -> None:
    """In one line, without waiting for a pipe or a terminal, and without a word of what is there."""
    path = own_bundle / file
    path.unlink()
    HOSTILE[kind](path)
    with pytest.raises(sestina.BundleError) as caught:
        sestina.load(own_bundle, precision="fp32")
    message = str(caught.value)
    assert "\n" not in message
    assert "root" not in message.replace(str(own_bundle), "")
    if file == "manifest.json":
        assert message.startswith(str(own_bundle))
    else:
        assert message.startswith(f"{path} ")


@pytest.mark.parametrize("kind", ["pipe", "zeroes", "terminal", "standard input"])
def test_devices_that_say_they_are_empty(kind: str, own_bundle: Path) -> None:
    """The manifest says so too."""
    path = own_bundle / "LICENSE"
    path.unlink()
    HOSTILE[kind](path)
    document = json.loads((own_bundle / "manifest.json").read_text())
    for entry in document["files"]:
        if entry["file"] == "LICENSE":
            entry.update(bytes=0, sha256=hashlib.sha256().hexdigest())
    (own_bundle / "manifest.json").write_text(json.dumps(document))
    # In a process of its own, whose standard input is a pipe that nobody ever writes to.
    code = (
        "import sys, sestina\n"
        "try: sestina.load(sys.argv[1])\n"
        "except sestina.BundleIntegrityError as error: print(error)\n"
    )
    read, write = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(own_bundle)],
            stdin=read, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
    finally:
        os.close(read)
        os.close(write)
    assert done.stdout == f"{path} is not a plain file: copy the bundle again\n"


def test_a_pipe_put_there_between_the_look_and_the_opening(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened without waiting for a writer, and then refused."""
    path, opened = own_bundle / "LICENSE", os.open

    def open_late(name: str, *more: int) -> int:
        if name == str(path):
            path.unlink()
            os.mkfifo(path)
        return opened(name, *more)

    monkeypatch.setattr(os, "open", open_late)
    with pytest.raises(sestina.BundleIntegrityError, match="LICENSE is not a plain file"):
        sestina.load(own_bundle)
