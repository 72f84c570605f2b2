"""Whatever is given where a text or an option is wanted: the right result, or one line of ours."""

from __future__ import annotations

import collections
import enum
import io
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

import sestina


def refuse(*_: object) -> Any:
    raise ZeroDivisionError("two\nlines")


class Hostile:
    """Answers nothing."""

    __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __index__ = __repr__ = __str__ = __fspath__ = refuse
    __getitem__ = __contains__ = __int__ = __float__ = __array__ = refuse


class HostileList(list[Any]):
    __iter__ = __len__ = __bool__ = __eq__ = __getitem__ = __repr__ = refuse  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class Lying(str):
    """A text with another idea of everything."""

    __slots__ = ()
    __len__ = __iter__ = __getitem__ = __str__ = __repr__ = __format__ = encode = refuse  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 7

    def __contains__(self, other: object) -> bool:
        return True


class Number(int):
    __lt__ = __le__ = __gt__ = __ge__ = __repr__ = __str__ = refuse  # type: ignore[assignment]


class Color(enum.IntEnum):
    EIGHT = 8


NEVER: list[Any] = [
    Hostile(), MagicMock(spec=str), MagicMock(spec=int), object(), 1.5, float("nan"), float("inf"), 1j, b"x",
    bytearray(b"x"), np.array([1, 2]), np.array(["error", "warn"]), np.array([]), np.ma.masked, np.nan, [], {}, set(),
    10**5000, -1, HostileList([1]), "\ud800", "x" * 100_000, "a\nb", "\0", type, lambda: 1,
]  # fmt: skip


def in_one_line(error: BaseException) -> bool:
    message = str(error)
    return message.isprintable() and 0 < len(message) <= 2000


@pytest.mark.parametrize(
    "name", ["provider", "precision", "threads", "max_memory_mb", "strict", "cache_dir", "path"]
)
@pytest.mark.parametrize("at", range(len(NEVER)))
def test_options_of_load(name: str, at: int, bundle: Path) -> None:
    if name == "cache_dir" and type(NEVER[at]) is str and NEVER[at][0] in "xa":
        return  # a directory may be called so
    options = {name: NEVER[at]} if name == "path" else {"path": bundle, name: NEVER[at]}
    with pytest.raises(sestina.SestinaError) as caught:
        sestina.load(**options)
    assert in_one_line(caught.value)
    if not isinstance(NEVER[at], str | bytes):
        assert isinstance(caught.value, sestina.OptionError)
        assert str(caught.value).startswith(f"{name} is ")


@pytest.mark.parametrize("entry", [
    Hostile(), ["cpu"], ("cpu",), ("cpu", 7), ("cpu", Hostile()), ("cpu", {"x": Hostile()}), ("cpu", {Hostile: 1}), (7, {}),
    ("openvino", {"num_of_threads": Hostile()}), ("openvino", {"num_of_threads": np.array([1, 2])}),
    ("openvino", {"load_config": Hostile()}), ("openvino", {"device_type": np.array(["CPU"])}), HostileList(["cpu"]),
], ids=range(13))  # fmt: skip
def test_entries_of_a_list_of_providers(entry: Any, bundle: Path) -> None:
    with pytest.raises(sestina.OptionError) as caught:
        sestina.load(bundle, provider=[entry])
    assert in_one_line(caught.value)


@pytest.mark.parametrize("options", [
    {"threads": np.int64(2)}, {"threads": Number(2)}, {"threads": np.array(2)}, {"max_memory_mb": np.uint8(200)},
    {"strict": np.False_}, {"provider": np.str_("cpu")}, {"provider": Lying("cpu")}, {"provider": (Lying("cpu"),)},
    {"provider": [("cpu", {})]}, {"precision": Lying("int8")}, {"precision": np.str_("int8")},
], ids=range(11))  # fmt: skip
def test_options_that_mean_what_they_hold(options: dict[str, Any], bundle: Path) -> None:
    with sestina.load(bundle, **options) as encoder:
        report = encoder.report()
        assert (report.precision, report.provider) == ("int8", "cpu")
        assert report.provider_asked in ("auto", "cpu")
        assert type(report.provider_asked) is type(report.precision_asked) is str
        assert encoder.encode("a").shape == (32,)


def test_paths(bundle: Path) -> None:
    class Named:
        def __init__(self, path: Any) -> None:
            self.path = path

        def __fspath__(self) -> Any:
            return self.path

    for path in (
        str(bundle),
        os.fsencode(bundle),
        Named(str(bundle)),
        Named(os.fsencode(bundle)),
        np.str_(bundle),
    ):
        with sestina.load(path) as encoder:
            assert encoder.dimensions == 32
    for wrong in (Named(7), Named(None), 0, True, b"\0", "\0", bundle.parts):
        with pytest.raises(sestina.SestinaError) as caught:
            sestina.load(wrong)  # type: ignore[arg-type]
        assert in_one_line(caught.value)
    with pytest.raises(sestina.BundleNotFoundError) as caught_long:
        sestina.load("x" * 100_000)
    assert in_one_line(caught_long.value)
    with pytest.raises(sestina.OptionError, match=r"path is '\\ud800'; no path has a lone surrogate"):
        sestina.load("\ud800")


@pytest.mark.parametrize("at", range(len(NEVER)))
def test_options_of_a_call(at: int, encoder: sestina.Encoder) -> None:
    value = NEVER[at]
    for name in ("dimensions", "on_truncate", "progress"):
        with pytest.raises(sestina.OptionError, match=f"^{name} is ") as caught:
            encoder.encode("a", **{name: value})
        assert in_one_line(caught.value)
    for call in (encoder.hidden_states, encoder.explain, encoder.stream):
        with pytest.raises(sestina.OptionError, match="^on_truncate is ") as caught:
            call("a", on_truncate=value)
        assert in_one_line(caught.value)
    if not callable(value):
        with pytest.raises(sestina.OptionError, match="^on_progress is "):
            encoder.stream(["a"], on_progress=value)


def test_options_of_a_call_that_mean_what_they_hold(encoder: sestina.Encoder) -> None:
    short = encoder.encode("a", dimensions=8)
    for eight in (np.int64(8), np.uint8(8), Number(8), Color.EIGHT, np.array(8)):
        np.testing.assert_array_equal(encoder.encode("a", dimensions=eight), short)  # type: ignore[arg-type]
    for ignore in (Lying("ignore"), np.str_("ignore")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encoder.encode("model " * 99, on_truncate=ignore)  # type: ignore[arg-type]
            list(encoder.stream(["model " * 99], on_truncate=ignore))  # type: ignore[arg-type]
    encoder.encode(["a"], progress=np.False_)  # type: ignore[arg-type]


CALLS: dict[str, Callable[[sestina.Encoder, Any], Any]] = {
    "encode": lambda encoder, texts: encoder.encode(texts),
    "stream": lambda encoder, texts: np.array(list(encoder.stream(texts))),
    "hidden_states": lambda encoder, texts: encoder.hidden_states(texts),
    "similarity": lambda encoder, texts: encoder.similarity(texts, "a"),
    "similarity, other side": lambda encoder, texts: encoder.similarity("a", texts),
}
NO_TEXTS = [value for value in NEVER if not isinstance(value, str | list | np.ndarray)]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("at", range(len(NO_TEXTS)))
def test_what_is_no_text(call: str, at: int, encoder: sestina.Encoder) -> None:
    for given in (NO_TEXTS[at], [NO_TEXTS[at]]):
        with pytest.raises(sestina.TextTypeError) as caught:
            CALLS[call](encoder, given)
        assert in_one_line(caught.value)


@pytest.mark.parametrize("at", range(len(NEVER)))
def test_what_is_not_one_text(at: int, encoder: sestina.Encoder) -> None:
    if isinstance(NEVER[at], str) and NEVER[at] != "\ud800":
        return
    for call in (encoder.tokenize, encoder.explain):
        with pytest.raises(
            sestina.TextTypeError if NEVER[at] is not NEVER[-6] else sestina.TextValueError
        ) as caught:
            call(NEVER[at])
        assert in_one_line(caught.value)


class Column:
    """As a column of a data frame: values by key, of one dtype."""

    dtype = object

    def __init__(self, *values: str) -> None:
        self.values = values

    def keys(self) -> range:
        return range(len(self.values))

    def __getitem__(self, key: int) -> str:
        return self.values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)


class Frame:
    """As a data frame: columns by name, which are what it gives where it is iterated over."""

    def __init__(self) -> None:
        self.columns = ["title", "body"]

    def keys(self) -> list[str]:
        return self.columns

    def __getitem__(self, key: str) -> Column:
        return Column("a", "b")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return 2


class Table(list[str]):
    """As `Frame`, but a sequence."""

    @property
    def columns(self) -> list[str]:
        return list(self)


class Keyed:
    """As what `dict` takes, and no Mapping."""

    def keys(self) -> list[str]:
        return ["a"]

    def __getitem__(self, key: str) -> str:
        return "text"

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("texts", [
    {"a": "text"}, {}, collections.OrderedDict(a="text"), collections.Counter("a"), collections.ChainMap({"a": "text"}),
    collections.UserDict(a="text"), os.environ, Frame(), Table(["a"]), Keyed(), np.array([("a",)], dtype=[("title", "U9")]),
    [{"a": "text"}],
], ids=lambda each: type(each).__name__)  # fmt: skip
def test_names_are_not_texts(call: str, texts: Any, encoder: sestina.Encoder) -> None:
    if isinstance(texts, np.ndarray) and call.startswith("similarity"):
        return  # vectors, and refused as such
    with pytest.raises(sestina.TextTypeError) as caught:
        CALLS[call](encoder, texts)
    if call == "stream" and not isinstance(texts, list | np.ndarray):
        assert str(caught.value) == (
            f"texts is {type(texts).__name__}; it must be an iterable of str, and this gives its keys or the "
            "names of its columns: pass the texts themselves, such as one column"
        )


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("texts", [{"a", "b"}, frozenset("a"), set()], ids=("two", "one", "none"))
def test_what_has_no_order(call: str, texts: Any, encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.TextTypeError, match="which has no order; .*: pass sorted"):
        CALLS[call](encoder, texts)


def test_every_iterable_in_order(encoder: sestina.Encoder) -> None:
    expected = encoder.encode(["the model", "a"])
    ordered = {"the model": 1, "a": 2}
    for texts in (
        ("the model", "a"), iter(["the model", "a"]), (text for text in ("the model", "a")), ordered.keys(),
        {1: "the model", 2: "a"}.values(), np.array(["the model", "a"]), np.array(["the model", "a"], dtype=object),
        Column("the model", "a"), collections.deque(["the model", "a"]), map(Lying, ["the model", "a"]),
        [Lying("the model"), np.str_("a")], io.StringIO("the model\na"),
    ):  # fmt: skip
        np.testing.assert_array_equal(list(encoder.stream(texts)), expected)
    for sequence in (["the model", "a"], ("the model", "a"), collections.deque(["the model", "a"]),
                     [Lying("the model"), np.str_("a")], collections.UserList(["the model", "a"])):  # fmt: skip
        np.testing.assert_array_equal(encoder.encode(sequence), expected)
        assert [len(states) for states in encoder.hidden_states(sequence)] == [4, 3]
    np.testing.assert_array_equal(encoder.encode(Lying("a")), encoder.encode("a"))
    np.testing.assert_array_equal(encoder.encode(np.str_("a")), encoder.encode("a"))
    assert encoder.tokenize(Lying("a")) == encoder.tokenize("a")
    assert encoder.similarity(Lying("a"), np.str_("a"))[0, 0] == pytest.approx(1, abs=1e-6)


def test_a_sequence_that_fails_says_why(encoder: sestina.Encoder) -> None:
    with pytest.raises(
        sestina.TextTypeError, match=r"^texts is HostileList, which cannot be read \(ZeroDiv"
    ) as caught:
        encoder.encode(HostileList(["a"]))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(sestina.TextTypeError, match="^texts is ndarray of shape .* it must be a column"):
        encoder.stream(np.array("a"))  # type: ignore[arg-type]

    def failing() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError("the caller's own")

    with pytest.raises(ZeroDivisionError, match="the caller's own"):
        list(encoder.stream(failing()))


def test_a_stream_that_failed_is_not_at_its_end(encoder: sestina.Encoder) -> None:
    """Whoever passes over an error and goes on would otherwise take what is left for nothing."""

    def interrupted() -> Iterator[str]:
        yield "a"
        raise KeyboardInterrupt

    for texts, error in ((["a", 5], sestina.TextTypeError), (interrupted(), KeyboardInterrupt)):
        stream = encoder.stream(texts)  # type: ignore[arg-type]
        with pytest.raises(error):
            list(stream)
        for _ in range(2):
            with pytest.raises(sestina.ClosedError, match=f"this stream ended with {error.__name__}, before"):
                next(stream)
    stream = encoder.stream(["a"])
    assert len(list(stream)) == 1
    assert list(stream) == []
    stream = encoder.stream(["a", "b"])
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert list(stream) == []


def test_a_stream_that_is_asked_from_within_goes_on(encoder: sestina.Encoder) -> None:
    def asked(_: int) -> None:
        with pytest.raises(ValueError, match="already executing"):
            next(stream)

    stream = encoder.stream(["a", "b"], on_progress=asked)
    np.testing.assert_array_equal(list(stream), encoder.encode(["a", "b"]))


@pytest.mark.parametrize("vectors", [
    np.ma.array([1.0, 2.0], mask=[0, 1]), np.array(1.0), np.ones((1, 1, 1)), np.array([["a"]]), np.array([1j]),
    np.array([True]), np.array([[None]]), np.full(32, np.nan), np.full(32, np.inf), np.full(32, 1e300),
    np.full(32, 1e-300), np.full(32, 1e-42), np.full(32, np.longdouble("1e-4000")), np.ones(31), np.ones((0, 3)),
], ids=range(15))  # fmt: skip
def test_vectors_that_are_none(vectors: Any, encoder: sestina.Encoder) -> None:
    for pair in (("a", vectors), (vectors, "a")):
        with pytest.raises(sestina.OptionError) as caught:
            encoder.similarity(*pair)
        assert in_one_line(caught.value)


def test_vectors_of_every_kind(encoder: sestina.Encoder) -> None:
    vector = encoder.encode("the model")
    wide = np.zeros((4, 64), np.float32)
    wide[1, ::2] = vector
    for vectors in (
        vector, vector.astype(np.float64) * 1e-30, vector.astype(np.longdouble), vector.astype(">f4"), wide[1, ::2],
        np.ma.array(vector), vector.view(np.recarray), np.asfortranarray(vector[None]), vector[::-1][::-1],
    ):  # fmt: skip
        result = encoder.similarity(vectors, "the model")
        assert type(result) is np.ndarray
        np.testing.assert_allclose(result, [[1]], atol=1e-6)
    assert encoder.similarity(np.zeros((0, 32), np.float32), "a").shape == (0, 1)


# A warning points at the line that called.


def test_warnings_point_at_the_caller(encoder: sestina.Encoder, tmp_path: Path) -> None:
    long = "model " * 99

    def lazily() -> Iterator[Any]:
        yield from encoder.stream([long])

    calls: list[Callable[[], object]] = [
        lambda: encoder.encode(long),
        lambda: encoder.encode([long]),
        lambda: encoder.hidden_states(long),
        lambda: encoder.explain(long),
        lambda: encoder.similarity(long, "a"),
        lambda: encoder.similarity("a", [long]),
        lambda: list(encoder.stream([long])),
        lambda: next(encoder.stream([long])),
        lambda: next(lazily()),
    ]
    for call in calls:
        with pytest.warns(sestina.TruncationWarning) as caught:
            call()
        (warned,) = caught
        assert warned.filename == __file__
        lines = pathlib.Path(__file__).read_text().splitlines()
        assert "encoder." in lines[warned.lineno - 1]


def test_the_warning_of_load_points_at_the_caller(bundle: Path) -> None:
    with pytest.warns(sestina.ProviderWarning) as caught:
        sestina.load(bundle, provider="coreml").close()
    assert [warned.filename for warned in caught] == [__file__]


class Subclass(np.ndarray[Any, Any]):
    """As libraries make them."""


class TestColumns:
    """Of numpy here; of pandas, polars and Arrow in tests/integrations, against the real ones."""

    TEXTS = ("model", "tokens", "model")

    @pytest.mark.parametrize(
        "make",
        [
            np.array,
            lambda texts: np.array(texts, dtype=object),
            lambda texts: np.array(texts)[::-1][::-1],
            lambda texts: np.array(texts).view(Subclass),
            lambda texts: np.ma.array(np.array(texts), mask=[False] * len(texts)),
        ],
    )
    def test_of_numpy(self, make: Callable[[Any], Any], encoder: sestina.Encoder) -> None:
        given = make(self.TEXTS)
        wanted = encoder.encode(list(self.TEXTS))
        assert np.array_equal(encoder.encode(given), wanted)
        assert np.array_equal(list(encoder.stream(given)), wanted)
        assert np.array_equal(encoder.similarity(given, given), encoder.similarity(wanted, wanted))
        assert len(encoder.hidden_states(given)) == len(self.TEXTS)
        assert encoder.encode(given[:0]).shape == (0, encoder.dimensions)

    def test_longer_than_a_piece(self, encoder: sestina.Encoder) -> None:
        given = np.array(["model", "tokens"] * 10_000)
        vectors = encoder.encode(given)
        assert len(vectors) == 20_000
        assert np.array_equal(vectors[[0, 1, -2, -1]], encoder.encode(["model", "tokens"] * 2))

    @pytest.mark.parametrize(
        "given, said",
        [
            (np.array([["a"]]), r"texts is ndarray of shape \(1, 1\); it must be a column"),
            (np.array("a"), r"texts is ndarray of shape \(\); it must be a column"),
            (np.array(["a", None], dtype=object), "row 1 is null; it must be str"),
            (np.array(["a", float("nan")], dtype=object), "row 1 is null; it must be str"),
            (np.ma.array(["a", "b"], mask=[False, True]), "row 1 is null; it must be str"),
            (np.array([1.5]), "text 0 is float; it must be str"),
            (np.array([b"a"]), "text 0 is bytes; it must be str"),
            (np.zeros(2, dtype=[("a", "U3")]), "text 0 is tuple; it must be str"),
        ],
    )
    def test_what_is_no_column_of_texts(self, given: Any, said: str, encoder: sestina.Encoder) -> None:
        for call in (encoder.encode, lambda texts: list(encoder.stream(texts)), encoder.hidden_states):
            with pytest.raises(sestina.TextTypeError, match=said):
                call(given)
