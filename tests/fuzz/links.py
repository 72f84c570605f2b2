"""Bundles behind links: the layouts of caches and volumes, and those that mean harm."""

from __future__ import annotations

import os
import random
import shutil
import threading
from pathlib import Path

import sestina
from fuzz.bundles import judged, listed, put
from fuzz.core import Fault, Recipe
from fuzz.oracle import Refused, attempt, near
from fuzz.references import Reference
from fuzz.world import World

SECONDS = 30
# As Hugging Face's cache, Kubernetes' volumes, DVC, Nix and Bazel lay files out: these have to work.
_GOOD = (
    "hub",
    "volume",
    "cache",
    "absolute",
    "folder-link",
    "folder-link-twice",
    "within",
    "hard",
    "plain",
    "relative",
)
_BAD = (
    "passwd",
    "loop",
    "loop-of-two",
    "device",
    "zero",
    "fifo",
    "folder",
    "dangling",
    "proc",
    "deep",
    "socket",
    "manifest-loop",
)
_MOMENTS = ("before-load", "after-load", "while-loading")
_FILES = (
    "manifest.json",
    "tokenizer.json",
    "golden.json",
    "golden.npy",
    "cpu-fp32.onnx",
    "LICENSE",
    "README.md",
)


def generate(rng: random.Random, world: World) -> Recipe:
    recipe: Recipe = {"base": rng.choice(("bpe", "unigram", "mapped")), "layout": rng.choice(_GOOD)}
    if rng.random() < 0.5:
        recipe["bad"] = rng.choice(_BAD)
        recipe["file"] = rng.choice(_FILES[1:] if rng.random() < 0.9 else _FILES)
        recipe["moment"] = rng.choice(_MOMENTS)
        recipe["listed"] = rng.random() < 0.5
    return recipe


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    reference = Reference(world.bundle(recipe["base"]))
    bundle = laid_out(world.bundle(recipe["base"]), recipe["layout"], scratch)
    if recipe["layout"] == "relative":
        os.chdir(scratch)
    if "bad" not in recipe:
        ended = judged(bundle, reference)
        if ended != "right":
            error = attempt(lambda: sestina.load(bundle, precision="fp32"))
            raise Fault(f"a bundle is refused that is laid out as {recipe['layout']}", str(error))
        return ended
    if recipe["moment"] == "before-load":
        _harm(bundle, recipe, scratch)
        return judged(bundle, reference)
    if recipe["moment"] == "while-loading":
        return _raced(bundle, recipe, scratch, reference)
    encoder = attempt(lambda: sestina.load(bundle, precision="fp32", threads=2))
    if isinstance(encoder, Refused):
        return "refused"
    with encoder:
        _harm(bundle, recipe, scratch)
        for texts in (["a text", "another one"], ["a text"]):
            found = attempt(lambda texts=texts: list(encoder.encode(texts)))
            if isinstance(found, Refused):
                raise Fault("an encoder that is open needs the files of its bundle", str(found))
            near(found, [reference.of(text) for text in texts], "vectors of a bundle that changed after load")
    return "right"


def laid_out(source: Path, layout: str, scratch: Path) -> Path:
    """The bundle in that layout. Returns: what is given to `load`."""
    names = [file.name for file in source.iterdir()]
    bundle = scratch / "models" / "out.sestina"
    if layout == "hub":  # models--x/snapshots/REVISION/file -> ../../blobs/HASH
        bundle, blobs = scratch / "models--x" / "snapshots" / "0123abcd", scratch / "models--x" / "blobs"
        bundle.mkdir(parents=True)
        blobs.mkdir()
        for at, name in enumerate(names):
            shutil.copy(source / name, blobs / f"{at:040x}")
            (bundle / name).symlink_to(f"../../blobs/{at:040x}")
        return bundle
    if layout == "volume":  # file -> ..data/file, ..data -> ..2026_01_01
        bundle.mkdir(parents=True)
        shutil.copytree(source, bundle / "..2026_01_01_00_00_00.1")
        (bundle / "..data").symlink_to("..2026_01_01_00_00_00.1")
        for name in names:
            (bundle / name).symlink_to(f"..data/{name}")
        return bundle
    if layout in ("cache", "absolute"):  # DVC's cache, and one elsewhere on the disk
        store = scratch / ".dvc" / "cache" / "files" / "md5" / "ab"
        store.mkdir(parents=True)
        bundle.mkdir(parents=True)
        for at, name in enumerate(names):
            shutil.copy(source / name, store / f"{at:030x}")
            target = store / f"{at:030x}"
            (bundle / name).symlink_to(target if layout == "absolute" else os.path.relpath(target, bundle))
        return bundle
    if layout == "within":
        shutil.copytree(source, bundle)
        (bundle / "LICENSE").rename(bundle / "licence_text")
        (bundle / "LICENSE").symlink_to("licence_text")
        return bundle
    if layout == "hard":
        bundle.mkdir(parents=True)
        for name in names:
            os.link(source / name, bundle / name)
        return bundle
    shutil.copytree(source, bundle)
    if layout.startswith("folder-link"):
        link = scratch / "current"
        link.symlink_to("models/out.sestina")
        if layout.endswith("twice"):
            (scratch / "latest").symlink_to("current")
            link = scratch / "latest"
        return link
    return Path("models/out.sestina") if layout == "relative" else bundle


def _harm(bundle: Path, recipe: Recipe, scratch: Path) -> None:
    """Put something else in the place of a file; state its size and checksum where that is asked for."""
    file, bad = bundle / recipe["file"], recipe["bad"]
    file.unlink(missing_ok=True)
    ends = {
        "passwd": "/etc/passwd",
        "device": "/dev/null",
        "zero": "/dev/zero",
        "dangling": "nowhere",
        "proc": "/proc/self/environ",
    }
    if bad in ends:
        file.symlink_to(ends[bad])
    elif bad == "fifo":
        os.mkfifo(file)
    elif bad == "folder":
        file.mkdir()
    elif bad == "deep":
        ring = scratch / "ring"
        ring.mkdir()
        (ring / "end").write_bytes(b"x")
        for at in range(60):
            (ring / f"{at}").symlink_to(f"{at - 1}" if at else "end")
        file.symlink_to(ring / "59")
    elif bad == "socket":
        import socket

        here = Path.cwd()
        os.chdir(file.parent)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(file.name)
        os.chdir(here)
    elif bad == "loop-of-two":
        other = file.with_name("other_end")
        other.symlink_to(file.name)
        file.symlink_to("other_end")
    else:
        file.symlink_to(file.name)
    if (
        recipe["listed"]
        and recipe["moment"] == "before-load"
        and bad == "passwd"
        and recipe["file"] != "manifest.json"
    ):
        manifest = bundle / "manifest.json"
        put(manifest, manifest.read_bytes())
        listed(bundle, recipe["file"])


def _raced(bundle: Path, recipe: Recipe, scratch: Path, reference: Reference) -> str:
    """A file swapped, and put back, again and again while the bundle is loaded."""
    file, stop = bundle / recipe["file"], threading.Event()
    good, evil = scratch / "good", scratch / "evil"
    good.write_bytes(file.read_bytes())
    data = bytearray(good.read_bytes())
    for at in range(len(data) // 3, len(data), 97):
        data[at] ^= 0x41
    evil.write_bytes(data)
    other = scratch / "next"

    def swap() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            other.symlink_to(evil if turn % 2 else good)
            other.replace(file)

    thread = threading.Thread(target=swap)
    thread.start()
    ended = "refused"
    try:
        for _ in range(12):
            encoder = attempt(lambda: sestina.load(bundle, precision="fp32", threads=2))
            if isinstance(encoder, Refused):
                continue
            ended = "right"
            with encoder:
                texts = ["the transformer", "a model"]
                found = attempt(lambda encoder=encoder, texts=texts: list(encoder.encode(texts)))
                if not isinstance(found, Refused):
                    near(found, [reference.of(text) for text in texts], "vectors of a file that was swapped")
    finally:
        stop.set()
        thread.join()
    return ended
