"""make test-ray: 20,000 texts on two nodes, and kill -9 of an encoder, of a node and of the driver, each at three moments.

Each time the command is run again where it did not end well by itself; then every id is there once and every vector is
bit for bit that of a single process. `python tests/integrations/ray_kills.py --texts 2000` is quicker.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from _cluster import Nodes, assert_whole, finish, in_one_process, nodes, start, when_done, write_input

MOMENTS = (0.1, 0.4, 0.7)


def once(
    cluster: Nodes, source: Path, out: Path, victim: str, moment: float, count: int, wanted: Any
) -> dict[str, Any]:
    """One run with one kill; what the command said at its end."""
    options = ("--block-rows", str(max(32, count // 40)))
    process = start(source, out, cluster.address, *options)
    kill = {
        "encoder": cluster.kill_encoder,
        "node": cluster.kill_node,
        "driver": lambda: process.send_signal(signal.SIGKILL),
    }[victim]
    there = when_done(process, out, int(count * moment), kill)
    if victim == "driver":
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
        process = start(source, out, cluster.address, *options)
    told = finish(process)
    assert_whole(out, count, wanted)
    if victim == "driver":
        assert told["encoded"] <= count - there, told
        assert told["retries"]["runs_before"] == 1, told
    cluster.mend()
    return {"there": there, **told}


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
                told = once(cluster, source, out, victim, moment, args.texts, wanted)
                print(
                    f"{victim} killed at {told['there']:,} rows: every id once, every vector equal; "
                    f"{told['retries']}, {time.monotonic() - begun:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
