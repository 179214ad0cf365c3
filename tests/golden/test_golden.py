"""Numbers and files of yesterday: made by make_golden.py, read and made again today."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import ddm2snn

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

import make_golden  # noqa: E402

# exp and tanh differ between processors in the last bit; two time units amplify that by far less than 1e6
ROUNDING = 1e-9


@pytest.fixture(scope="module")
def yesterday():
    return json.loads((FOLDER / "numbers.json").read_text())


@pytest.fixture(scope="module")
def today():
    return make_golden.numbers()


def test_fingerprints_stay(yesterday, today):
    for name in ("rate_fingerprint", "spiking_fingerprint"):
        assert today[name] == yesterday[name]


def test_runs_stay(yesterday, today):
    np.testing.assert_allclose(today["rate_latent"], yesterday["rate_latent"], rtol=ROUNDING)
    np.testing.assert_allclose(today["spiking_latent"], yesterday["spiking_latent"], rtol=ROUNDING)
    assert today["spikes"] == yesterday["spikes"]


def test_files_of_format_version_1_are_read():
    assert ddm2snn.load(FOLDER / "rate.safetensors").fingerprint == make_golden.tiny_rate().fingerprint
    spiking = ddm2snn.load(FOLDER / "spiking.safetensors")
    assert isinstance(spiking, ddm2snn.SpikingNetwork)
    assert spiking.fingerprint == make_golden.tiny_spiking().fingerprint
    assert spiking.provenance["made_by"] == "tests/golden/make_golden.py"
    recording = ddm2snn.load(FOLDER / "recording.nc")
    assert isinstance(recording, ddm2snn.Recording)
    assert recording.provenance["network"] == spiking.fingerprint
    assert recording.spikes is not None
    np.testing.assert_allclose(recording.samples, make_golden.tiny_recording().samples, rtol=ROUNDING)
