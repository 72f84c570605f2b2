"""The bundle that comes with Sestina: its own encoder, in int8."""

from __future__ import annotations

from pathlib import Path

from sestina._errors import BundleNotFoundError


def default_bundle() -> Path:
    """Where the embedded bundle lies.

    Raises:
        BundleNotFoundError: In an installation that was stripped of it.
    """
    path = Path(__file__).with_name("default.sestina")
    if not path.is_dir():
        raise BundleNotFoundError(
            f"this installation lacks the embedded bundle, {path}: install sestina again, or name a bundle"
        )
    return path
