"""Late interaction against sentence-transformers' MultiVectorEncoder, from the folder to scores, one text at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _heads import late_checkpoint, late_pairs
from _late import late_folder, late_model
from sestina._bundle.bundle import Bundle
from sestina._session.buckets import open_on_cpu
from sestina._text.tokenizer import Tokenizer
from sestina_export import ExportError, QualityGate, RankGate, SpanGate, export
from sestina_export._head import with_head
from sestina_export._proof.task_gates import gate_of
from sestina_export._quantise.pairs import split_given
from sestina_model._errors import CheckpointError, ConfigError, UnsupportedCheckpointError
from sestina_model.checkpoint import load
from sestina_model.inputs import Query
from sestina_model.late_interaction import Expansion, LateInteraction
from sestina_model.pretrained import stated_task
from sestina_model.sentence import SentenceEncoder

pytest.importorskip("sentence_transformers")

TEXTS = [
    "the transformer is an innovative nlp model",
    "Attention, relates the tokens! of a sequence (to one another)...",
    "naïve café, 注意力 and unknownwordpieces",
    "x",
    "",
    "!?",
    "model " * 60,
]
# Of each: what it is made of, and the roles, prompts included, that the bundle must state.
MADE: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "bert": (
        "bert",
        {
            "query_expansion": {"strategy": "fixed", "attend": False, "length": 12},
            "document_length": 30,
            "prompts": {"query": "the ", "document": "a "},
        },
        {"query": (12, 12, False, 0), "document": (30, None, None, 32), "similarity": "maxsim"},
    ),
    "modernbert": (
        "modernbert",
        {
            "query_expansion": {"strategy": "min", "attend": False, "length": 5, "token": "[MASK]"},
            "query_length": 9,
            "words": ["the", ",", "[MASK]", "no such token"],
            "mask": {"skiplist_tasks": ["query", "document"]},
            "similarity": "meanmaxsim",
            "dense": False,
        },
        {"query": (9, 5, False, 3), "document": (40, None, None, 3), "similarity": "meanmaxsim"},
    ),
    "xlm-roberta": (
        "xlm-roberta",
        {"query_expansion": {"strategy": "fixed", "attend": True, "length": 10}, "prompts": {"query": "a "}},
        {"query": (10, 10, True, 0), "document": (40, None, None, 32), "similarity": "maxsim"},
    ),
}


def apart(model: Any, texts: list[str], role: str) -> list[Any]:
    """Each text by itself, as no padding then bears on it."""
    encode = model.encode_query if role == "query" else model.encode_document
    return [encode([text], convert_to_numpy=True)[0] for text in texts]


@pytest.fixture(scope="module", params=MADE)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    folder = tmp_path_factory.mktemp("late")
    family, options, _ = MADE[request.param]
    checkpoint = late_folder(family, folder, **options)
    return request.param, checkpoint, export(checkpoint, folder / "out.sestina", precisions=["fp32"]).path


@pytest.mark.filterwarnings("ignore:Encountered documents without any scoreable token")
def test_matrices_and_scores(made: tuple[str, Path, Path]) -> None:
    from sentence_transformers import MultiVectorEncoder

    name, folder, bundle = made
    model = MultiVectorEncoder(str(folder), device="cpu")
    with sestina.load_multi_vector_encoder(bundle) as encoder:
        assert encoder.verify().passed
        late = encoder._contract.late_interaction
        assert late is not None
        for role in ("query", "document"):
            own = late._asdict()[role]
            filled = own.expansion and (own.expansion.length, own.expansion.attended)
            assert (own.max_tokens, *(filled or (None, None)), len(own.skip)) == MADE[name][2][role]
        assert encoder.similarity_function == MADE[name][2]["similarity"]
        found = {
            "query": encoder.encode_query(TEXTS, on_truncate="ignore"),
            "document": encoder.encode_document(TEXTS, on_truncate="ignore"),
        }
        scores = encoder.maxsim(found["query"], found["document"])
        one = encoder.score(TEXTS[0], TEXTS[:4], on_truncate="ignore")
    for role, matrices in found.items():
        wanted = apart(model, TEXTS, role)
        assert [each.shape for each in matrices] == [each.shape for each in wanted]
        assert all(np.abs(a - b).max(initial=0) <= 1e-5 for a, b in zip(matrices, wanted, strict=True))
    # The controls: of another text, and read as the other kind, it is another.
    assert np.abs(found["query"][0][:4] - found["query"][1][:4]).max() > 1e-2
    assert "prompts" not in MADE[name][1] or found["query"][3].shape != found["document"][3].shape
    wanted_scores = model.similarity(apart(model, TEXTS, "query"), apart(model, TEXTS, "document")).numpy()
    assert np.allclose(scores, wanted_scores, atol=1e-4, rtol=1e-5)
    assert np.allclose(one, wanted_scores[0, :4], atol=1e-4)


@pytest.mark.parametrize("family", ["modernbert", "eurobert"])
def test_a_stated_length_outranks_that_of_the_config(family: str, tmp_path: Path) -> None:
    """Where no table ends: the documents of sentence-transformers are longer than max_position_embeddings."""
    from sentence_transformers import MultiVectorEncoder

    folder = late_folder(family, tmp_path, document_length=60)
    path = folder / "config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text("utf-8")), "max_position_embeddings": 40}), "utf-8"
    )
    text = "model " * 90
    wanted = apart(MultiVectorEncoder(str(folder), device="cpu"), [text], "document")[0]
    checkpoint = load(folder, task="multi-vector")
    late = checkpoint.model.head.late_interaction
    assert late is not None
    assert len(wanted) == late.document.max_tokens == 60


def test_queries_that_are_cut_and_then_filled_up_are_refused(tmp_path: Path) -> None:
    folder = late_folder("bert", tmp_path, query_expansion={"strategy": "min", "length": 12})
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "model_max_length": 8}), "utf-8")
    with pytest.raises(UnsupportedCheckpointError, match="length 12, and texts are cut at 8 tokens before"):
        load(folder, task="multi-vector")


def test_a_limit_above_what_is_read_is_refused(tmp_path: Path) -> None:
    checkpoint = load(late_folder("bert", tmp_path, query_length=12, document_length=20), task="multi-vector")
    with pytest.raises(ExportError, match="max_tokens is 40; this checkpoint reads at most 20 tokens"):
        with_head(checkpoint, max_tokens=40)
    head = with_head(checkpoint, max_tokens=16).model.head
    assert head.late_interaction is not None
    assert (head.max_tokens, head.late_interaction.query.max_tokens) == (16, 12)


def test_what_late_interaction_is_not() -> None:
    query = {"max_tokens": 32, "expansion": {"length": 32}}
    with pytest.raises(
        ConfigError, match="an expansion is .*; it must be an object of length, token, attended"
    ):
        LateInteraction.from_dict({"query": query, "document": {"max_tokens": 100}})
    checkpoint = late_checkpoint()
    model, late = checkpoint.model, checkpoint.model.head.late_interaction
    assert late is not None
    filled = replace(late.query, expansion=Expansion(length=8, token=10**6))
    beyond = replace(model.head, late_interaction=replace(late, query=filled))
    with pytest.raises(ConfigError, match="expansion has the token 1000000; this encoder has "):
        SentenceEncoder(model.encoder, beyond, model.steps.state_dict())
    with pytest.raises(ConfigError, match="pooling is 'mean\\+max'; the task multi-vector pools nothing"):
        replace(model.head, pooling="mean+max")


def test_what_is_not_attended_to_counts(tmp_path: Path) -> None:
    """The control of the whole: attended to, the same tokens give other vectors, in PyTorch as here."""
    found = []
    for attend in (False, True):
        expansion = {"strategy": "fixed", "attend": attend, "length": 12}
        folder = late_folder("bert", tmp_path / str(attend), query_expansion=expansion)
        checkpoint = load(folder, task="multi-vector")
        vectors = checkpoint.encode([Query("the model")])
        from sentence_transformers import MultiVectorEncoder

        wanted = apart(MultiVectorEncoder(str(folder), device="cpu"), ["the model"], "query")[0]
        assert np.abs(vectors - wanted).max() <= 1e-5
        found.append(vectors)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_one_in_memory_and_every_form(tmp_path: Path) -> None:
    expansion = {"strategy": "fixed", "attend": False, "length": 12}
    model = late_model("bert", tmp_path / "t", query_expansion=expansion, document_length=20)
    gate = RankGate(rank_correlation=0.8, top_overlap=0.5)
    result = export(
        model, tmp_path / "out.sestina", targets=["cpu", "portable"], gate=gate, calibration=late_pairs()
    )
    names = [variant.entry.file for variant in result.manifest.variants]
    assert names == ["cpu-int8.onnx", "cpu-fp32.onnx", "portable-fp32.onnx"]
    int8, fp32, portable = result.manifest.variants
    assert int8.parity["ranks"]["gate"] == {"rank_correlation": 0.8, "top_overlap": 0.5}
    assert [each.name for each in fp32.inputs] == ["input_ids", "attended"]
    assert [each.name for each in portable.inputs] == ["input_ids", "attention_mask"]
    wanted = {role: apart(model, TEXTS[:4], role) for role in ("query", "document")}
    with sestina.load_multi_vector_encoder(result.path, precision="fp32") as encoder:
        assert encoder.verify().passed
        for role, matrices in wanted.items():
            own = getattr(encoder, f"encode_{role}")(TEXTS[:4], on_truncate="ignore")
            assert all(np.abs(a - b).max() <= 1e-5 for a, b in zip(own, matrices, strict=True))
    # In the masked graph the mask says what is not attended to.
    bundle = Bundle(result.path)
    ids = [*Tokenizer(bundle.read("tokenizer.json"), 12).ids([TEXTS[3]])[0][0]]
    filled = np.array([[*ids, *[4] * (12 - len(ids))]])
    session = open_on_cpu(bundle.graph(portable.entry.file), portable, 1)
    found = session.run("token_embeddings", filled, len(ids))[0]
    assert np.abs(found - wanted["query"][3]).max() <= 1e-5
    assert np.abs(session.run("token_embeddings", filled)[0] - wanted["query"][3]).max() > 1e-3
    with sestina.load_multi_vector_encoder(result.path, precision="int8") as encoder:
        assert encoder.verify().passed
        together = encoder.encode_document(TEXTS[:2])
        assert all((encoder.encode_document(a) == b).all() for a, b in zip(TEXTS[:2], together, strict=True))
    with pytest.raises(ExportError, match="gate is a SpanGate; a bundle of the task multi-vector is held to"):
        gate_of(SpanGate(), QualityGate(), "multi-vector")


def change(path: str, **members: Any) -> Callable[[Path], None]:
    """Members of a JSON file of the folder, as they are to be."""

    def edit(folder: Path) -> None:
        file = folder / path
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | members), "utf-8")

    return edit


MASK, DENSE, NORM, OUTER = (
    "2_MultiVectorMask/config.json",
    "1_Dense/config.json",
    "3_Normalize/config.json",
    "config_sentence_transformers.json",
)
EXPANSION = {"strategy": "fixed", "attend": False, "length": 12}
INNER = "sentence_bert_config.json"
BAD: list[tuple[Callable[[Path], None], type[Exception], str]] = [
    (change(MASK, keep_only_token_ids=[5]), UnsupportedCheckpointError, r"keep_only_token_ids \[5\] is not supported"),
    (change(MASK, skiplist_words=5), CheckpointError, "skiplist_words is 5; it must be a list of strings"),
    (change(DENSE, module_input_name="sentence_embedding"), UnsupportedCheckpointError, "module_input_name 'sentence_embedding' is not supported; 'token_embeddings' is"),
    (change(NORM, module_input_name=None), UnsupportedCheckpointError, "module_input_name is missing or null, so that it normalises nothing"),
    (change(OUTER, query_prefix="[Q] "), UnsupportedCheckpointError, r"query_prefix '\[Q\] ' is PyLate's"),
    (change(OUTER, model_type="SentenceTransformer"), UnsupportedCheckpointError, "model_type 'SentenceTransformer' is none of late interaction"),
    (change(INNER, query_length=0), CheckpointError, "query_length is 0; it must be a whole number"),
    (change(INNER, query_length=5), CheckpointError, "query_length is 5; query_expansion has the length 12"),
    (change(INNER, query_expansion={"strategy": "most"}), CheckpointError, "it must have a strategy"),
    (change(INNER, query_expansion={**EXPANSION, "token": "nothing"}), CheckpointError, "fills queries up with 'nothing', which the tokenizer does not have"),
    (change(INNER, query_expansion={**EXPANSION, "length": 41}), CheckpointError, "has the length 41, and the encoder 40 positions"),
    (change("tokenizer_config.json", padding_side="left"), UnsupportedCheckpointError, "a tokenizer that pads on the left"),
    (change("config.json", is_decoder=True), UnsupportedCheckpointError, "is_decoder True is not supported"),
]  # fmt: skip


def test_what_cannot_be_carried_is_refused_by_name(tmp_path: Path) -> None:
    import shutil

    good = late_folder("bert", tmp_path / "good", query_expansion=EXPANSION)
    assert stated_task(good) == "multi-vector"
    assert load(good, task="multi-vector").model.head.task == "multi-vector"
    for at, (edit, kind, message) in enumerate(BAD):
        folder = tmp_path / str(at)
        shutil.copytree(good, folder)
        edit(folder)
        with pytest.raises(kind, match=message) as error:
            load(folder, task="multi-vector")
        assert "\n" not in str(error.value)
    modules = json.loads((good / "modules.json").read_text("utf-8"))
    for listed, message in (
        (modules[:2] + modules[3:], "query_expansion without a MultiVectorMask"),
        ([*modules, modules[2] | {"name": "4"}], "MultiVectorMask of a MultiVectorEncoder are not supported"),
        ([*modules, modules[1] | {"name": "4", "type": "sentence_transformers.multi_vector_encoder.modules.token_pooling.HierarchicalTokenPooling"}], "HierarchicalTokenPooling is not supported"),
    ):  # fmt: skip
        (good / "modules.json").write_text(json.dumps(listed), "utf-8")
        with pytest.raises(UnsupportedCheckpointError, match=message):
            load(good, task="multi-vector")


@pytest.mark.parametrize(
    "family, why",
    [("modernbert", "has a window of 4 tokens to each side"), ("deberta-v2", "has disentangled attention")],
)
def test_encoders_where_nothing_can_be_left_unattended(family: str, why: str, tmp_path: Path) -> None:
    expansion = EXPANSION | {"token": "[MASK]"}
    folder = late_folder(family, tmp_path, query_expansion=expansion)
    with pytest.raises(
        ConfigError, match=f"filled up to 12 tokens with what is not attended to, and this encoder {why}"
    ):
        export(folder, tmp_path / "out.sestina", precisions=["fp32"])
    assert not (tmp_path / "out.sestina").exists()


def test_older_layouts_are_named(tmp_path: Path) -> None:
    for name, content in (
        ("config_sentence_transformers.json", {"model_type": "ColBERT"}),
        ("config.json", {"model_type": "bert", "architectures": ["HF_ColBERT"]}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(json.dumps(content), "utf-8")
        with pytest.raises(UnsupportedCheckpointError, match=r"is the layout of .* MultiVectorEncoder"):
            stated_task(folder)


def test_a16w8_is_refused_before_any_work(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(
        ExportError, match="target qnn has no graph of the task multi-vector: a16w8 is calibrated"
    ):
        export(late_checkpoint(), tmp_path / "no.sestina", targets=["cpu", "qnn"], progress=said.append)
    assert said == ["reading the checkpoint"]


@pytest.mark.parametrize("given", [None, [(f"query {at % 30}", f"document {at % 40}") for at in range(240)]])
def test_what_is_held_back_was_not_calibrated_with(given: list[Any] | None) -> None:
    """Whatever pairs share: the figures of the gate are of texts that set no range."""
    used, held = split_given(given, late_checkpoint().model.head)
    for kind in (Query, str):
        first, second = ({each for each in half if type(each) is kind} for half in (used, held))
        assert len(first) > len(second) > 8
        assert first.isdisjoint(second)
