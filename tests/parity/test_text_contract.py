"""The whole text contract against sentence-transformers: prompts, poolings, steps, the cut, the similarity."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from _tiny import perturb, tiny_wordpiece
from sestina_export import export
from sestina_model._errors import UnsupportedCheckpointError
from sestina_model.checkpoint import load
from sestina_model.sentence import SentenceEncoder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentence_transformers")

import sestina  # noqa: E402

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
PROMPTS = {"query": "the query: ", "document": "tokens ", "other": "é\n"}
TEXTS = (
    "the transformer is an innovative nlp model",
    "",
    "a",
    "  Attention relates the TOKENS of a sequence to one another.",
    "naïve 注意力 👍",
    "model " * 100,
)
TOLERANCE = 2e-6  # of values up to 1, in proportion above
Make = Callable[..., Any]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes a folder of sentence-transformers, and gives what that library makes of it."""
    from sentence_transformers import SentenceTransformer

    logging.disable(logging.WARNING)
    base = tmp_path_factory.mktemp("base")
    tokenizer = tiny_wordpiece()
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64, **shape
    )
    model = transformers.BertModel(config)
    perturb(model, 1)
    model.save_pretrained(base)
    tokenizer.save(str(base / "tokenizer.json"))
    (base / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')

    def made(*modules: Any, plain: bool = False, **options: Any) -> tuple[Path, Any]:
        if plain:
            return base, SentenceTransformer(str(base), device="cpu")
        for module in modules:
            perturb(module, 2)
        path = tmp_path_factory.mktemp("model") / "tiny"
        encoder = SentenceTransformer(str(base), device="cpu")[0]
        SentenceTransformer(modules=[encoder, *modules], device="cpu", **options).save(
            str(path), create_model_card=False
        )
        return path, SentenceTransformer(str(path), device="cpu")

    yield made
    logging.disable(logging.NOTSET)


def poolings(**options: Any) -> Any:
    from sentence_transformers.sentence_transformer.modules import Pooling

    return Pooling(32, **options)


def steps() -> list[Any]:
    """Every kind of step, and normalisation twice."""
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm

    return [
        Dropout(0.5),
        Dense(64, 24, activation_function=torch.nn.GELU()),
        Normalize(),
        Dense(24, 24, bias=False, use_residual=True, activation_function=torch.nn.ReLU()),
        LayerNorm(24),
        Dense(24, 17, use_residual=True, activation_function=torch.nn.PReLU()),
        Normalize(),
    ]


def alone(encode: Callable[..., Any], **options: Any) -> npt.NDArray[np.float32]:
    """The reference: every text by itself."""
    return np.stack([encode(text, **options) for text in TEXTS])


def assert_near(
    found: npt.NDArray[np.float32], reference: npt.NDArray[np.float32], tolerance: float = TOLERANCE
) -> None:
    assert found.shape == reference.shape
    assert np.abs(found - reference).max() <= tolerance * max(1.0, float(np.abs(reference).max()))


def test_a_chat_template_is_refused_where_texts_are_put_into_it(make: Make, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    base, _ = make(plain=True)
    folder = shutil.copytree(base, tmp_path / "chat")
    (folder / "chat_template.jinja").write_text("model {{ messages[0]['content'] }}")
    reference = SentenceTransformer(str(folder), device="cpu")
    assert reference.preprocess(["a"])["input_ids"].tolist() != load(base).tokenize(["a"])
    with pytest.raises(UnsupportedCheckpointError, match="chat_template.jinja: a chat template"):
        load(folder)
    saved = tmp_path / "saved"
    reference.save(str(saved), create_model_card=False)
    with pytest.raises(UnsupportedCheckpointError, match="the modality 'message' of modality_config"):
        load(saved)
    path = saved / "sentence_bert_config.json"  # as versions before 6 wrote it: texts are texts
    path.write_text('{"max_seq_length": 64}')
    reference = SentenceTransformer(str(saved), device="cpu")
    assert reference.preprocess(["a"])["input_ids"].tolist() == load(saved).tokenize(["a"])


@pytest.fixture(scope="module")
def plain(make: Make) -> Any:
    """A folder without modules.json, read here and there."""
    path, reference = make(plain=True)
    return load(path), reference


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("mode", [*MODES, ("max", "cls"), ("mean", "mean", "lasttoken")])
def test_each_pooling(plain: Any, mode: Any, include_prompt: bool) -> None:
    checkpoint, reference = plain
    modes = "+".join([mode] if isinstance(mode, str) else mode)
    head = replace(checkpoint.model.head, pooling=modes, include_prompt=include_prompt)
    checkpoint = replace(checkpoint, model=SentenceEncoder(checkpoint.model.encoder, head).eval())
    reference[1].pooling_mode, reference[1].include_prompt = mode, include_prompt
    for prompt in ("", "the query: ", "é\n"):
        assert_near(checkpoint.encode(TEXTS, prompt), alone(reference.encode, prompt=prompt))


def test_a_folder_without_modules_is_the_mean_and_not_normalised(make: Make, plain: Any) -> None:
    checkpoint, reference = plain[0], make(plain=True)[1]
    assert (checkpoint.model.head.pooling, checkpoint.model.head.normalize) == ("mean", False)
    assert_near(checkpoint.encode(TEXTS), alone(reference.encode))


@pytest.fixture(scope="module", params=["cpu", "portable"])
def prompted(request: pytest.FixtureRequest, make: Make, tmp_path_factory: Any) -> Iterator[Any]:
    """All poolings at once, without the prompts' tokens, with a default prompt."""
    path, reference = make(
        poolings(pooling_mode=MODES, include_prompt=False),
        prompts=PROMPTS,
        default_prompt_name="other",
        similarity_fn_name="dot",
    )
    out = tmp_path_factory.mktemp("bundle") / "tiny.sestina"
    export(path, out, targets=[request.param], precisions=["fp32"])
    with sestina.load(out, provider="cpu") as encoder:
        yield encoder, reference


QUIET: dict[str, Any] = {"on_truncate": "ignore"}


class TestPrompts:
    def test_what_there_are(self, prompted: Any) -> None:
        encoder, reference = prompted
        assert dict(encoder.prompts) == reference.prompts == PROMPTS
        assert encoder.default_prompt == reference.default_prompt_name == "other"

    def test_by_name_as_they_are_and_by_default(self, prompted: Any) -> None:
        encoder, reference = prompted
        for name in PROMPTS:
            found = encoder.encode(TEXTS, prompt=name, **QUIET)
            assert_near(found, alone(reference.encode, prompt_name=name))
        for text in ("the ", "[SEP]", "attention " * 70, ""):
            assert_near(
                encoder.encode(TEXTS, prompt_text=text, **QUIET), alone(reference.encode, prompt=text)
            )
        assert_near(encoder.encode(TEXTS, **QUIET), alone(reference.encode))

    def test_queries_and_documents(self, prompted: Any) -> None:
        encoder, reference = prompted
        assert_near(encoder.encode_query(TEXTS, **QUIET), alone(reference.encode_query))
        assert_near(encoder.encode_document(TEXTS, **QUIET), alone(reference.encode_document))
        found = encoder.encode_document(TEXTS, prompt="other", **QUIET)
        assert_near(found, alone(reference.encode_document, prompt_name="other"))

    def test_a_text_alone_a_stream_and_repeated_texts(self, prompted: Any) -> None:
        encoder, reference = prompted
        expected = alone(reference.encode_query)
        for text, vector in zip(TEXTS, expected, strict=True):
            assert_near(encoder.encode_query(text, **QUIET), vector)
        streamed = list(encoder.stream((text for text in TEXTS * 3), prompt="query", **QUIET))
        assert_near(np.stack(streamed), np.concatenate([expected] * 3))
        assert_near(encoder.encode_query(TEXTS * 2, **QUIET), np.concatenate([expected] * 2))

    def test_another_prompt_is_another_vector(self, prompted: Any) -> None:
        encoder, reference = prompted
        expected = alone(reference.encode_query)
        for options in ({"prompt": "document"}, {"prompt_text": ""}, {"prompt_text": "the query:  a"}):
            found = encoder.encode(TEXTS, **options, **QUIET)
            assert np.abs(found - expected)[:5].max(1).min() > 1e-3

    def test_the_dot_product(self, prompted: Any) -> None:
        encoder, reference = prompted
        queries, documents = encoder.encode_query(TEXTS, **QUIET), encoder.encode_document(TEXTS, **QUIET)
        expected = reference.similarity(queries, documents).numpy()
        assert encoder.similarity_function == reference.similarity_fn_name == "dot"
        assert_near(encoder.similarity(queries, documents), expected)

    def test_its_goldens_have_prompts(self, prompted: Any) -> None:
        outcome = prompted[0].verify()
        assert outcome.passed
        named = [golden.name for golden in outcome.goldens]
        assert {"query: sentence", "document: sentence", "other: sentence"} <= set(named)


@pytest.fixture(scope="module")
def stepped(make: Make, tmp_path_factory: Any) -> Iterator[Any]:
    """Two poolings, every kind of step, and a cut."""
    path, reference = make(
        poolings(pooling_mode=("mean", "lasttoken")),
        *steps(),
        prompts={"query": "the query: ", "passage": "tokens "},
        similarity_fn_name="manhattan",
        truncate_dim=12,
    )
    out = tmp_path_factory.mktemp("bundle") / "tiny.sestina"
    export(path, out, precisions=["fp32", "int8"])
    with sestina.load(out, precision="fp32") as encoder:
        yield encoder, reference, out


class TestSteps:
    def test_the_vectors(self, stepped: Any) -> None:
        encoder, reference, _ = stepped
        assert encoder.dimensions == reference.get_embedding_dimension() == 12
        assert_near(encoder.encode(TEXTS, **QUIET), alone(reference.encode))
        found = encoder.encode(TEXTS, prompt="passage", **QUIET)
        assert_near(found, alone(reference.encode, prompt_name="passage"))

    def test_a_passage_is_no_document_there(self, stepped: Any) -> None:
        """sentence-transformers 6 has an empty "document" of its own, which comes first."""
        encoder, reference, _ = stepped
        assert_near(encoder.encode_document(TEXTS, **QUIET), alone(reference.encode_document))

    def test_fewer_dimensions_still(self, stepped: Any) -> None:
        encoder, reference, _ = stepped
        found = encoder.encode(TEXTS, dimensions=5, **QUIET)
        assert_near(found, alone(reference.encode, truncate_dim=5))
        with pytest.raises(sestina.OptionError, match="dimensions is 13"):
            encoder.encode("a", dimensions=13)

    def test_the_distance(self, stepped: Any) -> None:
        encoder, reference, _ = stepped
        vectors = encoder.encode(TEXTS, **QUIET)
        found = encoder.similarity(vectors, vectors[:2])
        assert_near(found, reference.similarity(vectors, vectors[:2]).numpy())
        assert found.max() == 0.0

    def test_int8_is_bit_equal_in_any_company(self, stepped: Any) -> None:
        with sestina.load(stepped[2], precision="int8") as encoder:
            texts = ["a", "of", "model", "the", "attention relates", "the tokens"] * 2
            together = encoder.encode_query(texts)
            for text, vector in zip(texts, together, strict=True):
                assert encoder.encode_query(text).tobytes() == vector.tobytes()


def test_every_activation(make: Make, tmp_path: Path) -> None:
    """One after the other, each normalised so that none saturates the next."""
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import LayerNorm

    from sestina_model.head_steps import ACTIVATIONS

    modules: list[Any] = []
    for name in ACTIVATIONS:
        width = 17 if modules else 32
        modules += [Dense(width, 17, activation_function=getattr(torch.nn, name)()), LayerNorm(17)]
    path, reference = make(poolings(), *modules)
    export(path, tmp_path / "tiny.sestina", precisions=["fp32"])
    with sestina.load(tmp_path / "tiny.sestina", precision="fp32") as encoder:
        assert_near(encoder.encode(TEXTS, **QUIET), alone(reference.encode), 2e-5)
