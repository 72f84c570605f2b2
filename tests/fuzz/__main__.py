"""`python tests/fuzz` and `python -m fuzz`: the code of this checkout, whatever is installed."""

import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # started as a folder
    del sys.path[0]
sys.path[:0] = [str(_TESTS), *(str(_TESTS.parent / name) for name in ("runtime", "model", "export"))]

from fuzz.runner import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
