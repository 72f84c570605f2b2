"""What a target cannot say of a family is refused by name, and the page's table is that of the exporter."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from _families import TRAITS, family_config
from sestina_export import ExportError
from sestina_export._limits import LIMITS, refuse_beyond, status
from sestina_export._variants import VARIANTS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_of_the_docs_is_that_of_the_exporter() -> None:
    spec = importlib.util.spec_from_file_location("targets", DOCS / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    targets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(targets)
    page = (DOCS / "models.md").read_text("utf-8")
    assert targets.rendered(page) == page, "run python docs/targets.py"
    assert page.count("| refused |") > 0
    assert "| mpnet | proved | proved | proved |" in page


def test_what_is_refused_is_what_the_table_says() -> None:
    for family in TRAITS:
        config = family_config(family)
        for spec in VARIANTS:
            refused = status(spec, config) == "refused"
            assert refused == (family.startswith("deberta") and spec.shapes == "static")
            if refused:
                with pytest.raises(
                    ExportError, match=f"target {spec.target} has no graph of deberta-v2: its"
                ):
                    refuse_beyond([spec], config)
            else:
                refuse_beyond([spec], config)


def test_every_target_has_what_is_named_for_the_cpu_everywhere() -> None:
    assert not any({"cpu", "cuda", "mobile-cpu"}.intersection(limit.targets) for limit in LIMITS)
