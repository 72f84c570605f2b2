"""docs/integrations.md is run as it stands, from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

from _snippets import Exports, blocks, run_block

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"
BLOCKS = [
    block for block in blocks(PAGE.read_text("utf-8")) if block.language == "python" and not block.skipped
]


def test_every_host_has_an_example() -> None:
    folder = Path(__file__).parents[2] / "runtime" / "sestina" / "integrations"
    text = PAGE.read_text("utf-8") + PAGE.with_name("cluster.md").read_text("utf-8")
    assert [
        path.stem for path in folder.glob("[a-z]*.py") if f"sestina.integrations.{path.stem}" not in text
    ] == []


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    exports = Exports(tmp_path)
    for block in BLOCKS:
        run_block(block, namespace, "docs/integrations.md", exports)
    assert len(BLOCKS) >= 21
