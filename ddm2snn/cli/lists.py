"""The commands that list what there is: systems, backends and compiled programs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

import ddm2snn
from ddm2snn.cli.options import JsonFlag, show

if TYPE_CHECKING:
    from ddm2snn.base.program_cache import Entry

cache = typer.Typer(help="List the compiled Brian2 programs that are kept, or clear them.", invoke_without_command=True)


def systems(as_json: JsonFlag = False) -> None:
    """List the built-in target systems."""
    from ddm2snn.systems import BUILT_IN

    built_in = {name: make() for name, make in sorted(BUILT_IN.items())}
    content = {n: {"rank": s.rank, "units": s.units, "summary": s.summary} for n, s in built_in.items()}
    lines = [f"{n:12} rank {s.rank}, {s.units} units: {s.summary}" for n, s in built_in.items()]
    show({"systems": content}, lines, as_json=as_json)


def backends(as_json: JsonFlag = False) -> None:
    """List the installed backends."""
    from ddm2snn.backend import RATE, backend_names, distribution_of

    content: dict[str, dict[str, str | None]] = {}
    for name in backend_names():
        if name == RATE:
            summary = "The rate network itself, which needs no simulator."
            content[name] = {"spike_timing": None, "summary": summary, "distribution": None}
            continue
        backend = ddm2snn.find_backend(name)
        summary = (type(backend).__doc__ or "").strip().splitlines()
        content[name] = {
            "spike_timing": backend.spike_timing, "summary": summary[0] if summary else "",
            "distribution": distribution_of(name),
        }  # fmt: skip
    lines = [
        f"{name:12} {about['summary']}" + (f" [{about['distribution']}]" if about["distribution"] else "")
        for name, about in content.items()
    ]
    show({"backends": content}, lines, as_json=as_json)


def _program(entry: Entry) -> str:
    shape = entry.about.get("shape", {})
    size = f"{shape.get('neurons', '?')} neurons, rank {shape.get('rank', '?')}, {shape.get('membrane', '?')}"
    loop = "open loop" if shape.get("driven") else "closed loop"
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    return (
        f"{entry.key[:12]}  {size}, {shape.get('precision', '?')}, {loop}: {entry.bytes / 2**10:.0f} KiB, used {used}"
    )


@cache.callback(invoke_without_command=True)
def _cache(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the programs, those used last first."""
    if context.invoked_subcommand is not None:
        return
    from ddm2snn.base import program_cache

    programs, folder = program_cache.entries(), program_cache.cache_folder()
    total, limit = sum(entry.bytes for entry in programs), program_cache.limit_bytes()
    rows = [{name: getattr(entry, name) for name in ("key", "bytes", "used", "about")} for entry in programs]
    content = {"folder": str(folder), "bytes": total, "limit_bytes": limit, "programs": rows}
    head = f"{folder}: {len(programs)} programs, {total / 2**20:.1f} of {limit / 2**20:.0f} MiB"
    show(content, [head, *map(_program, programs)], as_json=as_json)


@cache.command(epilog="Example: ddm2snn cache clear")
def clear(as_json: JsonFlag = False) -> None:
    """Remove all programs; the next runs compile theirs again."""
    from ddm2snn.base import program_cache

    removed = program_cache.clear()
    total = sum(entry.bytes for entry in removed)
    content = {"folder": str(program_cache.cache_folder()), "removed": len(removed), "bytes": total}
    show(content, [f"{content['folder']}: {len(removed)} programs removed, {total / 2**20:.1f} MiB"], as_json=as_json)
