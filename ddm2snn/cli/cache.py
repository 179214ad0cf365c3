"""The group of commands cache: lists and removes compiled programs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from ddm2snn.cli.options import JsonFlag, show

if TYPE_CHECKING:
    from ddm2snn.base.program_cache import Entry

cache = typer.Typer(help="Compiled Brian2 programs, kept for networks of the same shape.", invoke_without_command=True)


def _row(entry: Entry) -> dict[str, Any]:
    return {"key": entry.key, "bytes": entry.bytes, "used": entry.used, "about": entry.about}


def _line(entry: Entry) -> str:
    shape = entry.about.get("shape", {})
    size = f"{shape.get('neurons', '?')} neurons, rank {shape.get('rank', '?')}, {shape.get('membrane', '?')}"
    loop = "open loop" if shape.get("driven") else "closed loop"
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    return (
        f"{entry.key[:12]}  {size}, {shape.get('precision', '?')}, {loop}: {entry.bytes / 2**10:.0f} KiB, used {used}"
    )


@cache.callback(invoke_without_command=True)
def _list(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the programs, those used last first."""
    if context.invoked_subcommand is not None:
        return
    from ddm2snn.base import program_cache

    programs, folder = program_cache.entries(), program_cache.cache_folder()
    total, limit = sum(entry.bytes for entry in programs), program_cache.limit_bytes()
    content = {"folder": str(folder), "bytes": total, "limit_bytes": limit, "programs": [*map(_row, programs)]}
    head = f"{folder}: {len(programs)} programs, {total / 2**20:.1f} of {limit / 2**20:.0f} MiB"
    show(content, [head, *map(_line, programs)], as_json=as_json)


@cache.command()
def clear(as_json: JsonFlag = False) -> None:
    """Remove all programs; the next runs compile theirs again."""
    from ddm2snn.base import program_cache

    removed = program_cache.clear()
    total = sum(entry.bytes for entry in removed)
    content = {"folder": str(program_cache.cache_folder()), "removed": len(removed), "bytes": total}
    show(content, [f"{content['folder']}: {len(removed)} programs removed, {total / 2**20:.1f} MiB"], as_json=as_json)
