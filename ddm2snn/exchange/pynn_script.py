"""A PyNN script that stands alone: a population in NEST, and the latents that couple it between NEST's steps.

PyNN 0.13 and its simulators, as far as they were tried (PyNN 0.13.0, NEST 3.10.0, Brian2 2.9.0, NEURON 9.0.2):

- No simulator has a connection that carries a graded value with a weight of its own from one population to another,
  which k latents between N neurons need. Spikes through N x N synapses of an ``IF_curr_exp`` would give the same
  currents, each a step late, without the latents' noise; hence latents in the script, O(N k) in each step.
- ``pyNN.nest``: ``IF_curr_delta`` is NEST's ``iaf_psc_delta``, exact over a step, with a refractory period in whole
  steps and, by NEST's own parameter V_min, the floor of the voltage at reset: spikes of the reference one by one.
- ``pyNN.brian2``: refractory periods end one step early, there is no floor of the voltage, and each step takes 0.1 s,
  since Brian2 generates its code anew. The format brian2 has none of this.
- ``pyNN.neuron``: with implicit Euler steps and spikes that take a step more, neurons that fire at 50 to 170 Hz are up
  to 13 % slower at a step of 1 ms.
"""

from __future__ import annotations

from pathlib import Path

from ddm2snn.base.randomness import check_seed
from ddm2snn.base.version import package_version
from ddm2snn.errors import InputError
from ddm2snn.exchange.scripts import script_path, weights_of, write_script
from ddm2snn.network import SpikingNetwork

REQUIREMENTS = "pynn==0.13.0 nest-simulator==3.10.0"  # the versions whose spikes were compared
_TIC_S = 1e-6  # NEST counts time in these


def write_pynn_script(network: SpikingNetwork, path: Path | str, *, seed: int = 0) -> tuple[Path, Path]:
    """Write the script and its weights; return their paths.

    Parameters
    ----------
    network
        A network of LIF neurons, whose noise may depend on the state.
    path
        The script, a .py file; the weights go into a .npz file of the same name.
    seed
        Seed of the run that the script makes unless told. Initial states and noise are those of backend "reference"
        with one trial and the same seed.

    Raises
    ------
    InputError
        Where the path is no .py file, PyNN has no such neurons, or the step does not fit them or NEST.
    """
    script, neuron = script_path(path, "A PyNN script", network), network.neuron
    if not neuron.plain_lif:
        raise InputError(
            f"PyNN has no {type(neuron).__name__} neurons. Convert with LIF neurons, or use format brian2."
        )
    tics = network.dt_s / _TIC_S
    if not round(tics) or abs(tics - round(tics)) > 1e-6 * tics:
        raise InputError(
            f"NEST's steps are whole microseconds, and this network's is dt_s = {network.dt_s!r}. Convert with "
            f"dt_s={max(1, round(tics)) * _TIC_S:g}."
        )
    settings = {
        "version": package_version(), "requirements": REQUIREMENTS, "fingerprint": network.fingerprint,
        "neurons": network.neurons, "rank": network.rank, "dt_s": repr(network.dt_s),
        "time_unit_s": repr(network.time_unit_s), "tau_membrane_s": repr(neuron.single_tau_s),
        "refractory_s": repr(neuron.refractory_s), "diffusion_filter_s": repr(network.diffusion_filter_s),
        "seed": check_seed(seed),
    }  # fmt: skip
    return write_script(script, "pynn_script.py.txt", settings, weights_of(network))
