"""docs/cluster.md is run as it stands, from top to bottom; what needs Java apart."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="ray is not installed: make test-cluster")
pytest.importorskip("pyspark", reason="pyspark is not installed: make test-cluster")

from _cluster import HAS_JAVA, NEEDS_JAVA
from _snippets import RUN, Block, Exports, blocks, run_block

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
TEXTS = "documents = ["  # what the first block makes, the others use


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Of a program in a directory of its own, where Ray and Spark ask for nothing from elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONWARNINGS": "ignore",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    stub = tmp_path / "stubs" / "python"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    stub.chmod(0o755)
    return {"__name__": "__main__"}


def of_the_page(*, spark: bool) -> list[Block]:
    """What is run of it, with Spark or without."""
    there = [
        block for block in blocks(PAGE.read_text("utf-8")) if block.language in RUN and not block.skipped
    ]
    return [block for block in there if ("spark" in block.content) is spark or TEXTS in block.content]


def test_examples_run(tmp_path: Path, namespace: dict[str, object]) -> None:
    there = of_the_page(spark=False)
    assert len(there) >= 4
    try:
        for block in there:
            run_block(block, namespace, "docs/cluster.md", Exports(tmp_path))
    finally:
        import ray

        ray.shutdown()


@pytest.mark.skipif(not HAS_JAVA, reason=NEEDS_JAVA)
def test_examples_of_spark_run(tmp_path: Path, namespace: dict[str, object]) -> None:
    there = of_the_page(spark=True)
    assert len(there) >= 2
    try:
        for block in there:
            run_block(block, namespace, "docs/cluster.md", Exports(tmp_path))
    finally:
        if "spark" in namespace:
            namespace["spark"].stop()  # type: ignore[attr-defined]
