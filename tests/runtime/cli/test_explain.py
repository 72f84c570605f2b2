"""`sestina explain`: lines, document, page and picture, and what a hostile text does to each: nothing."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _made import KINDS
from sestina._explain import explanation as _explanation
from sestina._explain import maps as _maps
from sestina._explain.page import visible

Cli = Callable[..., Any]  # the fixture of conftest.py

TEXT = "the transformer is an innovative NLP model !"
HOSTILE = (
    "<script>alert(1)</script> </style><img src=x onerror=alert(2)> &lt; \"'`${x} ]]> --> "
    "\u202eabc\u202c السلام عليكم 👩‍👩‍👧‍👦 \x01\x1b[31m\x7f\x85 \ufffe\u2028 a\n\tb \x00 [SEP] <!--"
)
VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """A page taken apart: elements, the text of each kind of element, and whether all are closed."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.elements if name in (attrs.get("class") or "").split()]


def read_png(content: bytes) -> tuple[np.ndarray, bytes]:
    """Pixels (height, width) of an 8-bit PNG of one channel, and its palette; every checksum holds."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", content, at + 8 + size) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + size
    width, height, depth, kind_, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    assert kind_ == (3 if b"PLTE" in chunks else 0)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    assert chunks[b"IEND"] == b""
    return lines[:, 1:], chunks.get(b"PLTE", b"")


def page_of(cli: Cli, bundle: Path, text: str, *options: str) -> tuple[Page, str]:
    outcome = cli("explain", bundle, "--output", "-", *options, "--", text)
    assert outcome.code == 0, outcome.err
    return Page(outcome.out), outcome.out


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the page goes that is written when no other place is named."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def found(encoder: sestina.Encoder) -> sestina.Explanation:
    return encoder.explain(TEXT)


def test_a_line_for_each_token(cli: Cli, bundle: Path, found: sestina.Explanation) -> None:
    outcome = cli("explain", bundle, TEXT)
    assert (outcome.code, outcome.err) == (0, "")
    *lines, last = outcome.out.splitlines()
    assert [line.split()[-1] for line in lines] == list(found.tokens.tokens)
    shares = [float(line.split("%")[0]) for line in lines]
    np.testing.assert_allclose(shares, 100 * found.contributions, atol=0.051)
    assert max(line.count("#") + line.count("-") for line in lines) == 30
    assert last == "explain.html: 10 tokens of at most 64, 2 layers of 4 heads"
    assert Path("explain.html").read_text(encoding="utf-8") == page_of(cli, bundle, TEXT)[1]


def test_document(cli: Cli, bundle: Path, encoder: sestina.Encoder, found: sestina.Explanation) -> None:
    document = cli("explain", bundle, TEXT, "--json").json
    report = encoder.report()
    assert {name: document[name] for name in ("bundle", "space", "variant", "precision", "pooling")} == {
        "bundle": "tiny",
        "space": encoder.space,
        "variant": report.variant,
        "precision": report.precision,
        "pooling": "mean",
    }
    assert (document["text"], document["truncated"], document["max_tokens"]) == (TEXT, False, 64)
    assert (document["n_layers"], document["n_heads"]) == (2, 4)
    assert [token["token"] for token in document["tokens"]] == list(found.tokens.tokens)
    assert [token["id"] for token in document["tokens"]] == list(found.tokens.ids)
    assert [tuple(token["offsets"]) for token in document["tokens"]] == list(found.tokens.offsets)
    contributions = [token["contribution"] for token in document["tokens"]]
    np.testing.assert_allclose(contributions, found.contributions, atol=1e-6)
    np.testing.assert_array_equal(np.float32(document["vector"]), encoder.encode(TEXT))
    np.testing.assert_allclose(document["attention"], found.attention, atol=1e-6)


def test_tokens_are_spelled_as_the_bundle_that_was_opened_spells_them(
    cli: Cli, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain = sestina.Encoder.explain

    def removed_meanwhile(self: sestina.Encoder, *arguments: Any, **options: Any) -> sestina.Explanation:
        shutil.rmtree(own_bundle)
        return explain(self, *arguments, **options)

    wanted = cli("explain", own_bundle, "the model", "--json").out
    monkeypatch.setattr(sestina.Encoder, "explain", removed_meanwhile)
    outcome = cli("explain", own_bundle, "the model", "--json")
    assert (outcome.code, outcome.out) == (0, wanted)
    assert not own_bundle.exists()


def test_document_in_a_file_is_that_on_standard_output(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.json"
    outcome = cli("explain", bundle, TEXT, "--output", output)
    assert outcome.out == f"{output}: 10 tokens of at most 64, 2 layers of 4 heads\n"
    assert output.read_bytes() == cli("explain", bundle, TEXT, "--json").stdout


def test_page_and_picture_and_document_at_once(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "grid.png"
    outcome = cli("explain", bundle, "--output", page, "--png", picture, "--json", TEXT)
    assert outcome.json["text"] == TEXT
    assert page.read_text(encoding="utf-8") == page_of(cli, bundle, TEXT)[1]
    assert read_png(picture.read_bytes())[0].size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid.png", "page.html"]


def test_page_holds_tokens_shares_and_all_attention(
    cli: Cli, bundle: Path, found: sestina.Explanation
) -> None:
    page, _ = page_of(cli, bundle, TEXT)
    assert page.texts["bdi"][:10] == list(found.tokens.tokens)
    assert page.texts["small"][:10] == [f"{part:.1%}" for part in found.contributions]
    cells = page.texts["td"][: 10 * 6]
    assert cells[0::6] == list(found.tokens.tokens)
    assert cells[2::6] == ["", *TEXT.split(" "), ""]
    assert cells[4::6] == [str(id_) for id_ in found.tokens.ids]
    maps = page.with_class("map")
    images = [attrs for tag, attrs in page.elements if tag == "img" and "src" in attrs]
    assert [attrs["aria-label"] for attrs in maps] == [
        f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2, 3, 4)
    ]
    for attrs, image, weights in zip(maps, images, found.attention.reshape(8, 10, 10), strict=True):
        kind, data = (image["src"] or "").split(",")
        assert kind == "data:image/png;base64"
        pixels, _ = read_png(b64decode(data))
        most = float(attrs["data-most"] or "")
        assert most == pytest.approx(weights.max(), rel=1e-5)
        np.testing.assert_allclose(most * (pixels / 255) ** 2, weights, atol=most / 250)


def test_page_has_all_that_its_script_asks_for(cli: Cli, bundle: Path) -> None:
    page, _ = page_of(cli, bundle, TEXT)
    (script,) = page.texts["script"]
    asked = {
        name
        for _, selector in re.findall(r'(all|one)\("([^"]+)"', script)
        for name in re.findall(r"\.([a-z]+)", selector)
    }
    assert len(asked) > 10
    assert asked <= {name for _, attrs in page.elements for name in (attrs.get("class") or "").split()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_text_is_only_text(cli: Cli, kind: str, make_bundle: Callable[..., Path]) -> None:
    bundle = make_bundle(kind, precisions=["fp32"], name="<b>&")
    page, content = page_of(cli, bundle, HOSTILE, "--on-truncate", "ignore")
    quiet, _ = page_of(cli, bundle, "a")
    # The same elements as for any text, but for what each token has, and no attribute of an odd kind.
    kinds = {tag for tag, _ in page.elements}
    assert kinds <= {tag for tag, _ in quiet.elements} | {"span", "bdi"}
    assert page.texts["script"] == quiet.texts["script"]
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [
        name
        for _, attrs in page.elements
        for name in attrs
        if name.startswith("on") or name in ("href", "action")
    ]
    assert all((attrs.get("src") or "data:").startswith("data:") for _, attrs in page.elements)
    shown = "".join(page.texts["blockquote"])
    assert visible(HOSTILE).startswith(shown.removesuffix(" …").rstrip())
    assert "\\x1b[31m" in visible(HOSTILE)
    assert "<b>&" in page.texts["title"][0]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe]", content)


def test_nothing_else_can_run_or_be_loaded(cli: Cli, bundle: Path) -> None:
    page, content = page_of(cli, bundle, TEXT)
    (policy,) = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv")]
    digest = b64encode(hashlib.sha256(page.texts["script"][0].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    assert content.index("Content-Security-Policy") < content.index("<style>")
    assert not re.search(r"https?:|@import|url\(|//cdn", content)


def test_what_was_not_read_is_marked(cli: Cli, bundle: Path) -> None:
    outcome = cli("explain", bundle, "model " * 70, "--output", "-")
    assert (
        outcome.err == "sestina: warning: the text has more than 64 tokens; only the beginning was encoded\n"
    )
    page = Page(outcome.out)
    assert len(page.with_class("cut")) == 1
    assert page.texts["blockquote"] == ["model " * 61 + "model"]
    assert "The text goes on, but the encoder reads 64 tokens and no more." in page.texts["p"]
    assert any("64 tokens, the limit" in text for text in page.texts["p"])
    refused = cli("explain", bundle, "model " * 70, "--on-truncate", "error")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "sestina: error: the text has more than 64 tokens: shorten it, or pass --on-truncate warn (or ignore) to "
        "look into its beginning\n"
    )


def test_a_text_without_tokens(cli: Cli, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = make_bundle("bpe")
    page, _ = page_of(cli, bundle, "")
    assert "The text has no tokens: its vector is zero." in page.texts["p"]
    document = cli("explain", bundle, "", "--json").json
    assert (document["tokens"], document["attention"]) == ([], [[[]] * 4] * 2)
    assert cli("explain", bundle, "").out == "explain.html: 0 tokens of at most 64, 2 layers of 4 heads\n"
    picture = tmp_path / "x.png"
    outcome = cli("explain", bundle, "", "--png", picture, "--output", "-")
    message = "the text has no tokens, so there is nothing to draw: give another text"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"sestina: error: {message}\n")
    assert not picture.exists()


@pytest.mark.parametrize(
    "pooling, said", [("max", "the highest value"), ("cls", "the first token's last state")]
)
def test_page_says_what_a_share_is(
    cli: Cli, pooling: str, said: str, make_bundle: Callable[..., Path]
) -> None:
    bundle = make_bundle(pooling=pooling, normalize=True, precisions=["fp32"])
    page, _ = page_of(cli, bundle, TEXT)
    assert any(said in text for text in page.texts["p"])


def test_what_points_the_other_way_looks_so(cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not page_of(cli, bundle, "the model")[0].with_class("against")
    parts = np.array([0.9, -0.2, 0.2, 0.1], dtype=np.float32)
    monkeypatch.setattr(_explanation, "contributions_of", lambda *_: parts)
    page, _ = page_of(cli, bundle, "the model")
    assert [attrs["style"] for attrs in page.with_class("against")] == ["--part: 0.222"]
    assert any("point the other way" in text for text in page.texts["p"])
    assert cli("explain", bundle, "the model").out.splitlines()[1].split()[:2] == ["-20.0%", "-------"]


def test_picture(cli: Cli, bundle: Path, found: sestina.Explanation, tmp_path: Path) -> None:
    picture = tmp_path / "maps.png"
    outcome = cli("explain", bundle, TEXT, "--png", picture)
    assert outcome.out == f"{picture}: 10 tokens of at most 64, 2 layers of 4 heads\n"
    pixels, palette = read_png(picture.read_bytes())
    side, gap = 9 * 10, 6
    assert pixels.shape == (2 * (side + gap) + gap, 4 * (side + gap) + gap)
    assert len(palette) == 3 * 256
    colours = np.frombuffer(palette, np.uint8).reshape(256, 3).astype(int)
    assert (np.diff(colours[:255].sum(1)) <= 0).all()  # the stronger, the darker
    assert pixels[0, 0] == pixels[gap - 1, gap + 3] == 255
    for layer in range(2):
        for head in range(4):
            top, left = gap + layer * (side + gap), gap + head * (side + gap)
            drawn = pixels[top : top + side, left : left + side].reshape(10, 9, 10, 9)
            assert (drawn == drawn[:, :1, :, :1]).all()
            weights = found.attention[layer, head]
            expected = 255 * np.sqrt(weights / weights.max())
            np.testing.assert_allclose(drawn[:, 0, :, 0], expected, atol=1.01)


def test_too_many_to_draw(cli: Cli, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_maps, "_MOST_PIXELS", 8 * 9**2)
    page = tmp_path / "page.html"
    page.write_text("old")
    outcome = cli("explain", bundle, TEXT, "--output", page)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "sestina: error: the text has 10 tokens, too many to draw in 2 x 4 heads: shorten it to 9, or ask for "
        "the numbers with --json\n"
    )
    assert page.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    outcome = cli("explain", bundle, TEXT, "--output", "-")
    assert (outcome.code, outcome.out) == (2, "")
    assert cli("explain", bundle, TEXT, "--json").code == 0


def test_what_is_not_finite_is_not_shown(cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_explanation, "contributions_of", lambda states, *_: states[:, 0] * np.float32("nan"))
    outcome = cli("explain", bundle, TEXT, "--json")
    message = "what became of the text is not finite: try sestina verify on the bundle"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"sestina: error: {message}\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--output", "page.txt"), "page.txt ends neither in .html nor in .json: rename it"),
        (("--output", "page"), "page ends neither in .html nor in .json: rename it"),
        (("--output", "grid.png"), "grid.png is a picture: pass --png grid.png"),
        (
            ("--output", "-", "--json"),
            "--json and --output - both go to standard output: name a file for the page",
        ),
        (
            ("--output", "a.html", "--png", "./a.html"),
            "./a.html is to be both the picture and the page: name another file",
        ),
        (("--threads", "0"), "threads is 0; it must be a whole number from 1 to 1024, or None"),
    ],
)
def test_options_that_do_not_go_together(
    cli: Cli,
    bundle: Path,
    options: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("explain", bundle, "a", *options)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"sestina: error: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_from_before_the_names(cli: Cli, own_bundle: Path, tmp_path: Path) -> None:
    document = json.loads((own_bundle / "manifest.json").read_text())
    del document["encoder"]["n_heads"]
    (own_bundle / "manifest.json").write_text(json.dumps(document))
    outcome = cli("explain", own_bundle, "a", "--output", tmp_path / "page.html")
    assert outcome.code == 2
    assert outcome.err.endswith("export the bundle again\n")
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "page.html").exists()
    shutil.rmtree(own_bundle)
    assert "there is no bundle at" in cli("explain", own_bundle, "a").err
