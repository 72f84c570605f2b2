"""Every peer that is installed gives PyTorch's vectors, each in processes of its own as in a run.

The checkpoint is a tiny seeded BERT as Hugging Face lays it out. Peers that are not installed are skipped:
`pip install "sestina[bench]"` brings them all.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from _tiny import LINES, perturb, tiny_roberta, tiny_wordpiece, tiny_xlm_roberta
from sestina._bench.agreement import compare, objection
from sestina._bench.contender import (
    OURS,
    PEERS,
    Configuration,
    Entry,
    Purpose,
    Setting,
    contender_class,
    missing,
)
from sestina._bench.process import WorkerError, WorkerProcess, as_json
from sestina_model import checkpoint

TEXTS = [*LINES, "a", "the model " * 200, *(line[: 7 * at] for at, line in enumerate(LINES, start=1))]
PEER_ENTRIES = [
    Entry(peer, precision, configuration)
    for peer in PEERS
    if peer != OURS
    for precision, configuration in contender_class(peer).entries
    if precision != "int8"  # random weights have nothing that survives quantisation
]


def folder(family: str, path: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    bert = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
    }
    distil = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 40}
    roberta = bert | {"pad_token_id": 1}
    name, shape, tokenizer = {
        "bert": ("Bert", bert, tiny_wordpiece()),
        "distilbert": ("DistilBert", distil, tiny_wordpiece()),
        "roberta": ("Roberta", roberta, tiny_roberta()),
        "xlm-roberta": ("XLMRoberta", roberta | {"type_vocab_size": 1}, tiny_xlm_roberta()),
    }[family]
    config = getattr(transformers, f"{name}Config")(vocab_size=tokenizer.get_vocab_size(), **shape)
    model = getattr(transformers, f"{name}Model")(config).eval()
    perturb(model, seed=5)
    model.save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    tokens = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if family in ("bert", "distilbert"):
        (path / "tokenizer_config.json").write_text(
            json.dumps(
                {"tokenizer_class": "BertTokenizer", "mask_token": "[MASK]", "model_max_length": 40} | tokens
            )
        )
    return path


def setting_of(source: Path, work: Path, entry: Entry) -> tuple[Setting, np.ndarray]:
    loaded = checkpoint.load(source)
    head = loaded.model.head
    setting = Setting(
        entry=entry,
        purpose="latency",
        bundle=str(work),
        source=str(source),
        folder=str(work),
        threads=2,
        max_tokens=head.max_tokens,
        pooling=head.pooling,
        normalize=head.normalize,
        dimensions=32,
    )
    return setting, loaded.encode(TEXTS)


def vectors(setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Of all texts together, and of the first alone."""
    found = []
    with WorkerProcess(setting.threads) as worker:
        worker.open(setting)
        for texts in (TEXTS, TEXTS[:1]):
            worker.ask("give", key="texts", texts=texts)
            answer = worker.ask("vectors", key="texts", reference=False)
            values = np.frombuffer(bytes.fromhex(answer["float32"]), dtype="<f4")
            found.append(values.reshape(answer["shape"]))
    return found[0], found[1]


def prepare(setting: Setting) -> None:
    if contender_class(setting.entry.peer).prepares:
        with WorkerProcess(setting.threads) as worker:
            worker.ask("prepare", setting=as_json(setting))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint, and the directory that peers make their files in, as in a run."""
    return folder("bert", tmp_path_factory.mktemp("bert")), tmp_path_factory.mktemp("work")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("entry", PEER_ENTRIES, ids=lambda entry: entry.name)
def test_vectors_are_pytorchs(entry: Entry, bert: tuple[Path, Path]) -> None:
    lacking = missing(entry.peer)
    if lacking is not None:
        pytest.skip(f"{lacking} is not installed")
    setting, reference = setting_of(*bert, entry)
    prepare(setting)
    purposes: tuple[Purpose, ...] = ("latency", "throughput")
    for purpose in purposes:
        found, alone = vectors(dataclasses.replace(setting, purpose=purpose))
        assert objection(compare(found, reference), entry.precision) is None
        assert objection(compare(alone, reference[:1]), entry.precision) is None
        assert objection(compare(found[::-1], reference), entry.precision) is not None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["distilbert", "roberta", "xlm-roberta"])
def test_the_plain_export_of_every_family(family: str, tmp_path: Path) -> None:
    configuration: Configuration = "best"
    source = tmp_path / "source"
    source.mkdir()
    setting, reference = setting_of(
        folder(family, source), tmp_path, Entry("onnxruntime-plain", "fp32", configuration)
    )
    prepare(setting)
    assert objection(compare(vectors(setting)[0], reference), "fp32") is None


def test_a_checkpoint_that_a_peer_cannot_read_is_its_failure(tmp_path: Path) -> None:
    entry = Entry("onnxruntime-plain", "fp32")
    setting = Setting(entry, "latency", "", str(tmp_path), str(tmp_path), 1, 8, "mean", True, 4)
    with WorkerProcess(1) as worker, pytest.raises(WorkerError, match="Error"):
        worker.ask("prepare", setting=as_json(setting))
