"""The benchmark's parts: arithmetic held exactly, texts of exact lengths, plans, and what is drawn."""

from __future__ import annotations

import json
import re
import statistics
import threading
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import sestina
from _made import needs_exporter
from sestina._bench import corpus as _corpus
from sestina._bench import html as _html
from sestina._bench import markdown as _markdown
from sestina._bench import plan as _plan
from sestina._bench import table as _table
from sestina._bench.agreement import compare, objection
from sestina._bench.contender import PEERS, Entry, contender_class
from sestina._bench.machine import describe, peak_memory
from sestina._bench.profile import events_of, summarise
from sestina._bench.roofline import gemm_seconds, products
from sestina._bench.statistics import Ratio, median, percentile, pooled, ratio
from sestina._bundle.bundle import Bundle


class TestStatistics:
    def test_percentiles_are_linear_between_neighbours(self) -> None:
        assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
        assert percentile([1.0, 2.0, 3.0, 4.0, 5.0], 25) == 2.0
        assert percentile([10.0, 20.0], 95) == 19.5
        assert percentile([7.0], 99) == 7.0

    @pytest.mark.parametrize("q", [0, 5, 25, 50, 75, 95, 99, 100])
    def test_percentiles_are_numpys(self, q: int) -> None:
        values = np.random.default_rng(q).exponential(size=37)
        assert percentile(values.tolist(), q) == pytest.approx(np.percentile(values, q), rel=1e-12)

    def test_no_values_have_no_percentile(self) -> None:
        with pytest.raises(ValueError, match="no percentile of no values"):
            percentile([], 50)

    def test_median_is_the_standard_librarys(self) -> None:
        assert median([5.0, 1.0, 9.0, 2.0]) == statistics.median([5.0, 1.0, 9.0, 2.0])

    def test_ratio_is_of_medians_and_its_spread_is_of_rounds(self) -> None:
        theirs = [[2.0, 4.0, 60.0], [8.0], [9.0]]  # medians 4, 8, 9
        ours = [[1.0], [2.0, 2.0], [3.0]]  # medians 1, 2, 3: ratios 4, 4, 3
        assert ratio(theirs, ours) == Ratio(value=4.0, low=3.5, high=4.0)

    def test_ratio_needs_the_same_rounds(self) -> None:
        with pytest.raises(ValueError, match="zip"):
            ratio([[1.0]], [[1.0], [2.0]])

    def test_pooled(self) -> None:
        assert pooled([[1.0], [2.0, 3.0]]) == [1.0, 2.0, 3.0]


class TestTexts:
    def test_passages_are_the_same_everywhere_and_a_prefix_of_more(self) -> None:
        few = _corpus.passages(20)
        assert few == _corpus.passages(50)[:20]
        assert few[1] == "Was issue the year is they by member."

    def test_passages_are_of_mixed_length_and_english_like(self) -> None:
        lengths = [len(text.split()) for text in _corpus.passages(2000)]
        assert 35 < statistics.mean(lengths) < 44
        assert min(lengths) < 8
        assert max(lengths) > 200
        assert all(re.fullmatch(r"[A-Z][A-Za-z,.? ]*[.?]", text) for text in _corpus.passages(200))

    @pytest.mark.parametrize("length", [3, 16, 64])
    def test_texts_of_a_length_have_it(self, encoder: sestina.Encoder, length: int) -> None:
        def count(text: str) -> int:
            tokens = encoder.tokenize(text)
            return len(tokens.ids) + tokens.truncated

        texts = _corpus.of_length(length, 5, count)
        assert [count(text) for text in texts] == [length] * 5

    def test_a_tokenizer_without_words_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no word of this tokenizer's vocabulary"):
            _corpus.of_length(16, 1, lambda text: 3 * len(text))

    def test_lengths_are_clipped_to_the_limit(self) -> None:
        assert _corpus.clipped((16, 64, 256), 64) == [16, 64]
        assert _corpus.clipped((16, 64, 256), 512) == [16, 64, 256]
        assert _corpus.clipped((16, 64, 256), 8) == [8]


class TestPlan:
    def test_no_peers_without_a_source_and_torch_with_one(self) -> None:
        assert _plan.chosen_peers(None, None) == []
        assert _plan.chosen_peers(None, "folder") == ["torch"]
        assert _plan.chosen_peers("none", None) == []
        assert _plan.chosen_peers("all", "folder") == [peer for peer in PEERS if peer != "sestina"]
        assert _plan.chosen_peers("openvino,torch", "folder") == ["torch", "openvino"]

    def test_unknown_peer(self) -> None:
        with pytest.raises(
            sestina.OptionError,
            match="--against is 'tensorflow'; it must be all, none or some of sestina-default,torch,",
        ):
            _plan.chosen_peers("torch,tensorflow", "folder")

    def test_peers_need_the_checkpoint(self) -> None:
        with pytest.raises(sestina.OptionError, match="--against torch needs --source"):
            _plan.chosen_peers("torch", None)

    def test_precisions(self, bundle: Any) -> None:
        manifest = Bundle(bundle).manifest
        assert _plan.chosen_precisions("fp32", manifest) == ["fp32"]
        assert _plan.chosen_precisions("all", manifest)[0] == "fp32"
        with pytest.raises(
            sestina.OptionError, match="--precision is 'int4'; this bundle has fp32.* for cpu"
        ):
            _plan.chosen_precisions("int4", manifest)

    def test_peers_are_compared_in_their_own_precision(self) -> None:
        ours = [Entry("sestina", "fp32"), Entry("sestina", "int8")]
        assert _plan.opposite(Entry("openvino", "int8"), ours) == ours[1]
        assert _plan.opposite(Entry("openvino", "auto", "default"), ours) == ours[0]

    @pytest.mark.parametrize("peer", PEERS)
    def test_every_peer_says_what_it_needs(self, peer: str) -> None:
        kind = contender_class(peer)
        assert kind.modules
        assert all(configuration in ("best", "default") for _, configuration in kind.entries)
        names = [Entry(peer, *entry).name for entry in kind.entries]
        assert len(set(names)) == len(names)


class TestAgreement:
    reference = np.eye(4, 8, dtype=np.float32)

    def test_equal_vectors_agree(self) -> None:
        agreement = compare(self.reference * 2, self.reference * 2)
        assert agreement is not None
        assert (agreement.worst_cosine, agreement.worst_difference) == (1.0, 0.0)
        assert objection(agreement, "fp32") is None

    def test_permuted_rows_are_refused_in_every_precision(self) -> None:
        agreement = compare(self.reference[::-1], self.reference)
        for precision in ("fp32", "int8", "auto"):
            assert "its vectors differ from PyTorch's" in str(objection(agreement, precision))

    def test_what_passes_in_int8_is_refused_in_fp32(self) -> None:
        noisy = self.reference + np.float32(0.05)
        agreement = compare(noisy, self.reference)
        assert objection(agreement, "int8") is None
        assert "at least 0.99999 is allowed in fp32" in str(objection(agreement, "fp32"))

    def test_another_shape_and_not_a_number(self) -> None:
        assert "another shape" in str(objection(compare(self.reference[:2], self.reference), "fp32"))
        broken = self.reference.copy()
        broken[1] = np.nan
        assert objection(compare(broken, self.reference), "int8") is not None

    def test_two_zero_vectors_agree_and_one_does_not(self) -> None:
        zero = np.zeros((1, 3), np.float32)
        assert objection(compare(zero, zero), "fp32") is None
        assert objection(compare(zero, np.ones((1, 3), np.float32)), "int8") is not None


class TestAnalysis:
    shape: ClassVar[dict[str, int]] = {"n_layers": 2, "d_model": 32, "n_heads": 4, "d_ff": 64}

    def test_products_are_those_of_the_encoder(self) -> None:
        flop = sum(product.times * product.flop for product in products(self.shape, tokens=10, batch=3))
        weights = 4 * 32 * 32 + 2 * 32 * 64
        assert flop == 2 * 2 * 3 * (10 * weights + 2 * 10 * 10 * 32)

    @needs_exporter
    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_products_are_timed(self, precision: str) -> None:
        floor = gemm_seconds(self.shape, tokens=64, precision=precision, threads=2, seconds=0.005)
        assert 0 < floor["seconds"] < 1
        assert (
            floor["kernel"] == {"fp32": "onnxruntime MatMul", "int8": "onnxruntime MatMulInteger"}[precision]
        )

    def test_numpy_stands_in_for_onnx(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "onnx", None)
        floor = gemm_seconds(self.shape, tokens=64, precision="fp32", threads=1, seconds=0.002)
        assert floor["kernel"] == "numpy matmul, float32"

    def test_a_profile_may_be_written_a_moment_later(self, tmp_path: Path) -> None:
        file = tmp_path / "profile.json"
        file.write_text("")
        with pytest.raises(json.JSONDecodeError):
            events_of(file, seconds=0)
        later = threading.Timer(0.1, file.write_text, ['[{"name": "run"}]'])
        later.start()
        assert events_of(file) == [{"name": "run"}]
        later.join()

    def test_profile_adds_up_kernels_alone(self) -> None:
        def event(name: str, operator: str, micros: int) -> dict[str, Any]:
            return {"cat": "Node", "name": name, "dur": micros, "args": {"op_name": operator}}

        events = [
            event("a_kernel_time", "MatMul", 3000),
            event("a_fence_before", "MatMul", 9000),
            event("b_kernel_time", "Add", 1000),
            event("c_kernel_time", "MatMul", 4000),
            {"cat": "Session", "name": "model_run", "dur": 99999, "args": {}},
        ]
        assert summarise(events) == [
            {"operator": "MatMul", "calls": 2, "ms": 7.0, "share": 0.875},
            {"operator": "Add", "calls": 1, "ms": 1.0, "share": 0.125},
        ]

    def test_machine(self) -> None:
        machine = describe(2)
        assert machine["processor"]
        assert machine["packages"]["sestina"] == sestina.__version__
        assert (peak_memory() or 0) > 10 << 20


def document(**changes: Any) -> dict[str, Any]:
    """A small document with hostile names."""
    entry = {
        "peer": "sestina",
        "precision": "fp32",
        "configuration": "best",
        "description": "a <b> & | c",
        "state": "measured",
        "note": "",
        "agreement": {"mean_cosine": 1.0, "worst_cosine": 0.99, "worst_difference": 0.01, "texts": 3},
        "latency_ms": {"16": {"p50": 1.0, "p95": 2.0, "p99": 3.0}},
        "corpus": {"seconds": 1.0, "docs_per_s": 250.0, "tokens_per_s": 1e4},
        "uniform": {"16": {"seconds": 1.0, "docs_per_s": 100.0, "tokens_per_s": 1600.0}},
        "cold_start_ms": {"import": 100.0, "load": 50.0, "first": 5.0, "start": 155.0},
        "peak_memory_bytes": 200 << 20,
    }
    row = {"ours": "sestina fp32", "measure": "latency/16", "low": 0.4, "high": 0.6, "value": 0.5}
    whole = {
        "command": "sestina bench 'a <&> bundle'",
        "machine": {
            "processor": "Test <CPU>",
            "instructions": ["avx2"],
            "cores": 2,
            "packages": {"onnxruntime": "1"},
            "load_average": 3.0,
        },
        "bundle": {"name": "tiny & small", "dimensions": 32, "max_tokens": 64},
        "settings": {"threads": 2, "rounds": 2, "starts": 2},
        "corpus": {"origin": "generated", "passages": 160, "mean_tokens": 40.0, "uniform": {"16": 4}},
        "contenders": [
            {"name": "sestina fp32", **entry},
            {"name": "rival | fp32", **entry, "peer": "rival", "peak_memory_bytes": None},
            {"name": "absent int8", **entry, "precision": "int8", "state": "not installed", "note": "pip"},
        ],
        "ratios": [
            {**row, "other": "rival | fp32"},
            {**row, "other": "rival | fp32", "measure": "corpus", "value": 2.0},
        ],
        "slower": [{**row, "other": "rival | fp32"}],
        "roofline": [],
        "profile": [],
    }
    return {**whole, **changes}


class TestDrawing:
    def test_table_names_the_machine_the_command_and_the_losses(self) -> None:
        text = "\n".join(_table.lines(document()))
        assert "Test <CPU> (avx2), 2 cores; 2 threads, 2 rounds" in text
        assert "sestina bench 'a <&> bundle'" in text
        assert "the load average was 3.0 on 2 cores at the start: other work disturbs these figures" in text
        assert "one text of 16 0.50 (0.40-0.60)" in text
        assert "absent int8: not installed: pip" in text
        assert "1.00 / 2.00 / 3.00" in text
        assert re.search(r"rival \| fp32 .* not measured\n", text)

    def test_a_quiet_machine_is_not_accused(self) -> None:
        quiet = {**document()["machine"], "load_average": 0.1}
        assert "other work" not in "\n".join(_table.lines(document(machine=quiet)))

    def test_columns_are_aligned(self) -> None:
        lines = list(_table.lines(document()))
        begin = next(at for at, line in enumerate(lines) if line.startswith("One text"))
        assert len({len(line) for line in lines[begin + 1 : begin + 4]}) == 1

    def test_markdown_has_the_command_the_processor_and_the_losses(self) -> None:
        lines = list(_markdown.lines(document()))
        assert lines[:3] == ["```", "sestina bench 'a <&> bundle'", "```"]
        assert any("Test <CPU>" in line for line in lines)
        assert "**Where Sestina is slower or larger**" in lines
        tables = [line for line in lines if line.startswith("|")]
        assert all(line.endswith("|") for line in tables)
        assert any(r"rival \| fp32" in line for line in tables)

    def test_markdown_says_where_nothing_is_slower(self) -> None:
        assert "- nowhere in this run" in list(_markdown.lines(document(slower=[])))

    def test_page_is_well_formed_and_self_contained(self) -> None:
        page = _html.page(document())
        tree = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
        assert not re.search(r"https?:|url\(|@import|<script|<link|<img|src=", page)
        assert len(tree.findall(".//svg")) == 6
        assert "Test <CPU>" in "".join(tree.itertext())
        assert "prefers-color-scheme: dark" in page
        assert {element.get("class") for element in tree.iter("rect")} >= {"ours", "best"}
