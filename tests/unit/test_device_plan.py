"""The plan for a device finds the smallest network that meets, whatever its prediction says."""

from __future__ import annotations

import json
import shlex

import pytest

import ddm2snn
from ddm2snn import InputError
from ddm2snn.hardware import find_hardware
from ddm2snn.workflow import device_plan
from ddm2snn.workflow.device_plan import DeviceOption, plan_on_device

NEURONS = [m for m in device_plan._LADDER if m * 8 >= 2]
BITS = range(2, 9)


@pytest.fixture
def law(monkeypatch):
    """Set what is measured, and what is predicted, of neurons per unit and bits; runs and conversions are left out."""

    def of(measured, predicted, confirmed=None):
        ran = []

        def at(search, candidate):
            if candidate not in search.options:
                ran.append(candidate)
                excess = measured(*candidate)
                search.options[candidate] = DeviceOption(
                    *(candidate[0], round(8 * candidate[0]), candidate[1], 0.5, predicted(*candidate), excess),
                    meets=excess <= search.tolerance,
                )
            return search.options[candidate]

        monkeypatch.setattr(device_plan.DeviceSearch, "at", at)
        monkeypatch.setattr(device_plan.DeviceSearch, "predicted", lambda _, candidate: predicted(*candidate))
        again = confirmed or measured
        monkeypatch.setattr(device_plan.DeviceSearch, "excess", lambda _, candidate, seeds: again(*candidate))
        return ran

    return of


@pytest.mark.parametrize("bias", [0.1, 0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize(("fewest", "bits"), [(0.25, 2), (0.5, 7), (2.0, 4), (16.0, 8)])
def test_the_fewest_that_meet_are_found_whatever_is_predicted(fewest, bits, bias, law, quick_rate):
    def measured(multiple, width):
        return 1.0 + 0.5 * fewest / multiple * 2.0 ** (bits - width) if width < 8 else 1.0 + 0.5 * fewest / multiple

    ran = law(measured, lambda *candidate: bias * measured(*candidate))
    planned = plan_on_device(quick_rate, "loihi1-emulator", excess=1.5)
    assert (planned.chosen.neurons_per_unit, planned.chosen.weight_bits) == (fewest, bits)
    assert planned.chosen.measured <= 1.5
    assert planned.confirmed == planned.chosen.measured
    assert len(ran) == len(set(ran)) == len(planned.options)
    known = {(o.neurons_per_unit, o.weight_bits): o for o in planned.options}
    smaller = [(m, 8) for m in NEURONS if m < fewest][-1:] + [(fewest, bits - 1)] * (bits > BITS[0])
    assert all(not known[candidate].meets for candidate in smaller), "the next smaller ones were run, and fail"
    assert planned.lines()[1:-1][[*known].index((fewest, bits))].startswith("* ")


def test_an_answer_that_a_further_run_does_not_confirm_gives_way_to_a_larger_one(law, quick_rate):
    def measured(multiple, width):
        return 1.0 + 0.5 / multiple * 2.0 ** (4 - width)

    def again(multiple, width):
        return measured(multiple, width) + (0.3 if (multiple, width) in ((1.0, 4), (1.0, 5)) else 0.0)

    law(lambda m, w: measured(m, w) if w < 8 else 1.0 + 0.5 / m, lambda *_: 1.0, again)
    planned = plan_on_device(quick_rate, "loihi1-emulator", excess=1.5)
    assert (planned.chosen.neurons_per_unit, planned.chosen.weight_bits) == (1.0, 6)
    assert planned.confirmed == pytest.approx(measured(1.0, 6))


def test_what_cannot_be_met_is_refused_with_the_closest(law, quick_rate):
    law(lambda multiple, _: 2.0 + 1.0 / multiple, lambda *_: 1.0)
    with pytest.raises(InputError, match=r"closest is 16 neurons per unit \(128\), at 2\.06\. Allow a larger excess"):
        plan_on_device(quick_rate, "loihi1-emulator")


def test_the_command_that_is_printed_makes_the_network_that_was_run(cli, quick_rate, tmp_path, monkeypatch):
    """Neurons, bits and seed are those of a conversion whose runs were measured here once more."""
    for name, value in {
        "_DURATION": 12.0,
        "_TRIALS": 4,
        "_REFERENCES": 2,
        "_LADDER": (2.0, 4.0),
        "_FEWEST_BITS": 7,
    }.items():
        monkeypatch.setattr(device_plan, name, value)
    quick_rate.save(tmp_path / "rate.safetensors")
    asked = ("plan", "rate.safetensors", "--hardware", "loihi1-emulator", "--excess", 60, "--seed", 3, "--json")
    code, out, err = cli(*asked)
    assert code == 0, err
    planned = json.loads(out)
    chosen = planned["chosen"]
    assert chosen["meets"]
    assert max(chosen["measured"], planned["confirmed"]) <= 60
    assert chosen["neurons_per_unit"] == 2.0
    base = find_hardware("loihi1-emulator")
    device = base.model_copy(
        update={"precision": base.precision.model_copy(update={"weight_bits": chosen["weight_bits"]})}
    )
    words = shlex.split(planned["command"])
    assert words[:3] == ["ddm2snn", "convert", "rate.safetensors"]
    assert words[words.index("--hardware") + 1] == "loihi1-emulator"
    made = ddm2snn.convert(
        quick_rate, population=2, hardware=device, seed=int(words[words.index("--seed") + 1])
    ).network
    assert (made.neurons, made.time_unit_s) == (chosen["neurons"], chosen["time_unit_s"])
    search = device_plan.DeviceSearch(quick_rate, base, 60.0, 3, lambda _: None)
    search.networks[2.0, chosen["weight_bits"]] = made
    assert search.excess((2.0, chosen["weight_bits"]), [3, 4]) == pytest.approx(chosen["measured"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ("--hardware", "loihi1-emulator", "--noise", 0.2, "--backend", "nengo"),
            "--noise, --backend belong to a plan",
        ),
        (("--excess", 2), "--excess is the tolerance on a device. Add --hardware."),
        (("--hardware", "loihi1-emulator", "--excess", 0), "excess"),
        (("--hardware", "loihi9"), "loihi9"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given, words, cli, quick_rate, tmp_path):
    quick_rate.save(tmp_path / "rate.safetensors")
    code, _, err = cli("plan", "rate.safetensors", *given)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
