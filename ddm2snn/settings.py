"""One-line explanations of settings files that do not validate."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Put the first problem of a validation into one line: the key, what is wrong, what is known there."""
    first, more = error.errors()[0], error.error_count() - 1
    where = [str(part) for part in first["loc"]]
    key = ".".join(where) or "the file"
    if first["type"] == "extra_forbidden":
        section = _section(model, where[:-1])
        text = f"unknown key {key}; known here are {', '.join(section.model_fields)}"
    elif first["type"] == "missing":
        text = f"key {key} is missing"
    else:
        text = f"{key}: {first['msg'].lower()}, got {first['input']!r}"
    return f"{text}{f' (and {more} more problem(s))' if more else ''}."


def _section(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    for part in path:
        annotation = model.model_fields[part].annotation
        for candidate in (annotation, *typing.get_args(annotation)):
            if isinstance(candidate, type) and hasattr(candidate, "model_fields"):
                model = candidate
    return model
