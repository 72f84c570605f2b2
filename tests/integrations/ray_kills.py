"""make test-ray: 20,000 texts on two nodes, and kill -9 of an encoder, of a node and of the driver, each at three moments.

Each time the command is run again where it did not end well by itself; then every id is there once and every vector is
bit for bit that of a single process. `python tests/integrations/ray_kills.py --texts 2000` is quicker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from _cluster import in_one_process, killed_and_made_good, nodes, write_input

MOMENTS = (0.1, 0.4, 0.7)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--victim", choices=("encoder", "node", "driver"))
    args = parser.parse_args()
    wanted = in_one_process(args.texts)
    with tempfile.TemporaryDirectory() as folder, nodes() as cluster:
        source = write_input(Path(folder) / "texts", args.texts)
        for victim in [args.victim] if args.victim else ["encoder", "node", "driver"]:
            for moment in MOMENTS:
                begun = time.monotonic()
                out = Path(folder) / f"{victim}-{moment}"
                rows, block = int(args.texts * moment), str(max(32, args.texts // 40))
                told = killed_and_made_good(cluster, source, out, victim, rows, wanted, "--block-rows", block)
                print(
                    f"{victim} killed at {told['there']:,} rows: every id once, every vector equal; "
                    f"{told['retries']}, {time.monotonic() - begun:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
