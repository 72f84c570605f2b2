"""For code that expects a SentenceTransformer: `encode` with its keywords. It needs no other package.

Tensors are made where they are asked for, by PyTorch.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import sestina
from sestina._arguments import one_of
from sestina._handlers import let_through
from sestina._quote import quote
from sestina.integrations._encoder import EncoderArgument, Source, checked_texts
from sestina.integrations._host import Host


class SentenceTransformer:
    """An encoder under the names that sentence-transformers has.

    The vector of an empty text may be zero, as `Encoder.encode` says: this stands for an encoder, not for a
    store. `batch_size` and `device` are taken and not used: batches are cut by length, and `sestina.load`
    chooses.

    Args:
        model_name_or_path: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space that it must be of; None: not checked.
        truncate_dim: Keep only the first so many dimensions, as they are; None: all.
        device: Not used.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where an option is not allowed.
        SestinaError: As `sestina.load`.
    """

    def __init__(
        self,
        model_name_or_path: EncoderArgument = None,
        *,
        space: str | None = None,
        truncate_dim: int | None = None,
        device: Any = None,  # noqa: ARG002
    ) -> None:
        self._source = Source(model_name_or_path, space=space, dimensions=truncate_dim)
        _ = self._source.encoder
        self.truncate_dim = truncate_dim

    @property
    def encoder(self) -> sestina.Encoder:
        """The `Encoder`."""
        return self._source.encoder

    @property
    def prompts(self) -> dict[str, str]:
        """What may be put before a text, by name."""
        return dict(self.encoder.prompts)

    @property
    def default_prompt_name(self) -> str | None:
        """The prompt that stands before every text for which none is asked."""
        return self.encoder.default_prompt

    @property
    def similarity_fn_name(self) -> str:
        """How `similarity` compares."""
        return self.encoder.similarity_function

    @property
    def max_seq_length(self) -> int:
        """The length limit in tokens, special tokens included."""
        return self.encoder.max_tokens

    def get_max_seq_length(self) -> int:
        """The length limit in tokens, special tokens included."""
        return self.encoder.max_tokens

    def get_sentence_embedding_dimension(self) -> int:
        """d, the width of the vectors."""
        return self._source.dimensions

    def get_embedding_dimension(self) -> int:
        """d, the width of the vectors."""
        return self._source.dimensions

    def encode(self, sentences: Any, prompt_name: str | None = None, **options: Any) -> Any:
        """(d,) for one text, (n, d) for several: an array, or a tensor, or a list of tensors.

        Args:
            sentences: A text, or a sequence or column of texts.
            prompt_name: One of `prompts`.
            options: `prompt`, a text that is put before every text; `batch_size`, `show_progress_bar`,
                `output_value`, `precision`, `convert_to_numpy`, `convert_to_tensor`, `device`,
                `normalize_embeddings`, `truncate_dim`.

        Raises:
            OptionError: Where one of them is not known, or asks for what is not done here.
            SestinaError: As `Encoder.encode`.
        """
        return self._encoded("encode", sentences, prompt_name, **options)

    def encode_query(self, sentences: Any, prompt_name: str | None = None, **options: Any) -> Any:
        """As `encode`, with the prompt that the bundle has for queries."""
        return self._encoded("encode_query", sentences, prompt_name, **options)

    def encode_document(self, sentences: Any, prompt_name: str | None = None, **options: Any) -> Any:
        """As `encode`, with the prompt that the bundle has for documents."""
        return self._encoded("encode_document", sentences, prompt_name, **options)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Every pair, (n, m): a tensor where tensors are given, else an array."""
        scores = self.encoder.similarity(_rows(embeddings1), _rows(embeddings2))
        return _tensor(scores) if _is_tensor(embeddings1) or _is_tensor(embeddings2) else scores

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Each with the other of the same row, (n,): a tensor where tensors are given, else an array."""
        one, other = _rows(embeddings1), _rows(embeddings2)
        if one.shape != other.shape:
            raise sestina.OptionError(
                f"embeddings are of shapes {one.shape} and {other.shape}; they must be equal"
            )
        pairs = [
            self.encoder.similarity(one[at : at + 1], other[at : at + 1])[0, 0] for at in range(len(one))
        ]
        scores = np.array(pairs, np.float32)
        return _tensor(scores) if _is_tensor(embeddings1) or _is_tensor(embeddings2) else scores

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Of each text the ids that the encoder reads.

        Raises:
            TextTypeError, TextValueError: Where it is one `str` or no list of them.
        """
        return [list(self.encoder.tokenize(text).ids) for text in checked_texts(texts, "text")]

    def _encoded(
        self,
        method: str,
        sentences: Any,
        prompt_name: str | None,
        *,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        **unknown: Any,
    ) -> Any:
        del batch_size, device
        if unknown:
            raise sestina.OptionError(f"{quote(sorted(unknown)[0])} is no option of encode here")
        one_of("precision", precision, ("float32",), ": quantise what encode gives")
        show = _truth("show_progress_bar", show_progress_bar)
        unit = _truth("normalize_embeddings", normalize_embeddings)
        as_tensor = _truth("convert_to_tensor", convert_to_tensor)
        as_array = _truth("convert_to_numpy", convert_to_numpy)
        kind = one_of("output_value", output_value, ("sentence_embedding", "token_embeddings"))
        one = isinstance(sentences, str)
        texts = [sentences] if one else sentences
        prompts = _prompted(prompt_name, prompt)
        if kind == "token_embeddings":
            states = self.encoder.hidden_states(texts, **prompts)
            tensors = [_tensor(each) for each in states]
            return tensors[0] if one else tensors
        width, whole = self.truncate_dim if truncate_dim is None else truncate_dim, self.encoder.dimensions
        if width is not None and (type(width) is not int or not 1 <= width <= whole):
            raise sestina.OptionError(
                f"truncate_dim is {quote(width)}; it must be a whole number from 1 to {whole}"
            )
        vectors = getattr(self.encoder, method)(texts, progress=show, **prompts)
        vectors = vectors[:, :width]  # as there: not divided by their norm again, unless that is asked for
        if unit:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms != 0)
        if as_tensor:
            return _tensor(vectors[0] if one else vectors)
        if as_array:
            return vectors[0] if one else vectors
        return _tensor(vectors[0]) if one else [_tensor(row) for row in vectors]


def _prompted(name: str | None, text: str | None) -> dict[str, Any]:
    """The options of `Encoder.encode` for a prompt."""
    return {option: value for option, value in (("prompt", name), ("prompt_text", text)) if value is not None}


def _is_tensor(given: Any) -> bool:
    torch = sys.modules.get("torch")
    first = given[0] if isinstance(given, list) and given else given
    return torch is not None and isinstance(first, torch.Tensor)


def _rows(given: Any) -> Any:
    """(n, d) of an array, a tensor, or a list of either; whole numbers in float32, all else as it is, so that
    `Encoder.similarity` sees what it does not take.

    Raises:
        OptionError: Where it cannot be read as rows.
    """
    try:
        if isinstance(given, list | tuple):
            parts = [_array(row) for row in given]
            masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
            rows = (np.ma.stack if masked else np.stack)(parts)
        else:
            rows = _array(given)
        if rows.dtype.kind == "O":  # of a table of several types: whatever its members are
            rows = np.asarray(rows.tolist())
    except Exception as error:
        let_through(error)
        raise sestina.OptionError(
            f"embeddings are {type(given).__name__}, which cannot be read as rows ({quote(error)})"
        ) from error
    return np.atleast_2d(rows.astype(np.float32) if rows.dtype.kind in "biu" else rows)


def _array(given: Any) -> Any:
    """An array of whatever kind: masks are kept, and of a tensor what numpy has a type for."""
    if not _is_tensor(given):
        return np.asanyarray(given)
    plain = given.detach().cpu()
    return (plain.float() if plain.dtype == sys.modules["torch"].bfloat16 else plain).numpy()


def _truth(name: str, value: object) -> bool:
    """What counts as true there.

    Raises:
        OptionError: Where it has no truth, as an array of several has none.
    """
    try:
        return bool(value)
    except Exception as error:  # noqa: BLE001  whatever it raises
        let_through(error)
        raise sestina.OptionError(f"{name} is {quote(value)}; it must be True or False") from None


def _tensor(array: Any) -> Any:
    with Host("torch"):
        import torch
    return torch.from_numpy(np.ascontiguousarray(array))
