"""What must come out, whatever went in: the right vector, or an error of ours in one line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import sestina
from fuzz.core import Fault

LONGEST = 2000  # characters of an error or a warning, whatever it quotes
NEAR = 1e-5  # between fp32 vectors of one text, of norm 1
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_OWN_WARNINGS = (sestina.TruncationWarning, sestina.ProviderWarning)


class Refused(NamedTuple):
    """An error of ours: its type and what it says."""

    kind: str
    said: str


def ours(error: BaseException) -> Refused:
    """An error as it must be: of our tree, a builtin too, one line of bounded length that can be printed."""
    roots: list[type[BaseException]] = [sestina.SestinaError]
    try:  # a checkpoint's errors have a root of their own
        from sestina_model._errors import ModelError

        roots.append(ModelError)
    except ModuleNotFoundError:
        pass
    kind = type(error).__name__
    if not isinstance(error, tuple(roots)):
        where = _product_line(error)
        raise Fault(f"{kind} at {where}", f"not an error of ours: {str(error)[:300]}")
    said = str(error)
    if not said:
        raise Fault(f"{kind} says nothing", repr(error))
    if len(said) > LONGEST:
        raise Fault(f"{kind} at {_product_line(error)} is long", f"{len(said)} characters: {said[:200]}")
    if odd := _CONTROL.search(said):
        raise Fault(f"{kind} at {_product_line(error)} is no line", f"{odd[0]!r} in {said!r:.300}")
    return Refused(kind, said)


def _product_line(error: BaseException) -> str:
    """Where in the product it was raised: file and function, which stay where lines move."""
    import traceback

    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/sestina" in frame.filename.replace("\\", "/")
    ]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "no line of ours"


def attempt(call: Callable[[], Any], callers: tuple[type[Exception], ...] = ()) -> Any:
    """What a call gives, or the error of ours that it raises. Warnings must be ours too.

    Args:
        call: The call.
        callers: What objects of the caller's own raise when they are used, which may pass.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except callers as error:
            result = Refused(type(error).__name__, str(error))
        except BaseException as error:  # noqa: BLE001  a panic is no Exception
            result = ours(error)
    for each in caught:
        if not isinstance(each.message, _OWN_WARNINGS):
            raise Fault(f"{each.category.__name__} from a library", str(each.message))
        if len(str(each.message)) > LONGEST or _CONTROL.search(str(each.message)):
            raise Fault(f"{each.category.__name__} is no line", str(each.message)[:300])
        if Path(each.filename).parent != Path(__file__).parent:
            raise Fault(
                f"{each.category.__name__} points into {Path(each.filename).name}", str(each.message)[:300]
            )
    return result


def near(found: Any, right: Any, what: str, most: float = NEAR) -> None:
    """Two arrays are equal, but for rounding."""
    found, right = np.asarray(found), np.asarray(right)
    if found.shape != right.shape:
        raise Fault(f"{what}: another shape", f"{found.shape} for {right.shape}")
    if not found.size:
        return
    scale = max(1.0, float(np.abs(right).max()))
    error = float(np.abs(found.astype(np.float64) - right).max())
    if not error <= most * scale:
        norms = np.linalg.norm(found) * np.linalg.norm(right)
        cosine = float((found * right).sum() / norms) if norms else float("nan")
        raise Fault(f"{what}: another value", f"off by {error:.3g}; cosine {cosine:.4f}")


def vector(found: Any, width: int, what: str) -> np.ndarray:
    """A result that is a vector: of the contract's type, shape, and of finite numbers."""
    if type(found) is not np.ndarray or found.dtype != np.float32:
        raise Fault(f"{what} is no float32 array", f"{type(found).__name__} {getattr(found, 'dtype', '')}")
    if found.shape != (width,):
        raise Fault(f"{what} has another shape", f"{found.shape} for ({width},)")
    if not np.isfinite(found).all():
        raise Fault(f"{what} is not finite", str(found[:4]))
    return found


def sound(encoder: sestina.Encoder, texts: Sequence[str], most: float = NEAR) -> list[np.ndarray | Refused]:
    """One text alone, in a list, in a stream and again: each way gives the same, or an error of ours.

    Returns: for each text, its vector alone or the error.
    """
    width, exact = encoder.dimensions, 0.0 if "int8" in repr(encoder) else most
    alone: list[Any] = []
    for text in texts:
        tokens = attempt(lambda text=text: encoder.tokenize(text))
        if not isinstance(tokens, Refused) and len(tokens.ids) > encoder.max_tokens:
            raise Fault(
                "more ids than max_tokens", f"{len(tokens.ids)} of {encoder.max_tokens} for {text!r:.60}"
            )
        one = attempt(lambda text=text: encoder.encode(text, on_truncate="ignore"))
        alone.append(one if isinstance(one, Refused) else vector(one, width, "the vector of one text"))
    again = [attempt(lambda text=text: encoder.encode(text, on_truncate="ignore")) for text in texts]
    listed = attempt(lambda: list(encoder.encode(list(texts), on_truncate="ignore")))
    streamed = attempt(lambda: list(encoder.stream(iter(texts), on_truncate="ignore")))
    for what, rows in (("again", again), ("in a list", listed), ("in a stream", streamed)):
        if isinstance(rows, Refused):
            continue
        if len(rows) != len(texts):
            raise Fault(f"{what}: {len(rows)} vectors", f"for {len(texts)} texts")
        for one, other in zip(alone, rows, strict=True):
            if isinstance(other, Refused):
                continue
            vector(other, width, f"a vector {what}")
            if not isinstance(one, Refused):
                near(other, one, f"a text alone and {what}", exact)
    return alone


def looked_into(encoder: sestina.Encoder, text: str, d_model: int) -> None:
    """The other faces of an encoder: each gives what it promises, or an error of ours."""
    tokens = attempt(lambda: encoder.tokenize(text))
    states = attempt(lambda: encoder.hidden_states(text, on_truncate="ignore"))
    if not isinstance(states, Refused) and not isinstance(tokens, Refused):
        if states[0].shape != (len(tokens.ids), d_model) or states[0].dtype != np.float32:
            raise Fault("hidden states of another shape", f"{states[0].shape} {states[0].dtype}")
        if not np.isfinite(states[0]).all():
            raise Fault("hidden states are not finite", "")
    one = attempt(lambda: encoder.encode(text, on_truncate="ignore"))
    told = attempt(lambda: encoder.explain(text, on_truncate="ignore"))
    if not isinstance(told, Refused) and not isinstance(one, Refused):
        near(told.vector, one, "a text encoded and explained", 1e-4)
    attempt(encoder.report)
    found = attempt(encoder.verify)
    if not isinstance(found, Refused) and type(found.passed) is not bool:
        raise Fault("verify gives no truth value", repr(found.passed))
    cosines = attempt(lambda: encoder.similarity(text, [text, "other"]))
    if not isinstance(cosines, Refused) and not (
        cosines.shape == (1, 2) and np.isfinite(cosines).all() and np.abs(cosines).max() <= 1.0
    ):
        raise Fault("a cosine that is none", str(cosines))
