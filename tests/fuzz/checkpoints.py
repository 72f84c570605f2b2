"""Folders given to the exporter: what transformers and sentence-transformers make of them, or a refusal by name."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import sestina
from fuzz.core import Fault, Recipe, several
from fuzz.documents import change, changed, odd
from fuzz.oracle import Refused, attempt, near
from fuzz.settings import ADDED, CLASSES, CONFIG, LAYOUT, SETTINGS, added_tokens_decoder
from fuzz.vocabulary import added_token, normalizer, post_processor, pre_tokenizer
from fuzz.world import World

SECONDS = 90
HEAVY = True
TEXTS = (
    "the transformer is an innovative nlp model", "money", "The Model, NEW and [NEW] zzz! <new>", "a <pad> b [PAD] c", "naïve Ærø 注意力",
    "[UNK] <unk> unknown ☃ sign", "model " * 60, " two  spaces ", "[MASK] <mask> [CLS] </s> [SEP] text", "",
)  # fmt: skip
_SPECIAL = {"bert": "[UNK]", "distilbert": "[UNK]", "roberta": "<unk>", "xlm-roberta": "<unk>"}


def generate(rng: random.Random, world: World) -> Recipe:
    family = rng.choice(("bert", "distilbert", "roberta", "xlm-roberta"))
    steps = [_step(rng, world, family) for _ in range(several(rng, 4))]
    return {"family": family, "steps": steps, "export": rng.random() < 0.06, "texts": list(TEXTS)}


def _step(rng: random.Random, world: World, family: str) -> list[Any]:
    """A change of one file: [file, change]. A file that is not there begins as an empty object."""
    sort = rng.choices(
        ("settings", "class", "map", "added", "tokenizer", "config", "layout", "any"),
        (8, 3, 2, 3, 6, 4, 3, 2),
    )[0]
    if sort == "settings":
        key = rng.choice(list(SETTINGS))
        return ["tokenizer_config.json", ["set", [key], rng.choice(SETTINGS[key])]]
    if sort == "class":
        return ["tokenizer_config.json", ["set", ["tokenizer_class"], rng.choice(CLASSES)]]
    if sort == "map":
        key = rng.choice(
            (
                "unk_token",
                "pad_token",
                "cls_token",
                "sep_token",
                "mask_token",
                "bos_token",
                "additional_special_tokens",
            )
        )
        return ["special_tokens_map.json", ["set", [key], rng.choice(SETTINGS[key])]]
    if sort == "added":
        if rng.random() < 0.5:
            return [
                "tokenizer_config.json",
                ["set", ["added_tokens_decoder"], added_tokens_decoder(rng, world, family)],
            ]
        return ["added_tokens.json", ["set", [rng.choice(ADDED)], rng.choice((5, 60, *_next(world, family)))]]
    document = json.loads((world.checkpoint(family) / "tokenizer.json").read_bytes())
    if sort == "tokenizer":
        return ["tokenizer.json", _tokenizer_step(rng, document)]
    if sort == "config":
        key = rng.choice(list(CONFIG))
        return ["config.json", ["set", [key], rng.choice(CONFIG[key])]]
    if sort == "layout":
        file = rng.choice(list(LAYOUT))
        return [file, ["set", [], rng.choice(LAYOUT[file])]]
    config = json.loads((world.checkpoint(family) / "config.json").read_bytes())
    if rng.random() < 0.5:
        return ["config.json", change(rng, config)]
    key = rng.choice(list(SETTINGS))
    return ["tokenizer_config.json", ["set", [key], odd(rng, rng.choice(SETTINGS[key]))]]


def _next(world: World, family: str) -> tuple[int, ...]:
    size = len(json.loads((world.checkpoint(family) / "tokenizer.json").read_bytes())["model"]["vocab"])
    return (size, size + 1, size + 400)


def _tokenizer_step(rng: random.Random, document: Any) -> list[Any]:
    kind = rng.choice(
        ("post_processor", "post_processor", "normalizer", "pre_tokenizer", "added_tokens", "dropout", "none")
    )
    names = [token["content"] for token in document["added_tokens"]]
    if kind == "post_processor":
        return ["set", [kind], post_processor(rng, names)]
    if kind == "normalizer":
        return ["set", [kind], normalizer(rng)]
    if kind == "pre_tokenizer":
        return ["set", [kind], pre_tokenizer(rng)]
    if kind == "added_tokens":
        more = [added_token(rng, len(document["model"]["vocab"]))]
        return ["set", [kind], [*rng.choice((document[kind], [])), *more]]
    if kind == "dropout":
        return ["set", ["model", "dropout"], rng.choice((0.1, 0.9, 1.0, 0.0))]
    return ["set", [rng.choice(("normalizer", "pre_tokenizer", "post_processor", "decoder"))], None]


def laid_out(family: Path, changes: list[Any], folder: Path) -> Path:
    """A folder after its changes."""
    shutil.copytree(family, folder)
    steps: dict[str, list[Any]] = {}
    for file, step in changes:
        steps.setdefault(file, []).append(step)
    if set(steps) & set(LAYOUT) - {"config_sentence_transformers.json"}:
        for file, (usual, *_) in LAYOUT.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(json.dumps(usual))
    for file, each in steps.items():
        whole = [step[2] for step in each if not step[1] and step[0] == "set"]
        there = (folder / file).exists()
        document = whole[-1] if whole else json.loads((folder / file).read_bytes()) if there else {}
        (folder / file).write_bytes(changed(document, [step for step in each if step[1]]))
    return folder


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    import torch

    from sestina_model import checkpoint

    torch.set_num_threads(1)
    family = world.checkpoint(recipe["family"])
    folder = laid_out(family, recipe["steps"], scratch / "checkpoint")
    # What is right may be what another folder gives: one without what has to be stripped.
    other_folder = laid_out(family, recipe["as"], scratch / "other") if "as" in recipe else folder
    found = attempt(lambda: checkpoint.load(folder))
    if isinstance(found, Refused):
        return "refused"
    texts = recipe["texts"]
    vectors = [attempt(lambda text=text: found.encode([text])[0]) for text in texts]
    for text, vector in zip(texts, vectors, strict=True):
        again = attempt(lambda text=text: found.encode([text])[0])
        if not isinstance(vector, Refused) and not isinstance(again, Refused):
            near(again, vector, "a checkpoint's vector and the same again", 1e-6)
    changed_files = "+".join(sorted({file for file, _ in recipe["steps"]}))
    for text, vector, (other, ids) in zip(texts, vectors, _right(other_folder, texts), strict=True):
        if isinstance(vector, Refused) or other is None or not np.isfinite(other).all():
            continue
        own = list(found.tokenize([text])[0])
        if not own or (ids is not None and not ids):
            continue  # a text without tokens has no vector there
        what = f"{text!r:.50}, ids {own[:8]} for {(ids or [])[:8]}"
        why = "with other ids" if own != ids else "with the same ids"
        _same(vector, other, what, f"{why} ({changed_files})", exact=(folder / "modules.json").exists())
    if recipe["export"]:
        return _exported(folder, scratch, texts, vectors)
    return "right"


def _right(folder: Path, texts: list[str]) -> list[tuple[np.ndarray | None, list[int] | None]]:
    """sentence-transformers' vectors and ids, one text at a time; None where it gives none."""
    from sentence_transformers import SentenceTransformer

    try:
        # In float32, whatever the configuration says: the weights are what is promised, not half precision's sums.
        model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"})
    except BaseException:  # noqa: BLE001  what cannot be read there has no right vector
        return [(None, None)] * len(texts)
    rows: list[tuple[np.ndarray | None, list[int] | None]] = []
    for text in texts:
        try:
            ids = model.tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"]
            one, again = (model.encode([text], show_progress_bar=False)[0] for _ in range(2))
            rows.append((one, list(ids)) if np.array_equal(one, again) else (None, None))  # dropout
        except BaseException:  # noqa: BLE001
            rows.append((None, None))
    return rows


def _same(vector: np.ndarray, other: np.ndarray, what: str, sort: str, *, exact: bool) -> None:
    norms = float(np.linalg.norm(vector) * np.linalg.norm(other))
    cosine = float(vector @ other) / norms if norms else 1.0
    if vector.shape != other.shape or cosine < 1 - 1e-4:
        raise Fault(f"another vector than sentence-transformers', {sort}", f"cosine {cosine:.4f} for {what}")
    if exact:
        near(vector, other, "a vector and sentence-transformers'", 1e-4)


def _exported(folder: Path, scratch: Path, texts: list[str], vectors: list[Any]) -> str:
    from sestina_export import export

    found = attempt(lambda: export(folder, scratch / "out.sestina", precisions=["fp32"]))
    if isinstance(found, Refused):
        return "refused"
    with sestina.load(scratch / "out.sestina", precision="fp32") as encoder:
        for text, vector in zip(texts, vectors, strict=True):
            if not isinstance(vector, Refused):
                near(encoder.encode(text, on_truncate="ignore"), vector, "a bundle and its checkpoint")
    return "right"
