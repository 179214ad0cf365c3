"""Tables of a report: what stands beside the distances, a column per network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.fidelity.field_difference import FieldDifference
from ddm2snn.fidelity.lyapunov import Exponent
from ddm2snn.fidelity.spikes import NoiseShare, SpikeStatistics

if TYPE_CHECKING:
    from ddm2snn.network import RateNetwork, SpikingNetwork


@dataclass(frozen=True)
class Table:
    """A titled table.

    Parameters
    ----------
    title
        Heading.
    rows
        First what it is, then the values, one per column.
    header
        Names of the columns but the first; without any, a table of names and values.
    note
        What a reader must know, in words.
    """

    title: str
    rows: Sequence[tuple[str, ...]]
    header: tuple[str, ...] = ()
    note: str = ""


def training_table(rate: RateNetwork) -> Table:
    """How well the rate network was trained."""
    made = rate.provenance
    rows = [
        ("rate units, rank", f"{rate.units}, {rate.rank}"),
        ("relative drift error per latent, fresh stationary sample", _percents(made["drift_error"])),
        ("sum of |W_s|, internal units", f"{made['readout_norm']:.3g}"),
        ("fingerprint", rate.fingerprint),
    ]
    return Table("Training", rows)


def conversion_table(networks: Mapping[str, SpikingNetwork]) -> Table:
    """Size, clock and decoding error of each spiking network."""
    rows = _rows(networks.values(), {
        "spiking neurons": lambda n: f"{n.neurons} {type(n.neuron).__name__}",
        "time unit, step": lambda n: f"{n.time_unit_s:g} s, {n.dt_s:g} s",
        "drift error of the decoders per latent": lambda n: _percents(n.provenance["diagnostics"]["drift_error"]),
        "fingerprint": lambda n: n.fingerprint,
    })  # fmt: skip
    return Table("Conversion", rows, tuple(networks))


def connectivity_table(networks: Mapping[str, SpikingNetwork]) -> Table:
    """The audit of each conversion: what connects the neurons is what connected the units."""

    def audit(name: str, words: str) -> Callable[[SpikingNetwork], str]:
        def written(network: SpikingNetwork) -> str:
            value = network.provenance["diagnostics"]["rank_audit"][name]
            return _numbers(value if isinstance(value, list) else [value], words)

        return written

    rows = _rows(networks.values(), {
        "rank of E D": audit("rank", "d"),
        "singular values of E D": audit("singular_values", ".3g"),
        "principal angles between E, folded to units, and Gamma (radian)": audit("principal_angles_rad", ".1e"),
        "largest sine between a row of E and its row of Gamma": audit("row_residual", ".1e"),
    })  # fmt: skip
    return Table("Connectivity", rows, tuple(networks))


def field_table(differences: Mapping[str, FieldDifference], lag: float) -> Table:
    """Drift and diffusion against the reference, over the cells that both visit."""
    rows = _rows(differences.values(), {
        "drift: root mean square difference": lambda d: _percents([d.drift_rmse]),
        "of it by sampling": lambda d: _percents([d.drift_floor]),
        "drift bias: what sampling does not explain": lambda d: _percents([d.drift_bias]),
        "drift along the reference's": lambda d: f"{d.drift_scale:.4g}",
        "mean difference of the drift per latent": lambda d: _numbers(d.drift_shift, ".2g"),
        "diffusion, trace over the reference's": lambda d: f"{d.diffusion_ratio:.3g}",
        "diffusion per latent": lambda d: _numbers(np.diag(d.diffusion_test), ".3g"),
        "diffusion per latent, reference": lambda d: _numbers(np.diag(d.diffusion_reference), ".3g"),
        "cells; share of the reference's samples in them": lambda d: f"{d.cells}; {100 * d.share:.3g} %",
    })  # fmt: skip
    note = (
        f"By Kramers-Moyal regression of second order at a lag of {lag:g} rate time units, relative to the reference's "
        "root mean square drift; at this lag spikes are shot noise, and over longer spans their noise is smaller."
    )
    return Table("Drift and diffusion on cells", rows, tuple(differences), note)


def noise_table(shares: Mapping[str, NoiseShare]) -> Table:
    """Where the diffusion of each spiking network comes from."""
    rows = _rows(shares.values(), {
        "rate network, per latent": lambda s: _numbers(s.target, ".3g"),
        "injected": lambda s: _numbers(s.injected, ".3g"),
        "brought along by spikes": lambda s: "not measured" if s.spikes is None else _numbers(s.spikes, ".3g"),
        "both, over the rate network's": _whole,
    })  # fmt: skip
    note = (
        "Variances per rate time unit in squared system units. That of spikes is measured open loop at conversion, "
        "over windows of half a time unit."
    )
    return Table("Where the diffusion comes from", rows, tuple(shares), note)


def spiking_table(statistics: Mapping[str, SpikeStatistics]) -> Table:
    """Rates, regularity and the number of spikes, which hardware pays for."""
    rows = _rows(statistics.values(), {
        "neurons": lambda s: str(len(s.rates_hz)),
        "mean rate; highest of a neuron (Hz)": lambda s: f"{s.mean_rate_hz:.3g}; {s.rates_hz.max():.3g}",
        "CV of inter-spike intervals": lambda s: _known(s.mean_variation),
        "CV2, of successive intervals": lambda s: _known(s.mean_local_variation),
        "silent neurons": lambda s: _percents([s.silent_share]),
        "spikes per second": lambda s: f"{s.spikes_per_second:,.0f}",
        "spikes per rate time unit": lambda s: f"{s.spikes_per_time_unit:,.0f}",
    })  # fmt: skip
    note = (
        "Means over neurons. CV and CV2 are 0 for a clock, 1 for a Poisson process; slow changes of the rate raise CV, "
        "and hardly CV2."
    )
    return Table("Spikes", rows, tuple(statistics), note)


def chaos_table(exponents: Sequence[Exponent]) -> Table:
    """Largest Lyapunov exponents."""
    rows = [
        (f"{e.name}, from {e.source}", "cannot tell" if e.value is None else f"{e.value:.3g} ± {e.error:.2g}")
        for e in exponents
    ]
    note = (
        "Per rate time unit, with standard errors. The drift field is free of noise; twin runs share theirs, start a "
        "millionth of a standard deviation apart, a thousandth where there are spikes, and are followed until they are "
        "a tenth as far apart as strangers."
    )
    return Table("Largest Lyapunov exponent", rows, ("exponent",), note)


def _rows(columns: Iterable[Any], written: Mapping[str, Callable[[Any], str]]) -> list[tuple[str, ...]]:
    held = list(columns)
    return [(name, *map(words, held)) for name, words in written.items()]


def _known(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"


def _whole(share: NoiseShare) -> str:
    if share.spikes is None or not share.target.all():
        return "–"
    return _numbers((share.injected + share.spikes) / share.target, ".3g")


def _numbers(values: Iterable[float], words: str) -> str:
    return ", ".join(format(value, words) for value in values)


def _percents(values: Iterable[float]) -> str:
    return ", ".join(f"{100 * value:.3g} %" for value in values)
