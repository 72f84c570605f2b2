"""MTEB: a bundle as a model of the benchmark, `mteb.evaluate(SestinaEncoder("minilm.sestina"), tasks)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sestina._arguments import one_of
from sestina.integrations._encoder import EncoderArgument, Source
from sestina.integrations._host import Host

with Host("mteb"):
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction

if TYPE_CHECKING:
    from sestina.integrations._empty import Vectors


class SestinaEncoder(AbsEncoder):
    """mteb's EncoderProtocol. Queries and documents get the prompts that the bundle has for each.

    Results are kept under the name of the bundle and its space as the revision.

    Args:
        model_name: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        revision: The space that it must be of; None: not checked.
        device: Not used: `sestina.load` chooses.
        name: What the benchmark calls it, as "organisation/model"; None: that of the bundle.
        dimensions: Keep only the first so many; None: all.
        meta: Further members of mteb's ModelMeta, such as `languages`, `license`, `reference`.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        SestinaError: As `sestina.load`.
    """

    def __init__(
        self,
        model_name: EncoderArgument = None,
        revision: str | None = None,
        *,
        device: str | None = None,  # noqa: ARG002  a part of the protocol
        name: str | None = None,
        dimensions: int | None = None,
        **meta: Any,
    ) -> None:
        self._source = Source(model_name, space=revision, dimensions=dimensions)
        encoder = self._source.encoder
        self.model = encoder
        unknown = (
            "release_date", "languages", "n_parameters", "memory_usage_mb", "license", "open_weights",
            "public_training_code", "public_training_data", "training_datasets",
        )  # fmt: skip
        stated = {
            "loader": SestinaEncoder,
            "name": name or f"sestina/{self._source.name}",
            "revision": encoder.space,
            "max_tokens": encoder.max_tokens,
            "embed_dim": self._source.dimensions,
            "framework": ["ONNX"],
            "similarity_fn_name": ScoringFunction(encoder.similarity_function),
            "use_instructions": bool(encoder.prompts),
        }
        self.mteb_model_meta = ModelMeta(**{**dict.fromkeys(unknown), **stated, **meta})

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any = None,  # noqa: ARG002
        hf_split: str | None = None,  # noqa: ARG002
        hf_subset: str | None = None,  # noqa: ARG002
        prompt_type: Any = None,
        show_progress_bar: bool = False,
        **_: Any,
    ) -> Vectors:
        """(n, d) float32 of mteb's batches. An empty text has the model's own vector: benchmarks have some.

        Raises:
            SestinaError: As `Encoder.encode`.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        kind = None if prompt_type is None else getattr(prompt_type, "value", prompt_type)
        if kind is not None:
            one_of("prompt_type", kind, ("query", "document"), ", or None")
        return self._source.encode(texts, kind, empty="as it is", progress=show_progress_bar)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """As the bundle compares: (n, m)."""
        return self._compared(embeddings1, embeddings2, super().similarity, paired=False)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """As the bundle compares: (n,)."""
        return self._compared(embeddings1, embeddings2, super().similarity_pairwise, paired=True)

    def _compared(self, one: Any, other: Any, usual: Any, *, paired: bool) -> Any:
        how = self.mteb_model_meta.similarity_fn_name
        order = {ScoringFunction.EUCLIDEAN: 2, ScoringFunction.MANHATTAN: 1}.get(how)
        if order is None:
            return usual(one, other)
        a, b = (np.atleast_2d(np.asarray(each, np.float32)) for each in (one, other))
        if paired:
            return -np.linalg.norm(a - b, ord=order, axis=-1)
        return np.stack([-np.linalg.norm(row - b, ord=order, axis=-1) for row in a])
