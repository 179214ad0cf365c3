"""A damaged file is refused in one line, or the damage did not touch the content; nothing else happens."""

# The test knows that there are spikes:
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network_strategies import MODEST, rate_networks, spiking_networks, stimuli

import ddm2snn
from ddm2snn import Recording, Spikes
from ddm2snn.errors import FileRefusedError

ARRAY_FILES = rate_networks() | spiking_networks() | stimuli()
FLIPS = st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3)

# One process loads a batch of damaged recordings: HDF5 may crash or hang, and a test must outlive that
LOAD_ALL = """
import json, os, sys
import ddm2snn
from ddm2snn.base import foreign
from ddm2snn.errors import FileRefusedError
if hasattr(os, "fork"):
    sys.path.insert(0, sys.argv[1])
    import forked_reader
    foreign._run = forked_reader.run
for path in sys.argv[2:]:
    try:
        outcome = ["loaded", ddm2snn.load(path).fingerprint]
    except FileRefusedError as error:
        outcome = ["refused", str(error)]
    except BaseException as error:
        outcome = ["raised", repr(error)]
    print(json.dumps(outcome), flush=True)
"""


def damaged(content, flips):
    out = bytearray(content)
    for where, mask in flips:
        out[int(where * len(out))] ^= mask
    return bytes(out)


def outcome_is_safe(path, fingerprint):
    """Load `path`: refused by name in one line, or equal to what was saved."""
    try:
        loaded = ddm2snn.load(path)
    except FileRefusedError as error:
        return str(path) in str(error) and "\n" not in str(error)
    return loaded.fingerprint == fingerprint


@settings(MODEST, max_examples=150)
@given(thing=ARRAY_FILES, flips=FLIPS)
def test_flipped_bytes_in_a_network(folder, thing, flips):
    path = folder / "flipped.safetensors"
    thing.save(path)
    path.write_bytes(damaged(path.read_bytes(), flips))
    assert outcome_is_safe(path, thing.fingerprint)


@settings(MODEST, max_examples=60)
@given(thing=ARRAY_FILES, share=st.floats(0.0, 1.0, exclude_max=True))
def test_a_truncated_network_is_refused(folder, thing, share):
    path = folder / "cut.safetensors"
    thing.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileRefusedError, match="damaged or cut short"):
        ddm2snn.load(path)


@settings(MODEST, max_examples=60)
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_other_file_is_refused(folder, content):
    path = folder / "foreign"
    path.write_bytes(content)
    with pytest.raises(FileRefusedError) as caught:
        ddm2snn.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(MODEST, max_examples=60)
@given(thing=spiking_networks(), data=st.data())
def test_an_edited_header_is_refused_or_harmless(folder, thing, data):
    # a header that is still JSON, but with one value replaced by any other plain value
    path = folder / "edited.safetensors"
    thing.save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    outer = json.loads(content[8 : 8 + size])
    header = json.loads(outer["__metadata__"]["ddm2snn"])
    table = header["settings"] if data.draw(st.booleans()) else header
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    keys = sorted(set(table) - {"provenance"})
    table[data.draw(st.sampled_from(keys))] = data.draw(values)
    outer["__metadata__"]["ddm2snn"] = json.dumps(header)
    fresh = json.dumps(outer).encode()
    path.write_bytes(len(fresh).to_bytes(8, "little") + fresh + content[8 + size :])
    assert outcome_is_safe(path, thing.fingerprint)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A recording with spikes, and its bytes."""
    rng = np.random.default_rng(3)
    thing = Recording.from_arrays(
        rng.standard_normal((2, 20, 2)),
        every=0.1,
        time_unit_s=0.2,
        spikes=Spikes.sorted(rng.random(30), rng.integers(9, size=30), rng.integers(2, size=30)),
        provenance={"backend": "reference", "seed": 3},
    )
    path = tmp_path_factory.mktemp("recording") / "run.nc"
    thing.save(path)
    content = path.read_bytes()
    return thing, content


def batch_is_safe(folder, files, fingerprint):
    paths = []
    for index, content in enumerate(files):
        paths.append(str(folder / f"damaged-{index}.nc"))
        (folder / f"damaged-{index}.nc").write_bytes(content)
    command = [sys.executable, "-c", LOAD_ALL, str(Path(__file__).parents[1]), *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert len(outcomes) == len(files)
    for path, (kind, text) in zip(paths, outcomes, strict=True):
        assert kind != "raised", text
        assert text == fingerprint if kind == "loaded" else path in text and "\n" not in text
    return [kind for kind, _ in outcomes]


@settings(MODEST, max_examples=3, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_flipped_bytes_in_a_recording(folder, recording, data):
    # anywhere: without the checksum in front, damage to HDF5's own tables can make it loop
    thing, content = recording
    files = []
    for _ in range(25):
        out = bytearray(content)
        out[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        files.append(bytes(out))
    assert "refused" in batch_is_safe(folder, files, thing.fingerprint)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # the fixture holds a whole file
@settings(MODEST, max_examples=2, suppress_health_check=[HealthCheck.too_slow])
@given(shares=st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=20, max_size=20))
def test_a_truncated_recording_is_refused(folder, recording, shares):
    thing, content = recording
    files = [content[: int(share * len(content))] for share in shares]
    assert set(batch_is_safe(folder, files, thing.fingerprint)) == {"refused"}
