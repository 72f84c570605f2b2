"""The whole job: a table of texts is checked, encoded on every node, checked again and put in its place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import sestina
from sestina import InputError, OutputError, SestinaError
from sestina.integrations._encoder import Kind, Source
from sestina.integrations._ray.bundle import Shipment, shipment
from sestina.integrations._ray.cluster import Places, join, places
from sestina.integrations._ray.embedder import SestinaEmbedder, vector_type
from sestina.integrations._ray.output import Output, Run
from sestina.integrations._ray.table import Table
from sestina.integrations._ray.tally import Tally, done, progress, settled

_TRIES = 3
_FILTER_MEMORY = 256 << 20  # bytes that Ray sets aside for who passes over what is done, or what it needs


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


def run(job: Job) -> dict[str, Any]:
    """Do it, or go on with it; what is to be said of it.

    Raises:
        SestinaError: Where anything of it cannot be.
    """
    begun = time.monotonic()
    table = Table(job.input, job.column, job.id_column, nulls=job.options.get("on_null") == "zero")
    if job.vector_column in table.schema.names:
        raise InputError(f"{job.input} has a column {job.vector_column!r} already: pass --vector-column")
    output = Output(job.output, job.id_column, overwrite=job.overwrite)
    facts, cores = _looked_at(job)
    schema = _schema(table, job, facts)
    plan = _plan(table, job, facts)
    found = output.complete(plan)
    if found is not None:
        return {**{key: value for key, value in found.items() if key not in ("plan", "files")}, "encoded": 0}
    ids = table.ids()
    with output.locked():
        current = output.begin(plan)
        there = done(current, {})
        nodes = join(job.address, job.encoder_cpus or cores)
        local = len(nodes) == 1 and job.encoder_cpus is None and nodes[0] == cores + 2
        where = places(nodes, cores if local else job.encoder_cpus, job.encoders)
        tally = ray.remote(Tally).options(num_cpus=0, max_restarts=-1, scheduling_strategy=_here()).remote()
        shipped = shipment(job.bundle, ray.put)
        for _ in range(_TRIES):
            if done(current, {}) < table.rows:
                _encode(table, job, current, where, shipped, tally, schema, facts)
            if output.is_whole(current, ids):
                break
            current = output.begin(plan)
        else:
            raise OutputError(f"{output.unfinished} has not every id once after {_TRIES} tries: run it again")
        told = _told(output, current, table, there, settled(tally, table.rows - there, ray.get), begun)
        said = {**facts, **told, "encoders": where.encoders, "encoder_cpus": where.cpus, "nodes": len(nodes)}
        output.publish(current, schema, {**said, "plan": plan})
    return said


def _looked_at(job: Job) -> tuple[dict[str, Any], int]:
    """What the vectors will be, from the bundle as the driver has it; and the cores of this machine."""
    with sestina.load(job.bundle, precision=job.precision) as encoder:
        source = Source(encoder, dimensions=job.dimensions)
        source.encode([], job.kind, empty="zero", **job.options)  # an option that cannot be is refused now
        report = encoder.report()
        return {
            "space": report.space,
            "name": report.name,
            "precision": report.precision,
            "dimensions": source.dimensions,
        }, report.threads


def _plan(table: Table, job: Job, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the vectors depend on, and the columns: that with which a run may be gone on with."""
    return {
        "input": table.fingerprint(),
        "columns": [job.column, job.id_column, job.vector_column, job.keep_text],
        **facts,
        "kind": job.kind,
        "options": dict(job.options),
    }


def _schema(table: Table, job: Job, facts: Mapping[str, Any]) -> Any:
    """Of the output (pyarrow.Schema), with metadata as `sestina encode` writes it."""
    import pyarrow as pa

    kept = [field for field in table.schema if job.keep_text or field.name != job.column]
    vectors = pa.field(job.vector_column, vector_type(facts["dimensions"]), nullable=False)
    told = {**facts, "vector_column": job.vector_column}
    if job.keep_text:
        told["text_column"] = job.column
    return pa.schema([*kept, vectors], {f"sestina.{key}": str(value) for key, value in told.items()})


def _encode(
    table: Table,
    job: Job,
    current: Run,
    where: Places,
    shipped: Shipment,
    tally: Any,
    schema: Any,
    facts: Mapping[str, Any],
) -> None:
    """Every row that is in no whole table yet."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.checkpoint_config = CheckpointConfig(
        job.id_column, str(current.checkpoint), delete_checkpoint_on_success=False
    )
    context.checkpoint_config.checkpoint_actor_memory_bytes = _FILTER_MEMORY
    rows = job.block_rows or max(256, min(8192, -(-table.rows // (4 * where.encoders))))
    with DataContext.current(context):
        # One path, even of many files: of several, Ray 2.60 looks at each in a thread, and all of them import
        # a module that may not be there, which Python does not let them do at once.
        only = ["parquet"] if table.is_folder else None
        dataset = ray.data.read_parquet(table.path, partitioning=None, file_extensions=only)
        dataset = dataset.repartition(target_num_rows_per_block=rows).map_batches(
            SestinaEmbedder,
            batch_format="pyarrow",
            batch_size=None,
            compute=ActorPoolStrategy(min_size=1, max_size=where.encoders, initial_size=where.encoders),
            num_cpus=where.cpus,
            fn_constructor_args=(shipped,),
            fn_constructor_kwargs={
                "column": job.column,
                "vector_column": job.vector_column,
                "id_column": job.id_column,
                "kind": job.kind,
                "dimensions": job.dimensions,
                "space": facts["space"],
                "precision": facts["precision"],
                "threads": where.cpus,
                "tally": tally,
                **job.options,
            },
        )
        if not job.keep_text:
            dataset = dataset.drop_columns([job.column])
        try:
            with progress(current, table.rows, job.progress_seconds):
                dataset.write_parquet(str(current.rows), schema=schema, compression="zstd")
        except Exception as error:
            cause = _ours(error)
            if cause is None:
                raise
            raise cause from None


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


def _told(
    output: Output, current: Run, table: Table, there: int, told: dict[str, Any], begun: float
) -> dict[str, Any]:
    seconds = time.monotonic() - begun
    return {
        "output": str(output.path),
        "rows": table.rows,
        "encoded": table.rows - there,
        "seconds": round(seconds, 3),
        "rows_per_second": round((table.rows - there) / seconds, 1),
        "tokens_per_second": round(told["tokens"] / seconds, 1),
        "tokens_per_encoder_second": round(told["tokens"] / max(told["encoder_seconds"], 1e-9), 1),
        "truncated": told["truncated"],
        "empty": told["empty"],
        "retries": {
            "runs_before": current.number - 1,
            "encoders_restarted": told["restarted"],
            "rows_encoded_again": max(0, told["rows"] - (table.rows - there)),
        },
    }


def _here() -> Any:
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
