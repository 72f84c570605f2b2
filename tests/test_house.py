"""The house rules that no linter knows: who may import whom, what is public, how large a room may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sestina

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "sestina": ROOT / "runtime" / "sestina",
    "sestina_model": ROOT / "model" / "sestina_model",
    "sestina_export": ROOT / "export" / "sestina_export",
}
MAY_IMPORT = {
    "sestina": {"numpy", "onnxruntime", "tokenizers", "tqdm", "sestina"},
    "sestina_model": {"numpy", "torch", "safetensors", "tokenizers", "tqdm", "sestina_model"},
    "sestina_export": {
        "numpy", "torch", "onnx", "onnxruntime", "onnxscript", "onnx_ir", "safetensors", "tokenizers",
        "sestina", "sestina_model", "sestina_export",
    },
}  # fmt: skip
# Commands that hand over to a part with an extra, inside the function that needs it.
HAND_OVER = {
    ("sestina_export", "_hub.py"): {"huggingface_hub"},
    ("sestina_export", "_hub_errors.py"): {"huggingface_hub"},
    ("sestina_export", "_transformers.py"): {"transformers"},
    ("sestina", "_cli/compressed.py"): {"zstandard"},
    ("sestina", "_cli/export.py"): {"sestina_export", "sestina_model"},
    ("sestina", "_cli/tables/arrow.py"): {"pyarrow"},
    ("sestina", "__main__.py"): {"sestina_model"},
    ("sestina", "_bench/ctranslate2.py"): {"ctranslate2"},
    ("sestina", "_bench/fastembed.py"): {"fastembed"},
    ("sestina", "_bench/on_device.py"): {"torch"},
    ("sestina", "_bench/openvino.py"): {"nncf", "openvino"},
    ("sestina", "_bench/plain_onnx.py"): {"torch", "transformers"},
    ("sestina", "_bench/roofline.py"): {"onnx"},
    ("sestina", "_sparse_vectors.py"): {"scipy"},
    ("sestina", "_bench/task_peers.py"): {"sentence_transformers", "torch", "transformers"},
    ("sestina", "_bench/sentence_transformers.py"): {"sentence_transformers", "torch"},
    ("sestina", "_bench/sentence_transformers_onnx.py"): {"sentence_transformers"},
    ("sestina", "_bench/torch.py"): {"torch", "sestina_model"},
    # Each integration and its host, which is imported where the integration is: it is for those who have it.
    ("sestina", "integrations/bertopic.py"): {"bertopic"},
    ("sestina", "integrations/chroma.py"): {"chromadb"},
    ("sestina", "integrations/dspy.py"): {"dspy"},
    ("sestina", "integrations/duckdb.py"): {"duckdb", "pyarrow"},
    ("sestina", "integrations/_haystack.py"): {"haystack"},
    ("sestina", "integrations/haystack.py"): {"haystack"},
    ("sestina", "integrations/keybert.py"): {"keybert"},
    ("sestina", "integrations/lancedb.py"): {"lancedb", "pydantic"},
    ("sestina", "integrations/langchain.py"): {"langchain_core"},
    ("sestina", "integrations/llama_index.py"): {"llama_index"},
    ("sestina", "integrations/mteb.py"): {"mteb"},
    ("sestina", "integrations/polars.py"): {"polars"},
    ("sestina", "integrations/ray.py"): {"pyarrow", "ray"},
    ("sestina", "integrations/_ray/bundle.py"): {"ray"},
    ("sestina", "integrations/_ray/cluster.py"): {"ray"},
    ("sestina", "integrations/_ray/embedder.py"): {"pyarrow", "ray"},
    ("sestina", "integrations/_ray/job.py"): {"pyarrow"},
    ("sestina", "integrations/_ray/output.py"): {"pyarrow"},
    ("sestina", "integrations/_ray/pipeline.py"): {"ray"},
    ("sestina", "integrations/_ray/runs.py"): {"pyarrow"},
    ("sestina", "integrations/_ray/source.py"): {"pyarrow", "ray"},
    ("sestina", "integrations/_ray/table.py"): {"pandas", "pyarrow"},
    ("sestina", "integrations/_ray/tally.py"): {"pyarrow"},
    ("sestina", "integrations/sentence_transformers.py"): {"torch"},
    ("sestina", "integrations/sklearn.py"): {"sklearn"},
    ("sestina", "integrations/spark.py"): {"pyarrow", "pyspark"},
    ("sestina", "integrations/txtai.py"): {"txtai"},
}
# What each wing of a package is built on: a folder, or a module beside the folders. From the ground up: a wing
# may use only those that stand above it here. docs/inside.md says what each is for.
WINGS: dict[str, dict[str, set[str]]] = {
    "sestina": {
        "_handlers": set(),
        "_quote": {"_handlers"},
        "_errors": {"_quote"},
        "_arrays": set(),
        "_html": set(),
        "_report": set(),
        "_leftovers": set(),
        "_caller": set(),
        "_columns": {"_errors"},
        "_arguments": {"_columns", "_errors", "_handlers", "_quote"},
        "_recipe": set(),
        "_vectors": {"_arrays", "_errors", "_handlers", "_quote"},
        "_similarity": {"_arrays", "_errors", "_vectors"},
        "_process": {"_errors", "_handlers"},
        "_progress": {"_errors", "_process"},
        "_onnxruntime": {"_errors", "_handlers", "_process"},
        "_bundle": {"_arguments", "_errors", "_handlers", "_onnxruntime", "_process", "_quote", "_vectors"},
        "_bits": {"_arrays"},
        "_output": {"_arguments", "_arrays", "_bits", "_errors"},
        "_text": {
            "_arguments", "_arrays", "_caller", "_columns", "_errors", "_handlers", "_process", "_quote",
        },
        "_providers": {
            "_arguments", "_bundle", "_errors", "_handlers", "_onnxruntime", "_process", "_quote",
        },
        "_session": {"_arrays", "_bundle", "_errors", "_onnxruntime", "_process", "_providers"},
        "_selection": {
            "_arrays", "_bundle", "_errors", "_handlers", "_leftovers", "_onnxruntime", "_providers", "_session",
        },
        "_schedule": {"_arrays", "_bundle", "_errors", "_handlers", "_process", "_session", "_text"},
        "_explain": {"_arrays", "_bundle", "_errors", "_html", "_schedule", "_session", "_text"},
        "_verification": {"_bundle", "_process", "_schedule", "_text"},
        "_logits": {"_arrays"},
        "_maxsim": {"_arguments", "_arrays", "_errors", "_vectors"},
        "_asked": {"_arguments", "_arrays", "_errors", "_text"},
        "_loaded": {
            "_bundle", "_errors", "_process", "_providers", "_recipe", "_report", "_schedule", "_verification",
        },
        "_familiar": {"_errors"},
        "_facts": {"_errors", "_familiar", "_loaded"},
        "_sparse_rows": {"_arrays", "_errors", "_similarity"},
        "_sparse_vectors": {"_arguments", "_arrays", "_errors", "_process", "_sparse_rows"},
        "_several": {
            "_arguments", "_arrays", "_bundle", "_errors", "_output", "_progress", "_quote", "_schedule", "_sparse_rows",
            "_sparse_vectors", "_text",
        },
        "_encoder": {
            "_arguments", "_arrays", "_explain", "_facts", "_familiar", "_loaded", "_output", "_process", "_progress", "_recipe",
            "_schedule", "_several", "_similarity", "_sparse_vectors", "_text", "_vectors",
        },
        "_reranker": {
            "_arguments", "_arrays", "_asked", "_errors", "_loaded", "_logits", "_progress", "_schedule", "_text",
        },
        "_classifier": {"_arguments", "_arrays", "_loaded", "_logits", "_progress", "_text"},
        "_spans": {"_arrays", "_text"},
        "_tagger": {"_arguments", "_arrays", "_loaded", "_logits", "_progress", "_spans", "_text"},
        "_sparse_encoder": {
            "_arguments", "_arrays", "_facts", "_familiar", "_loaded", "_progress", "_recipe", "_schedule",
            "_sparse_rows", "_sparse_vectors", "_text",
        },
        "_multi_vector_encoder": {
            "_arguments", "_arrays", "_asked", "_bundle", "_familiar", "_loaded", "_maxsim", "_progress", "_schedule",
            "_text",
        },
        "_tasks": {
            "_bundle", "_classifier", "_errors", "_multi_vector_encoder", "_process", "_quote", "_reranker",
            "_sparse_encoder", "_tagger", "_text",
        },
        "_opening": {
            "_bundle", "_encoder", "_loaded", "_process", "_providers", "_schedule", "_selection", "_session", "_text",
        },
        "_load": {
            "_arguments", "_bundle", "_caller", "_encoder", "_errors", "_familiar", "_opening", "_process", "_providers",
            "_quote", "_recipe", "_report", "_schedule", "_selection", "_tasks",
        },
        "_loaders": {"_familiar", "_load", "_loaded", "_tasks"},
        "_trial": {"_bundle", "_errors", "_loaders", "_process", "_providers", "_selection"},
        "_search": {"_arguments", "_arrays", "_bits", "_bundle", "_errors", "_similarity", "_vectors"},
        "_requests": {"_arguments", "_caller", "_encoder"},
        "_async": {
            "_arguments", "_arrays", "_caller", "_encoder", "_errors", "_loaded", "_process", "_quote", "_requests", "_text",
        },
        "__init__": {
            "_asked", "_async", "_bundle", "_classifier", "_encoder", "_errors", "_explain", "_familiar", "_load", "_loaders",
            "_multi_vector_encoder", "_process", "_report", "_reranker", "_search", "_several", "_sparse_encoder",
            "_sparse_vectors", "_tagger", "_text",
        },
        "_bench": {"__init__", "_arrays", "_bundle", "_errors", "_html", "_process", "_providers", "_text"},
        "_cli": {
            "__init__", "_arrays", "_bench", "_bits", "_bundle", "_encoder", "_errors", "_explain", "_leftovers", "_load",
            "_loaded", "_loaders", "_multi_vector_encoder", "_onnxruntime", "_output", "_progress", "_providers", "_reranker",
            "_similarity", "_sparse_vectors", "_tasks", "_text", "_trial", "_vectors",
        },
        "__main__": {"_cli"},
        # A framework's door is built as a user would build it; what it refuses and warns of is said as everywhere else.
        "integrations": {"__init__", "_arguments", "_caller", "_handlers", "_quote"},
    },
    "sestina_export": {
        "_errors": set(),
        "_tools": set(),
        "_transformers": set(),
        "_card": set(),
        "_head": {"_errors"},
        "_fingerprint": set(),
        "_target": {"_errors"},
        "_graph": {"_tools"},
        "_forms": {"_errors", "_graph"},
        "_quantise": {"_errors", "_forms", "_graph", "_tools"},
        "_proof": {"_errors", "_graph", "_transformers"},
        "_variants": {"_errors", "_forms", "_graph", "_proof", "_quantise"},
        "_limits": {"_errors", "_variants"},
        "_build": {"_errors", "_forms", "_graph", "_variants"},
        "_hub_errors": {"_errors"},
        "_hub": {"_errors", "_hub_errors", "_transformers"},
        "_memory": {"_errors", "_transformers"},
        "_conversion": {"_errors", "_transformers"},
        "_source": {"_build", "_conversion", "_errors", "_hub", "_memory"},
        "_produce": {"_build", "_errors", "_forms", "_graph", "_proof", "_variants"},
        "_verified": {"_errors", "_produce", "_proof"},
        "_check": {"_errors", "_tools"},
        "_contents": {"_card", "_produce"},
        "_export": {
            "_contents", "_errors", "_fingerprint", "_head", "_limits", "_produce", "_proof", "_quantise",
            "_source", "_target", "_variants", "_verified",
        },
        "__init__": {"_check", "_errors", "_export", "_proof"},
    },
}  # fmt: skip
# Modules of more than 250 lines, and why they are not two.
LARGER = {
    ("sestina", "_encoder.py"): "the public face: half of it is docstrings",
    ("sestina", "_multi_vector_encoder.py"): "the public face of a task: half of it is docstrings",
    ("sestina_model", "checkpoint.py"): "one format, read and written",
}
MODULES = [(package, path) for package, root in PACKAGES.items() for path in sorted(root.rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            yield (node.module or "").partition(".")[0]


def test_the_source_tree_is_found() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("package, path", MODULES, ids=lambda value: getattr(value, "stem", value))
def test_dependencies_run_one_way(package: str, path: Path) -> None:
    found = set(imported(ast.parse(path.read_text())))
    allowed = MAY_IMPORT[package] | set(sys.stdlib_module_names)
    allowed |= HAND_OVER.get((package, path.relative_to(PACKAGES[package]).as_posix()), set())
    assert found <= allowed


@pytest.mark.parametrize("package, path", MODULES, ids=lambda value: getattr(value, "stem", value))
def test_rooms_are_small_and_say_what_they_are_for(package: str, path: Path) -> None:
    text = path.read_text()
    larger = (package, path.relative_to(PACKAGES[package]).as_posix()) in LARGER
    assert len(text.splitlines()) <= (360 if larger else 250)
    assert ast.get_docstring(ast.parse(text))


def wing_of(package: str, path: Path) -> str:
    """The folder of a package that a module lies in, or its own name."""
    return path.relative_to(PACKAGES[package]).parts[0].removesuffix(".py")


def own_imports(package: str, tree: ast.AST) -> Iterator[str]:
    """The wings of its own package that a module imports from, inside functions too."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{name}" for name in names]
        for name in names:
            first, *inner = name.split(".")
            if first == package:
                wing = inner[0] if inner else "__init__"
                yield wing if wing in WINGS[package] else "__init__"


def used(package: str) -> dict[str, set[str]]:
    """Which wings each wing of a package imports from, as the code has it."""
    found: dict[str, set[str]] = {}
    for owner, path in MODULES:
        if owner == package:
            wing = wing_of(package, path)
            found.setdefault(wing, set()).update(own_imports(package, ast.parse(path.read_text())))
    return {wing: others - {wing} for wing, others in found.items()}


@pytest.mark.parametrize("package", WINGS)
def test_wings_are_built_on_what_is_under_them(package: str) -> None:
    """No import runs back up, so there is no circle; and what is allowed is what is there."""
    stated, below = WINGS[package], set[str]()
    for wing, others in stated.items():
        assert others <= below, f"{wing} is built on {others - below}, which stands above it"
        below.add(wing)
    assert used(package) == stated


def test_an_import_that_runs_up_is_found() -> None:
    """The negative control: the kinds of import there are, seen where they stand."""
    code = "def call():\n    from sestina._load import load\nimport sestina._cli.parser\nfrom sestina import _html, load"
    assert set(own_imports("sestina", ast.parse(code))) == {"_load", "_cli", "_html", "__init__"}


def run(node: ast.AST) -> Iterator[ast.AST]:
    """What is ever run: all but what is for type checkers."""
    yield node
    for inner in ast.iter_child_nodes(node):
        if not (isinstance(inner, ast.If) and "TYPE_CHECKING" in ast.unparse(inner.test)):
            yield from run(inner)


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_import_in_no_circle(package: str) -> None:
    names = {
        ".".join([package, *path.relative_to(PACKAGES[package]).with_suffix("").parts]): path
        for owner, path in MODULES
        if owner == package and path.stem != "__init__"
    }
    imports = {name: set[str]() for name in names}
    for name, path in names.items():
        for node in run(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                found = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                imports[name] |= found & set(names)
    while free := [name for name, others in imports.items() if not others]:  # nothing left under them
        imports = {name: others - set(free) for name, others in imports.items() if name not in free}
    assert imports == {}


@pytest.mark.parametrize("package", WINGS)
def test_modules_of_a_wing_have_plain_names(package: str) -> None:
    """The wing is private; what is inside need not say so again. A wing without a mark is for users, each module."""
    inner = [path for owner, path in MODULES if owner == package and wing_of(package, path).startswith("_")]
    inner = [path for path in inner if path.parent != PACKAGES[package]]
    assert not [path.name for path in inner if path.stem.startswith("_") and path.stem != "__init__"]


def test_the_page_names_every_wing() -> None:
    page = (ROOT / "docs" / "inside.md").read_text()
    folders = [wing for package in WINGS for wing in WINGS[package] if (PACKAGES[package] / wing).is_dir()]
    assert [wing for wing in folders if f"`{wing}`" not in page] == []


def test_public_names() -> None:
    assert sestina.__all__ == sorted(sestina.__all__)
    for name in sestina.__all__:
        assert getattr(sestina, name).__doc__
    public = {name for name in dir(sestina) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(sestina, name), type(sys))}
    assert public - modules - {"TYPE_CHECKING"} == set(sestina.__all__)
    # Integrations are public, and there once somebody has imported one.
    assert not [name for name in modules - {"integrations"} if name not in sys.stdlib_module_names]


def test_every_error_has_the_one_root_and_a_builtin() -> None:
    leaves = [
        value
        for name in sestina.__all__
        if isinstance(value := getattr(sestina, name), type) and issubclass(value, Exception)
    ]
    for leaf in leaves:
        if leaf in (sestina.SestinaError, sestina.BundleError) or issubclass(leaf, Warning):
            continue
        assert issubclass(leaf, sestina.SestinaError)
        own = {sestina.SestinaError, sestina.BundleError, Exception, BaseException, object, leaf}
        assert [base for base in leaf.__mro__ if base not in own], f"{leaf} specialises no builtin"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_typed(package: str) -> None:
    assert (PACKAGES[package] / "py.typed").is_file()


def test_runtime_imports_none_of_the_heavy_ones() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'transformers', 'huggingface_hub', 'sestina_model', 'sestina_export'):\n"
        "    sys.modules[name] = None\n"
        "import pkgutil, importlib, sestina\n"
        "for module in pkgutil.walk_packages(sestina.__path__, 'sestina.'):\n"
        "    if not module.name.startswith('sestina.integrations.'):\n"
        "        importlib.import_module(module.name)\n"
        "print('imported')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "imported\n"


INTEGRATIONS = {
    path: next(iter(hosts - {"pandas", "pyarrow", "pydantic"}))
    for (_, path), hosts in HAND_OVER.items()
    if path.startswith("integrations/") and not path.startswith("integrations/_")
}


def test_every_integration_is_listed_with_its_host() -> None:
    folder = PACKAGES["sestina"] / "integrations"
    assert {f"integrations/{path.name}" for path in folder.glob("[a-z]*.py")} == set(INTEGRATIONS)


def test_an_integration_is_imported_by_whoever_has_its_host_and_by_nobody_else() -> None:
    code = (
        "import importlib, sys, sestina\n"
        "sestina.load().encode(['a text'])\n"
        "assert not [name for name in sys.modules if name.startswith('sestina.integrations')]\n"
        f"hosts = {INTEGRATIONS}\n"
        "for host in hosts.values():\n"
        "    sys.modules[host] = None\n"
        "for path in hosts:\n"
        "    name = 'sestina.' + path.removesuffix('.py').replace('/', '.')\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "        print(name)\n"
        "    except sestina.MissingExtraError as error:\n"
        "        assert 'is not installed: pip install' in str(error), error\n"
        "        assert error.name.partition('.')[0] == hosts[path], error.name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout == "sestina.integrations.sentence_transformers\n"
    )  # which needs PyTorch for tensors alone


def test_version_is_stated_once_and_in_the_changelog() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", sestina.__version__)
    assert f"## {sestina.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_files_of_a_package_are_asked_of_one_that_is_there() -> None:
    """A name in a string, where no import is checked: `importlib.resources.files("sestina._explain")`."""
    asked = {
        (path.relative_to(ROOT).as_posix(), name)
        for folder in PACKAGES.values()
        for path in folder.rglob("*.py")
        for name in re.findall(r'\bfiles\("([\w.]+)"\)', path.read_text(encoding="utf-8"))
    }
    assert len(asked) >= 3
    for where, name in asked:
        package, _, inner = name.partition(".")
        assert (PACKAGES[package] / inner.replace(".", "/") / "__init__.py").is_file(), where
