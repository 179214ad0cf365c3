"""Is a spiking network the same stochastic process as its rate network? Distances beside their floor.

`compare` takes a reference and a test and returns a `FidelityReport`. The words of this package:

- A *measure* (`Measure`) is a way to compare, such as `Oscillation`; each has a file in `measures`.
- An *entry* (`Entry`) describes one distance of a measure, such as the period: its name, label, unit and kind.
- A *judged distance* (`JudgedDistance`) is the number of one entry in a report, with its floor and interval.
- The *floor* is the distance of two runs of the reference, and the *excess* is the distance over the floor.
- A *selection* is a set of trials, some of which may count several times, in place of a whole recording.
"""

from ddm2snn.fidelity.compare import compare
from ddm2snn.fidelity.conditions import compare_conditions
from ddm2snn.fidelity.measures import Entry, Measure
from ddm2snn.fidelity.report import FidelityReport, JudgedDistance

__all__ = ["Entry", "FidelityReport", "JudgedDistance", "Measure", "compare", "compare_conditions"]
