"""Tables of a report: results besides the distances, a column for each network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ddm2snn.analysis.lyapunov import Exponent
from ddm2snn.conversion.diagnostics import Diagnostics
from ddm2snn.errors import InputError
from ddm2snn.fidelity.field_difference import FieldDifference
from ddm2snn.fidelity.spikes import NoiseShare, SpikeStatistics
from ddm2snn.training.matching import TrainingReport

if TYPE_CHECKING:
    from ddm2snn.hardware.workload import Workload
    from ddm2snn.network import RateNetwork, SpikingNetwork


@dataclass(frozen=True)
class Table:
    """A titled table of rows, each a name and its values, with a note on how to read them.

    The header names the columns but the first; it is empty for a table of names and values.
    """

    title: str
    rows: Sequence[tuple[str, ...]]
    header: tuple[str, ...] = ()
    note: str = ""


def training_table(rate: RateNetwork) -> Table:
    """Result of the training of the rate network."""
    training = TrainingReport.of(rate)
    rows = [
        ("rate units, rank", f"{rate.units}, {rate.rank}"),
        ("relative drift error per latent, fresh stationary sample", _percents(training.drift_error)),
        ("sum of |W_s|, internal units", f"{training.readout_norm:.3g}"),
        ("fingerprint", rate.fingerprint),
    ]
    note = (
        "Drift error: root mean square difference from the target's drift, relative to it. W_s: the read-out, which "
        "turns the activity of the rate units into the drift."
    )
    return Table("Training", rows, note=note)


def conversion_table(networks: Mapping[str, SpikingNetwork]) -> Table:
    """Size, clock and decoding error of each spiking network."""
    rows = _rows(networks.values(), {
        "spiking neurons": lambda n: f"{n.neurons} {type(n.neuron).__name__}",
        "duration of a rate time unit; time step": lambda n: f"{n.time_unit_s:g} s; {n.dt_s:g} s",
        "drift error of the decoders per latent": lambda n: _percents(_diagnostics(n).drift_error),
        "fingerprint": lambda n: n.fingerprint,
    })  # fmt: skip
    return Table("Conversion", rows, tuple(networks))


def connectivity_table(networks: Mapping[str, SpikingNetwork]) -> Table:
    """The audit of each conversion: the neurons are connected by the low-rank factors of the rate network."""
    rows = _rows([_diagnostics(network).rank_audit for network in networks.values()], {
        "rank of E D": lambda a: str(a.rank),
        "singular values of E D": lambda a: _numbers(a.singular_values, ".3g"),
        "principal angles between E, folded to units, and Gamma (radian)":
            lambda a: _numbers(a.principal_angles_rad, ".1e"),
        "largest sine between a row of E and its row of Gamma": lambda a: f"{a.row_residual:.1e}",
    })  # fmt: skip
    note = (
        "The audit of the recurrent matrix E D of the spiking neurons, encoders times decoders. It has the rank of the "
        "rate network where further singular values vanish; small angles say that its encoders are the rate network's "
        "left vectors Gamma."
    )
    return Table("Connectivity", rows, tuple(networks), note)


def _diagnostics(network: SpikingNetwork) -> Diagnostics:
    """Diagnostics of a converted network."""
    diagnostics = Diagnostics.of(network)
    if diagnostics is None:
        raise InputError("A report needs networks that convert made; this one carries no diagnostics.")
    return diagnostics


def field_table(differences: Mapping[str, FieldDifference], lag: float) -> Table:
    """Drift against the reference, over the cells that both visit; the tables of measures give its other distances."""
    rows = _rows(differences.values(), {
        "drift bias: what sampling does not explain": lambda d: _percents([d.drift_bias]),
        "mean difference of the drift per latent": lambda d: _numbers(d.drift_shift, ".2g"),
        "cells; share of the reference's samples in them": lambda d: f"{d.cells}; {100 * d.share:.3g} %",
    })  # fmt: skip
    note = (
        f"By Kramers-Moyal regression of second order at a lag of {lag:g} rate time units. The bias is the part of the "
        "drift field's distance, as in the tables above, that is no sampling error."
    )
    return Table("Drift bias", rows, tuple(differences), note)


def noise_table(shares: Mapping[str, NoiseShare]) -> Table:
    """Sources of the noise of each spiking network."""
    rows = _rows(shares.values(), {
        "rate network, per latent": lambda s: _numbers(s.target, ".3g"),
        "injected": lambda s: _numbers(s.injected, ".3g"),
        "brought along by spikes": lambda s: "not measured" if s.spikes is None else _numbers(s.spikes, ".3g"),
        "both, over the rate network's": _total_over_target,
    })  # fmt: skip
    note = (
        "Variances per rate time unit in the squared units of each latent. That of spikes is measured while the "
        "network follows a given path (open loop), over windows of half a time unit. The diffusion in the tables of "
        "measures is the noise of the trajectories, over the reference's variance and summed over latents."
    )
    return Table("Noise in numbers", rows, tuple(shares), note)


def spiking_table(statistics: Mapping[str, SpikeStatistics]) -> Table:
    """Rates, regularity and the number of spikes, which sets the energy on hardware."""
    rows = _rows(statistics.values(), {
        "neurons": lambda s: str(len(s.rates_hz)),
        "mean rate; highest of a neuron (Hz)": lambda s: f"{s.mean_rate_hz:.3g}; {s.rates_hz.max():.3g}",
        "CV of inter-spike intervals": lambda s: _finite(s.mean_variation),
        "CV2, of successive intervals": lambda s: _finite(s.mean_local_variation),
        "silent neurons": lambda s: _percents([s.silent_share]),
        "spikes per second": lambda s: f"{s.spikes_per_second:,.0f}",
        "spikes per rate time unit": lambda s: f"{s.spikes_per_time_unit:,.0f}",
    })  # fmt: skip
    note = (
        "Means over neurons. CV and CV2 are 0 for a clock, 1 for a Poisson process; slow changes of the rate raise CV, "
        "and hardly CV2."
    )
    return Table("Spikes in numbers", rows, tuple(statistics), note)


def device_table(works: Mapping[str, Workload]) -> Table:
    """Work of each network on its device under NeuroBench's names."""
    numbers = {name: work.neurobench() for name, work in works.items()}
    rows = _rows(numbers.values(), {
        "footprint (bytes)": lambda n: f"{n['Footprint']:,.0f}",
        "connection sparsity": lambda n: f"{n['ConnectionSparsity']:.3g}",
        "activation sparsity": lambda n: f"{n['ActivationSparsity']:.4g}",
        "synaptic operations, effective": lambda n: f"{n['SynapticOperations']['Effective_ACs']:,.0f}",
        "synaptic operations, dense": lambda n: f"{n['SynapticOperations']['Dense']:,.0f}",
        "membrane updates": lambda n: f"{n['MembraneUpdates']:,.0f}",
        "neuron operations": lambda n: f"{n['NeuronOperations']['Effective Neuron Ops']:,.0f}",
    })  # fmt: skip
    note = "NeuroBench's metrics for one rate time unit, decode neurons included, by the mean rates of a short run."
    return Table("On the device", rows, tuple(works), note)


def chaos_table(exponents: Sequence[Exponent]) -> Table:
    """Largest Lyapunov exponents."""
    rows = [
        (f"{e.name}, from {e.source}", "cannot tell" if e.value is None else f"{e.value:.3g} ± {e.error:.2g}")
        for e in exponents
    ]
    note = (
        "Per rate time unit, with standard errors. The drift field is free of noise. Twin runs are pairs with the same "
        "noise that start a millionth of a standard deviation apart, a thousandth where there are spikes; they are "
        "followed until their distance is a tenth of that of independent states."
    )
    return Table("Largest Lyapunov exponent", rows, ("exponent",), note)


def _rows(columns: Iterable[Any], written: Mapping[str, Callable[[Any], str]]) -> list[tuple[str, ...]]:
    sources = list(columns)
    return [(name, *map(words, sources)) for name, words in written.items()]


def _finite(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"


def _total_over_target(share: NoiseShare) -> str:
    if share.spikes is None or not share.target.all():
        return "–"
    return _numbers((share.injected + share.spikes) / share.target, ".3g")


def _numbers(values: Iterable[float], words: str) -> str:
    return ", ".join(format(value, words) for value in values)


def _percents(values: Iterable[float]) -> str:
    return ", ".join(f"{100 * value:.3g} %" for value in values)
