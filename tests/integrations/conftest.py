"""What the tests of integrations share: an encoder, another space of the same width, some texts.

They run in an environment of their own (`make test-integrations`), which has every host; elsewhere they are left out.
There a host that cannot be imported is a failure. Ray and Spark have another (`make test-cluster`), and are skipped
elsewhere.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import sestina

# Hosts ask for nothing from elsewhere; those that would, wait for seconds until they give up.
# DSPy's cache is on disk, of this run alone.
_cache = tempfile.TemporaryDirectory()
os.environ |= {
    "ANONYMIZED_TELEMETRY": "False",
    "DSPY_CACHEDIR": _cache.name,
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "SCARF_NO_ANALYTICS": "true",
}
CLUSTERS = ("test_ray.py", "test_spark.py", "test_cluster_page.py")
DEFAULT = Path(sestina.__file__).parent / "default.sestina"
DOCUMENTS = ["plants turn light into sugar", "the central bank raised rates", "a cat sleeps on the mat"]
QUERY = "interest rates of the bank"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    there = importlib.util.find_spec("langchain_core") is not None
    return None if there or collection_path.name in ("conftest.py", *CLUSTERS) else True


@pytest.fixture(scope="session")
def encoder() -> sestina.Encoder:
    """The one in the box."""
    return sestina.load()


@pytest.fixture(scope="session")
def documents() -> list[str]:
    return list(DOCUMENTS)


@pytest.fixture(scope="session")
def query() -> str:
    """Whose nearest document is the second."""
    return QUERY


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one's own, of the space of the one in the box."""
    return shutil.copytree(DEFAULT, tmp_path / "own.sestina")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A bundle of another space, as wide."""
    return of_another_space(shutil.copytree(DEFAULT, tmp_path / "other.sestina"))


def of_another_space(bundle: Path) -> Path:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["space"] = manifest["space"][::-1]
    path.write_text(json.dumps(manifest), "utf-8")
    return bundle


@pytest.fixture
def becomes_another() -> Callable[[Path], str]:
    """Puts another model in a bundle's place; gives its space."""

    def change(bundle: Path) -> str:
        of_another_space(bundle)
        return str(json.loads((bundle / "manifest.json").read_text("utf-8"))["space"])

    return change


@pytest.fixture(scope="session")
def in_a_new_process() -> Callable[..., str]:
    """Runs code of Python with arguments; gives what it printed."""

    def run(code: str, *arguments: object) -> str:
        command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


class Prompted:
    """An encoder with prompts, as `Encoder.encode_query` and `encode_document` will be asked."""

    def __init__(self, encoder: sestina.Encoder) -> None:
        self._encoder, self.asked = encoder, list[tuple[str, list[str]]]()

    def encode_query(self, texts: list[str], **options: object) -> object:
        self.asked.append(("query", list(texts)))
        return self._encoder.encode([f"query: {text}" for text in texts], **options)  # type: ignore[arg-type]

    def encode_document(self, texts: list[str], **options: object) -> object:
        self.asked.append(("document", list(texts)))
        return self._encoder.encode([f"document: {text}" for text in texts], **options)  # type: ignore[arg-type]


@pytest.fixture
def prompted(monkeypatch: pytest.MonkeyPatch, encoder: sestina.Encoder) -> Prompted:
    """Every encoder has prompts for queries and documents now; tells what was asked of which."""
    made = Prompted(encoder)
    monkeypatch.setattr(
        sestina.Encoder, "encode_query", lambda _, *a, **o: made.encode_query(*a, **o), raising=False
    )
    monkeypatch.setattr(
        sestina.Encoder, "encode_document", lambda _, *a, **o: made.encode_document(*a, **o), raising=False
    )
    return made
