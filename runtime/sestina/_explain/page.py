"""An explanation as one page that needs nothing else and can load nothing else."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from sestina import _html as html
from sestina._explain.maps import Pixels, grey_png, levels
from sestina._explain.scene import Scene

if TYPE_CHECKING:
    from sestina._arrays import Vectors

# What HTML cannot hold or nobody can see: control characters but line feed and tab, and noncharacters.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufdd0-\ufdef\ufffe\uffff]")
_TITLE = 60  # characters of the text in the page's name

_PARTS = {
    "mean": (
        "The vector is the mean of the tokens' last states. A bar is how far one token's state reaches in "
        "the vector's direction, as a share of the vector's length: the bars add up to 100%."
    ),
    "max": (
        "Each dimension of the vector is the highest value that any token has there. A bar is the share of "
        "the vector's squared length that comes from the dimensions where one token is the highest: the bars "
        "add up to 100%."
    ),
    "cls": (
        "The vector is the first token's last state, so all of it is the first token's. What that token took "
        "from the others is in the attention below, and in nothing simpler."
    ),
    "mean_sqrt_len_tokens": (
        "The vector is the sum of the tokens' last states, divided by the root of their number. A bar is how "
        "far one token's state reaches in the vector's direction, as a share of the vector's length: the "
        "bars add up to 100%."
    ),
    "weightedmean": (
        "The vector is the mean of the tokens' last states, in which the n-th token counts n times. A bar is "
        "how far what a token brings in reaches in the vector's direction, as a share of its length: "
        "the bars add up to 100%."
    ),
    "lasttoken": (
        "The vector is the last token's last state, so all of it is the last token's. What that token took "
        "from the others is in the attention below, and in nothing simpler."
    ),
}

# What is said of several together.
_JOINED = (
    "The tokens' last states are pooled in several ways ({}), and the results stand one after the other. A "
    "bar is a token's share of the squared length of all of them: the bars add up to 100%."
)


def _parts(pooling: str) -> str:
    """What a bar is."""
    return _PARTS[pooling] if pooling in _PARTS else _JOINED.format(pooling.replace("+", ", "))


_INTRODUCTION = """\
<section id="attention"><h2>What each head attends to</h2>
<p>Every head of every layer is another way of associating the tokens. In its map each row is a token and
each column a token that it takes from; the more it takes, the stronger the colour. Layers go down, heads
across, and each map is scaled to its own strongest weight.<span class="script" hidden> Choose a map to see
more of it.</span></p>
<noscript><p>Enlarging a map needs JavaScript, which this browser does not run.</p></noscript>
"""
_DETAIL = """\
<div class="detail script" hidden><h3></h3>
<figure><div class="columns"></div><div class="rows"></div><div class="large"><img alt=""/>
<i class="row"></i><i class="column"></i></div><figcaption></figcaption></figure>
</div>
"""
_WORDS = """\
<div class="words script" hidden><h3>One token in this head</h3>
<p><label><input type="radio" name="way" value="takes" checked=""/> what <bdi></bdi> takes from</label>
<label><input type="radio" name="way" value="gives"/> what takes from <bdi></bdi></label></p>
<ol class="strip"></ol><ol class="most"></ol></div>
"""
_HEADS = """\
<div class="words script" hidden><h3>The same token in every head</h3>
<p>The token that <bdi></bdi> is most associated with, layer by layer, head by head.
<label><input type="checkbox" checked=""/> leave aside what the tokenizer added to the text</label></p>
<div class="scroll"><table class="heads"></table></div></div>
"""


def page(scene: Scene) -> Iterator[str]:
    """The whole page, in pieces.

    Raises:
        TextValueError: Where the text has too many tokens to be drawn.
    """
    grid, strongest = levels(scene.found.attention)  # first, for it may refuse
    script = _resource("page.js")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Whatever a text holds, no browser runs or loads anything for it: only this script, only these images.
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>\n'
    mark = "\0"  # a text cannot hold it once it is made visible
    title = f"{scene.name}: {' '.join(scene.text.split())[:_TITLE]}"
    frame = html.page(visible(title), _resource("page.css"), mark, head)
    before, after = frame.split(mark)
    yield before
    yield from _top(scene)
    yield from _contributions(scene)
    if scene.words:
        yield from _attention(scene, grid, strongest)
    yield f"<script>{script}</script>"
    yield after


def visible(text: str) -> str:
    """The text with what a page cannot show escaped, as Python writes it."""
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _resource(name: str) -> str:
    return files("sestina._explain").joinpath(name).read_text(encoding="utf-8")


def _top(scene: Scene) -> Iterator[str]:
    tokens = scene.found.tokens
    facts = (
        visible(scene.name),
        f"{scene.precision} ({scene.variant})",
        scene.count,
        f"{scene.n_layers} layers of {scene.n_heads} heads",
        f"{len(scene.found.vector)} dimensions",
    )
    end = max((end for _, end in tokens.offsets), default=0) if tokens.truncated else len(scene.whole)
    yield "<header><h1>How a text becomes a vector</h1>\n"
    prompt = scene.found.tokens.prompt
    yield '<blockquote class="text" dir="auto">'
    if prompt:
        yield f'<span class="prompt" title="the prompt">{_text(prompt)}</span>'
    yield _text(scene.whole[len(prompt) : end])
    yield '<span class="cut" title="beyond the limit: not read"> …</span>' if tokens.truncated else ""
    yield f"</blockquote>\n<p>{escape(' · '.join(facts))}</p>\n"
    if tokens.truncated:
        yield f"<p>The text goes on, but the encoder reads {tokens.max_tokens} tokens and no more.</p>\n"
    yield "</header>\n"


def _contributions(scene: Scene) -> Iterator[str]:
    yield "<section><h2>What each token gives to the vector</h2>\n"
    if not scene.words:
        yield "<p>The text has no tokens: its vector is zero.</p></section>\n"
        return
    parts = scene.found.contributions.tolist()
    largest = max(map(abs, parts)) or 1.0
    yield f"<p>{_parts(scene.found.pooling)}"
    yield " Those of another colour point the other way.</p>\n" if min(parts) < 0 else "</p>\n"
    yield '<ol class="strip">'
    for at, (word, part) in enumerate(zip(scene.words, parts, strict=True)):
        kinds = "added " * (scene.piece(at) == "") + "against" * (part < 0)
        yield (
            f'<li class="{kinds}" style="--part: {abs(part) / largest:.3f}"><i></i>'
            f"<bdi>{_text(word)}</bdi><small>{part:.1%}</small></li>"
        )
    yield '</ol>\n<details><summary>as a table</summary><div class="scroll"><table class="tokens">\n'
    yield html.row("th", ("token", "contributes", "stands for", "characters", "id", "position"))
    for at, (word, part) in enumerate(zip(scene.words, parts, strict=True)):
        begin, end = scene.found.tokens.offsets[at]
        where = f"{begin}–{end}" if begin < end else ""
        numbers = (str(scene.found.tokens.ids[at]), str(at))
        yield "\n" + html.row("td", (word, f"{part:.2%}", visible(scene.piece(at)), where, *numbers))
    yield "\n</table></div></details></section>\n"


def _attention(scene: Scene, grid: Pixels, strongest: Vectors) -> Iterator[str]:
    yield _INTRODUCTION
    yield '<div class="both"><div class="scroll"><div class="grid" role="group" aria-label="all heads" '
    yield f'data-heads="{scene.n_heads}" style="--heads: {scene.n_heads}"><b></b>'
    yield "".join(f"<b>{head + 1}</b>" for head in range(scene.n_heads))
    for layer in range(scene.n_layers):
        yield f"\n<b>{layer + 1}</b>"
        for head in range(scene.n_heads):
            pixels = grid[layer, head]
            yield (
                f'<button type="button" class="map" data-most="{strongest[layer, head]:.6g}" '
                f'aria-label="layer {layer + 1}, head {head + 1}"><img alt="" width="{len(pixels)}" '
                f'height="{len(pixels)}" src="data:image/png;base64,{b64encode(grey_png(pixels)).decode()}"/>'
                "</button>"
            )
    yield f"</div></div>\n{_DETAIL}{_WORDS}</div>\n{_HEADS}</section>\n"


def _text(text: str) -> str:
    return escape(visible(text))
