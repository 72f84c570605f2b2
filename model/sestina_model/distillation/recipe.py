"""A recipe: named stages, each a run that starts from the checkpoint that the stage before it left.

A JSON file: what its stages share, and under "stages", by name and in order, what each has of its own. The
files of a stage are in a folder of its name inside the recipe's.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sestina_model._errors import ConfigError, FileError
from sestina_model.distillation.config import DistillationConfig
from sestina_model.distillation.run import distil
from sestina_model.distillation.state import Position
from sestina_model.distillation.teacher import find_teacher

__all__ = ["Recipe", "Stage", "follow"]

_ALONE = "whole"  # the stage of a file that names none
_CACHE = "cache"  # the folder beside those of the stages
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of a recipe.

    Attributes:
        name: Of the stage.
        config: Its `warm_start` counts for the first stage alone.
    """

    name: str
    config: DistillationConfig


@dataclass(frozen=True, slots=True)
class Recipe:
    """Stages in their order.

    Raises:
        ConfigError: Where there is none, or one has a name that is no folder's.
    """

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise ConfigError("stages is empty; a recipe has at least one")
        for stage in self.stages:
            if not _NAME.fullmatch(stage.name) or stage.name == _CACHE:
                raise ConfigError(
                    f"a stage has the name {stage.name!r}; it must be lower-case letters, digits and "
                    f"hyphens, and not {_CACHE!r}"
                )

    def __getitem__(self, name: str) -> DistillationConfig:
        """The configuration of a stage.

        Raises:
            ConfigError: Where there is none of this name.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage.config
        raise ConfigError(
            f"there is no stage {name!r}; this recipe has {', '.join(stage.name for stage in self.stages)}"
        )

    def beginning_with(self, name: str, start: str | None) -> Recipe:
        """The stages from this one on, the first from the checkpoint `start`, where that is given."""
        first = self[name]
        if start is not None:
            first = dataclasses.replace(first, warm_start=start)
        rest = self.stages[[stage.name for stage in self.stages].index(name) + 1 :]
        return Recipe((Stage(name, first), *rest))

    def changed(self, **changes: Any) -> Recipe:
        """The recipe with these values in every stage."""
        return Recipe(
            tuple(Stage(each.name, dataclasses.replace(each.config, **changes)) for each in self.stages)
        )

    def with_second_teacher(self, teacher: str) -> Recipe:
        """The recipe with this second teacher, in the stages that have one.

        Raises:
            ConfigError: Where none does.
        """
        return self._where(
            lambda config: config.second_teacher is not None,
            f"no stage has a second teacher; leave {teacher} out",
            second_teacher=teacher,
        )

    def with_bundle(self, bundle: str) -> Recipe:
        """The recipe with this bundle of the teacher, in the stages that keep its vectors.

        Raises:
            ConfigError: Where none does.
        """
        return self._where(
            lambda config: config.mix is not None,
            f"no stage keeps the teacher's vectors; leave the bundle {bundle} out",
            bundle=bundle,
        )

    def _where(self, such: Callable[[DistillationConfig], bool], none: str, **changes: Any) -> Recipe:
        if not any(such(each.config) for each in self.stages):
            raise ConfigError(none)
        return Recipe(
            tuple(
                Stage(each.name, dataclasses.replace(each.config, **changes)) if such(each.config) else each
                for each in self.stages
            )
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Read a recipe. Values without "stages" are those of one stage, "whole".

        Raises:
            ConfigError: As `DistillationConfig.from_dict` does, naming the stage.
        """
        if "stages" not in values:
            return cls((Stage(_ALONE, DistillationConfig.from_dict(values)),))
        shared = dict(values)
        given = shared.pop("stages")
        if not isinstance(given, dict) or not all(isinstance(own, dict) for own in given.values()):
            raise ConfigError(f"stages is {json.dumps(given)[:40]}; it must hold an object for each stage")
        stages = []
        for name, own in given.items():
            try:
                stages.append(Stage(name, DistillationConfig.from_dict(shared | own)))
            except ConfigError as error:
                raise ConfigError(f"stage {name}: {error}") from None
        return cls(tuple(stages))

    @classmethod
    def from_file(cls, path: Path) -> Recipe:
        """Read a JSON file.

        Raises:
            ConfigError: Where it cannot be read, or a value is not allowed.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise ConfigError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{path} holds {json.dumps(values)[:40]}; it must hold a JSON object")
        return cls.from_dict(values)


def follow(
    recipe: Recipe,
    out: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: bool = False,
    device: str | None = None,
    begun: Callable[[str], object] = lambda _: None,
) -> Position | None:
    """Go through the stages, from wherever `out` has come to. Texts and vectors are kept there for all.

    Args:
        recipe: What is done.
        out: Its folder.
        stop: Asked after each step; true saves and returns.
        progress: Whether to draw progress bars on standard error.
        device: As for `distil`.
        begun: Called with the name of each stage that is not over yet.

    Returns: How far the last stage that was begun has come; None where all were over.

    Raises:
        ModelError: As its subclasses say, in one line.
    """
    position, start = None, None
    for at, (name, config) in enumerate((stage.name, stage.config) for stage in recipe.stages):
        whole = dataclasses.replace(
            config, cache=config.cache or str(out / _CACHE), warm_start=start or config.warm_start
        )
        start = str(out / name / "last")
        if _is_over(whole, out / name):
            continue
        if position is None:
            _find_teachers(recipe.stages[at:])  # said now, and not after hours of the stages before
        begun(name)
        position = distil(whole, out / name, stop=stop, progress=progress, device=device)
        if stop():
            break
    return position


def _find_teachers(stages: Sequence[Stage]) -> None:
    for stage in stages:
        for field in ("teacher", "second_teacher"):
            name = getattr(stage.config, field)
            if name is not None and not find_teacher(name).is_dir():
                raise FileError(
                    f"stage {stage.name}: {field} is {name}, which is no folder; name one with "
                    f"--{field.replace('_', '-')}"
                )


def _is_over(config: DistillationConfig, folder: Path) -> bool:
    """Whether this very stage has left its last checkpoint: then nothing of it needs to be read."""
    try:
        then = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return (folder / "last").is_dir() and DistillationConfig.from_dict(
            then
        ).identity() == config.identity()
    except (OSError, ValueError):
        return False
