"""Ray: vectors of a column in `map_batches`, and a command from Parquet to Parquet on a whole cluster.

>>> from sestina.integrations.ray import SestinaEmbedder
>>> ray.data.read_parquet("texts").map_batches(SestinaEmbedder, batch_format="pyarrow")

$ python -m sestina.integrations.ray texts/ vectors/ --column text --id id
"""

from __future__ import annotations

from importlib.util import find_spec

from sestina.integrations._host import Host

with Host("ray[data]"):
    import ray  # noqa: F401

with Host("ray[data]"):  # which Ray Data needs itself
    import pyarrow  # noqa: F401, ICN001

    if find_spec("pandas") is None:  # imported while Ray starts
        raise ModuleNotFoundError("No module named 'pandas'", name="pandas")

from sestina.integrations._ray.embedder import SestinaEmbedder

__all__ = ["SestinaEmbedder"]

if __name__ == "__main__":
    import sys

    from sestina.integrations._ray.command import main

    sys.exit(main())
