"""How a run on Ray grows to a thousand nodes: a schedule played through with times that were measured.

`python docs/cluster.py` writes the tables of docs/cluster.md; `--measure`, with Ray, first measures anew into
cluster.json.

What is played: a driver that hands out one block after another, at what a block costs it; encoders that each
have one block in hand and one waiting; nodes that are lost at random and come back. What a block takes is
drawn from the times of real blocks, for the same tokens a core.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PAGE, TIMES = HERE / "cluster.md", HERE / "cluster.json"
BEGIN, END = "<!-- docs/cluster.py writes from here -->", "<!-- to here -->"

TEXTS, TOKENS = 1_000_000_000, 100  # of each
CORES = 16  # of a node, of which an encoder has all but one
DIMENSIONS = 512
BUNDLE = 26e6  # bytes
NETWORK = 1.25e9  # bytes a second into a node
LOST_AFTER = 100.0  # hours that a node lives, on average
_WORDS = ("the", "central", "bank", "of", "plants", "turned", "light", "into", "sugar", "while", "a", "cat")
AWAY = 300.0  # seconds until one that is lost is noticed and another has begun


class Outcome(NamedTuple):
    """Of one schedule played through.

    Attributes:
        seconds: From the start to the last block.
        busy: Share of the encoders' time in which they encoded what was kept.
        again: Blocks that were encoded twice, as their node was lost.
    """

    seconds: float
    busy: float
    again: int


def play(nodes: int, rows: int, times: dict[str, Any], seed: int = 1) -> Outcome:
    """One run over all texts.

    Args:
        nodes: How many, each with one encoder.
        rows: Of a block.
        times: As they were measured.
        seed: Of what is drawn.
    """
    draw = random.Random(seed)  # noqa: S311
    blocks = -(-TEXTS // rows)
    usual = rows * TOKENS / (CORES - 1)  # tokens a core of a block
    rates, dispatch = times["tokens_per_core_second"], times["driver_seconds_per_block"]
    # The bundle goes from node to node, so the number of nodes that have it doubles with every transfer.
    begun = times["start_seconds"] + BUNDLE / NETWORK * math.ceil(math.log2(nodes + 1))
    mean = sum(usual / rate for rate in rates) / len(rates)
    free = [(begun, node) for node in range(nodes)]
    dies = [draw.expovariate(1 / (LOST_AFTER * 3600)) for _ in range(nodes)]
    heapq.heapify(free)
    driver = end = worked = 0.0
    again = 0
    while blocks:
        at, node = heapq.heappop(free)
        driver = max(driver, at - mean) + dispatch  # a block ahead of the one in hand
        start = max(at, driver)
        needed = usual / draw.choice(rates)
        if start + needed > dies[node]:
            again += start < dies[node]
            back = max(start, dies[node]) + AWAY
            dies[node] = back + draw.expovariate(1 / (LOST_AFTER * 3600))
            heapq.heappush(free, (back, node))
            continue
        blocks -= 1
        worked += needed
        end = max(end, start + needed)
        heapq.heappush(free, (start + needed, node))
    return Outcome(end, worked / (end * nodes), again)


def tables(times: dict[str, Any]) -> str:
    """What the page quotes, as Markdown."""
    rates = times["tokens_per_core_second"]
    rate = sum(rates) / len(rates)
    of_node = rate * (CORES - 1) / TOKENS
    size = 4 * DIMENSIONS
    measured = (
        f"Measured ({times['machine']}, {times['date']}): {rate:,.0f} tokens a second a core "
        f"({min(rates):,.0f} to {max(rates):,.0f} over {len(rates)} blocks), "
        f"{1e3 * times['driver_seconds_per_block']:.1f} ms of the driver's processor a block, "
        f"{times['start_seconds']:.1f} s until the first encoder encodes."
    )
    arithmetic = (
        f"A node of {CORES} cores reads {of_node:,.0f} texts of {TOKENS} tokens a second and writes "
        f"{of_node * size / 1e6:.1f} MB/s of vectors of {DIMENSIONS} dimensions; a billion texts are "
        f"{TEXTS * size / 1e12:.2f} TB. What is done is known by 8 bytes an id: {TEXTS * 8 / 1e9:.0f} GB at "
        "the driver, and as much in each of up to ten actors that pass over it when a run is gone on with."
    )
    lines = [
        measured,
        "",
        arithmetic,
        "",
        "| nodes | rows of a block | hours | texts a second | encoders busy | blocks encoded again |",
        "|---|---|---|---|---|---|",
    ]
    for nodes in (1, 10, 100, 1000):
        for rows in (8192, 65536):
            played = play(nodes, rows, times)
            lines.append(
                f"| {nodes:,} | {rows:,} | {played.seconds / 3600:,.2f} | {TEXTS / played.seconds:,.0f} | "
                f"{played.busy:.1%} | {played.again} |"
            )
    return "\n".join(lines)


def rendered() -> str:
    """The page, with its tables as they are now."""
    head, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{tables(json.loads(TIMES.read_text('utf-8')))}\n{END}{tail}"


def measure(blocks: int = 24, rows: int = 1024, words: int = 40) -> dict[str, Any]:
    """Times of this machine, with the encoder in the box."""
    import numpy as np
    import pyarrow as pa
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.data.checkpoint import CheckpointConfig

    import sestina
    from sestina.integrations.ray import SestinaEmbedder

    draw = np.random.default_rng(7)
    vocabulary = list(_WORDS)
    threads, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]  # before this loads the machine itself
    rates = []
    with sestina.load(threads=threads) as encoder:
        embedder = SestinaEmbedder(encoder)
        for at in range(-2, blocks):
            texts = [
                " ".join(draw.choice(vocabulary, draw.integers(1, 2 * words))) + f" {at}" for _ in range(rows)
            ]
            tokens = sum(len(encoder.tokenize(text).ids) for text in texts)
            begun = time.monotonic()
            embedder(pa.table({"text": texts}))
            if at >= 0:  # the first warm it up
                rates.append(round(tokens / (time.monotonic() - begun) / threads, 1))
    begun = time.monotonic()
    ray.init(address="local", num_cpus=threads + 2, include_dashboard=False, log_to_driver=False)
    first = ray.data.from_items([{"text": "a text"}]).map_batches(SestinaEmbedder, num_cpus=1)
    first.take_all()
    start = time.monotonic() - begun
    with tempfile.TemporaryDirectory() as folder:
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.checkpoint_config = CheckpointConfig("id", f"{folder}/checkpoint")
        count = 400
        spent = time.process_time()
        ray.data.range(count, override_num_blocks=4).repartition(target_num_rows_per_block=1).map_batches(
            _Nothing, compute=ActorPoolStrategy(size=threads), batch_size=None
        ).write_parquet(f"{folder}/rows")
        driver = (time.process_time() - spent) / count
    ray.shutdown()
    return {
        "machine": f"{threads} cores of {_processor()}, loaded {load:.1f}",
        "date": time.strftime("%Y-%m-%d"),
        "tokens_per_core_second": rates,
        "driver_seconds_per_block": round(driver, 5),
        "start_seconds": round(start, 1),
    }


class _Nothing:
    def __call__(self, batch: Any) -> Any:
        return batch


def _processor() -> str:
    found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return found[0].partition(":")[2].strip() if found else "this machine"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        TIMES.write_text(json.dumps(measure(), indent=1) + "\n", "utf-8")
    PAGE.write_text(rendered(), "utf-8")
