"""The group `ddm2snn cache`: which compiled programs there are, and how to remove them."""

from __future__ import annotations

import json
import time
from typing import Any

import typer

from ddm2snn.base import program_cache
from ddm2snn.cli.shared import JsonFlag

cache = typer.Typer(help="Compiled Brian2 programs, kept for networks of the same shape.", invoke_without_command=True)


def _row(entry: program_cache.Entry) -> dict[str, Any]:
    return {"key": entry.key, "bytes": entry.bytes, "used": entry.used, "about": entry.about}


def _line(entry: program_cache.Entry) -> str:
    shape = entry.about.get("shape", {})
    size = f"{shape.get('neurons', '?')} neurons, rank {shape.get('rank', '?')}, {shape.get('membrane', '?')}"
    loop = "open loop" if shape.get("driven") else "closed loop"
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    return (
        f"{entry.key[:12]}  {size}, {shape.get('precision', '?')}, {loop}: {entry.bytes / 2**10:.0f} KiB, used {used}"
    )


@cache.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the programs, those used last first."""
    if context.invoked_subcommand is not None:
        return
    found, folder = program_cache.entries(), program_cache.cache_folder()
    total, limit = sum(entry.bytes for entry in found), program_cache.limit_bytes()
    if as_json:
        content = {"folder": str(folder), "bytes": total, "limit_bytes": limit, "programs": [*map(_row, found)]}
        print(json.dumps(content))
        return
    head = f"{folder}: {len(found)} programs, {total / 2**20:.1f} of {limit / 2**20:.0f} MiB"
    print("\n".join([head, *map(_line, found)]))


@cache.command()
def clear(as_json: JsonFlag = False) -> None:
    """Remove all programs; the next runs compile theirs again."""
    removed = program_cache.clear()
    total = sum(entry.bytes for entry in removed)
    content = {"folder": str(program_cache.cache_folder()), "removed": len(removed), "bytes": total}
    line = f"{content['folder']}: {len(removed)} programs removed, {total / 2**20:.1f} MiB"
    print(json.dumps(content) if as_json else line)
