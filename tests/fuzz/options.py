"""Arguments of the library's calls: values of every type where another is meant."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

import sestina
from fuzz.arrays import altered, ways
from fuzz.core import Fault, Recipe
from fuzz.oracle import Refused, attempt, near
from fuzz.world import World

SECONDS = 20
# Expressions, so that a recipe can tell any object. All are harmless to evaluate.
_VALUES = (
    "None", "True", "False", "0", "1", "2", "-1", "32", "33", "2**31", "2**63", "10**5000", "1.0", "2.5", "float('nan')", "float('inf')", "1j",
    "''", "'auto'", "'fp32'", "'int8'", "'cpu'", "'warn'", "'error'", "'zero'", "'float16'", "'binary'", "['a', None, '']", "'x' * 5000", "'a\\nb'", "'\\ud800'", "'a\\0b'", "b'cpu'", "[]", "['cpu']",
    "['cpu', 'cpu']", "('cpu', {})", "[('cpu', {})]", "[('cpu', {'x': 1})]", "[('cpu', None)]", "[('cpu',)]", "[['cpu', {}]]", "[None]", "{}",
    "{'cpu': 1}", "set()", "object()", "int", "lambda: 1", "np.array(['cpu'])", "np.array([1, 2])", "np.array(2)", "np.int64(2)", "np.bool_(True)",
    "np.float32(2)", "np.str_('cpu')", "np.str_('fp32')", "np.array('warn')", "np.ma.masked", "Liar('cpu')", "Liar('nothing')", "Unhashable()",
    "Raises()", "iter(['cpu'])", "range(3)", "Path('.')", "Path('nowhere')", "PathLike(5)", "PathLike('\\ud800')", "'.'", "'nowhere'", "5", "'~'",
    "memoryview(b'a')", "NotImplemented", "...", "['x' * 5000]", "[('x' * 5000, {})]", "[('cpu', {'a' * 5000: 'b' * 5000})]", "list(range(10000))",
)  # fmt: skip
_CALLS = {
    "load": ("path", "provider", "precision", "threads", "max_memory_mb", "strict", "cache_dir"),
    "encode": ("texts", "dimensions", "on_truncate", "on_null", "on_empty", "output", "progress"),
    "stream": ("texts", "dimensions", "on_truncate", "on_null", "on_empty", "output", "on_progress"),
    "hidden_states": ("texts", "on_truncate", "on_null", "on_empty"),
    "tokenize": ("text",),
    "explain": ("text", "on_truncate"),
    "similarity": ("a", "b", "on_null", "on_empty"),
}
_ALLOWED = {  # of these values; as if by default first
    "on_truncate": ("'warn'", "'error'", "np.array('warn')"),
    "on_null": ("'error'", "'zero'"),
    "on_empty": ("None", "'zero'", "'warn'", "'error'"),
    "output": ("'float32'", "'float16'", "'int8'", "'binary'"),
}
_OTHERS = {
    "texts": "['a text', 'b']",
    "text": "'a text'",
    "a": "'a text'",
    "b": "['a text']",
    "path": "BUNDLE",
}


class Liar(str):
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("cpu")


class Unhashable(str):
    """A text that cannot be a key."""

    __hash__ = None  # type: ignore[assignment]


class Raises:
    """Whatever is asked of it fails."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError("asked for its truth")

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("compared")

    def __len__(self) -> int:
        raise ZeroDivisionError("measured")

    def __iter__(self) -> Any:
        raise ZeroDivisionError("iterated")

    def __repr__(self) -> str:
        raise ZeroDivisionError("printed")

    __hash__ = object.__hash__


class PathLike:
    """A path that gives anything."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


def generate(rng: random.Random, world: World) -> Recipe:
    if rng.random() < 0.3:
        return {"call": "vectors", "sides": [_side(rng), _side(rng)]}
    call = rng.choice(list(_CALLS))
    given = {name: _OTHERS[name] for name in _CALLS[call] if name in _OTHERS}
    for name in rng.sample(_CALLS[call], min(len(_CALLS[call]), rng.choice((1, 1, 2)))):
        given[name] = rng.choice(_VALUES)
    return {"call": call, "given": given}


def _side(rng: random.Random) -> dict[str, Any]:
    made = rng.choice(
        (
            "plain",
            "plain",
            "masked",
            "matrix",
            "fortran",
            "strided",
            "readonly",
            "memmap",
            "list",
            "int",
            "object",
        )
    )
    return {
        "made": made,
        "ways": [way for way in ways(rng) if way[0] in ("type", "value", "shape", "scale", "order")],
    }


def _array(side: dict[str, Any], scratch: Path) -> Any:
    rows = np.random.default_rng(3).standard_normal((6, 32)).astype(np.float32)
    rows = altered(rows, side["ways"])
    made = side["made"]
    if made == "masked":
        return np.ma.masked_array(rows, mask=np.arange(rows.size).reshape(rows.shape) % 3 == 0)
    if made == "matrix" and rows.ndim == 2:
        return np.asmatrix(rows)
    if made == "strided":
        return np.repeat(rows, 2, axis=0)[::2] if rows.ndim else rows
    if made == "readonly":
        rows.setflags(write=False)
    if made == "memmap" and rows.size and rows.dtype.kind == "f":
        np.save(scratch / "rows.npy", rows)
        return np.load(scratch / "rows.npy", mmap_mode="r")
    if made == "list":
        return rows.tolist()
    if made in ("int", "object"):
        return np.arange(64).reshape(2, 32).astype(made)
    return np.asfortranarray(rows) if made == "fortran" else rows


def check(recipe: Recipe, world: World, scratch: Path) -> str:
    base = world.bundle("wordpiece")
    if recipe["call"] == "vectors":
        return _similar(base, [_array(side, scratch) for side in recipe["sides"]], recipe["sides"])
    scope = {"np": np, "Path": Path, "BUNDLE": base}
    scope |= {each.__name__: each for each in (Liar, Unhashable, Raises, PathLike)}
    given = {name: eval(source, scope) for name, source in recipe["given"].items()}
    if recipe["call"] == "load":
        found = attempt(lambda: sestina.load(given.pop("path"), **given), (ZeroDivisionError,))
        if isinstance(found, Refused):
            return "refused"
        with found:
            right = _right(found)
            near(found.encode("a text"), right, "the vector and its right value")
        return "right"
    with sestina.load(base) as encoder:
        right = _right(encoder)
        call = getattr(encoder, recipe["call"])
        listed = list if recipe["call"] == "stream" else (lambda found: found)
        found = attempt(lambda: listed(call(**given)), (ZeroDivisionError,))
        near(encoder.encode("a text"), right, "the vector afterwards")
        if isinstance(found, Refused):
            return "refused"
        for name, allowed in _ALLOWED.items():
            if (odd := recipe["given"].get(name, allowed[0])) not in allowed:
                raise Fault(f"{name} takes anything", odd)
        formed = recipe["given"].get("output", "'float32'") != "'float32'"
        whole = recipe["call"] in ("encode", "stream") and not formed
        if whole and recipe["given"]["texts"] == _OTHERS["texts"]:
            width = len(found[0])
            near(
                found[0][:1] / right[:1],
                np.ones(1) * float(1 / np.linalg.norm(right[:width])),
                "a shorter vector",
                1e-4,
            )
            if "dimensions" in given and given["dimensions"] is not None and width != given["dimensions"]:
                raise Fault("vectors of other dimensions", f"{width} for {recipe['given']['dimensions']}")
    return "right"


def _right(encoder: sestina.Encoder) -> np.ndarray:
    with sestina.load(Path(encoder.report().bundle), precision=encoder.report().precision) as other:
        return np.asarray(other.encode("a text"))


def _similar(base: Path, sides: list[Any], told: list[Any]) -> str:
    with sestina.load(base) as encoder:
        found = attempt(lambda: encoder.similarity(*sides))
    if isinstance(found, Refused):
        return "refused"
    if any(side["made"] == "masked" and np.size(given) for side, given in zip(told, sides, strict=True)):
        raise Fault("masked values are taken for values", "")
    one, other = (_units(side) for side in sides)
    # A list without rows does not say how wide they are.
    wanted = one @ other.T if len(one) and len(other) else np.zeros((len(one), len(other)))
    near(found, wanted, "cosines", 1e-3)
    return "right"


def _units(side: Any) -> np.ndarray:
    """Rows of length 1, or of zeros."""
    rows = np.asarray(side, dtype=np.float64)
    rows = rows[:0].reshape(0, 0) if rows.shape == (0,) else np.atleast_2d(rows)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    scaled = rows / np.where(largest == 0, 1, largest)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(norms == 0, 1, norms)
