"""Every snippet and command of the documentation is run as it stands, page by page from top to bottom.

A page's snippets share a folder, which has what the pages take for granted (tests/_snippets.py), and a namespace. What is not
run says why in the page's source, directly before the block.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from _snippets import RUN, Exports, blocks, commands, prepare, run_block
from test_docs import DOCS, PAGES, name_of

# Where their hosts are: tests/integrations/test_page.py and test_cluster_page.py.
ELSEWHERE = (DOCS / "integrations.md", DOCS / "cluster.md")
# What a page installs that an environment may lack; make setup brings it.
NEEDS = {DOCS / "files.md": "pyarrow", DOCS / "sparse.md": "scipy"}


def runs(page: Path) -> bool:
    found = [
        block for block in blocks(page.read_text("utf-8")) if block.language in RUN and not block.skipped
    ]
    return bool(found)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="session")
def tiny(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint(n_layers=1)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if runs(page) and page not in ELSEWHERE], ids=name_of
)
def test_snippets_run(
    page: Path, exports: Exports, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    text = page.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, tiny)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(text):
        run_block(block, namespace, name_of(page), exports)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "```python\nraise ValueError\n```\n",
        "```python\nimport numpy\nnumpy.zeros(3, numpy.float32)  # (4,) float32\n```\n",
        "```python\nimport numpy\nnumpy.zeros(4)  # (4,) float32\n```\n",
        "```python\n1 > 2  # True\n```\n",
        "```pycon\n>>> 1 + 1\n3\n```\n",
        "```console\n$ sestina verify nowhere.sestina\n```\n",
        "```console\n$ sestina tokenize hello\nbye\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ sestina verify nowhere.sestina\nsestina: error: something else\n```\n",
        "<!-- not run, echo: only that -->\n```console\n$ echo one\n$ false\n```\n",
    ],
)
def test_a_snippet_that_fails_is_found(text: str, folder: Path, exports: Exports) -> None:
    """Negative control."""
    (block,) = blocks(text)
    with pytest.raises((AssertionError, ValueError)):
        run_block(block, {}, "page", exports)


def test_what_is_not_run_is_not_run(folder: Path, exports: Exports) -> None:
    text = (
        "<!-- not run: would fail -->\n```python\nraise ValueError\n```\n"
        "<!-- not run, touch: leaves a file -->\n```console\n$ touch here\n$ echo \\\n  one   # two\none\n```\n"
    )
    for block in blocks(text):
        run_block(block, {}, "page", exports)
    assert not (folder / "here").exists()
    _, second = blocks(text)
    assert list(commands(second)) == [("touch here", ""), ("echo    one   # two", "one\n")]
