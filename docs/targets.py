"""The table of families and targets in docs/models.md, from the exporter's own data: python docs/targets.py

Families are those that `tests/export/test_family_graphs.py` holds to PyTorch, variants and their limits those
of the exporter. `tests/export/test_family_targets.py` holds that the page was rendered after the last change.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from sestina_export._limits import status
from sestina_export._variants import VARIANTS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- targets: rendered by docs/targets.py -->", "<!-- end of targets -->"


def rendered(page: str) -> str:
    """The page with the table of now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n" + "\n".join(_table()) + f"\n{END}{after}"


def _table() -> Iterator[str]:
    sys.path.insert(0, str(ROOT / "tests"))
    from _families import TRAITS, family_config

    specs = sorted(VARIANTS, key=lambda spec: (spec.target != "cpu", spec.precision != "fp32"))
    yield "| family | " + " | ".join(f"{spec.target} {spec.precision}" for spec in specs) + " |"
    yield "|---" * (1 + len(specs)) + "|"
    for family in TRAITS:
        config = family_config(family)
        yield f"| {family} | " + " | ".join(status(spec, config) for spec in specs) + " |"


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), "utf-8")
