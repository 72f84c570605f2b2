"""Whatever is wrong with a bundle has its own error, in one line that says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

import sestina
from sestina._bundle.bundle import Bundle
from sestina._process import threads as _threads
from sestina._providers import choice as _choice
from sestina._providers.choice import choose
from sestina._providers.table import PROVIDERS


def edit_manifest(bundle: Path, change: Any) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    change(document)
    (bundle / "manifest.json").write_text(json.dumps(document))


def fix(document: Any, *buckets: Any) -> None:
    document["variants"][0].update(shapes="static")
    for each in buckets:
        document["variants"][0].update(buckets=each)


def tolerate(document: Any, tolerance: float) -> None:
    document["variants"][0]["parity"]["tolerance"] = tolerance


def list_anew(bundle: Path, file: str) -> None:
    """Make the manifest state the file as it is now."""
    content = (bundle / file).read_bytes()

    def change(document: Any) -> None:
        (entry,) = (each for each in document["files"] + document["variants"] if each["file"] == file)
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    edit_manifest(bundle, change)


def refusal(path: Path, kind: type[sestina.SestinaError], builtin: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        sestina.load(path, precision="fp32")
    assert isinstance(caught.value, builtin)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_such_bundle(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere", sestina.BundleNotFoundError, FileNotFoundError)
    assert message == f"there is no bundle at {tmp_path / 'nowhere'}: check the path, or export one"


def test_path_with_null_byte() -> None:
    assert "it has a null character" in refusal(Path("a\0b"), sestina.BundleNotFoundError, FileNotFoundError)


def test_not_a_bundle(tmp_path: Path) -> None:
    message = refusal(tmp_path, sestina.BundleFormatError, ValueError)
    assert message == f"{tmp_path} is not a bundle: it has no manifest.json"
    (tmp_path / "file").write_text("")
    message = refusal(tmp_path / "file", sestina.BundleFormatError, ValueError)
    assert message == f"{tmp_path / 'file'} is a file; a bundle is a directory with a manifest.json"


@pytest.mark.parametrize(
    "content, said",
    [
        (b"{", "is not valid JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[]", "is not the manifest of a Sestina bundle"),
        (b'{"format": "other"}', "is not the manifest of a Sestina bundle"),
        (
            b'{"format": "sestina", "format_version": "1"}',
            "has format version '1'; it must be a whole number",
        ),
        (b'{"format": "sestina", "format_version": 1}', "member 'contract' is missing or of the wrong type"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
)
def test_broken_manifest(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    assert said in refusal(tmp_path, sestina.BundleFormatError, ValueError)


def test_newer_format_version(own_bundle: Path) -> None:
    edit_manifest(own_bundle, lambda document: document.update(format_version=3))
    message = refusal(own_bundle, sestina.BundleFormatError, ValueError)
    assert message.endswith(
        "has format version 3; this version of sestina reads up to 2: "
        "upgrade with pip install --upgrade sestina"
    )


@pytest.mark.parametrize(
    "file", ["cpu-fp32.onnx", "tokenizer.json", "golden.json", "golden.npy", "LICENSE", "README.md"]
)
def test_missing_truncated_or_altered_file(file: str, own_bundle: Path) -> None:
    path = own_bundle / file
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == (
        f"{path} has {len(content) - 1} bytes where the manifest says {len(content)}: copy the bundle again"
    )
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == (
        f"{path} is not the file that was exported (its SHA-256 differs): copy the bundle again"
    )
    path.unlink()
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == f"{path} is missing: copy the bundle again"
    path.mkdir()
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == f"{path} is not a plain file: copy the bundle again"


@pytest.mark.parametrize(
    "name", ["../outside.onnx", "/etc/passwd", "a/b.onnx", "..", ".hidden", "C:\\x", "a\0b", "", "nul\n"]
)
def test_path_escape(name: str, own_bundle: Path) -> None:
    (own_bundle.parent / "outside.onnx").write_bytes((own_bundle / "cpu-fp32.onnx").read_bytes())
    edit_manifest(own_bundle, lambda document: document["variants"][0].update(file=name))
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message.endswith(f"names the file {name!r}; a bundle holds only files directly inside it")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda m: m["variants"].clear(), "the bundle has no variants"),
        (lambda m: m["variants"][0].update(precision="fp8"), "precision is 'fp8'; this version knows fp32"),
        (lambda m: m["variants"][0].update(sha256="0"), "is not 64 lower-case hex digits"),
        (lambda m: m["variants"][0]["parity"].clear(), "member 'tolerance' is missing"),
        (lambda m: m["contract"].update(max_tokens=0), "max_tokens is 0; it must be at least 1"),
        (lambda m: m["contract"].update(max_tokens=True), "member 'max_tokens' is missing or of the wrong"),
        (lambda m: m["contract"].update(pooling="median"), "pooling is 'median'; this version knows mean"),
        (lambda m: m["encoder"].clear(), "member 'd_model' is missing or of the wrong type"),
        (lambda m: m["encoder"].update(d_model="x"), "member 'd_model' is missing or of the wrong type"),
        (lambda m: m["encoder"].update(d_model=-5), "d_model is -5; it must be at least 1"),
        (lambda m: m["encoder"].update(d_ff=float("nan")), "is not valid JSON (JSON has no number NaN)"),
        (lambda m: m["encoder"].update(d_ff=1.5), "member 'd_ff' is missing or of the wrong type"),
        (lambda m: m["encoder"].update(max_positions=63), "max_tokens is above the encoder's 63 positions"),
        (lambda m: m["encoder"].update(max_positions=1 << 31), "it must be at most 2147483647"),
        (lambda m: m["files"][0].update(bytes=1 << 63), "it must be at most 9223372036854775807"),
        (lambda m: m["contract"].update(dimensions=31), "has no sentence_embedding of 31 dimensions"),
        (lambda m: m["variants"][0]["outputs"].clear(), "has no sentence_embedding of 32 dimensions"),
        (lambda m: m["variants"][0]["inputs"][0].update(shape=[True]), "is not of numbers and names"),
        (lambda m: m["variants"][0]["inputs"][0].update(shape=[-1]), "is not of numbers and names"),
        (lambda m: fix(m), "member 'buckets' is missing or of the wrong type"),
        (lambda m: fix(m, []), "buckets must be 1 to 64 whole numbers above 0, ascending"),
        (lambda m: fix(m, [64, 16]), "buckets must be 1 to 64 whole numbers above 0, ascending"),
        (lambda m: fix(m, [16, 16, 64]), "buckets must be 1 to 64 whole numbers above 0, ascending"),
        (lambda m: fix(m, [0, 64]), "buckets must be 1 to 64 whole numbers above 0, ascending"),
        (lambda m: fix(m, [True, 64]), "buckets must be 1 to 64 whole numbers above 0, ascending"),
        (lambda m: fix(m, ["64"]), "buckets must be 1 to 64 whole numbers above 0, ascending"),
        (lambda m: fix(m, [16, 63]), "is 63; it must be from max_tokens to the encoder's 64 positions"),
        (lambda m: fix(m, [65]), "is 65; it must be from max_tokens to the encoder's 64 positions"),
        (lambda m: tolerate(m, True), "member 'tolerance' is missing or of the wrong type"),
        (lambda m: tolerate(m, 0), "tolerance must be a finite number above 0"),
        (lambda m: tolerate(m, 10**400), "tolerance must be a finite number above 0"),
        (lambda m: tolerate(m, float("inf")), "is not valid JSON (JSON has no number Infinity)"),
        (lambda m: m["provenance"].update(x=float("-inf")), "(JSON has no number -Infinity)"),
        (lambda m: m["files"].pop(0), "tokenizer.json is not listed"),
        (lambda m: m["files"].append(m["files"][0]), "a file is listed twice"),
        (lambda m: m["variants"][1]["inputs"][0].update(name="ids"), "has the inputs ['input_ids'], unlike"),
    ],
)
def test_manifest_that_contradicts_itself(change: Any, said: str, own_bundle: Path) -> None:
    edit_manifest(own_bundle, change)
    assert said in refusal(own_bundle, sestina.BundleFormatError, ValueError)


def test_directory_without_read_permission(own_bundle: Path) -> None:
    """As an ordinary user: root may read everything."""
    code = (
        "import os, sys\n"
        "import sestina\n"
        "import sestina._load, sestina._opening  # while their files may be read\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: sestina.load(sys.argv[1], precision='fp32')\n"
        "except sestina.BundlePermissionError as error: print(isinstance(error, PermissionError), error)\n"
    )
    for closed in (own_bundle, own_bundle / "cpu-fp32.onnx"):
        for parent in own_bundle.parents:
            if parent.stat().st_uid == os.getuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o755)
        closed.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", code, str(own_bundle)], check=True, capture_output=True, text=True
        )
        closed.chmod(0o755)
        assert done.stdout == f"True {closed} may not be read by this user: check its permissions\n"


def test_the_graph_of_another_variant_is_checked_when_it_is_used(own_bundle: Path) -> None:
    """Its size at load, its digest by `verify` or when it is chosen: nobody pays for what they do not run."""
    other = own_bundle / "cpu-int8.onnx"
    content = other.read_bytes()
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with sestina.load(own_bundle, precision="fp32") as encoder:
        encoder.encode("a")
        with pytest.raises(sestina.BundleIntegrityError, match=r"cpu-int8\.onnx is not the file that was"):
            encoder.verify()
    with pytest.raises(sestina.BundleIntegrityError, match=r"cpu-int8\.onnx is not the file that was"):
        sestina.load(own_bundle, precision="int8")
    other.write_bytes(content[:-1])
    with pytest.raises(sestina.BundleIntegrityError, match="bytes where the manifest says"):
        sestina.load(own_bundle, precision="fp32")


def test_unknown_members_are_ignored(own_bundle: Path) -> None:
    """A later minor addition to the format does not lock older readers out."""
    edit_manifest(own_bundle, lambda document: document.update(added_later={"x": 1}))
    with sestina.load(own_bundle) as encoder:
        assert encoder.verify().passed


def test_foreign_files_are_never_opened(own_bundle: Path) -> None:
    (own_bundle / "evil.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with sestina.load(own_bundle) as encoder:
        assert encoder.verify().passed


@pytest.mark.parametrize("options, said", [
    ({"provider": "tpu"}, "provider is 'tpu'; it must be one of auto, " + ", ".join(PROVIDERS)),
    ({"precision": "fp8"}, "precision is 'fp8'; it must be one of auto, fp32, fp16, int8, a16w8, int4"),
    ({"precision": "fp16"}, "no variant for cpu/fp16; it has cpu/int8, cpu/fp32: export one, or ask for auto"),
    ({"threads": 0}, "threads is 0; it must be a whole number from 1 to 1024, or None"),
    ({"threads": "2"}, "threads is '2'; it must be a whole number from 1 to 1024, or None"),
    ({"max_memory_mb": 0}, "max_memory_mb is 0; it must be a whole number from 1 to 16777216, or None"),
])  # fmt: skip
def test_options_that_are_not_allowed(options: dict[str, Any], said: str, bundle: Path) -> None:
    with pytest.raises(sestina.OptionError) as caught:
        sestina.load(bundle, **options)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).endswith(said)


def test_read_gives_only_what_was_exported(own_bundle: Path) -> None:
    bundle = Bundle(own_bundle)
    path = own_bundle / "tokenizer.json"
    content = path.read_bytes()
    assert bundle.read("tokenizer.json") == content
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        sestina.BundleIntegrityError, match=r"tokenizer\.json is not the file that was exported"
    ):
        bundle.read("tokenizer.json")


def test_a_link_to_itself(own_bundle: Path) -> None:
    licence = own_bundle / "LICENSE"
    licence.unlink()
    licence.symlink_to("LICENSE")
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message.startswith(f"{licence} ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(own_bundle: Path) -> None:
    licence = own_bundle / "LICENSE"
    licence.unlink()
    os.mkfifo(licence)
    edit_manifest(own_bundle, lambda m: [e.update(bytes=0) for e in m["files"] if e["file"] == "LICENSE"])
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == f"{licence} is not a plain file: copy the bundle again"


def test_weights_in_an_unlisted_file(own_bundle: Path) -> None:
    graph = own_bundle / "cpu-fp32.onnx"
    onnx.save_model(
        onnx.load(graph), graph, save_as_external_data=True, location="weights.bin", size_threshold=64
    )
    assert (own_bundle / "weights.bin").exists()
    list_anew(own_bundle, graph.name)
    message = refusal(own_bundle, sestina.BundleIntegrityError, ValueError)
    assert message == (
        f"{graph} keeps its weights in another file, which a bundle may not: export the bundle again"
    )


def test_only_a_gate_can_have_been_passed(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_choice, "has_fast_int8", lambda: True)
    assert choose(Bundle(own_bundle), "cpu", "auto").reason == (
        "int8 is the fastest here and passed its quality gate"
    )
    for spoil in (lambda parity: parity["cosine"].pop("gate"), lambda parity: parity.update(cosine=1)):
        edit_manifest(
            own_bundle,
            lambda m, spoil=spoil: [spoil(v["parity"]) for v in m["variants"] if v["precision"] == "int8"],
        )
        assert choose(Bundle(own_bundle), "cpu", "auto").reason == "int8 is the fastest here"


def test_a_provider_runs_only_what_suits_it(own_bundle: Path) -> None:
    def change(document: Any, **members: Any) -> None:
        document["variants"][0].update(members)

    file = Bundle(own_bundle).manifest.variants[0].entry.file
    other = Bundle(own_bundle).manifest.variants[1].entry.file
    edit_manifest(own_bundle, lambda m: change(m, target="qnn", shapes="dynamic"))
    with pytest.raises(sestina.ProviderError, match="has no variant for qnn; it has qnn/int8, cpu/fp32"):
        choose(Bundle(own_bundle), "qnn", "auto")
    edit_manifest(own_bundle, lambda m: change(m, precision="a16w8"))
    with pytest.raises(sestina.ProviderError, match="has no variant for qnn"):
        choose(Bundle(own_bundle), "qnn", "auto")
    edit_manifest(own_bundle, lambda m: change(m, shapes="static", buckets=[16, 64]))
    choice = choose(Bundle(own_bundle), "qnn", "auto")
    assert (choice.variant.entry.file, choice.reason) == (file, "the only one that fits")
    assert choice.passed_over == (f"{other}: made for cpu, not for qnn",)
    assert choose(Bundle(own_bundle), "cpu", "auto").passed_over == (f"{file}: made for qnn, not for cpu",)
    with pytest.raises(
        sestina.OptionError, match="has no variant for qnn/fp16; it has qnn/a16w8 of fixed shapes"
    ):
        choose(Bundle(own_bundle), "qnn", "fp16")


@pytest.mark.parametrize("fast, order", [(True, ["int8", "fp32"]), (False, ["fp32", "int8"])])
def test_the_cpu_prefers_int8_where_it_is_fast(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, fast: bool, order: list[str]
) -> None:
    monkeypatch.setattr(_choice, "has_fast_int8", lambda: fast)
    choice = choose(Bundle(bundle), "cpu", "auto")
    assert [variant.precision for variant in choice.variants] == order
    if not fast:
        assert choice.reason == "this processor has no fast int8 arithmetic, so fp32 comes first"


@pytest.mark.parametrize(
    "own, limits, cores",
    [
        ("0::/system.slice/a.service\n", {"system.slice/a.service/cpu.max": "150000 100000"}, 2),
        (
            "0::/a/b\n",
            {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000", "cpu.max": "max 100000"},
            3,
        ),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "400000 100000"}, 1),
        ("0::/a\n", {"a/cpu.max": "max 100000"}, 8),
        ("0::/gone\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/../../other\n", {"cpu.max": "200000 100000"}, 2),
        (
            "3:cpu,cpuacct:/a/b\n2:memory:/c\n",
            {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000",
             "cpu/a/b/cpu.cfs_quota_us": "-1", "cpu/a/b/cpu.cfs_period_us": "100000"},
            3,
        ),
        ("nonsense\n\n0::\n", {"cpu.max": "1 0"}, 8),
        (None, {}, 8),
    ],
)  # fmt: skip
def test_threads_keep_to_the_quota_of_every_control_group(
    own: str | None, limits: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in limits.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(limit + "\n")
    if own is not None:
        (tmp_path / "cgroup").write_text(own)
    monkeypatch.setattr(_threads, "_CGROUP_ROOT", tmp_path / "mount")
    monkeypatch.setattr(_threads, "_OWN_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(_threads, "_CPU_DIRS", tmp_path)
    monkeypatch.setattr(_threads, "_affinity", lambda: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert _threads.usable_cores() == cores


@pytest.mark.parametrize(
    "value, cores",
    [
        ("1", 1),
        ("3", 3),
        ("2,4", 2),
        (" 5 ", 5),
        ("64", 8),
        ("0", 6),
        ("", 6),
        ("-2", 6),
        ("two", 6),
        ("9" * 99, 6),
    ],
)
def test_threads_are_those_of_openmp_where_it_says(
    value: str, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    monkeypatch.setattr(_threads, "_affinity", lambda: set(range(8)))
    monkeypatch.setattr(_threads, "_core_of", lambda cpu: str(cpu % 6))
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: None)
    assert _threads.usable_cores() == cores
