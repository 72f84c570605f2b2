"""Run a graph on the simulated HTP in this process alone: `python on_htp.py GRAPH IDS.json VECTORS.npy`.

IDS.json holds {"buckets": [...], "ids": [[...]]}. Every bucket is opened strictly, so one node that the HTP does
not take is an error. Prints per bucket: its operators by provider, seconds to open, seconds for each text.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from sestina_export._check.qnn import open_on_simulator
from sestina_export._graph.buckets import padded


def main(graph: str, ids_file: str, vectors_file: str) -> None:
    document = json.loads(Path(ids_file).read_text())
    vectors: dict[int, np.ndarray] = {}
    shorter, facts = 0, []
    for bucket in document["buckets"]:
        begun = time.monotonic()
        session = open_on_simulator(graph, bucket, strict=True)
        opened = time.monotonic()
        mine = [at for at, ids in enumerate(document["ids"]) if shorter < len(ids) <= bucket]
        for at in mine:
            feed = padded(document["ids"][at], [bucket])
            vectors[at] = session.run(["sentence_embedding"], feed)[0][0]
        placed = Counter({part.ep_name: 0 for part in session.get_provider_graph_assignment_info()})
        for part in session.get_provider_graph_assignment_info():
            placed[part.ep_name] += len(part.get_nodes())
        per_text = (time.monotonic() - opened) / max(1, len(mine))
        facts.append(
            {
                "bucket": bucket,
                "placed": dict(placed),
                "texts": len(mine),
                "open_s": round(opened - begun, 2),
                "text_s": round(per_text, 2),
            }
        )
        shorter = bucket
    np.save(vectors_file, np.array([vectors[at] for at in range(len(document["ids"]))]))
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
