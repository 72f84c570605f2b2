"""The whole job: a table of texts is checked, encoded on every node, checked again and put in its place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

import sestina
from sestina import InputError, OptionError, OutputError
from sestina.integrations._encoder import Source
from sestina.integrations._ray.embedder import vector_type
from sestina.integrations._ray.output import Output
from sestina.integrations._ray.pipeline import Job, Pipeline
from sestina.integrations._ray.runs import Run
from sestina.integrations._ray.table import Table
from sestina.integrations._ray.tally import done
from sestina.integrations._rows import encode_rows


def run(job: Job) -> dict[str, Any]:
    """Do it, or go on with it; what is to be said of it.

    Raises:
        SestinaError: Where anything of it cannot be.
    """
    begun = time.monotonic()
    _apart(job)
    if job.column == job.id_column and not job.keep_text:
        raise OptionError(f"column {job.column!r} has the ids: it cannot be left out with --no-text")
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
        if output.complete(plan) is not None:  # which refuses one of another plan
            raise OutputError(f"{output.path} was written by another run meanwhile: nothing is left to do")
        current = output.begin(plan)
        there = done(current, {})
        before, pipeline = there, None
        while before < table.rows or not output.is_whole(current, ids):
            pipeline = pipeline or Pipeline(job, table, schema, facts, cores)
            pipeline.encode(current)
            if output.is_whole(current, ids):
                break
            current = output.begin(plan)  # without what was written twice
            now = done(current, {})
            if now <= before:
                raise OutputError(
                    f"{output.unfinished} has {now} of {table.rows} rows, and encoding adds none: is it on a "
                    "file system that every node has?"
                )
            before = now
        counted = Counter[str]() if pipeline is None else pipeline.counted()
        told = _told(output, current, table, there, counted, begun)
        said = {**facts, **told, **({} if pipeline is None else pipeline.places())}
        output.publish(current, schema, {**said, "plan": plan})
    return said


def _apart(job: Job) -> None:
    source, output = Path(job.input).resolve(), Path(job.output).resolve()
    if output.is_relative_to(source) or source.is_relative_to(output):
        raise OutputError(
            f"{job.output} and {job.input} lie in one another: name an output that stands apart"
        )


def _looked_at(job: Job) -> tuple[dict[str, Any], int]:
    """What the vectors will be, from the bundle as the driver has it; and the cores of this machine."""
    with sestina.load(job.bundle, precision=job.precision) as encoder:
        source = Source(encoder, dimensions=job.dimensions)
        encode_rows(source, [], job.kind, job.options)  # an option that cannot be is refused now
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
    kept = [field for field in table.schema if job.keep_text or field.name != job.column]
    vectors = pa.field(job.vector_column, vector_type(facts["dimensions"]), nullable=False)
    told = {**facts, "vector_column": job.vector_column}
    if job.keep_text:
        told["text_column"] = job.column
    return pa.schema([*kept, vectors], {f"sestina.{key}": str(value) for key, value in told.items()})


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
        "null": told["null"],
        "retries": {
            "runs_before": current.number - 1,
            "encoders_restarted": told["restarted"],
            "rows_encoded_again": max(0, told["rows"] - (table.rows - there)),
        },
    }
