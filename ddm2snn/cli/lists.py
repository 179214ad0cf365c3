"""Commands that list what there is: systems, backends."""

from __future__ import annotations

from ddm2snn.cli.shared import JsonFlag, show


def systems(as_json: JsonFlag = False) -> None:
    """List the built-in target systems."""
    from ddm2snn.systems import BUILT_IN

    found = {name: make() for name, make in sorted(BUILT_IN.items())}
    content = {n: {"rank": s.rank, "units": s.units, "summary": s.summary} for n, s in found.items()}
    lines = [f"{n:12} rank {s.rank}, {s.units} units: {s.summary}" for n, s in found.items()]
    show({"systems": content}, lines, as_json=as_json)


def backends(as_json: JsonFlag = False) -> None:
    """List the installed backends."""
    from ddm2snn.backend import backend_names, find_backend

    content = {}
    for name in backend_names():
        found = find_backend(name)
        summary = (type(found).__doc__ or "").strip().splitlines()
        content[name] = {"spike_timing": found.spike_timing, "summary": summary[0] if summary else ""}
    lines = [f"{name:12} {found['summary']}" for name, found in content.items()]
    show({"backends": content}, lines, as_json=as_json)
