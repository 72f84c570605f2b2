"""Tokenizers: tokenizer.json in all its parts, held to plain tokenizers on the same file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from fuzz.bundles import copied, judged, listed, put
from fuzz.core import Fault, Recipe, several
from fuzz.documents import change, changed, odd, places, spoil, spoiled
from fuzz.oracle import Refused, attempt
from fuzz.references import TEXTS, Reference, tokenizer
from fuzz.vocabulary import added_token, normalizer, post_processor, pre_tokenizer
from fuzz.world import World

SECONDS = 20
_FILE = "tokenizer.json"
# Long enough for the shortcut that reads only the beginning of a text.
_LONG = (
    "the model " * 900,
    "a" * 9000,
    "word\n" * 3000 + "[SEP]",
    "x " + "é" * 20000,
    "\u3000".join(["注意"] * 4000),
)
_WORD_MOST = 2000
_UNIGRAM = ("<s>", "</s>", "<unk>")
_WORDPIECE = ("[CLS]", "[SEP]", "[UNK]", "[PAD]")


def generate(rng: random.Random, world: World) -> Recipe:
    base = rng.choice(("wordpiece", "bpe", "unigram"))
    content = (world.bundle(base) / _FILE).read_bytes()
    texts = [*rng.sample(TEXTS, 3), rng.choice(_LONG)] if rng.random() < 0.5 else list(TEXTS)
    recipe: Recipe = {"base": base, "texts": texts, "cli": rng.random() < 0.15}
    if rng.random() < 0.2:
        recipe["max_tokens"] = rng.choice((1, 2, 3, 4, 5, 63, 64))
    sort = rng.choices(("parts", "document", "bytes"), (8, 3, 1))[0]
    document = json.loads(content)
    if sort == "bytes":
        return {**recipe, "bytes": [spoil(rng, len(content)) for _ in range(several(rng, 4))]}
    if sort == "document":
        vocabulary = document["model"]["vocab"]
        among = [
            path
            for path in places(document)
            if path and (path[:2] != ["model", "vocab"] or rng.random() < 8 / len(vocabulary))
        ]
        return {**recipe, "steps": [change(rng, document, among) for _ in range(several(rng, 3))]}
    return {**recipe, "steps": [_part(rng, base, document) for _ in range(several(rng, 3))]}


def _part(rng: random.Random, base: str, document: Any) -> list[Any]:
    """A whole part in the place of another."""
    names = {"unigram": list(_UNIGRAM), "bpe": []}.get(base, list(_WORDPIECE))
    size = len(document["model"]["vocab"])
    kind = rng.choices(
        ("normalizer", "pre_tokenizer", "post_processor", "added", "model", "limit"), (4, 4, 4, 4, 4, 1)
    )[0]
    if kind == "normalizer":
        return ["set", ["normalizer"], normalizer(rng)]
    if kind == "pre_tokenizer":
        return ["set", ["pre_tokenizer"], pre_tokenizer(rng)]
    if kind == "post_processor":
        return ["set", ["post_processor"], post_processor(rng, names)]
    if kind == "added":
        tokens = rng.choice(([], document["added_tokens"], document["added_tokens"]))
        return [
            "set",
            ["added_tokens"],
            [*tokens, *(added_token(rng, size) for _ in range(rng.choice((0, 1, 3))))],
        ]
    if kind == "limit":
        truncation = {
            "direction": rng.choice(("Left", "Right")),
            "max_length": rng.choice((0, 1, 5)),
            "strategy": "LongestFirst",
            "stride": rng.choice((0, 4, 9)),
        }
        padding = {
            "strategy": {"Fixed": 9},
            "direction": "Left",
            "pad_to_multiple_of": 8,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        }
        return ["set", [rng.choice(("truncation", "padding"))], rng.choice((truncation, padding, None))]
    return _model(rng, document["model"])


def _model(rng: random.Random, model: dict[str, Any]) -> list[Any]:
    choices: dict[str, tuple[Any, ...]] = {
        "dropout": (0.1, 0.5, 1.0, 0.0, 2, -1, None),
        "unk_token": (None, "[UNK]", "<unk>", "none", "", 5),
        "continuing_subword_prefix": (None, "", "#" * 300, "##", "é"),
        "end_of_word_suffix": (None, "", "</w>", "x" * 300),
        "fuse_unk": (True, False),
        "byte_fallback": (True, False),
        "ignore_merges": (True, False),
        "max_input_chars_per_word": (0, 1, 5, 2**40, -1),
        "unk_id": (None, 0, 3, 99999),
        "type": ("BPE", "WordPiece", "WordLevel", "Unigram", "None"),
        "merges": ([], [["a", "b"]], ["a b"], [["a"]], ["a  b"], [["zz", "zz"]]),
    }
    key = rng.choice([*(key for key in choices if key in model), "vocab", "vocab", rng.choice(list(choices))])
    if key != "vocab":
        return ["set", ["model", key], rng.choice(choices[key])]
    vocabulary = model["vocab"]
    place: Any = (
        rng.choice(sorted(vocabulary)) if isinstance(vocabulary, dict) else rng.randrange(len(vocabulary))
    )
    path = ["model", "vocab", place]
    return ["drop", path] if rng.random() < 0.4 else ["set", path, odd(rng, vocabulary[place])]


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    base = world.bundle(recipe["base"])
    bundle = copied(world, recipe["base"], scratch)
    content = (bundle / _FILE).read_bytes()
    if "steps" in recipe:
        content = changed(json.loads(content), recipe["steps"])
    put(bundle / _FILE, spoiled(content, recipe.get("bytes", ())))
    if "max_tokens" in recipe:
        manifest = json.loads((bundle / "manifest.json").read_text())
        manifest["contract"]["max_tokens"] = recipe["max_tokens"]
        put(bundle / "manifest.json", json.dumps(manifest).encode())
    listed(bundle, _FILE)
    texts = _bearable(recipe["texts"], bundle / _FILE)
    ended = judged(bundle, Reference(base), texts=texts, cli=recipe.get("cli", False))
    if ended == "right":
        _held_to_the_library(bundle, texts)
    return ended


def _bearable(texts: list[str], file: Path) -> list[str]:
    """Cut where WordPiece has no limit of a word's length, of which it takes the square and more: see SECURITY."""
    try:
        limit = json.loads(file.read_bytes())["model"]["max_input_chars_per_word"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return texts
    return [text[:_WORD_MOST] for text in texts] if isinstance(limit, int) and limit > _WORD_MOST else texts


def _held_to_the_library(bundle: Path, texts: list[str]) -> None:
    """The ids are those that tokenizers itself gives for the whole text."""
    import sestina

    limit = json.loads((bundle / "manifest.json").read_text())["contract"]["max_tokens"]
    try:
        plain = tokenizer(bundle / _FILE, limit)
    except BaseException as error:  # noqa: BLE001  a panic is no Exception
        raise Fault("loaded where the library does not", f"{type(error).__name__}: {error}") from None
    with sestina.load(bundle, precision="fp32") as encoder:
        for text in texts:
            found = attempt(lambda text=text: encoder.tokenize(text))
            try:
                right = plain.encode(text)
            except BaseException as error:  # noqa: BLE001
                right = error
            if isinstance(found, Refused):
                continue
            if isinstance(right, BaseException):
                raise Fault("ids where the library gives none", f"{text!r:.60}: {right}")
            if list(found.ids) != right.ids:
                raise Fault(
                    "ids other than the library's", f"{text!r:.60}: {found.ids[:6]} for {right.ids[:6]}"
                )
            if found.truncated is not bool(right.overflowing):
                raise Fault("truncated is not true", f"{text!r:.60}: {found.truncated}")
