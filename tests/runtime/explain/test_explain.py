"""Looking inside: what `Encoder.explain` promises, and how it is done without parsing a graph."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import sestina
from sestina._explain import explanation as _explanation
from sestina._session import inner_values as _inner


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Iterator[sestina.Encoder]:
    with sestina.load(bundle, precision="fp32") as loaded:
        yield loaded


def test_one_text(encoder: sestina.Encoder) -> None:
    found = encoder.explain("the model")
    assert found.tokens == encoder.tokenize("the model")
    assert (found.attention.shape, found.attention.dtype) == ((2, 4, 4, 4), np.float32)
    assert (found.contributions.shape, found.contributions.dtype) == ((4,), np.float32)
    assert (found.vector.shape, found.vector.dtype) == ((32,), np.float32)
    assert found.pooling == "mean"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_looking_changes_nothing(bundle: Path, precision: str) -> None:
    with sestina.load(bundle, precision=precision) as encoder:
        before, report = encoder.encode("the model"), encoder.report()
        np.testing.assert_array_equal(encoder.explain("the model").vector, before)
        np.testing.assert_array_equal(encoder.encode("the model"), before)
        assert encoder.report() == report
        assert encoder.verify().passed


def test_one_token(make_bundle: Callable[..., Path]) -> None:
    with sestina.load(make_bundle("bpe")) as encoder:
        found = encoder.explain("a")
        np.testing.assert_array_equal(found.attention, np.ones((2, 4, 1, 1)))
        assert found.contributions == pytest.approx([1])
        nothing = encoder.explain("")
    assert nothing.attention.shape == (2, 4, 0, 0)
    assert nothing.contributions.shape == (0,)
    assert nothing.tokens.ids == ()
    np.testing.assert_array_equal(nothing.vector, np.zeros(32, np.float32))


def test_truncation_is_loud(encoder: sestina.Encoder) -> None:
    over = "model " * 63
    with pytest.warns(sestina.TruncationWarning, match="^the text has more than 64 tokens") as caught:
        found = encoder.explain(over)
    assert caught[0].filename == __file__
    assert found.tokens.truncated
    assert found.attention.shape == (2, 4, 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.explain(over, on_truncate="ignore")
    with pytest.raises(sestina.TruncationError, match="^the text has more than 64 tokens"):
        encoder.explain(over, on_truncate="error")
    with pytest.raises(sestina.OptionError, match="on_truncate is 'silent'"):
        encoder.explain("a", on_truncate="silent")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [7, None, b"bytes", ["a"]])
def test_wrong_types(text: Any, encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.TextTypeError, match=f"^the text is {type(text).__name__}; it must be str$"):
        encoder.explain(text)


def test_lone_surrogates(encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.TextValueError, match=r"the text has a lone surrogate U\+DC80"):
        encoder.explain("ab\udc80")


def test_too_much_to_hold(encoder: sestina.Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_explanation, "_MOST_WEIGHTS", 2 * 4 * 9**2)
    assert encoder.explain("model " * 7).attention.shape == (2, 4, 9, 9)
    with pytest.raises(
        sestina.TextValueError,
        match=r"the text has 10 tokens, too many to look at in 2 x 4 heads at once: shorten it to 9$",
    ):
        encoder.explain("model " * 8)


def test_after_close(bundle: Path) -> None:
    with sestina.load(bundle) as encoder:
        encoder.explain("a")
    with pytest.raises(sestina.ClosedError):
        encoder.explain("a")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_ends(bundle: Path) -> None:
    """The session that looks inside is not destroyed there: that would wait for the parent's threads."""
    encoder = sestina.load(bundle, threads=2, on_fork="error")
    encoder.explain("a")
    child = os.fork()
    if not child:
        try:
            encoder.explain("a")
        except sestina.ForkError:
            encoder.close()
            del encoder
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    encoder.close()


def test_a_file_altered_since_is_caught(own_bundle: Path) -> None:
    with sestina.load(own_bundle, precision="fp32") as encoder:
        path = own_bundle / "cpu-fp32.onnx"
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
        with pytest.raises(sestina.BundleIntegrityError, match="is not the file that was exported"):
            encoder.explain("a")


def renamed(bundle: Path, old: str, new: str) -> None:
    """Give an inner value of a bundle's fp32 graph another name, and the manifest its new checksum."""
    from sestina_export._produce import file_entry

    path = bundle / "cpu-fp32.onnx"
    model = onnx.load(path)
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [new if value == old else value for value in values]
    onnx.save(model, path)
    document = json.loads((bundle / "manifest.json").read_text())
    entry = file_entry(path)
    (variant,) = [each for each in document["variants"] if each["precision"] == "fp32"]
    variant.update(sha256=entry.sha256, bytes=entry.bytes)
    (bundle / "manifest.json").write_text(json.dumps(document))


@pytest.mark.parametrize("old", ["layers.0.query", "layers.1.key"])
def test_a_bundle_from_before_the_names(old: str, own_bundle: Path) -> None:
    renamed(own_bundle, old, "view_1")
    with sestina.load(own_bundle, precision="fp32") as encoder:
        assert encoder.verify().passed
        for text in ("a", ""):
            with pytest.raises(sestina.BundleFormatError) as caught:
                encoder.explain(text)
    assert str(caught.value) == (
        f"{own_bundle / 'cpu-fp32.onnx'} has no inner value {old!r}, as graphs exported by this version have: "
        "export the bundle again"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_heads": None}, "has the n_heads None; to look inside it must be a whole number"),
        ({"n_heads": 0}, "has the n_heads 0; to look inside"),
        ({"n_layers": True}, "has the n_layers True; to look inside"),
        ({"n_layers": "x" * 999}, "has the n_layers 'xxx"),
        ({"n_layers": 0}, "is a table of token vectors, without layers: it has no attention to look at$"),
        ({"attention_scale": 10**400}, "has the attention_scale 1000+; to look inside it must be a number"),
        ({"n_heads": 5}, "has 5 heads, of which its d_model 32 is no multiple: export the bundle again"),
        ({"n_layers": 2**31}, "has the n_layers 2147483648; to look inside it must be .* from 1 to 1024"),
        ({"n_layers": 3}, "has no inner value 'layers.2.query'"),
    ],
)
def test_a_manifest_that_does_not_say_how_many(change: dict[str, Any], said: str, own_bundle: Path) -> None:
    path = own_bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["encoder"].update(change)
    path.write_text(json.dumps(document))
    with sestina.load(own_bundle) as encoder, pytest.raises(sestina.BundleFormatError, match=said) as caught:
        encoder.explain("")
    assert len(str(caught.value)) < 300 + len(str(own_bundle))


@pytest.mark.parametrize("normalize", [True, False])
def test_max_pooling_shares_by_dimensions_won(normalize: bool, make_bundle: Callable[..., Path]) -> None:
    bundle = make_bundle(pooling="max", normalize=normalize, precisions=["fp32"])
    with sestina.load(bundle, precision="fp32") as encoder:
        found = encoder.explain("the transformer is a model")
        (states,) = encoder.hidden_states("the transformer is a model")
    expected = np.zeros(len(states))
    for dimension, winner in enumerate(states.argmax(0)):
        expected[winner] += states[winner, dimension] ** 2
    np.testing.assert_allclose(found.contributions, expected / (states.max(0) ** 2).sum(), atol=1e-6)
    assert found.contributions.sum() == pytest.approx(1, abs=1e-6)


def test_contributions_by_hand() -> None:
    states = np.array([[3, 0], [1, 0], [-1, 0]], dtype=np.float32)
    assert _explanation.contributions_of(states, "mean").tolist() == pytest.approx([1, 1 / 3, -1 / 3])
    assert _explanation.contributions_of(states, "cls").tolist() == [1, 0, 0]
    assert _explanation.contributions_of(states, "max").tolist() == [1, 0, 0]
    tied = np.array([[2, 1], [2, -1]], dtype=np.float32)
    assert _explanation.contributions_of(tied, "max").tolist() == pytest.approx([0.6, 0.4])
    for pooling in ("mean", "max", "cls"):
        assert not _explanation.contributions_of(np.zeros((3, 2), np.float32), pooling).any()


def test_first_token_alone_where_pooling_says_so(make_bundle: Callable[..., Path]) -> None:
    with sestina.load(make_bundle("unigram")) as encoder:
        found = encoder.explain("the model")
    assert found.contributions.tolist() == [1, *[0] * (len(found.tokens.ids) - 1)]
    assert found.pooling == "cls"


@pytest.mark.parametrize("names", [["layers.0.query"], ["layers.0.key", "layers.1.query"], []])
def test_more_outputs_by_bytes_alone(names: list[str], bundle: Path) -> None:
    """As onnx itself reads and writes them."""
    graph = (bundle / "cpu-fp32.onnx").read_bytes()
    merged, expected = onnx.load_from_string(graph + _inner.outputs(names)), onnx.load_from_string(graph)
    for name in names:
        expected.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    assert merged == expected


@pytest.mark.parametrize("length", [1, 127, 128, 300, 20_000])
def test_names_of_any_length(length: int) -> None:
    """A length takes one byte or several."""
    name = "n" * length
    merged = onnx.load_from_string(_inner.outputs([name, "b"]))
    assert [value.name for value in merged.graph.output] == [name, "b"]
    node = onnx.helper.make_node("Identity", ["a"], [name]).SerializeToString()
    assert _inner.node_output(name) in node
    assert _inner.node_output("a") not in node  # an input
    assert _inner.node_output(name[1:] or "x") not in node


def test_a_graph_of_its_own_is_refused_by_name(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    """The empty text too: no answer for one text that others would not get."""
    bundle = shutil.copytree(make_bundle("bpe"), tmp_path / "own.sestina")
    renamed(bundle, "layers.1.query", "other")
    with (
        sestina.load(bundle, precision="fp32") as encoder,
        pytest.raises(sestina.BundleFormatError, match="'layers.1.query'"),
    ):
        encoder.explain("")
