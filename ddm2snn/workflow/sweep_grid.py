"""The grid of a sweep: a recipe whose settings may be lists, and the recipe at each of its points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from ddm2snn.base.settings import Settings, explain, read_settings
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.workflow.recipe import Recipe

MOST_POINTS = 100_000
"""Points of the largest grid that is taken for one [choice]."""
_ALWAYS = ("system", "seed")  # columns of every table


class _Anything(Settings):
    """A TOML file of any keys."""

    model_config = ConfigDict(extra="allow", frozen=True)


@dataclass(frozen=True)
class Point:
    """One point of a grid: a recipe without lists, and the value of each swept setting by its column.

    >>> Grid.of({"system": "vanderpol", "seed": [0, 1]}).points()[1].values
    {'system': 'vanderpol', 'seed': 1}
    """

    recipe: Recipe
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """Settings of a recipe, and the values of those that are swept.

    A setting is swept where it is a list and the recipe takes one value. Where the recipe takes several, as for
    `max_rates_hz`, it is swept where it is a list of lists. `backends` and `hardware` are lists in a recipe: each of
    their entries gives runs of its own at every point.

    Parameters
    ----------
    content
        Settings as in a recipe's file.
    axes
        Values by section and key; the section of a key at the top is empty.
    file
        File that paths in the recipe are relative to.
    """

    content: Mapping[str, Any]
    axes: Mapping[tuple[str, str], tuple[Any, ...]]
    file: Path | None = None

    @classmethod
    def of(cls, recipe: Recipe | Mapping[str, Any] | Path | str) -> Grid:
        """Grid of a recipe, of a TOML file or of its content.

        >>> grid = Grid.of({"system": "vanderpol", "conversion": {"neurons_per_unit": [1, 2, 4]}, "seed": [0, 1]})
        >>> grid.columns, len(grid.points())
        (('system', 'seed', 'neurons_per_unit'), 6)
        """
        if isinstance(recipe, str | Path):
            file = Path(recipe)
            return cls._of_content(read_settings(file, _Anything).model_extra or {}, file)
        return cls._of_content(recipe.model_dump(exclude_unset=True) if isinstance(recipe, Recipe) else recipe, None)

    @classmethod
    def _of_content(cls, content: Mapping[str, Any], file: Path | None) -> Grid:
        axes = {
            (section, key): tuple(value) for section, key, field, value in _settings(content) if _is_swept(field, value)
        }
        for (section, key), values in axes.items():
            if not values or any(value in values[:index] for index, value in enumerate(values)):
                raise InputError(f"{_dotted(section, key)} = {list(values)} must name one value or more, each once.")
        return cls(content, axes, file)

    @property
    def columns(self) -> tuple[str, ...]:
        """System or network, seed, then what else is swept; two settings of one name have their section before it."""
        return (*_ALWAYS, *(name for name in self._names.values() if name not in _ALWAYS))

    @property
    def _names(self) -> dict[tuple[str, str], str]:
        keys = [key for _, key in self.axes]
        names = {(s, k): f"{s}_{k}" if s and keys.count(k) > 1 else k for s, k in self.axes}
        return {place: "system" if place == ("", "network") else name for place, name in names.items()}

    def points(self) -> list[Point]:
        """Every point, the last axis running fastest.

        Raises
        ------
        InputError
            Where a setting is unknown or has a value that it cannot have, or there are too many points.
        """
        count = 1
        for values in self.axes.values():
            count *= len(values)
        if count > MOST_POINTS:
            raise InputError(f"This sweep has {count:,} points, and {MOST_POINTS:,} are the most. Take shorter lists.")
        return [self._point(values) for values in product(*self.axes.values())]

    def _point(self, values: tuple[Any, ...]) -> Point:
        content: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in self.content.items()}
        for (section, key), value in zip(self.axes, values, strict=True):
            (content[section] if section else content)[key] = value
        try:
            recipe = Recipe.model_validate(content)
        except ValidationError as error:
            where = "The recipe" if self.file is None else str(self.file)
            kind = InputError if self.file is None else FileRefusedError
            raise kind(f"{where}: {explain(error, Recipe)}") from error
        if self.file is not None:
            recipe = recipe.beside(self.file)
        swept = {name: _plain(value) for name, value in zip(self._names.values(), values, strict=True)}
        alone = recipe.without_folders
        always = {"system": alone.system or alone.network, "seed": recipe.seed}
        return Point(recipe, {**always, **{name: value for name, value in swept.items() if name not in always}})


def _settings(content: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """Section, key, type and value of each setting that a recipe knows; it refuses the others later."""
    for name, value in content.items():
        field = Recipe.model_fields.get(name)
        section = None if field is None else _section(field.annotation)
        if field is not None and section is None:
            yield "", name, field.annotation, value
        elif section is not None and isinstance(value, Mapping):
            for key, inner in value.items():
                if key in section.model_fields:
                    yield name, key, section.model_fields[key].annotation, inner


def _section(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - a type of any form
    """Model of a section, or None where a field is none."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def _is_swept(annotation: Any, value: object) -> bool:  # noqa: ANN401 - a type of any form
    if not isinstance(value, list | tuple):
        return False
    several = any(get_origin(kind) in (tuple, list) for kind in (annotation, *get_args(annotation)))
    return not several or any(isinstance(each, list | tuple) for each in value)


def _dotted(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


def _plain(value: Any) -> Any:  # noqa: ANN401 - a value of TOML
    """A value in one cell of a table: the numbers of a list with blanks between them."""
    if isinstance(value, list | tuple):
        return " ".join(f"{each:g}" if isinstance(each, float | int) else str(each) for each in value)
    return value
