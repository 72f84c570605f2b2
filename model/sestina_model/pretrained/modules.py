"""The modules of a sentence-transformers folder: a Transformer, a Pooling, and what follows them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import flag, read_json, read_json_object
from sestina_model._weights import check_fit, read_tensors
from sestina_model.head_config import Pooling, pooling_modes
from sestina_model.head_steps import ACTIVATIONS, MOST, Step, is_count, make_step
from sestina_model.pretrained.pooling import read_pooling

__all__ = [
    "MASK",
    "MODULES",
    "TOKENS",
    "Module",
    "Modules",
    "listed_modules",
    "read_module",
    "read_modules",
    "read_steps",
    "step_files",
]

MODULES = "modules.json"

_KINDS = ("Transformer", "StaticEmbedding", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout")
MASK, TOKENS = "MultiVectorMask", "token_embeddings"  # of models that give each token a vector
_BEFORE = ("Transformer", "StaticEmbedding", "Pooling")
_ACTIVATION = "activation_function"
_PACKAGES = ("torch.nn.", "torch.nn.modules.activation.", "torch.nn.modules.linear.")
_DEFAULT_ACTIVATION = "torch.nn.modules.activation.Tanh"
# By kind: the names of its weights there, and here.
_RENAMED = {
    "dense": {"linear.": "linear.", "residual.": "residual.", f"{_ACTIVATION}.": "activation."},
    "layer_norm": {"norm.": ""},
}


class Module(NamedTuple):
    """One step after pooling: its folder, what it is, and how wide its input is to be (None: any)."""

    folder: Path
    step: Step
    in_features: int | None = None


class Modules(NamedTuple):
    """What a folder's modules do, in our own terms.

    Attributes:
        transformer: Its folder; None: the folder itself.
        pooling: How hidden states become one vector.
        include_prompt: Whether the tokens of a prompt are among those.
        steps: What lies between pooling and normalisation.
        normalize: Whether the last step is L2 normalisation.
        static: Whether the encoder is a table of token vectors (StaticEmbedding).
    """

    transformer: Path | None = None
    pooling: Pooling = "mean"
    include_prompt: bool = True
    steps: tuple[Module, ...] = ()
    normalize: bool = False
    static: bool = False


def read_modules(folder: Path) -> Modules:
    """Read what modules.json lists, but for weights.

    Raises:
        CheckpointError: Where a file is damaged.
        UnsupportedCheckpointError: Naming the module or option that is not supported.
    """
    modules = listed_modules(folder)
    kinds = [kind for kind, _ in modules]
    static = kinds[:1] == ["StaticEmbedding"]
    begin = 1 if static else 2
    if not (static or kinds[:2] == ["Transformer", "Pooling"]) or set(_BEFORE) & set(kinds[begin:]):
        raise UnsupportedCheckpointError(
            f"{folder / MODULES}: the modules {', '.join(kinds) or '(none)':.160} are not supported; a "
            f"Transformer and a Pooling, or a StaticEmbedding, and then any number of Dense, LayerNorm and "
            f"Normalize are"
        )
    pooling, include_prompt = ("mean", True) if static else read_pooling(modules[1][1] / "config.json")
    steps = [read_module(kind, path) for kind, path in modules[begin:]]
    normalize = bool(steps) and steps[-1].step.kind == "normalize"
    between = tuple(steps[:-1] if normalize else steps)
    return Modules(modules[0][1], pooling, include_prompt, between, normalize, static)


def listed_modules(folder: Path, more: tuple[str, ...] = ()) -> list[tuple[str, Path]]:
    """Kind and folder of each module, of the usual kinds and some more. Dropout is left out: it does nothing
    once a model is trained.
    """
    kinds = (*_KINDS, *more)
    listed, modules = read_json(folder / MODULES), []
    if not isinstance(listed, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("type"), str) and isinstance(entry.get("path"), str)
        for entry in listed
    ):
        raise CheckpointError(f"{folder / MODULES} must be a list of modules with a type and a path each")
    names = [entry.get("name") for entry in listed]
    if any(names.count(name) > 1 for name in names if name is not None):
        raise CheckpointError(f"{folder / MODULES}: two modules have one name, of which one would be lost")
    for entry in listed:
        package, _, kind = entry["type"].rpartition(".")
        if package.split(".")[0] != "sentence_transformers" or kind not in kinds:
            raise UnsupportedCheckpointError(
                f"{folder / MODULES}: the module {entry['type']:.120} is not supported; "
                f"sentence-transformers' {', '.join(kinds[:-1])} and {kinds[-1]} are"
            )
        path = posixpath.normpath(entry["path"])
        if posixpath.isabs(path) or path.split("/")[0] == "..":
            raise CheckpointError(f"{folder / MODULES}: the path {entry['path']!r:.60} leaves the folder")
        if kind != "Dropout":
            modules.append((kind, folder / path))
    return modules


def read_module(kind: str, folder: Path, reads: str = "sentence_embedding") -> Module:
    """A module behind the encoder.

    Args:
        kind: Dense, LayerNorm or Normalize.
        folder: Its own.
        reads: What it must read, and write.

    Raises:
        CheckpointError: Where its file is damaged.
        UnsupportedCheckpointError: Naming an option that is not supported.
    """
    path = folder / "config.json"
    config = read_json_object(path, optional=kind == "Normalize")
    for key in ("module_input_name", "module_output_name"):
        if kind != "LayerNorm" and config.get(key) not in (None, reads):
            raise UnsupportedCheckpointError(
                f"{path}: {key} {config[key]!r:.60} is not supported; {reads!r} is"
            )
    if kind == "Normalize":
        return Module(folder, Step(kind="normalize"))
    if kind == "LayerNorm":
        return Module(folder, Step(kind="layer_norm"), _count(config, "dimension", path))
    step = Step(
        kind="dense",
        out_features=_count(config, "out_features", path),
        activation=_activation(config.get(_ACTIVATION, _DEFAULT_ACTIVATION), path),
        bias=flag({"bias": True, **config}, "bias", path),
        residual=flag(config, "use_residual", path),
    )
    return Module(folder, step, _count(config, "in_features", path))


def _activation(path: object, where: Path) -> str:
    """The name of an activation that is given by its class's path."""
    package, name = "", str(path)
    if isinstance(path, str):
        package, _, name = path.rpartition(".")
    if f"{package}." not in _PACKAGES or name not in ACTIVATIONS:
        raise UnsupportedCheckpointError(
            f"{where}: {_ACTIVATION} {path!r:.120} is not supported; torch.nn's {', '.join(ACTIVATIONS)} are"
        )
    return name


def read_steps(modules: Modules, d_model: int) -> dict[str, Tensor]:
    """The weights of the steps, named as `SentenceEncoder.steps` has them.

    Args:
        modules: Whose.
        d_model: The width of a hidden state.

    Raises:
        CheckpointError: Where widths do not follow on one another, a file is missing or only pickled, or a
            tensor is missing, unexpected or misshapen.
    """
    tensors: dict[str, Tensor] = {}
    width = d_model * len(pooling_modes(modules.pooling))
    for at, (folder, step, in_features) in enumerate(modules.steps):
        if in_features not in (None, width):
            key = "dimension" if step.kind == "layer_norm" else "in_features"
            raise CheckpointError(
                f"{folder / 'config.json'}: {key} is {in_features}; what comes before it is {width} wide"
            )
        with torch.device("meta"):
            blank = make_step(step, width).state_dict()
        expected = {name: tuple(each.shape) for name, each in blank.items()}
        if expected:
            file = _step_file(folder)
            found = {_renamed(name, step): each for name, each in read_tensors(file).items()}
            check_fit(expected, found, file)
            tensors.update({f"{at}.{name}": each for name, each in found.items()})
        width = step.width(width)
    return tensors


def step_files(modules: Modules) -> list[Path]:
    """The files that `read_steps` reads."""
    return [_step_file(each.folder) for each in modules.steps if each.step.kind in _RENAMED]


def _step_file(folder: Path) -> Path:
    """The safetensors file of a step that has weights.

    Raises:
        CheckpointError: Where there is none, or the weights are only pickled.
    """
    file, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    if not file.is_file() and pickled.is_file():
        raise CheckpointError(
            f"{pickled} is pickled and pickles are never read, since they can execute code; convert it: "
            f'python -c "from sentence_transformers import SentenceTransformer as S; '
            f'S({str(folder.parent)!r}).save({str(folder.parent)!r})"'
        )
    return file


def _renamed(name: str, step: Step) -> str:
    for theirs, ours in _RENAMED[step.kind].items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return f"{name} (unknown)"


def _count(config: Mapping[str, Any], key: str, path: Path) -> int:
    value: Any = config.get(key)
    if not is_count(value) or value > MOST:
        raise CheckpointError(f"{path}: {key} is {value!r:.60}; it must be a whole number from 1 to {MOST}")
    return int(value)
