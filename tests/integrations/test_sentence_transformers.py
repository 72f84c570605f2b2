"""What code that expects a SentenceTransformer does, and sentence-transformers' own utilities, with our adapter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import util

import sestina
from sestina.integrations.sentence_transformers import SentenceTransformer


def test_shapes_and_kinds(encoder: sestina.Encoder, documents: list[str]) -> None:
    model, wanted = SentenceTransformer(), encoder.encode(documents)
    vectors = model.encode(documents, batch_size=2, show_progress_bar=False, device="cpu")
    assert np.array_equal(vectors, wanted)
    assert np.array_equal(model.encode(documents[0]), wanted[0])
    assert torch.equal(model.encode(documents, convert_to_tensor=True), torch.from_numpy(wanted))
    listed = model.encode(documents, convert_to_numpy=False)
    assert isinstance(listed, list)
    assert torch.equal(torch.stack(listed), torch.from_numpy(wanted))
    assert model.encode([]).shape == (0, encoder.dimensions)
    tokens = model.encode(documents, output_value="token_embeddings")
    assert [len(each) for each in tokens] == [len(encoder.tokenize(text).ids) for text in documents]
    assert np.array_equal(model.encode(documents, truncate_dim=9), encoder.encode(documents)[:, :9])
    assert SentenceTransformer(encoder, truncate_dim=9).get_sentence_embedding_dimension() == 9
    assert model.max_seq_length == model.get_max_seq_length() == encoder.max_tokens


def test_utilities_of_sentence_transformers(documents: list[str], query: str) -> None:
    model = SentenceTransformer()
    found = util.semantic_search(
        model.encode_query(query, convert_to_tensor=True),
        model.encode_document(documents, convert_to_tensor=True),
        top_k=1,
    )
    assert found[0][0]["corpus_id"] == 1
    assert util.paraphrase_mining(model, [*documents, documents[0]])[0][1:] == [0, 3]


def test_similarity(encoder: sestina.Encoder, documents: list[str]) -> None:
    model, vectors = SentenceTransformer(encoder), encoder.encode(documents)
    scores = model.similarity(vectors, vectors[0])
    assert np.array_equal(scores, encoder.similarity(vectors, vectors[:1]))
    tensors = model.similarity(torch.from_numpy(vectors), [torch.from_numpy(vectors[0])])
    assert torch.equal(tensors, torch.from_numpy(scores))
    assert np.allclose(model.similarity_pairwise(vectors, vectors), 1, atol=1e-6)
    with pytest.raises(sestina.OptionError, match="must be equal"):
        model.similarity_pairwise(vectors, vectors[:1])


def test_normalised_where_it_is_asked_for(encoder: sestina.Encoder) -> None:
    vectors = SentenceTransformer(encoder).encode(["a text", ""], normalize_embeddings=True)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0], atol=1e-6)


def test_prompts(prompted: object, encoder: sestina.Encoder) -> None:
    model = SentenceTransformer(encoder)
    assert np.array_equal(model.encode_query("a"), encoder.encode("query: a"))
    assert np.array_equal(model.encode_document(["a"]), encoder.encode(["document: a"]))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"output_value": None}, "output_value is None"),
        ({"nonsense": 1}, "'nonsense' is no option"),
        ({"truncate_dim": 100_000}, "truncate_dim is 100000"),
    ],
)
def test_what_is_not_done_is_refused(
    options: dict[str, object], message: str, encoder: sestina.Encoder
) -> None:
    with pytest.raises(sestina.OptionError, match=message):
        SentenceTransformer(encoder).encode(["a"], **options)


def test_another_space_is_refused(other: Path, encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.BundleIntegrityError, match=encoder.space):
        SentenceTransformer(other, space=encoder.space)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"truncate_dim": 0}, "truncate_dim is 0; it must be a whole number from 1 to"),
        ({"truncate_dim": 10**5000}, "truncate_dim is a number of 16610 bits; it must"),
        ({"precision": np.array(["float32", "int8"])}, r"precision is array\(\['float32', 'int8'\]"),
        ({"output_value": np.array(["a", "b"])}, "output_value is array"),
        ({"show_progress_bar": np.array([1, 2])}, "show_progress_bar is array"),
        ({"normalize_embeddings": np.array([1, 2])}, "normalize_embeddings is array"),
        ({"convert_to_tensor": np.array([1, 2])}, "convert_to_tensor is array"),
    ],
    ids=range(7),
)
def test_options_that_are_none_are_one_line(
    options: dict[str, object], message: str, encoder: sestina.Encoder
) -> None:
    with pytest.raises(sestina.OptionError, match=message):
        SentenceTransformer(encoder).encode(["a"], **options)


def test_vectors_are_read_as_the_encoder_reads_them(encoder: sestina.Encoder, documents: list[str]) -> None:
    model, vectors = SentenceTransformer(encoder), encoder.encode(documents)
    wanted = encoder.similarity(vectors, vectors)
    masked = np.ma.array(vectors, mask=vectors == vectors.max())
    for given, said in (
        (masked, "vectors have masked values"),
        (list(masked), "vectors have masked values"),
        (vectors.astype(np.float64) * 1e-300, "vector 0 is too small for float32"),
        (vectors.astype(complex), "vectors are complex"),
        (documents, "vectors are <U"),
        ("a text", "vectors are <U"),
        (None, "vectors are object"),
        ([vectors[0], vectors[0][:3]], "embeddings are list, which cannot be read as rows"),
    ):
        for call in (
            lambda given=given: model.similarity(given, vectors),
            lambda given=given: model.similarity_pairwise(given, given),
        ):
            with pytest.raises(sestina.OptionError, match=said):
                call()
    tensor = torch.from_numpy(vectors).requires_grad_()
    for rows in (tensor, list(tensor), tensor.bfloat16(), tensor.double(), vectors.tolist(), tuple(vectors)):
        assert np.allclose(np.asarray(model.similarity(rows, vectors)), wanted, atol=1e-2)
    whole = encoder.encode(documents, output="int8")
    assert np.allclose(model.similarity(whole, vectors), wanted, atol=1e-2)


def test_tokens_of_one_text_are_not_those_of_its_letters(encoder: sestina.Encoder) -> None:
    model = SentenceTransformer(encoder)
    assert model.tokenize(["a text"]) == [list(encoder.tokenize("a text").ids)]
    for wrong in ("a text", None, [5]):
        with pytest.raises(sestina.TextTypeError):
            model.tokenize(wrong)  # type: ignore[arg-type]
