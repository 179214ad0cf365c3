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
    from ddm2snn.backend import RATE, backend_names, find_backend

    content: dict[str, dict[str, str | None]] = {}
    for name in backend_names():
        if name == RATE:
            content[name] = {"spike_timing": None, "summary": "The rate network itself, which needs no simulator."}
            continue
        backend = find_backend(name)
        summary = (type(backend).__doc__ or "").strip().splitlines()
        content[name] = {"spike_timing": backend.spike_timing, "summary": summary[0] if summary else ""}
    lines = [f"{name:12} {about['summary']}" for name, about in content.items()]
    show({"backends": content}, lines, as_json=as_json)
