"""The commands that list: systems, backends."""

from __future__ import annotations

from ddm2snn.cli.options import JsonFlag, show


def systems(as_json: JsonFlag = False) -> None:
    """List the built-in target systems."""
    from ddm2snn.systems import BUILT_IN

    built_in = {name: make() for name, make in sorted(BUILT_IN.items())}
    content = {n: {"rank": s.rank, "units": s.units, "summary": s.summary} for n, s in built_in.items()}
    lines = [f"{n:12} rank {s.rank}, {s.units} units: {s.summary}" for n, s in built_in.items()]
    show({"systems": content}, lines, as_json=as_json)


def backends(as_json: JsonFlag = False) -> None:
    """List the installed backends."""
    from ddm2snn.backend import backend_names, find_backend

    content = {}
    for name in backend_names():
        backend = find_backend(name)
        docstring = (type(backend).__doc__ or "").strip().splitlines()
        content[name] = {"spike_timing": backend.spike_timing, "summary": docstring[0] if docstring else ""}
    lines = [f"{name:12} {entry['summary']}" for name, entry in content.items()]
    show({"backends": content}, lines, as_json=as_json)
