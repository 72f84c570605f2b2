"""Where a run stands: one safetensors file, replaced in one step, so a kill leaves the old or the new."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sestina_model._errors import CheckpointError, ConfigError, FileError

__all__ = ["Position", "read_state", "write_state"]

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(slots=True)
class Position:
    """How far a run has come.

    Attributes:
        visit, batch: The next batch to read, in `Curriculum`'s terms.
        step: Batches learned from.
        tokens: Student tokens learned from.
        seconds: Of work, over all of the run's sessions.
        best: The best mean of the dev scores so far, and `best_step` where it was.
        evaluated: The last step that was evaluated.
    """

    visit: int = 0
    batch: int = 0
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int | None = None
    evaluated: int | None = None


def write_state(
    path: Path,
    position: Position,
    identity: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> None:
    """Replace the state file.

    Raises:
        FileError: Where it cannot be written.
    """
    tensors = {f"weight.{name}": weight.detach() for name, weight in weights.items()}
    steps: dict[str, float] = {}
    for name, weight in weights.items():
        state = optimiser.state.get(weight)
        if state:
            steps[name] = float(state["step"])
            tensors |= {f"{moment}.{name}": state[moment] for moment in _MOMENTS}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    facts = {"position": dataclasses.asdict(position), "identity": identity, "steps": steps}
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
            temporary,
            {"run": json.dumps(facts)},
        )
        # The bytes reach the disk before the name does. Windows does that for who may write alone.
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise FileError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error


def read_state(
    path: Path, identity: Mapping[str, Any], weights: Mapping[str, Tensor], optimiser: torch.optim.Optimizer
) -> Position:
    """Put weights, optimiser and random generators back to where the run was.

    Raises:
        CheckpointError: Where the file is damaged, or is of another encoder.
        ConfigError: Where the run was started with another configuration, naming what differs.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a whole state ({error}); name another --out") from error
    _check_identity(facts["identity"], identity, path)
    if {name.removeprefix("weight.") for name in tensors if name.startswith("weight.")} != weights.keys():
        raise CheckpointError(f"{path} holds the weights of another encoder; name another --out")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(tensors[f"weight.{name}"])
    for name, step in facts["steps"].items():
        weight = weights[name]
        optimiser.state[weight] = {"step": torch.tensor(step)} | {
            # A copy: safe_open maps the file, and Windows replaces none that is mapped.
            moment: tensors[f"{moment}.{name}"].to(weight.device, copy=True)
            for moment in _MOMENTS
        }
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return Position(**facts["position"])


def _check_identity(then: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    differing = [
        f"{name} {json.dumps(then.get(name))}, now {json.dumps(now.get(name))}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    if differing:
        raise ConfigError(
            f"{path} was started with {'; '.join(differing)}; restore that, or name another --out"
        )
