"""docs/cluster.md is run as it stands, from top to bottom."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="ray is not installed: make test-cluster")
pytest.importorskip("pyspark", reason="pyspark is not installed: make test-cluster")

from _snippets import RUN, Exports, blocks, run_block

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    namespace: dict[str, object] = {"__name__": "__main__"}
    there = [
        block for block in blocks(PAGE.read_text("utf-8")) if block.language in RUN and not block.skipped
    ]
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        there = [block for block in there if "spark" not in block.content]
    assert len(there) >= 4
    try:
        for block in there:
            run_block(block, namespace, "docs/cluster.md", Exports(tmp_path))
    finally:
        import ray

        ray.shutdown()
        if "spark" in namespace:
            namespace["spark"].stop()  # type: ignore[attr-defined]
