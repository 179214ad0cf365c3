"""Settings files: TOML, validated, refused in one line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ddm2snn.base.files import require_file
from ddm2snn.base.html import fields_table
from ddm2snn.errors import FileRefusedError, InputError

Count = Annotated[int, Field(gt=0)]
WHOLE = "whole"
"""Type of a `pydantic_core.PydanticCustomError` that is about several keys, and says so in a sentence of its own."""
_MOST_BYTES, _MOST_DOTS = 2**18, 1000
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Settings(BaseModel):
    """A section of a settings file: frozen, refusing keys that it does not know.

    >>> class Run(Settings):
    ...     seed: int = 0
    ...     trials: int = 16
    >>> Run(seed=3)
    Run(seed=3)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    _repr_html_ = fields_table

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - checked against the fields
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(f"{type(self).__name__}: {explain(error, type(self))}") from error

    __init__.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess] - sections report to the whole

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        """Show the values that were set, those of sections within a section too."""
        return ((name, getattr(self, name)) for name in type(self).model_fields if name in self.model_fields_set)


S = TypeVar("S", bound=Settings)


def read_settings(path: Path | str, model: type[S]) -> S:
    """Read and validate a TOML file; an unknown key is refused with the list of the known ones."""
    file = require_file(path)
    if file.stat().st_size > _MOST_BYTES:
        raise FileRefusedError(f"{file} has more than {_MOST_BYTES} bytes. Settings are short: check the path.")
    try:
        text = file.read_text(encoding="utf-8")
        if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):  # time grows with the square of a key
            raise ValueError(f"a line has more than {_MOST_DOTS} dots")
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError among them
        raise FileRefusedError(f"{file} is no TOML file: {error}. Correct it.") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise FileRefusedError(f"{file}: {explain(error, model)}") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Put the first problem of a validation into one line: the key, what is wrong, and the known keys."""
    first = min(error.errors(), key=lambda problem: problem["type"] == "missing")  # the right one of a misspelt key
    more = error.error_count() - 1
    where = [str(part) for part in first["loc"]]
    key = ".".join(where) or "the file"
    if first["type"] == "extra_forbidden":
        section = _section(model, where[:-1])
        text = f"unknown key {key}; known here are {', '.join(section.model_fields)}"
    elif first["type"] == "missing":
        text = f"key {key} is missing and must be set"
    elif first["type"] == WHOLE:
        text = first["msg"]
    else:
        text = f"{key}: {first['msg'].lower().removeprefix('value error, ')}, got {first['input']!r}"
    return f"{text}{f' (and {more} more problem(s))' if more else ''}."


def _section(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    for part in path:
        annotation = model.model_fields[part].annotation
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return model
