"""A bundle altered: copied, changed in a file, its checksums made right again, and held to the oracle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import sestina
from fuzz.command import forked, held
from fuzz.core import Fault
from fuzz.oracle import NEAR, Refused, attempt, looked_into, near, sound
from fuzz.references import TEXTS, Reference
from fuzz.world import World


def copied(world: World, base: str, scratch: Path) -> Path:
    """A bundle of its own; files are links, which are replaced and never written to."""
    place = scratch / "altered.sestina"
    place.mkdir()
    for file in world.bundle(base).iterdir():
        try:
            os.link(file, place / file.name)
        except OSError:  # another file system
            (place / file.name).write_bytes(file.read_bytes())
    return place


def put(place: Path, content: bytes) -> None:
    """Another file at this place."""
    place.unlink(missing_ok=True)
    place.write_bytes(content)


def listed(bundle: Path, *names: str) -> None:
    """Make the manifest state files as they are now."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    weights = [entry for variant in manifest["variants"] for entry in variant.get("weights", ())]
    for entry in (*manifest["files"], *manifest["variants"], *weights):
        if entry["file"] in names:
            content = (bundle / entry["file"]).read_bytes()
            entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    put(bundle / "manifest.json", json.dumps(manifest, indent=2).encode())


def judged(
    bundle: Path,
    reference: Reference | None,
    *,
    texts: Sequence[str] = TEXTS,
    most: float = NEAR,
    precision: str = "fp32",
    cli: bool = False,
    **options: Any,
) -> str:
    """Load a bundle and use all of it.

    Args:
        bundle: What is loaded.
        reference: Says what the vectors of the ids are; None where only soundness is known.
        texts: To encode.
        most: The largest difference between two vectors of one text.
        precision: For `load`.
        cli: Whether the command line is to take it, too.
        options: For `load`.

    Returns: "refused" where it was not loaded or gave no vector, else "right".
    """
    if cli:
        for argv in (
            ["encode", str(bundle), *texts[:2]],
            ["tokenize", str(bundle), texts[0]],
            ["verify", str(bundle)],
            ["inspect", str(bundle), "--json"],
            ["explain", str(bundle), texts[0], "--json"],
        ):
            held(forked(argv), argv)
    encoder = attempt(lambda: sestina.load(bundle, precision=precision, **options))
    if isinstance(encoder, Refused):
        return "refused"
    with encoder:
        vectors = sound(encoder, texts, most)
        looked_into(encoder, texts[0], _d_model(bundle))
        if reference is not None:
            for text, found in zip(texts, vectors, strict=True):
                if isinstance(found, Refused):
                    continue
                ids = attempt(lambda text=text: encoder.tokenize(text)).ids
                if ids and not 0 <= min(ids) <= max(ids) < reference.vocabulary:
                    raise Fault("a vector for ids that the encoder does not have", str(ids[:8]))
                near(found, reference.of_ids(ids), "the vector and its right value", most)
        attempt(encoder.close)
        refused = all(isinstance(found, Refused) for found in vectors)
    return "refused" if refused else "right"


def _d_model(bundle: Path) -> int:
    found = json.loads((bundle / "manifest.json").read_text())["encoder"]["d_model"]
    return int(np.int64(found))
