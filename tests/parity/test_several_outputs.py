"""A folder as BGE-M3's, exported: dense, sparse and multi-vector held to what transformers and torch make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _m3 import FILES, m3_folder, reference
from _tiny import LINES
from sestina.__main__ import main
from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import read_goldens
from sestina._providers.attached_provider import CPU
from sestina._selection.candidate_session import CandidateSession, Terms
from sestina_export import ExportError, export

TEXTS = [*LINES, "", "a", "the the model the", "<s> the </s> <unk> 力", "word " * 60]
NAMES = ("dense", "sparse", "multi-vector")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return m3_folder(tmp_path_factory.mktemp("m3") / "m3")


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    """For the CPU in fp32 and int8, and portable."""
    out = folder.parent / "m3.sestina"
    assert export(folder, out, targets=["cpu", "portable"]).refused == ()
    return out


def portable(bundle: Path, to: Path) -> Path:
    """The bundle with its portable variant alone, which the CPU then runs."""
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["variants"] = [each for each in manifest["variants"] if each["target"] == "portable"]
    to.mkdir()
    for file in (*manifest["variants"], *manifest["files"]):
        (to / file["file"]).write_bytes((bundle / file["file"]).read_bytes())
    (to / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return to


def furthest(outputs: Any, wanted: list[dict[str, Any]]) -> float:
    """Largest absolute difference of all outputs; infinite where a text has other weights or rows."""
    errors = []
    for at, each in enumerate(wanted):
        pairs, matrix = outputs.sparse[at].to_pairs(), outputs.multi_vector[at]
        if [*pairs] != [*each["sparse"]] or matrix.shape != each["multi-vector"].shape:
            return float("inf")
        errors += [abs(pairs[id_] - weight) for id_, weight in each["sparse"].items()]
        errors += [np.abs(outputs.dense[at] - each["dense"]).max()]
        errors += [np.abs(matrix - each["multi-vector"]).max(initial=0.0)]
    return float(max(errors))


@pytest.mark.parametrize("target", ["cpu", "portable"])
def test_fp32_is_the_reference_s(folder: Path, bundle: Path, target: str, tmp_path: Path) -> None:
    path = bundle if target == "cpu" else portable(bundle, tmp_path / "portable.sestina")
    with sestina.load(path, provider="cpu", precision="fp32") as encoder:
        assert encoder.outputs == NAMES
        outputs = encoder.encode(TEXTS, outputs=NAMES, on_truncate="ignore")
        assert furthest(outputs, reference(folder, TEXTS)) < 1e-5
        assert encoder.verify().passed
    assert furthest(outputs, reference(folder, TEXTS, seed=4)) > 1e-2  # the negative control: other heads


def test_dense_vectors_are_bit_equal_to_those_of_a_folder_without_the_heads(
    bundle: Path, tmp_path: Path
) -> None:
    plain = m3_folder(tmp_path / "plain", ())
    export(plain, tmp_path / "plain.sestina", precisions=["fp32"])
    with sestina.load(bundle, precision="fp32") as encoder, sestina.load(tmp_path / "plain.sestina") as other:
        assert other.outputs == ("dense",)
        alone = encoder.encode(TEXTS, on_truncate="ignore")
        assert np.array_equal(alone, other.encode(TEXTS, on_truncate="ignore"))
        assert np.array_equal(alone, encoder.encode(TEXTS, outputs=NAMES, on_truncate="ignore").dense)
        assert encoder.space != other.space


def test_loaders_of_the_tasks_give_the_same(folder: Path, bundle: Path) -> None:
    wanted = reference(folder, TEXTS)
    with sestina.load_sparse_encoder(bundle, precision="fp32") as sparse:
        assert sparse.similarity_function == "dot"
        for row, each in zip(sparse.encode(TEXTS, on_truncate="ignore"), wanted, strict=True):
            assert row.to_pairs() == pytest.approx(each["sparse"], abs=1e-5)
        assert [*sparse.encode(TEXTS[0]).to_pairs()] == [*wanted[0]["sparse"]]
        assert sparse.verify().passed
    with sestina.load_multi_vector_encoder(bundle, precision="fp32") as vectors:
        matrices = vectors.encode_document(TEXTS, on_truncate="ignore")
        for matrix, each in zip(matrices, wanted, strict=True):
            assert np.abs(matrix - each["multi-vector"]).max(initial=0.0) < 1e-5
        query = wanted[0]["multi-vector"]
        means = [float((query @ each["multi-vector"].T).max(1).mean()) for each in wanted]
        assert vectors.score(TEXTS[0], TEXTS, on_truncate="ignore") == pytest.approx(means, abs=1e-5)
        assert vectors.verify().passed
    with pytest.raises(sestina.OptionError, match=r"is a bundle of the task embedding.*: use sestina\.load$"):
        sestina.load_reranker(bundle)


def test_a_static_graph_is_probed_at_its_lengths(bundle: Path) -> None:
    held = Bundle(bundle)
    variant = next(each for each in held.manifest.variants if each.target == "portable")
    terms = Terms(1, strict=False, goldens=tuple(read_goldens(held)), contexts=None)
    candidate = CandidateSession(held, variant, CPU, terms)
    candidate.open(variant.buckets[0])
    assert candidate.probe is not None
    assert candidate.probe.error < 1e-5
    assert not held.graph(variant.entry.file).has_states_part  # which only dynamic graphs may have


def test_int8_is_held_to_an_order_of_each(bundle: Path) -> None:
    with sestina.load(bundle, precision="int8") as encoder:
        assert encoder.verify().passed
        outputs, alone = (
            encoder.encode(TEXTS, outputs=NAMES, on_truncate="ignore"),
            [encoder.encode(text, outputs=NAMES, on_truncate="ignore") for text in TEXTS],
        )
    for at, each in enumerate(alone):  # in any company the same bits
        assert np.array_equal(each.dense, outputs.dense[at])
        assert each.sparse.to_pairs() == outputs.sparse[at].to_pairs()
        assert np.array_equal(each.multi_vector, outputs.multi_vector[at])
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    parity = next(each for each in manifest["variants"] if each["precision"] == "int8")["parity"]
    assert parity["bit_equal_batches"]
    assert [*parity["results"]] == ["sparse", "multi-vector"]
    for figures in parity["results"].values():
        assert figures["rank_correlation"] >= figures["gate"]["rank_correlation"] == 0.95
    exact = next(each for each in manifest["variants"] if each["precision"] == "fp32")["parity"]
    assert {"token_weights", "token_embeddings"} <= exact["worst"].keys()


def test_one_head_alone_is_one_output_more(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "out.sestina", precisions=["fp32"], outputs=["dense", "multi-vector"])
    with sestina.load(tmp_path / "out.sestina") as encoder:
        assert encoder.outputs == ("dense", "multi-vector")
        found = encoder.encode(["the model"], outputs=["multi-vector"])
        assert (
            np.abs(found.multi_vector[0] - reference(folder, ["the model"])[0]["multi-vector"]).max() < 1e-5
        )
    with pytest.raises(sestina.OptionError, match="use sestina.load$"):
        sestina.load_sparse_encoder(tmp_path / "out.sestina")


@pytest.mark.parametrize("outputs", [["sparse"], "dense", [], ["dense", "else"], 7])
def test_outputs_that_a_checkpoint_lacks_are_one_line(folder: Path, tmp_path: Path, outputs: Any) -> None:
    with pytest.raises(ExportError, match="no others than dense, sparse, multi-vector"):
        export(folder, tmp_path / "out.sestina", outputs=outputs)


def test_the_command_takes_them(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.sestina"
    arguments = ["export", str(folder), str(out), "--precision", "fp32", "--outputs"]
    assert main([*arguments, "sparse"]) == 2
    assert "no others than dense, sparse, multi-vector" in capsys.readouterr().err
    assert main([*arguments, "dense,sparse"]) == 0
    assert "32 dimensions, sparse too, " in capsys.readouterr().out


@pytest.mark.parametrize("target", ["qnn", "mobile-cpu"])
def test_targets_that_cannot_are_refused_by_name(folder: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(
        ExportError, match=rf"target {target} has no graph that gives sparse .*--outputs dense"
    ):
        export(folder, tmp_path / "out.sestina", targets=[target])


def test_a_graph_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the export's parity: a weight that is not above 0 stays as it is."""
    from sestina_export import ParityError
    from sestina_export._forms import token_results

    monkeypatch.setattr(token_results, "row_linear", lambda linear, rows: linear(rows) - 0.01)
    folder = m3_folder(tmp_path / "m3", FILES[:1])
    with pytest.raises(ParityError, match="token_weights differs from PyTorch"):
        export(folder, tmp_path / "out.sestina", precisions=["fp32"])
