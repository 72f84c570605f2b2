"""The main job: a PyTorch text encoder becomes one verified bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import sestina
from sestina._bundle.manifest import Manifest
from sestina_export._contents import TASKS, provenance_of, write_around
from sestina_export._errors import ExportError, QualityError
from sestina_export._fingerprint import space_of
from sestina_export._head import check_room, prompted, with_head, with_outputs
from sestina_export._limits import refuse_beyond
from sestina_export._produce import VariantJob
from sestina_export._proof.goldens import write_goldens
from sestina_export._proof.reference import compare_tokenizer
from sestina_export._proof.task_gates import AnyGate
from sestina_export._quantise.pairs import listed, split_given
from sestina_export._source import Source, check_label, opened
from sestina_export._target import replaceable, usable_target
from sestina_export._variants import VariantSpec, choose_specs
from sestina_export._verified import verified
from sestina_model._folders import folder_in_place
from sestina_model.config import HeadConfig
from sestina_model.head_config import Task

__all__ = ["ExportResult", "export"]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export made.

    Attributes:
        path: The bundle.
        manifest: Its manifest.
        verification: Its goldens, as the runtime found them when it loaded the finished bundle.
        refused: A line for each variant that missed its gate and was left out.
    """

    path: Path
    manifest: Manifest
    verification: sestina.Verification
    refused: tuple[str, ...]


def export(
    source: Source,
    out: str | os.PathLike[str],
    *,
    tokenizer: Any = None,
    head: HeadConfig | None = None,
    name: str | None = None,
    licence: str | None = None,
    revision: str | None = None,
    task: Task | None = None,
    outputs: Iterable[str] | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    max_tokens: int | None = None,
    targets: Iterable[str] | None = None,
    precisions: Iterable[str] | None = None,
    calibration: Iterable[str] | Iterable[tuple[str, str]] | None = None,
    gate: AnyGate | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> ExportResult:
    """Write a bundle, having proved it against PyTorch.

    The graphs are measured at shapes that were never traced, the finished bundle is loaded by the runtime
    and its goldens are verified; only then does it appear at `out`. Any failure leaves `out` as it was.
    Of int8, every row of a batch must be bit-equal to the same row run alone.
    The same source and tool versions give the same bytes.

    Args:
        source: A checkpoint folder (Hugging Face's, sentence-transformers' or our own); the id of a model
            on the Hugging Face hub, such as "BAAI/bge-small-en-v1.5", where no folder is at that path; a
            `Checkpoint`; a `SentenceTransformer`, or a `PreTrainedModel` of transformers together with its
            `tokenizer`, as they are in memory, on any device and in any float type; or a module of ours on
            the CPU, together with its `tokenizer`. Whatever it is keeps its training mode.
        out: The bundle's directory, by convention NAME.sestina. A symbolic link stays one: what it leads to
            is written.
        tokenizer: With a module: its tokenizer, one of the tokenizers library. With a `PreTrainedModel`:
            its tokenizer, one of transformers'.
        head: With a `TransformerEncoder`: its sentence head; by default the mean of all tokens, normalised,
            with the length limit of the encoder.
        name: The bundle's name; by default the source's.
        licence: SPDX identifier of the weights' licence; by default what the source states.
        revision: Of a model on the hub: a branch, a tag or a commit; by default the main branch. Whichever it
            is, the commit is written into the bundle.
        task: What a folder of others or a model of theirs is exported for: "embedding", "rerank" (pairs of
            texts to scores), "classify" (texts to labels), "tag" (tokens to labels), "sparse" (texts to
            weights of the vocabulary) or "multi-vector" (tokens to vectors, of queries and documents); by
            default what it says that it is.
        outputs: Of a source that gives more than dense vectors, as BGE-M3's folder does, what the bundle is
            to give: "dense" and any of "sparse" and "multi-vector"; by default all that the source has.
        pooling: In place of what the source says: "mean", "cls", "max", "mean_sqrt_len_tokens",
            "weightedmean", "lasttoken", or several joined by "+".
        normalize: The same of whether vectors are divided by their L2 norm.
        max_tokens: The same of the length limit in tokens, special ones included.
        targets: What to write variants for, of "cpu", "portable", "cuda", "qnn", "webgpu" and "mobile-cpu";
            by default the CPU.
        precisions: Which to write of those that the targets have; by default all. For the CPU these are
            "fp32" and "int8", or by default fp32 alone where int8 misses its gate, which the result says.
        calibration: Texts of the kind that will be encoded, for int8: two thirds set its ranges and its
            rounding, one third is held back to measure it. Blank and repeated ones do not count. By default
            the exporter's own, general texts. Of a reranker, and of late interaction, pairs of a query and a
            document.
        gate: How near what is less than float32 must be to PyTorch on the texts held back: a `QualityGate`,
            of a reranker, a sparse encoder and of late interaction a `RankGate`, of a classifier a
            `LabelGate`, of a tagger a `SpanGate`; by default each variant has its own.
        overwrite: Whether a bundle that is already at `out` may be replaced; one that holds what its manifest
            does not list never is.
        progress: Called with a line of text before each step. Where it is given, and standard error is a
            terminal, what is fetched draws a progress bar there.

    Raises:
        ExportError: Where `out` cannot be used, the arguments do not fit, or a model cannot be fetched.
        sestina.TextTypeError, sestina.TextValueError: Where a calibration text is not a valid `str`.
        GraphError: Where a graph did not come out as its variant promises.
        ParityError: Where a graph does not agree with PyTorch, a row of an int8 batch with itself alone, or
            the tokenizer of a folder with transformers 5, which is asked where it is installed.
        QualityError: Where a variant that was asked for misses its gate.
        sestina_model.ModelError: Where the checkpoint cannot be read or is not supported.
    """
    target = usable_target(out, overwrite)
    specs = choose_specs(precisions, targets)
    check_label(name, "name")
    check_label(licence, "licence")
    if task is not None and task not in TASKS:
        raise ExportError(f"task is {task!r:.60}; it must be one of {', '.join(TASKS)}, or None")
    given = listed(calibration)
    say = progress or (lambda _: None)
    say("reading the checkpoint")
    with opened(
        source,
        tokenizer=tokenizer,
        head=head,
        name=name,
        licence=licence,
        revision=revision,
        task=task,
        say=say,
        shown=progress is not None,
    ) as read:
        checkpoint = with_outputs(read.checkpoint, outputs)
        model = checkpoint.model
        further = () if model.head.token_outputs is None else model.head.token_outputs.names
        refuse_beyond(specs, model.encoder.config, model.head.task, further)
        checkpoint = with_head(checkpoint, pooling=pooling, normalize=normalize, max_tokens=max_tokens)
        check_room(checkpoint)
        texts = prompted(split_given(given, checkpoint.model.head), checkpoint.model.head)
        for note in checkpoint.notes:
            say(note)
        compared = compare_tokenizer(read.folder, checkpoint, say, read.tokenizer)
        job = VariantJob(checkpoint, provenance_of(checkpoint), texts, gate, say, specs)
        optional = _optional(specs) if precisions is None else ()
        noted = {**read.provenance, "tokenizer_compared": compared}
        return _made(job, specs, target, replaceable(out, overwrite), noted, optional=optional)


def _optional(specs: Sequence[VariantSpec]) -> tuple[VariantSpec, ...]:
    """What may be left out where it misses its gate: its target has a variant without one."""
    sure = {spec.target for spec in specs if spec.gate is None}
    return tuple(spec for spec in specs if spec.gate is not None and spec.target in sure)


def _made(
    job: VariantJob,
    specs: Sequence[VariantSpec],
    target: Path,
    contents: Callable[[Path], Sequence[str]],
    noted: Mapping[str, str | None],
    *,
    optional: Sequence[VariantSpec],
) -> ExportResult:
    """The bundle at `target`, without those of the `optional` variants that miss their gate.

    What is at `target` once the bundle is made, `contents` says whether it may be replaced. What is `noted`
    of the source stands in the manifest alone: the graphs are the same without it.
    """
    refused: list[str] = []
    try:
        with folder_in_place(target, contents) as folder, _one_thread():
            variants = []
            for spec in specs:
                try:
                    variants.append(job.write(spec, folder))
                except QualityError as error:
                    if spec not in optional:
                        raise
                    refused.append(str(error))
            job.say("making goldens with PyTorch")
            write_goldens(job.checkpoint, folder)
            made = {**job.provenance, **noted}
            manifest = write_around(job.checkpoint, space_of(job.checkpoint), tuple(variants), made, folder)
            job.say("verifying the bundle with the runtime")
            manifest, verification = verified(manifest, folder)
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror or error}") from error
    return ExportResult(target, manifest, verification, tuple(refused))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread: the same sums in the same order whatever the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
