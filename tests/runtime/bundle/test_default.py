"""The embedded bundle: there without being named, small, and used by every command."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import sestina
from sestina._bundle.default import default_bundle
from sestina._cli import arguments
from sestina._cli.pieces import readable
from sestina._errors import BundleNotFoundError, OptionError

EMBEDDED = Path(default_bundle())
MOST_BYTES = 26_000_000  # of the whole bundle, tokenizer included
EXAMPLE = "the Transformer is an innovative NLP model !"
TOKENS = "the | transform | er | is | an | innovative | n | l | p | model | !"


@pytest.fixture(scope="module")
def default() -> sestina.Encoder:
    return sestina.load()


class TestEncoder:
    def test_it_is_the_papers_encoder_and_fits_in_an_app(self, default: sestina.Encoder) -> None:
        manifest = json.loads((EMBEDDED / "manifest.json").read_text())
        shape = manifest["encoder"]
        assert [shape[name] for name in ("n_layers", "d_model", "n_heads", "d_ff")] == [6, 512, 8, 2048]
        assert (shape["activation"], shape["positions"], shape["norm"]) == ("relu", "sinusoidal", "post")
        assert default.dimensions == 512
        assert default.report().precision == "int8"
        assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) <= MOST_BYTES

    def test_it_passes_its_goldens(self, default: sestina.Encoder) -> None:
        assert default.verify().passed

    def test_the_reference_example_comes_out_exactly(self, default: sestina.Encoder) -> None:
        description = json.loads((EMBEDDED / "tokenizer.json").read_text())
        assert " | ".join(readable(default.tokenize(EXAMPLE).tokens, description)) == TOKENS

    def test_its_vectors_mean_something(self, default: sestina.Encoder) -> None:
        pairs = [
            ("A man is playing a guitar.", "Someone plays an instrument."),
            ("The stock market fell sharply.", "Shares lost much of their value."),
            ("How do plants get energy?", "Photosynthesis turns light into sugar."),
            ("The cat sleeps on the sofa.", "A kitten is napping on the couch."),
        ]
        left, right = (default.encode(list(side)) for side in zip(*pairs, strict=True))
        similar = left @ right.T
        assert np.array_equal(similar.argmax(1), np.arange(4))

    def test_no_dimension_is_idle(self, default: sestina.Encoder) -> None:
        texts = [
            "A man plays a guitar.",
            "Shares fell.",
            "import os",
            "Where is my parcel?",
            "Once upon a time",
        ]
        assert default.encode(texts).std(0).min() > 1e-5  # 0 where the last LayerNorm has a gain of 0

    def test_a_stripped_installation_says_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("sestina._bundle.default.__file__", str(tmp_path / "_default.py"))
        with pytest.raises(BundleNotFoundError, match="lacks the embedded bundle.*install sestina again"):
            sestina.load()


class TestArguments:
    """A bundle may be left out; what is a bundle and what a text is told by what it looks like."""

    @pytest.mark.parametrize(
        "given, least, most, bundle, texts",
        [
            (["a text"], 0, None, None, ["a text"]),
            (["x.sestina", "a"], 0, None, "x.sestina", ["a"]),
            (["x.sestina/", "a"], 1, None, "x.sestina/", ["a"]),
            (["x.sestina"], 0, None, "x.sestina", []),
            ([".", "a", "b"], 2, None, ".", ["a", "b"]),  # a directory
            (["/shrug or not", "a"], 1, None, None, ["/shrug or not", "a"]),
            (["a" * 5000, "b\0"], 1, None, None, ["a" * 5000, "b\0"]),
            (["q"], 1, 1, None, ["q"]),
            (["anything", "q"], 1, 1, "anything", ["q"]),
            ([], 0, 0, None, []),
            (["anything"], 0, 0, "anything", []),
        ],
    )
    def test_told_apart(
        self,
        given: list[str],
        least: int,
        most: int | None,
        bundle: str | None,
        texts: list[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path / "x.sestina").mkdir()
        monkeypatch.chdir(tmp_path)
        args = SimpleNamespace(arguments=given, dashed=[], command="c", shape="[BUNDLE]")
        assert arguments.take_bundle(args, least, most) == texts  # type: ignore[arg-type]
        assert args.bundle == bundle

    @pytest.mark.parametrize(
        "given, least, error, message",
        [
            (["/no/such", "a"], 1, BundleNotFoundError, "there is no bundle at /no/such"),
            (["my.tokenizer.json", "a"], 1, BundleNotFoundError, "put -- before it if it is a text"),
            (["x.sestina"], 1, OptionError, "x.sestina is taken for the BUNDLE"),
            ([".", "a"], 2, OptionError, r"\. is taken for the BUNDLE"),
        ],
    )
    def test_written_as_a_path(
        self, given: list[str], least: int, error: type[Exception], message: str, tmp_path: Path
    ) -> None:
        args = SimpleNamespace(arguments=given, dashed=[], command="c", shape="[BUNDLE]")
        with pytest.raises(error, match=message):
            arguments.take_bundle(args, least)  # type: ignore[arg-type]
        args = SimpleNamespace(arguments=[], dashed=given, command="c", shape="[BUNDLE]")  # after --
        assert arguments.take_bundle(args, 0) == given  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "given, least, most",
        [([], 1, None), (["a"], 2, None), ([], 1, 1), (["a", "b"], 0, 0), (["a"] * 3, 1, 1)],
    )
    def test_too_few_or_too_many(self, given: list[str], least: int, most: int | None) -> None:
        args = SimpleNamespace(arguments=given, dashed=[], command="encode", shape="[BUNDLE] [TEXT ...]")
        with pytest.raises(OptionError, match=r"encode takes \[BUNDLE\] \[TEXT ...\], not \d arguments?"):
            arguments.take_bundle(args, least, most)  # type: ignore[arg-type]

    def test_every_command_runs_without_a_bundle(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        from sestina.__main__ import main

        (tmp_path / "lines.txt").write_text("Photosynthesis feeds plants.\nStocks fell.\n")
        lines = str(tmp_path / "lines.txt")
        for given, said in (
            (["tokenize", EXAMPLE], TOKENS),
            (["similar", "a cat", "a kitten"], "0."),
            (["search", "how do plants eat?", "--in", lines, "--top", "1"], "Photosynthesis"),
            (["search", "--in", lines, "how do plants eat?", "--top", "1"], "Photosynthesis"),
            (["encode", "one text"], '"vector": ['),
            (["encode", "--no-text", "one text"], '{"vector": ['),
            (["encode", "--input", lines], "Stocks fell."),
            (["verify"], "passed"),
            (["inspect"], "512"),
            (["explain", "one text", "--output", str(tmp_path / "page.html")], "6 layers of 8 heads"),
        ):
            assert main(given) == 0, given
            assert said in capsys.readouterr().out, given

    def test_the_named_bundle_wins(self, capsys: pytest.CaptureFixture[str], bundle: Path) -> None:
        from sestina.__main__ import main

        for given in (["encode", str(bundle), "text"], ["encode", "--no-text", str(bundle), "text"]):
            assert main(given) == 0
            assert len(json.loads(capsys.readouterr().out)["vector"]) == 32
        assert main(["inspect", str(bundle), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["dimensions"] == 32
