"""`python tests/fuzz` and `python -m fuzz`."""

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a folder
    sys.path[0] = str(Path(__file__).parents[1])

from fuzz.runner import main

if __name__ == "__main__":
    sys.exit(main())
