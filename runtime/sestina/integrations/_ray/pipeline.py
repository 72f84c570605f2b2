"""What Ray does of a job: it reads, encodes and writes every row that is in no table yet."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray

from sestina import SestinaError
from sestina.integrations._encoder import Kind
from sestina.integrations._ray.bundle import shipment
from sestina.integrations._ray.cluster import join, meanwhile, places
from sestina.integrations._ray.embedder import SestinaEmbedder
from sestina.integrations._ray.runs import Run
from sestina.integrations._ray.table import Table
from sestina.integrations._ray.tally import progress, told

_FILTER_MEMORY = 256 << 20  # bytes that Ray sets aside for who passes over what is done, or what it needs
# Large enough that the driver, which hands out every block, keeps up with the encoders (docs/cluster.md), and
# small enough that each has several.
_SMALLEST_BLOCK, _LARGEST_BLOCK, _OF_AN_ENCODER = 256, 8192, 64


class Job(NamedTuple):
    """What the command was asked for.

    Attributes:
        input, output: Paths on a file system that every node has.
        column, id_column, vector_column: Names of columns.
        bundle: Its path; None: the one that comes with Sestina.
        keep_text: Whether the output has the texts.
        kind, dimensions, precision: As `SestinaEmbedder` has them.
        options: Of `Encoder.encode`.
        address: Of the cluster; None: RAY_ADDRESS, else this machine alone.
        encoders, encoder_cpus, block_rows: None: as fits.
        overwrite: Whether another output may be replaced.
        progress_seconds: Between two lines of progress; None: no lines.
    """

    input: str
    output: str
    column: str
    id_column: str
    vector_column: str = "vector"
    bundle: str | None = None
    keep_text: bool = True
    kind: Kind | None = "document"
    dimensions: int | None = None
    precision: str = "auto"
    options: Mapping[str, Any] = {}
    address: str | None = None
    encoders: int | None = None
    encoder_cpus: int | None = None
    block_rows: int | None = None
    overwrite: bool = False
    progress_seconds: float | None = None


class Pipeline:
    """A cluster with encoders on it.

    Args:
        job: What was asked for.
        table: What is read.
        schema: Of what is written (pyarrow.Schema).
        facts: Of the vectors: their space and the precision that makes them.
        cores: Of this machine, for a cluster of it alone.

    Raises:
        OptionError: Where there is no such cluster, or no room on it.
    """

    def __init__(self, job: Job, table: Table, schema: Any, facts: Mapping[str, Any], cores: int) -> None:
        self._job, self._table, self._schema, self._facts = job, table, schema, facts
        with meanwhile("sestina.integrations._ray.source"):  # and all of ray.data
            self._nodes = join(job.address, job.encoder_cpus or cores)
        for name, level in (("ray.data", logging.WARNING), ("ray.data._internal.progress", logging.ERROR)):
            logging.getLogger(name).setLevel(level)  # what of it is for who reads ours
        self._where = places(self._nodes, job.encoder_cpus, job.encoders)
        self._counted = Counter[str]()
        self._shipped = shipment(job.bundle, ray.put)

    def encode(self, current: Run) -> None:
        """Write every row that is in no whole table of the run's yet.

        Raises:
            SestinaError: As the encoders raise it; the message has the row.
        """
        from ray.data import ActorPoolStrategy, DataContext, read_datasource
        from ray.data.checkpoint import CheckpointConfig

        from sestina.integrations._ray.source import Tables, pieces

        job, table, cpus = self._job, self._table, self._where.cpus
        context = DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.raise_original_map_exception = True  # wrapped, it is lost on its way to the driver
        context.checkpoint_config = CheckpointConfig(
            job.id_column, str(current.checkpoint), delete_checkpoint_on_success=False
        )
        context.checkpoint_config.checkpoint_actor_memory_bytes = _FILTER_MEMORY
        # Of a fixed size, a pool would start a lost node's encoders on the CPUs that are left to readers, and
        # keep them there.
        most = self._where.encoders
        pool = ActorPoolStrategy(min_size=1, max_size=most, initial_size=most)
        rows = job.block_rows or usual_block(table.rows, most)
        with DataContext.current(context):
            found = pieces(table, rows)
            dataset = read_datasource(
                Tables(found, table.schema, rows), override_num_blocks=max(1, len(found))
            )
            dataset = dataset.repartition(target_num_rows_per_block=rows).map_batches(
                SestinaEmbedder,
                batch_format="pyarrow",
                batch_size=None,
                compute=pool,
                num_cpus=cpus,
                fn_constructor_args=(self._shipped,),
                fn_constructor_kwargs=self._options(current),
            )
            if not job.keep_text:
                dataset = dataset.drop_columns([job.column])
            try:
                with progress(current, table.rows, job.progress_seconds):
                    plain = [name for name in self._schema.names if name != job.vector_column]
                    dataset.write_parquet(  # with a dictionary every float would stand there twice
                        str(current.rows), schema=self._schema, compression="zstd", use_dictionary=plain
                    )
            except Exception as error:
                cause = _ours(error)
                if cause is None:
                    raise
                raise cause from None
        self._counted.update(told(current.told))

    def counted(self) -> Counter[str]:
        """What the encoders have told of all runs of this pipeline."""
        return self._counted

    def places(self) -> dict[str, int]:
        """How many nodes there were, encoders on them, and CPUs of each."""
        encoders, cpus = self._where
        return {"nodes": len(self._nodes), "encoders": encoders, "encoder_cpus": cpus}

    def _options(self, current: Run) -> dict[str, Any]:
        job = self._job
        return {
            "column": job.column,
            "vector_column": job.vector_column,
            "id_column": job.id_column,
            "kind": job.kind,
            "dimensions": job.dimensions,
            "space": self._facts["space"],
            "precision": self._facts["precision"],
            "threads": self._where.cpus,
            "tally": str(current.told),
            **job.options,
        }


def usual_block(rows: int, encoders: int) -> int:
    """Rows of a block, of so many in all for so many encoders."""
    largest = max(_LARGEST_BLOCK, _OF_AN_ENCODER * encoders)
    return max(_SMALLEST_BLOCK, min(largest, -(-rows // (4 * encoders))))


def _ours(error: BaseException | None) -> SestinaError | None:
    """The error of ours that Ray's are wrapped around, if there is one."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, SestinaError):
            return _unwrapped(error)
        seen.append(error)
        error = getattr(error, "cause", None) or error.__cause__ or error.__context__
    return None


def _unwrapped(error: SestinaError) -> SestinaError:
    """Ray makes of an error one that is of both its own type and ours, whose text is a traceback."""
    inner = getattr(error, "cause", None)
    return inner if isinstance(inner, SestinaError) else error
