"""One LIF neuron of a Loihi 2 board beside ours, by the steps at which it fired.

The trace is that of the NIR paper (Pedersen et al., Nature Communications 15, 8122, 2024; repository neuromorphs/NIR,
paper/01_lif): time constant 2.5 ms, steps of 0.1 ms, each input spike worth some 0.4 thresholds. In the paper's exact
solution the neuron fires at the step of the input, on the board one step later: a spike of Loihi arrives in the step
after it was sent. The board decays by dt/tau = 0.04 cut to 163 of 4096, where ours rounds to 164 (or 161 for the exact
decay, 1 - exp(-0.04)), and reads 128 at a spike.
"""

from __future__ import annotations

import numpy as np
import pytest

from ddm2snn.hardware import arithmetic, find_hardware
from ddm2snn.hardware.registers import Block, Registers, loss_of, registers_of

STEPS = 1000
INPUTS = (
    60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470, 480, 490, 500, 510, 520, 530, 670, 680, 690,
    700, 710, 720, 730, 740, 750, 760, 770, 780, 840, 850,
)  # fmt: skip
BOARD_SPIKES = (461, 511, 711, 761)
EXACT_SPIKES = tuple(step - 1 for step in BOARD_SPIKES)  # of the paper's exact solution
# voltages in registers that the board read at the steps of inputs, before they arrive
BOARD_VOLTAGES = {
    220: 0, 270: 76, 310: 136, 320: 531, 350: 346, 370: 443, 400: 319, 410: 652, 430: 578, 440: 824, 450: 989,
    460: 1099, 470: 0, 480: 440, 490: 733, 500: 927, 510: 1059, 520: 0, 530: 440, 670: 0, 680: 440, 690: 733,
    700: 927, 710: 1059, 720: 0, 730: 440, 740: 733, 750: 927, 760: 1059, 770: 0, 780: 440, 840: 86, 850: 497,
}  # fmt: skip


def run(registers: Registers) -> tuple[list[int], np.ndarray]:
    """Steps of spikes, and the voltage after every step, of one compartment that the inputs reach a step later."""
    current, voltage, wait = np.zeros(1), np.zeros(1), np.zeros(1)
    fired, spikes, voltages = np.zeros(1, dtype=np.int64), [], np.zeros(STEPS)
    constants = (
        registers.current_decay, registers.voltage_decay, float(registers.refractory_steps), registers.input_limit,
        registers.state_limit, registers.voltage_limit, True,
    )  # fmt: skip
    threshold = np.full(1, registers.threshold)
    for step in range(STEPS):
        arrived = registers.weights[0][0] * float(step - 1 in INPUTS)
        if arithmetic._advance(arrived, registers.bias, threshold, constants, current, voltage, wait, fired):
            spikes.append(step)
        voltages[step] = voltage[0]
    return spikes, voltages


def by_hand(decay: float) -> Registers:
    """The board's own registers: a weight of 640, a threshold of 1600 and a decay of the voltage alone."""
    return Registers(
        weights=(np.array([[640.0]]),), exponents=(0,), bias=np.zeros(1), threshold=1600.0, current_decay=0.0,
        voltage_decay=decay, refractory_steps=0, per_current=1.0, per_weight=64.0, input_limit=2.0**21,
        state_limit=2.0**23, voltage_limit=2.0**23 - 1,
    )  # fmt: skip


def test_the_board_s_registers_give_its_spikes_and_voltages():
    spikes, voltages = run(by_hand(1 - 163 / 4096))
    assert tuple(spikes) == BOARD_SPIKES
    assert {step: int(voltages[step]) for step in BOARD_VOLTAGES} == BOARD_VOLTAGES


@pytest.mark.parametrize("decay", [1 - 162 / 4096, 1 - 164 / 4096])
def test_another_decay_gives_other_voltages(decay):
    _, voltages = run(by_hand(decay))
    assert {step: int(voltages[step]) for step in BOARD_VOLTAGES} != BOARD_VOLTAGES


@pytest.mark.parametrize("name", ["loihi1-emulator", "loihi2-like"])
@pytest.mark.parametrize("loss", [1 / 25, loss_of(2.5e-3, 1e-4)])  # of the board, and of the exact solution
def test_our_quantiser_gives_the_board_s_spikes(name, loss):
    weight = np.array([[10.0]], dtype=np.float32)  # an input of one, ten thresholds, of which a step takes the loss
    block = Block("lif", (weight,), np.zeros(1, dtype=np.float32), 1.0, 1.0, loss, 0, leaky=True)
    spikes, _ = run(registers_of(block, find_hardware(name).precision))
    assert tuple(spikes) == BOARD_SPIKES
    assert tuple(step - 1 for step in spikes) == EXACT_SPIKES
