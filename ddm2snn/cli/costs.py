"""What each command takes, from the sizes that it is given: memory and disk at the least, time roughly.

Factors are seconds of one core of 2.5 GHz, from the times in `notebooks/results.md` where there are any and guessed
where there are none; they tell minutes from hours. By ``time`` of bash with OMP_NUM_THREADS=1, user and system time of
the whole command, of which 1 s (simulate) to 3 s (train, convert) are its start, and the estimate behind it:

    train vanderpol --units 64; 256                                7.9 s; 12 s       4.1 s; 19 s
    convert --decoders static, into 256; 1,024 neurons             5.3 s; 28 s       1.7 s; 26 s
    convert, into 256 neurons, compiling for 8 s                   11 s              1.7 s
    simulate --duration 20, 256; 1,024 neurons, reference          1.6 s; 3.4 s      1.8 s; 4.3 s
    simulate --duration 100, 256; 1,024 neurons, brian2            1.5 s; 2.5 s      0.2 s; 0.8 s
    simulate --duration 500, 64; 256 units                         3.0 s; 4.1 s      0.3 s; 1.0 s
    compare, 320,000; 1,600,000 numbers                            8.8 s; 13 s       6.4 s; 32 s

`hardware fit` has no cost: 10,000 neurons on loihi1-emulator take 1 s, and 400,000 on ideal, which has no limits, 1.3 s
and 1.2 GiB, most of it for the network itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ddm2snn.base.costs import Cost

if TYPE_CHECKING:
    from ddm2snn.stimulus import Stimulus
    from ddm2snn.training import Training
    from ddm2snn.workflow.recipe import Recipe

_FLOAT = 8  # bytes
_MOST = 2**62  # of any number: more is no number of 64 bits
_TRAINING_ARRAYS = 3  # of points times units: outputs of the units, their slopes and gradient
_FEATURE_S, _FEATURE_PER_UNIT_S = 2e-8, 2e-11
_COMPARE_BYTES, _COMPARE_S = 120, 2e-5  # for each number
_STEP_S = {"brian2": 1e-9, "compiled": 1e-9, "rate": 5e-9, "torch": 1e-9}  # for each neuron, step and trial
_OTHER_STEP_S, _LONE_STEP_S = 2e-8, 1e-4  # of simulators in NumPy, which do the trials of a step at once
_STEPS_PER_UNIT = 400  # of a converted network
_DRIVEN_S, _GRAM_S, _STATIC_S = 5e-10, 1e-11, 6e-4  # for each neuron and step, each product, each neuron
_TUNED_S, _TUNED_NEURONS = 2.4e-5, 1024  # for each pair of neurons, of populations that are tuned: up to as many
_CALIBRATED_UNITS, _SAMPLES_PER_UNIT, _MOST_COLUMNS = (2000.0, 8000.0), 20, 8192
_GRAMS = 3  # of training, of held-out samples and of both
_ANALYSIS_S = 0.1  # for each unit and latent
_SVD_S = 1e-9  # for each entry and unit of a dense matrix
_TRAIN_S, _TRAIN_BYTES = 0.012, 2.0e4  # of Neo's NIX files
_PLANNED = 8  # conversions of a plan on a device
_FEWER = "Take fewer neurons"


def of_training(units: int, training: Training) -> Cost:
    """Cost of `train`, at all ridges."""
    units = min(max(units, 0), _MOST)
    points = training.points_for(units)
    evaluations = 1.25 * len(training.ridges) * training.iterations_for(max(units, 1))
    return Cost(
        f"training of {units:,} units", "Take fewer units", memory=_TRAINING_ARRAYS * _FLOAT * points * units,
        seconds=evaluations * points * units * (_FEATURE_S + _FEATURE_PER_UNIT_S * units),
    )  # fmt: skip


def of_conversion(neurons: float, rank: int, decoders: str) -> Cost:
    """Cost of `convert`, and of others that solve for decoders."""
    columns = 0.0 if decoders == "static" else min(neurons, _MOST_COLUMNS)
    duration = min(max(4.0 * neurons, _CALIBRATED_UNITS[0]), _CALIBRATED_UNITS[1])
    driven = duration * (_STEPS_PER_UNIT * neurons * _DRIVEN_S + _SAMPLES_PER_UNIT * columns**2 * _GRAM_S)
    tuned = _TUNED_S * neurons**2 if 0 < neurons <= _TUNED_NEURONS else 0.0
    return Cost(
        f"conversion into {neurons:,.0f} neurons", _FEWER, memory=_FLOAT * (_GRAMS * columns**2 + 4.0 * neurons * rank),
        seconds=tuned + (_STATIC_S * neurons if decoders == "static" else driven),
    )  # fmt: skip


def of_device_plan(units: int, rank: int) -> Cost:
    """Cost of `plan` on a device: conversions of some sizes, which the search chooses, into two neurons per unit."""
    one = of_conversion(2.0 * units, rank, "calibrated")
    work, remedy = f"conversions of {units:,} units for a device", "Train a network with fewer units"
    return Cost(work, remedy, memory=one.memory, seconds=_PLANNED * one.seconds)


def of_analysis(units: int, rank: int) -> Cost:
    """Cost of `analyse`."""
    work, remedy = f"analysis of {units:,} units", "Analyse a smaller network"
    return Cost(work, remedy, memory=_FLOAT * units**2, seconds=_ANALYSIS_S * units * rank)


def of_simulation(
    size: int, rank: int, backend: str, *, steps: float, samples: float, trials: int, folder: Path | None
) -> Cost:
    """Cost of `simulate` for a network of `size` units or neurons; many samples pass through temporary files."""
    trials, compiled = min(trials, _MOST), backend in _STEP_S
    each = _STEP_S.get(backend, _OTHER_STEP_S) * size * trials + (0.0 if compiled else _LONE_STEP_S)
    numbers, held = samples * trials * rank, 1 if compiled and backend != "torch" else trials
    return Cost(
        f"simulation of {numbers:,.0f} numbers", "Take fewer trials, a shorter duration or a longer interval (every)",
        memory=_FLOAT * size * (2.0 * rank + held), disk=_FLOAT * numbers, seconds=each * steps,
        folder=folder,
    )  # fmt: skip


def of_comparison(numbers: float) -> Cost:
    """Cost of `compare`."""
    return Cost(
        f"comparison of {numbers:,.0f} numbers", "Simulate fewer trials", memory=_COMPARE_BYTES * numbers,
        seconds=_COMPARE_S * numbers,
    )  # fmt: skip


def of_stress(neurons: int, rank: int, runs: int, *, duration: float, trials: int, folder: Path) -> Cost:
    """Cost of `stress`, half of whose runs are of networks that are solved for again."""
    one = of_simulation(
        neurons, rank, "", steps=duration * _STEPS_PER_UNIT, samples=50.0 * duration, trials=trials, folder=folder
    )
    solved, compared = of_conversion(neurons, rank, "calibrated"), of_comparison(2.0 * one.disk / _FLOAT)
    return Cost(
        f"{runs} runs of damaged networks", "Take fewer levels, seeds or trials, or a shorter duration",
        memory=max(one.memory, solved.memory, compared.memory), disk=one.disk, folder=folder,
        seconds=runs * (one.seconds + compared.seconds + 0.5 * solved.seconds),
    )  # fmt: skip


def of_export(neurons: int, rank: int, *, dense: bool, folder: Path) -> Cost:
    """Cost of `export`: as large as the network, or as all its synapses."""
    size = float(_FLOAT * neurons * (neurons if dense else 4 * rank))
    return Cost(f"export of {neurons:,} neurons", _FEWER, memory=size, disk=size, folder=folder)


def of_recording_export(numbers: int, trains: int, folder: Path) -> Cost:
    """Cost of `export` of a recording; to Neo also for each spike train of each trial."""
    size = float(_FLOAT * numbers + _TRAIN_BYTES * trains)
    work = f"export of {numbers:,} numbers and {trains:,} spike trains" if trains else f"export of {numbers:,} numbers"
    return Cost(work, "Take fewer trials", memory=size, disk=size, seconds=_TRAIN_S * trains, folder=folder)


def of_import(file: Path) -> Cost:
    """Cost of `import`, were the file one dense matrix to be factorised."""
    size = float(file.stat().st_size)
    seconds = _SVD_S * (size / _FLOAT) ** 1.5
    return Cost(f"import of {file.name}", "Save the factors of W instead", memory=2.0 * size, seconds=seconds)


def of_run(recipe: Recipe, units: int, rank: int, folder: Path, task: Stimulus | None = None) -> Cost:
    """Cost of `run` for a system or network of a rank, and for the trials of a task: the sum of its parts."""
    from ddm2snn.base.processes import at_once
    from ddm2snn.training import Training

    run = recipe.simulation
    lasts, trials = run.burn_in + run.duration, run.trials
    if task is not None:
        lasts, trials = task.duration or run.duration, task.trials or run.trials
    units = recipe.training.units or units
    neurons = round(units * float(recipe.conversion.neurons_per_unit or 4))
    beside = min(at_once(), len(recipe.backends) + 2 * len(recipe.hardware))  # networks that are worked on at a time
    networks, references = len(recipe.backends) + 2 * len(recipe.hardware), recipe.reference_runs
    spiking = of_simulation(
        neurons, rank, "", steps=lasts * _STEPS_PER_UNIT, samples=lasts / run.every, trials=trials, folder=folder
    )
    numbers = spiking.disk / _FLOAT
    compared = of_comparison((references + 1) * numbers)
    solved = of_conversion(neurons, rank, recipe.conversion.decoders)
    trained = of_training(
        0 if recipe.network else units, Training(error=recipe.training.error, ridge=recipe.training.ridge)
    )
    what = recipe.without_folders.system or recipe.without_folders.network
    return Cost(
        f"run of {what}", "Take fewer units, neurons or trials, or a shorter duration",
        memory=max(trained.memory, beside * max(solved.memory, spiking.memory), min(beside, 2) * compared.memory),
        disk=(networks + 2 * references) * spiking.disk,
        seconds=trained.seconds + networks * (solved.seconds + spiking.seconds + compared.seconds), folder=folder,
    )  # fmt: skip


def of_sweep(runs: Sequence[Cost], workers: int, folder: Path) -> Cost:
    """Cost of `sweep`: of all its runs, as many at a time as there are workers, as if they shared no step."""
    return Cost(
        f"sweep of {len(runs):,} runs", "Take fewer workers, or shorter lists", folder=folder,
        memory=min(workers, len(runs)) * max(run.memory for run in runs), disk=sum(run.disk for run in runs),
        seconds=sum(run.seconds for run in runs) / workers,
    )  # fmt: skip
