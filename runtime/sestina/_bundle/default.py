"""The bundle that comes with Sestina: its own encoder, in int8."""

from __future__ import annotations

import os

from sestina._errors import BundleNotFoundError


def default_bundle() -> str:
    """Where the embedded bundle lies.

    Raises:
        BundleNotFoundError: In an installation that was stripped of it.
    """
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "default.sestina")
    if not os.path.isdir(path):
        raise BundleNotFoundError(
            f"this installation lacks the embedded bundle, {path}: install sestina again, or name a bundle"
        )
    return path
