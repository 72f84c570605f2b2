"""What was opened and checked at `load` is what every later session uses, whatever becomes of the directory."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sestina
from _fakes import Behaviour, FakeOnnxruntime, forget_packages, install, plugin_package
from _masked import for_cpu, masked_bundle, masked_graph, portable, variant
from _tiny import tiny_bundle
from sestina._bundle import bundle as _bundle
from sestina._bundle import graph as _graph
from sestina._bundle.bundle import Bundle
from sestina._bundle.files import HeldFile, open_plain
from sestina._providers.table import PROVIDERS

TEXTS = ["the transformer", "attention relates the tokens", "a sestina", "the model"]
POSIX = os.name == "posix"


@pytest.fixture(scope="module")
def another(make_bundle: Callable[..., Path]) -> Path:
    """Of another model that reads the same texts. Shared: do not write to it."""
    return make_bundle(seed=11)


def replace(old: Path, new: Path) -> None:
    """As the README recommends: another directory renamed into its place."""
    aside = old.with_name("aside")
    old.rename(aside)
    shutil.copytree(new, old)
    shutil.rmtree(aside)


def remove(old: Path, _: Path) -> None:
    shutil.rmtree(old)


def files(old: Path, new: Path) -> None:
    """Each file renamed into place by itself."""
    for path in new.iterdir():
        shutil.copy(path, old / "new")
        (old / "new").replace(old / path.name)


def uses(encoder: sestina.Encoder, single: np.ndarray) -> None:
    """Everything that opens a session, or reads a file, after `load`."""
    assert np.abs(encoder.encode(TEXTS)[0] - single).max() < 1e-6
    assert np.abs(encoder.encode(TEXTS[0]) - single).max() < 1e-6
    assert np.abs(next(encoder.stream(TEXTS)) - single).max() < 1e-6
    assert encoder.verify().passed
    assert np.abs(encoder.explain(TEXTS[0]).vector - single).max() < 1e-6
    assert encoder.hidden_states(TEXTS[0])[0].shape[1] == 32
    assert encoder.report().provider == "cpu"


@pytest.mark.skipif(not POSIX, reason="what is open cannot be renamed here")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("happens", [replace, remove, files])
def test_a_bundle_that_goes_while_its_encoder_is_in_use(
    happens: Callable[[Path, Path], None], precision: str, own_bundle: Path, another: Path
) -> None:
    with sestina.load(own_bundle, precision=precision, threads=2) as encoder:
        single = encoder.encode(TEXTS[0])
        happens(own_bundle, another)
        uses(encoder, single)
    if happens is not remove:  # and whoever loads now gets the other one
        with sestina.load(own_bundle, precision=precision) as encoder:
            assert encoder.verify().passed
            assert float(encoder.encode(TEXTS[0]) @ single) < 0.9


@pytest.mark.skipif(not POSIX, reason="what is open cannot be renamed here")
def test_weights_that_are_mapped(own_bundle: Path, another: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, with the weights of a tiny encoder large enough to stay in their file."""
    from sestina._bundle import mapped as _mapped

    monkeypatch.setattr(_mapped, "LEAST_MAPPED", 1 << 10)
    small = tiny_bundle(own_bundle.with_name("small.sestina"))
    for precision in ("fp32", "int8"):
        assert Bundle(small).graph(f"cpu-{precision}.onnx").maps
        with sestina.load(small, precision=precision, threads=2) as encoder:
            single = encoder.encode(TEXTS[0])
            kept = shutil.copytree(small, small.with_name(f"kept-{precision}"))
            replace(small, another)
            uses(encoder, single)
        shutil.rmtree(small)
        kept.rename(small)


def test_a_relative_path_and_another_working_directory(
    own_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_bundle.parent)
    with sestina.load(own_bundle.name, threads=2) as encoder:
        single = encoder.encode(TEXTS[0])
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        uses(encoder, single)


@pytest.mark.skipif(not POSIX, reason="what is open cannot be renamed here")
@pytest.mark.parametrize("provider", ["cpu", "qnn"])
def test_buckets_that_are_opened_later(
    provider: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a provider too, with its probe, and the graph that looks inside on the CPU."""
    content = masked_graph("qnn-a16w8.onnx")
    graphs = (variant("qnn-a16w8.onnx", content, "qnn", "a16w8"), content), for_cpu()
    path = masked_bundle(bundle, tmp_path / "own.sestina", *(graphs if provider == "qnn" else (portable(),)))
    ep = PROVIDERS["qnn"].ep
    plugin_package(monkeypatch, tmp_path / "packages", "onnxruntime_qnn", ep)
    forget_packages(monkeypatch, "onnxruntime_ep_openvino", "onnxruntime_ep_webgpu")
    if provider == "qnn":
        install(monkeypatch, FakeOnnxruntime(**{ep: Behaviour()}))
    faulty = masked_bundle(bundle, tmp_path / "faulty.sestina", portable(masks=False))
    long = "model " * 20
    with sestina.load(path, provider=provider) as encoder:
        assert encoder.report().provider == provider
        expected = encoder.encode(long)
    with sestina.load(path, provider=provider) as encoder:
        encoder.encode("a")
        replace(path, faulty)
        assert np.array_equal(encoder.encode(long), expected)
        assert encoder.verify().passed
        assert np.array_equal(encoder.encode(["a", long])[1], expected)


@pytest.mark.skipif(not POSIX, reason="files are overwritten in place as others lock them here")
@pytest.mark.parametrize("name", ["cpu-fp32.onnx", "golden.npy", "golden.json"])
def test_an_overwritten_file_is_found_where_bytes_are_read_again(name: str, own_bundle: Path) -> None:
    """The README forbids to write into a bundle in use; what can be noticed is."""
    with sestina.load(own_bundle, precision="fp32", threads=2) as encoder:
        encoder.encode("a")
        path = own_bundle / name
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
        with pytest.raises(sestina.BundleIntegrityError, match="is not the file that was exported"):
            encoder.verify()
        if name == "cpu-fp32.onnx":  # the second session of a graph that is not mapped
            with pytest.raises(sestina.BundleIntegrityError, match="is not the file that was exported"):
                encoder.encode(["a", "b"])
            with pytest.raises(sestina.BundleIntegrityError, match="is not the file that was exported"):
                encoder.explain("a")


class TestDescriptors:
    pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nobody counts them here")

    @staticmethod
    def held(bundle: Path) -> int:
        """Descriptors of this process that lead into a bundle."""
        count = 0
        for link in Path("/proc/self/fd").iterdir():
            try:
                count += str(link.readlink()).startswith(str(bundle))
            except FileNotFoundError:  # the one that lists them
                continue
        return count

    def test_are_held_until_close(self, own_bundle: Path) -> None:
        encoder = sestina.load(own_bundle, threads=2)
        encoder.encode("a")
        encoder.encode(["a", "b"])
        encoder.explain("a")
        assert self.held(own_bundle) >= len(Bundle(own_bundle).manifest.all_files)
        encoder.close()
        assert self.held(own_bundle) == 0
        encoder.close()

    def test_are_gone_with_an_encoder_that_nobody_closed(self, own_bundle: Path) -> None:
        encoder = sestina.load(own_bundle, threads=2)
        encoder.encode(["a", "b"])
        del encoder
        gc.collect()
        assert self.held(own_bundle) == 0
        gc.disable()  # a bundle alone, with its last reference
        try:
            bundle = Bundle(own_bundle)
            bundle.graph("cpu-fp32.onnx")
            del bundle
            assert self.held(own_bundle) == 0
        finally:
            gc.enable()

    def test_are_gone_after_a_load_that_failed(self, own_bundle: Path) -> None:
        (own_bundle / "README.md").write_text("altered")
        for _ in range(3):
            with pytest.raises(sestina.BundleIntegrityError):
                sestina.load(own_bundle)
        path = own_bundle / "tokenizer.json"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        for _ in range(3):
            with pytest.raises(sestina.BundleIntegrityError):
                sestina.load(own_bundle)
        gc.collect()
        assert self.held(own_bundle) == 0

    def test_go_to_no_program_that_is_started(self, own_bundle: Path) -> None:
        with sestina.load(own_bundle):
            code = (
                "import os, sys\n"
                "links = []\n"
                "for name in os.listdir('/proc/self/fd'):\n"
                "    try: links.append(os.readlink('/proc/self/fd/' + name))\n"
                "    except OSError: pass\n"
                "print(any(link.startswith(sys.argv[1]) for link in links))"
            )
            done = subprocess.run(
                [sys.executable, "-c", code, str(own_bundle)],
                capture_output=True, text=True, check=True, close_fds=False,
            )  # fmt: skip
        assert done.stdout == "False\n"


def test_a_closed_encoder_has_nothing_to_check(own_bundle: Path) -> None:
    encoder = sestina.load(own_bundle)
    encoder.close()
    for call in (encoder.verify, lambda: encoder.explain("a"), encoder.report):
        with pytest.raises(sestina.ClosedError, match="^this encoder is closed: load the bundle again$"):
            call()


def test_closing_while_others_verify(own_bundle: Path) -> None:
    """Either it is done or it says that it is closed; no descriptor is taken from under a read."""
    for _ in range(10):
        encoder, outcomes = sestina.load(own_bundle), list[str]()

        def verify(encoder: sestina.Encoder = encoder, outcomes: list[str] = outcomes) -> None:
            try:
                outcomes.append(str(encoder.verify().passed))
            except sestina.ClosedError:
                outcomes.append("closed")

        threads = [threading.Thread(target=verify) for _ in range(3)]
        for thread in threads:
            thread.start()
        encoder.close()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 3
        assert set(outcomes) <= {"True", "closed"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_fork_takes_nothing_from_the_parent(own_bundle: Path) -> None:
    encoder = sestina.load(own_bundle, threads=2, on_fork="error")
    child = os.fork()
    if not child:
        code = 1
        try:
            encoder.verify()
        except sestina.ForkError:
            encoder.close()
            with sestina.load(own_bundle) as own:
                code = 7 if own.verify().passed else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert encoder.verify().passed
    encoder.explain("a")
    encoder.close()


class TestReplacedAtThatMoment:
    def swap(self, link: Path, target: Path) -> None:
        """A link to a directory, led to another at once."""
        fresh = link.with_name("fresh")
        fresh.symlink_to(target)
        fresh.replace(link)

    @pytest.mark.skipif(not POSIX, reason="needs links")
    def test_files_of_two_bundles_are_never_mixed(
        self, bundle: Path, another: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The link is led elsewhere between two files; then all of them are opened again."""
        link = tmp_path / "current"
        link.symlink_to(bundle)
        opened = list[str]()

        def open_and_swap(path: str) -> HeldFile | None:
            opened.append(path)
            if len(opened) == 4:
                self.swap(link, another)
            return open_plain(path)

        monkeypatch.setattr(_bundle, "open_plain", open_and_swap)
        found = Bundle(link)
        found.check(None)
        assert found.manifest.space == Bundle(another).manifest.space
        with sestina.load(link) as encoder:
            assert encoder.verify().passed

    @pytest.mark.skipif(not POSIX, reason="needs links")
    def test_a_bundle_that_never_rests_is_refused(
        self, bundle: Path, another: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        link, count = tmp_path / "current", 0
        link.symlink_to(bundle)

        def open_and_swap(path: str) -> HeldFile | None:
            nonlocal count
            count += path.endswith("manifest.json")
            if path.endswith("golden.npy"):
                self.swap(link, another if link.resolve() == bundle else bundle)
            return open_plain(path)

        monkeypatch.setattr(_bundle, "open_plain", open_and_swap)
        with pytest.raises(sestina.BundleIntegrityError, match="current changes while it is opened"):
            Bundle(link)
        assert count < 20

    @pytest.mark.skipif(not POSIX, reason="needs links")
    def test_loads_beside_a_swapping_link(self, bundle: Path, another: Path, tmp_path: Path) -> None:
        link, ended = tmp_path / "current", threading.Event()
        link.symlink_to(bundle)
        right = {}
        for path in (bundle, another):
            with sestina.load(path, precision="fp32") as encoder:
                right[encoder.space] = encoder.encode(TEXTS[0])

        def swapping() -> None:
            while not ended.is_set():
                for target in (another, bundle):
                    self.swap(link, target)
                    ended.wait(0.03)

        thread = threading.Thread(target=swapping)
        thread.start()
        try:
            for _ in range(15):
                with sestina.load(link, precision="fp32", threads=2) as encoder:
                    expected = right[encoder.space]
                    assert np.array_equal(encoder.encode(TEXTS[0]), expected)
                    assert np.abs(encoder.encode(TEXTS)[0] - expected).max() < 1e-6
                    assert encoder.verify().passed
        finally:
            ended.set()
            thread.join()


def test_a_file_system_without_mappings(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one of a system that reads at no position of one's choice: the same vectors."""
    from sestina._bundle import files as _files

    def refuse(*_: object, **__: object) -> None:
        raise OSError(19, "No such device")

    with sestina.load(own_bundle, precision="fp32") as encoder:
        expected = encoder.encode(TEXTS)
    monkeypatch.setattr(_files, "mmap", refuse)
    monkeypatch.delattr(os, "preadv", raising=False)
    monkeypatch.delattr(os, "pread", raising=False)
    monkeypatch.setattr(_files, "_PIECE", 1000)
    with sestina.load(own_bundle, precision="fp32") as encoder:
        assert np.array_equal(encoder.encode(TEXTS), expected)
        assert encoder.verify().passed
        encoder.explain("a")


def test_no_session_looks_into_the_working_directory() -> None:
    """What names are resolved in holds one empty file, and comes with the package."""
    folder = Path(_graph._NOWHERE)
    assert Path(sestina.__file__).parent in folder.parents
    assert [(path.name, path.stat().st_size) for path in folder.iterdir()] == [("weights", 0)]
