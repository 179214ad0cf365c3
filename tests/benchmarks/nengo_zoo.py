"""A submission to nengo-zoo made of an exported Nengo module, checked and its tests run.

    python tests/benchmarks/nengo_zoo.py snn.safetensors -o van-der-pol --author 'A. Name' --licence MIT
    python tests/benchmarks/nengo_zoo.py ... --schema metadata.schema.json    # of a checkout of nengo/nengo-zoo

The folder's name is the name of the submission: lower-case letters, digits and hyphens. Its parts are those that
CONTRIBUTING.md of nengo/nengo-zoo asks of a model: metadata, README, licence, requirements, a script with a network
`model` at top level, and tests. Metadata is JSON, which is YAML. LICENSE holds the identifier alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import ddm2snn

SCRIPT = '''"""$TITLE: open in NengoGUI, or run for a standard deviation of the latents."""

import sys
from pathlib import Path

import nengo

sys.path.insert(0, str(Path(__file__).parent))
import weights

with weights.without_nengos_guesses():
    model = weights.nengo_network()
latent, spikes = model.latent, model.spikes

if __name__ == "__main__":
    with weights.without_nengos_guesses(), nengo.Simulator(model, dt=weights.DT_S, progress_bar=False) as simulator:
        simulator.run_steps(2000, progress_bar=False)
    print(weights.system_units(simulator.data[latent]).std(axis=0))
'''
TESTS = """import sys
from pathlib import Path

import nengo
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import $MODULE as script


def test_imports():
    assert isinstance(script.model, nengo.Network)


@pytest.fixture(scope="module")
def run():
    with nengo.Simulator(script.model, dt=script.weights.DT_S, progress_bar=False) as simulator:
        simulator.run(0.1, progress_bar=False)
    return simulator


def test_builds(run):
    assert len(script.model.all_ensembles) == 1


def test_runs_100ms(run):
    assert run.time > 0.09
    assert run.data[script.spikes].any()
    assert run.data[script.latent].std(axis=0).min() > 0.0
"""


def write(network: ddm2snn.SpikingNetwork, folder: Path, author: str, licence: str) -> None:
    """Write the submission."""
    module, system = folder.name.replace("-", "_"), network.provenance.get("system") or "a system of its own"
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    title = f"{network.neurons} spiking neurons whose {network.rank} latents follow {system}"
    ddm2snn.export(network, folder / "weights.py", format="nengo")
    metadata = {
        "name": folder.name, "type": "model", "version": "0.1.0", "authors": [{"name": author}], "license": licence,
        "description": f"{title}, converted from a low-rank rate network by drift-diffusion matching; by ddm2snn.",
        "tags": ["attractor", "dynamics", "low-rank", "recurrent"], "nengo_version": ">=3.2,<5", "backends": ["core"],
        "complexity": "advanced", "entry_point": f"{module}.py",
    }  # fmt: skip
    readme = f"# {folder.name}\n\n{title}.\n\n## Installation\n\n```bash\npip install -r requirements.txt\n```\n\n"
    readme += f"## Usage\n\n```bash\nnengo {module}.py      # NengoGUI\npython {module}.py\n```\n\n## How it works\n\n"
    readme += f"Neurons decode the drift of the latents, never a dense matrix: see `weights.py`. Licence: {licence}.\n"
    for name, text in {
        "metadata.yaml": json.dumps(metadata, indent=2) + "\n", "README.md": readme,
        "LICENSE": f"SPDX-License-Identifier: {licence}\nCopyright {author}\n",
        "requirements.txt": "nengo>=3.2,<5\nnumpy\n", f"{module}.py": SCRIPT.replace("$TITLE", title),
        "tests/test_runs.py": TESTS.replace("$MODULE", module),
    }.items():  # fmt: skip
        (folder / name).write_text(text, encoding="utf-8")


def main() -> int:
    """Write, validate and test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--author", required=True)
    parser.add_argument("--licence", required=True, help="SPDX identifier")
    parser.add_argument("--schema", type=Path, help="schema/metadata.schema.json of nengo-zoo; needs jsonschema")
    parser.add_argument("--python", default=sys.executable, help="Python with Nengo and pytest")
    asked = parser.parse_args()
    write(ddm2snn.SpikingNetwork.load(asked.network), asked.output, asked.author, asked.licence)
    metadata = json.loads((asked.output / "metadata.yaml").read_text())
    if asked.schema:
        import jsonschema

        schema = json.loads(asked.schema.read_text())
        jsonschema.validate(metadata, schema, jsonschema.Draft202012Validator)
        print("metadata validates")
    for command in (
        [metadata["entry_point"]],
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:nengo", "tests"],
    ):
        done = subprocess.run([asked.python, *command], cwd=asked.output, env={"PATH": ""}, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
