"""A model of the Hugging Face hub, fetched into its cache at one commit: nothing that could execute code.

What HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean is up to huggingface_hub, which does the fetching.
By name it is asked for safetensors, JSON, the files of tokenizers and the card: never for Python, nor for
pickles but BGE-M3's two heads, which are read so that they cannot run anything (`pretrained.token_heads`).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import sestina
from sestina_export._errors import ExportError
from sestina_export._hub_errors import not_whole, told
from sestina_export._transformers import quiet
from sestina_model import checkpoint as checkpoints
from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.pretrained.token_heads import FILES

__all__ = ["OnHub", "fetch", "is_model_id"]

_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_REVISION = re.compile(r"(?![-/])[\w.+@/-]+", re.ASCII)
_WEIGHTS, _INDEX, _OWN = "model.safetensors", "model.safetensors.index.json", "encoder.safetensors"
_PICKLED = "pytorch_model.bin"
# At the root: what says which modules there are, and what people call the model.
_ROOT = ("sestina.json", "modules.json", "config.json", "config_sentence_transformers.json", "README.md")
# Of every module: how it is set up, and the tokenizer in whichever form it is there.
_MODULE = (
    "config.json",
    "adapter_config.json",
    *(
        f"sentence_{kind}_config.json"
        for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    "chat_template.jinja",
    *("vocab.txt", "vocab.json", "merges.txt"),
    *("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model"),
)


@dataclass(frozen=True, slots=True)
class OnHub:
    """A model that was fetched.

    Attributes:
        folder: Where it is, in the cache. Not to be written to.
        model_id: Its id, such as "BAAI/bge-small-en-v1.5".
        revision: The commit.
    """

    folder: Path
    model_id: str
    revision: str


def is_model_id(source: object) -> bool:
    """Whether a source can be the id of a model: OWNER/NAME, and nothing of that path is there."""
    return isinstance(source, str) and bool(_MODEL_ID.fullmatch(source)) and not os.path.lexists(source)


def fetch(model_id: str, revision: str | None, *, shown: bool) -> OnHub:
    """Fetch a model, or what of it is not in the cache yet.

    What is refused by name is refused before its weights are fetched.

    Args:
        model_id: As `is_model_id` knows one.
        revision: A branch, a tag or a commit; None: the hub's main branch.
        shown: Whether to draw a progress bar, which is drawn on a terminal only.

    Raises:
        ExportError: Where it cannot be had, in one line that says why.
        sestina.MissingExtraError: Where huggingface_hub is not installed.
        sestina_model.ModelError: Where what was fetched is not supported.
    """
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ExportError(
            f"revision is {revision!r:.100}; it must be a branch, a tag or a commit of {model_id}"
        )
    try:
        import huggingface_hub
        from huggingface_hub import constants, utils
    except ModuleNotFoundError:
        raise sestina.MissingExtraError(
            'fetching a model needs huggingface_hub, which is not installed: pip install "sestina[export]"',
            name="huggingface_hub",
        ) from None
    with told(model_id, revision), quiet(), _bars(utils, shown=False):
        folder = _snapshot(huggingface_hub, model_id, revision, _ROOT)
        modules = _modules(folder)
        commit = folder.name
        _snapshot(huggingface_hub, model_id, commit, [*_ROOT, *_within(modules, _MODULE)])
    if not any(_has_weights(folder / module) for module in modules):
        _refuse(folder)
    with told(model_id, revision), quiet(), _bars(utils, shown=shown):
        heads = FILES.values()  # at the root
        _snapshot(huggingface_hub, model_id, commit, [*_within(modules, (_WEIGHTS, _INDEX, _OWN)), *heads])
        shards = [f"{module}{name}" for module in modules for name in _shards(folder / module / _INDEX)]
        if shards:
            _snapshot(huggingface_hub, model_id, commit, shards)
    lacking = [module for module in modules if not _has_weights(folder / module)]
    there: list[str] = []
    if modules[0] in lacking and constants.HF_HUB_OFFLINE:  # versions before 2 do not say so themselves
        raise ExportError(not_whole(model_id, revision))
    if lacking and not constants.HF_HUB_OFFLINE:
        with quiet(), suppress(Exception):  # it decides what an error says, and nothing else
            there = huggingface_hub.HfApi().list_repo_files(model_id, revision=commit)
    _check_weights(model_id, modules, lacking, there)
    return OnHub(folder, model_id, commit)


def _snapshot(hub: Any, model_id: str, revision: str | None, names: Iterable[str]) -> Path:
    """The folder of a commit, in which those of the named files are that the commit has."""
    return Path(
        hub.snapshot_download(
            model_id,
            revision=revision,
            allow_patterns=[escape(name) for name in names],
            library_name="sestina",
            library_version=sestina.__version__,
        )
    )


def _within(modules: Iterable[str], names: Iterable[str]) -> list[str]:
    return [f"{module}{name}" for module in modules for name in names]


def _modules(folder: Path) -> list[str]:
    """The folders of the modules of modules.json, "" or with a slash at the end. The first one reads text."""
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError):
        listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        paths = [entry["path"].strip("/") for entry in listed]
        inside = [path for path in paths if ".." not in path.split("/")]
        return [f"{path}/" if path not in ("", ".") else "" for path in dict.fromkeys(inside)] or [""]
    return [""]  # there is none, or `read_contract` will say what is wrong with it


def _shards(index: Path) -> list[str]:
    with suppress(OSError, ValueError, LookupError, AttributeError):
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return sorted(name for name in names if Path(name).name == name and name.endswith(".safetensors"))
    return []


def _has_weights(folder: Path) -> bool:
    return any((folder / name).exists() for name in (_WEIGHTS, _INDEX, _OWN))


def _refuse(folder: Path) -> None:
    """Read what is there of a folder without its weights: what is not supported need not be fetched."""
    try:
        checkpoints.load(folder)
    except UnsupportedCheckpointError:
        raise
    except CheckpointError:
        pass  # at the latest, of the weights


def _check_weights(model_id: str, modules: list[str], lacking: list[str], there: list[str]) -> None:
    """A module whose weights are only pickled, or a model without any.

    Raises:
        ExportError: Saying what converts them.
    """
    pickled = next((f"{module}{_PICKLED}" for module in lacking if f"{module}{_PICKLED}" in there), None)
    if pickled is not None:
        code = (
            f"from transformers import AutoModel as M, AutoTokenizer as T; "
            f"[each.from_pretrained({model_id!r}).save_pretrained('NAME') for each in (M, T)]"
        )
        if modules != [""]:
            code = "from sentence_transformers import SentenceTransformer as M; "
            code += f"M({model_id!r}).save_pretrained('NAME')"
        raise ExportError(
            f"{model_id} has {pickled} and no safetensors, and pickles are never read, since they can "
            f'execute code; convert it and export the folder NAME: python -c "{code}"'
        )
    if modules[0] in lacking:
        others = [name for name in there if name.endswith((".gguf", ".onnx", ".h5", ".msgpack", ".bin"))]
        found = f" (it has {', '.join(others[:3]):.120})" if others else ""
        raise ExportError(
            f"{model_id} has no {modules[0]}{_WEIGHTS}{found}; weights are read from safetensors alone"
        )


@contextmanager
def _bars(utils: Any, *, shown: bool) -> Iterator[None]:
    """Without the library's progress bars where they are not to be shown, nor anywhere but on a terminal."""
    if (shown and sys.stderr is not None and sys.stderr.isatty()) or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
