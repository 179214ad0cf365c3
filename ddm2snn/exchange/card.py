"""Cards: a network as a folder for a model hub, which says what it holds, how good it is and how to load it."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddm2snn.base.files import check_neighbour, check_writable, new_folder, require_file, write_together
from ddm2snn.base.html import fields_table
from ddm2snn.base.stored import parse_json
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.load import CARD_NETWORK, load
from ddm2snn.network import RateNetwork, SpikingNetwork

_README, _FIDELITY = "README.md", "fidelity.json"
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,60}")
_ERRORS = ("drift_error", "diffusion_error", "drift_standard_error", "activation_error")
_SETTINGS = ("neuron", "time_unit_s", "dt_s", "backend", "activation", "time_scale")
_PAGE = """---
library_name: ddm2snn
{licence_line}tags:
{tags}
---
# {title}

{what}

| | |
|---|---|
{facts}

## Errors

{errors}

## Fidelity

{fidelity}

## Use

```python
import ddm2snn

network = ddm2snn.load("FOLDER")  # this folder, or a zip of it; nothing in it is executed
recording = ddm2snn.simulate(network, trials=16, duration=60)
```

## Licence

{licence}
"""


@dataclass(frozen=True)
class Card:
    """What a card says beside what the network knows of itself.

    Parameters
    ----------
    licence
        Identifier such as cc-by-4.0, as model hubs list them; None leaves it open, and the card says so.
    report
        Comparison whose table the card shows: a report, or the file that `ddm2snn compare` (summary.json) or
        `FidelityReport.save` wrote.

    Examples
    --------
    >>> Card(licence="cc-by-4.0")
    Card(licence='cc-by-4.0', report=None)
    """

    licence: str | None = None
    report: FidelityReport | Path | str | None = None

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        if self.licence is not None and not (isinstance(self.licence, str) and _LICENCE.fullmatch(self.licence)):
            raise InputError(f"Card.licence must be an identifier such as cc-by-4.0, got {self.licence!r}. Name one.")

    def reports(self) -> dict[str, Any]:
        """Reports by label, as JSON values."""
        if self.report is None or isinstance(self.report, FidelityReport):
            return {} if self.report is None else {self.report.label: self.report.as_json()}
        file = require_file(self.report)
        content = parse_json(file.read_bytes(), str(file))
        reports = content.get("reports", {"": content}) if isinstance(content, dict) else {}
        if not reports or not all(isinstance(each, dict) and "measures" in each for each in reports.values()):
            raise FileRefusedError(f"{file} holds no comparison. Give the summary.json of ddm2snn compare.")
        return {str(each.get("label", label)): each for label, each in reports.items()}


def write_card(network: SpikingNetwork | RateNetwork, path: Path, card: Card) -> tuple[Path, ...]:
    """Write README, network and comparison into a folder, or a .zip file, all or none."""
    reports = card.reports()
    contents = {_README: _readme(network, card, reports).encode(), CARD_NETWORK: _stored(network)}
    if reports:
        contents[_FIDELITY] = (json.dumps(reports, indent=1, allow_nan=False) + "\n").encode()
    if path.suffix == ".zip":
        write_together({path: _zipped(contents, path.stem)})
        return (path,)
    with new_folder(path) as folder:
        for name in contents:
            check_writable(folder / name)
        check_neighbour(folder / _README, lambda file: "library_name: ddm2snn" in file.read_text(encoding="utf-8"))
        check_neighbour(folder / CARD_NETWORK, lambda file: load(file) is not None)
        write_together({folder / name: content for name, content in contents.items()})
    return tuple(folder / name for name in contents)


def _stored(network: SpikingNetwork | RateNetwork) -> bytes:
    with tempfile.TemporaryDirectory(prefix="ddm2snn-") as folder:
        network.save(file := Path(folder) / CARD_NETWORK)
        return file.read_bytes()


def _zipped(contents: Mapping[str, bytes], folder: str) -> bytes:
    """A zip of a folder; equal content gives equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _readme(network: SpikingNetwork | RateNetwork, card: Card, reports: Mapping[str, Any]) -> str:
    spiking, made = isinstance(network, SpikingNetwork), network.provenance
    system = str(made.get("system") or "unknown")
    kind = "Spiking network" if spiking else "Low-rank rate network"
    tags = [
        "spiking-neural-network" if spiking else "recurrent-neural-network",
        "low-rank",
        "computational-neuroscience",
    ]
    size = f"{network.neurons} neurons" if isinstance(network, SpikingNetwork) else f"{network.units} units"
    follows = "" if system == "unknown" else f", whose latents follow the system {_plain(system)}"
    facts = {"system": system, "size": f"{size}, rank {network.rank}", "inputs": network.input_map.shape[1]}
    facts |= {"outputs": network.outputs} if network.outputs else {}
    facts |= {name: getattr(network, name) for name in _SETTINGS if hasattr(network, name)}
    facts |= {"fingerprint": network.fingerprint}
    facts |= {"seed": made["seed"]} if "seed" in made else {}
    return _PAGE.format(
        licence_line=f"license: {card.licence.lower()}\n" if card.licence else "",
        tags="\n".join(f"- {json.dumps(tag)}" for tag in [*tags, *([system] if system != "unknown" else [])]),
        title=f"{_plain(system)}: {kind.lower()} of rank {network.rank}",
        what=f"{kind} of ddm2snn{follows}.",
        facts="\n".join(f"| {name} | {_plain(value)} |" for name, value in facts.items()),
        errors="\n".join(_errors(network)) or "The network carries no errors of its own: it was made elsewhere.",
        fidelity="\n".join(_fidelity(reports)) or "No comparison was given.",
        licence=card.licence or "None was stated. Ask the authors before you use the network.",
    )


def _errors(network: SpikingNetwork | RateNetwork) -> Iterator[str]:
    """Errors that conversion or training measured, and what it missed."""
    held = network.provenance
    measured = held.get("diagnostics", {}) if isinstance(network, SpikingNetwork) else held
    for name in _ERRORS:
        value = measured.get(name) if isinstance(measured, Mapping) else None
        values = value if isinstance(value, list) else [value]
        if value is not None and len(values) <= 20 and all(isinstance(each, int | float) for each in values):
            numbers, by = ", ".join(f"{each:.3g}" for each in values), ", by latent" * (len(values) > 1)
            yield f"- {name.replace('_', ' ')}{by}: {numbers}"
    yield from (f"- missed: {_plain(sentence)}" for sentence in held.get("missed", ()))


def _fidelity(reports: Mapping[str, Any]) -> Iterator[str]:
    """Verdict and table of each comparison."""
    for label, report in reports.items():
        yield from (_plain(report.get("verdict") or label), "")
        yield from ("| distance | value | of a second run of the reference | excess | |", "|---|---|---|---|---|")
        for each in report["measures"].values():
            judged = "differs" if each["differs"] else "" if each["informative"] else "cannot tell"
            numbers = " | ".join(f"{each[name]:.3g}" for name in ("distance", "floor", "excess"))
            unit = f" ({each['unit']})" if each["unit"] else ""
            yield f"| {_plain(each['label'] + unit)} | {numbers} | {judged} |"
        yield ""


def _plain(value: object) -> str:
    """One line of text without what Markdown or HTML would act upon."""
    return re.sub(r"([|`<>\[\]*])", r"\\\1", " ".join(str(value).split()))
