"""What cases start from: tiny bundles and checkpoints, made once from a seed and never written to."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BASES = ("wordpiece", "bpe", "unigram", "mapped", "stored", "static", "mobile")
_OF_TARGET = {"wordpiece": "cpu", "static": "portable", "mobile": "mobile-cpu"}
FAMILIES = ("bert", "distilbert", "roberta", "xlm-roberta")
_MAKERS = ("runtime", "model", "export", "tests/_tiny.py", "tests/_stored.py", "tests/fuzz/world.py")


class World:
    """The folder that holds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bundle(self, name: str) -> Path:
        """One of `BASES`. "mapped" has weights that are large enough to stay in their file, "stored"
        has them in a file of their own; "static" and "mobile"
        have only a graph of static shapes, and one for a small build, of what "wordpiece" is.
        """
        return self.folder / f"{name}.sestina"

    def reference(self, name: str) -> Path:
        """The bundle whose fp32 graph says what its vectors are."""
        return self.bundle("wordpiece" if name in _OF_TARGET else "wide" if name == "stored" else name)

    def checkpoint(self, family: str) -> Path:
        """One of `FAMILIES`, a folder as transformers saves it; "own" is one of Sestina's layout."""
        return self.folder / family

    @functools.cached_property
    def families(self) -> tuple[str, ...]:
        """Those that could be made: none where transformers is not installed."""
        return tuple(family for family in FAMILIES if self.checkpoint(family).is_dir())


def prepare(folder: Path | None = None) -> World:
    """The world, made where it is not there yet. By default it is kept until what makes it changes."""
    own = folder is None
    folder = folder or ROOT / "build" / "fuzz" / f"world-{_key()}"
    if not (folder / "done").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / ".making").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second waits, and finds it made
            if not (folder / "done").exists():
                for stale in [folder, *(folder.parent.glob("world-*") if own else ())]:
                    shutil.rmtree(stale, ignore_errors=True)
                environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
                command = [sys.executable, "-m", "fuzz.world", str(folder)]
                subprocess.run(command, env=environment, check=True)
    return World(folder)


def _key() -> str:
    """Of what makes the world."""
    digest = hashlib.sha256()
    for maker in _MAKERS:
        path = ROOT / maker
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    for package in ("torch", "onnxruntime", "tokenizers", "numpy"):
        digest.update(metadata.version(package).encode())
    return digest.hexdigest()[:16]


def _make(folder: Path) -> None:
    import _stored
    import _tiny
    from sestina_export import export
    from sestina_model import checkpoint

    folder.mkdir(parents=True)
    wordpiece = _tiny.tiny_checkpoint(_tiny.tiny_wordpiece())
    export(wordpiece, folder / "full.sestina", targets=list(_OF_TARGET.values()))
    for name, target in _OF_TARGET.items():
        _of_one_target(folder / "full.sestina", folder / f"{name}.sestina", target)
    checkpoint.save(wordpiece, folder / "own")
    made = {
        "bpe": _tiny.tiny_checkpoint(
            _tiny.tiny_bpe(), activation="relu", positions="sinusoidal", scale_embeddings=True
        ),
        "unigram": _tiny.tiny_checkpoint(
            _tiny.tiny_unigram(), norm="pre", pooling="cls", normalize=False, max_tokens=50, seed=3
        ),
        "mapped": _tiny.tiny_checkpoint(_tiny.tiny_wordpiece(), max_positions=4096, seed=5),
    }
    for name, each in made.items():
        export(each, folder / f"{name}.sestina", precisions=["fp32"])
    wide = _tiny.tiny_checkpoint(_tiny.tiny_wordpiece(), **_stored.WIDE)
    export(wide, folder / "wide.sestina", precisions=["fp32"])
    _stored.stored_bundle(folder / "wide.sestina", folder / "stored.sestina")
    try:
        import transformers
    except ModuleNotFoundError:
        transformers = None
    if transformers is not None:
        _make_families(folder, transformers)
    (folder / "done").touch()


def _of_one_target(full: Path, out: Path, target: str) -> None:
    """The bundle with the variants of one target alone."""
    shutil.copytree(full, out)
    manifest = json.loads((out / "manifest.json").read_text())
    for variant in manifest["variants"]:
        if variant["target"] != target:
            (out / variant["file"]).unlink()
    manifest["variants"] = [variant for variant in manifest["variants"] if variant["target"] == target]
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2))


def _roberta() -> Any:
    """Byte-level BPE with the tokens that RoBERTa has, and <s> text </s>."""
    from tokenizers import Tokenizer

    import _tiny

    document = json.loads(_tiny.tiny_bpe().to_str())
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    pieces = [*names, *sorted(document["model"]["vocab"], key=document["model"]["vocab"].get)]
    document["model"]["vocab"] = {piece: index for index, piece in enumerate(pieces)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    document["added_tokens"] = [{"id": at, "content": name, **flags} for at, name in enumerate(names)]
    ends = {"cls": ["<s>", 0], "sep": ["</s>", 2], "trim_offsets": True, "add_prefix_space": False}
    document["post_processor"] = {"type": "RobertaProcessing", **ends}
    return Tokenizer.from_str(json.dumps(document))


def _make_families(folder: Path, transformers: Any) -> None:
    import torch

    import _tiny

    transformers.utils.logging.disable_progress_bar()
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    small = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 40}
    kinds = {
        "bert": (transformers.BertConfig, {**sizes, "max_position_embeddings": 40}, _tiny.tiny_wordpiece),
        "distilbert": (transformers.DistilBertConfig, small, _tiny.tiny_wordpiece),
        "roberta": (
            transformers.RobertaConfig,
            {**sizes, "max_position_embeddings": 42, "pad_token_id": 1},
            _roberta,
        ),
        "xlm-roberta": (
            transformers.XLMRobertaConfig,
            {**sizes, "max_position_embeddings": 42, "pad_token_id": 1},
            _tiny.tiny_unigram,
        ),
    }
    for family, (config, values, tokenizer) in kinds.items():
        made = tokenizer()
        torch.manual_seed(7)
        # Some rows more than tokens, so that tokens may be added.
        model = transformers.AutoModel.from_config(
            config(vocab_size=made.get_vocab_size() + 16, **values)
        ).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.save_pretrained(folder / family)
        made.save(str(folder / family / "tokenizer.json"))
        # As its class saves it, with the files and the parts that such folders have.
        loaded = transformers.AutoTokenizer.from_pretrained(folder / family, model_max_length=40)
        loaded.save_pretrained(folder / family)


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
