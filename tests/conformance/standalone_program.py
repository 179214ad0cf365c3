"""Program that makes C++ standalone runs one after the other and says what they changed around them.

Called as ``python standalone_program.py FOLDER``; reads ``settings.json`` and networks there, writes one
recording per entry and ``about.json``.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

BEFORE = id(sys.excepthook), id(warnings.showwarning)  # before anything has imported Brian2

import numpy as np  # noqa: E402
from ddm2snn_backends.brian2 import Brian2Backend  # noqa: E402

import ddm2snn  # noqa: E402


def main(folder: Path) -> None:
    state = repr(np.random.get_state())  # noqa: NPY002 - the global one is the point
    for name, settings in json.loads((folder / "settings.json").read_text()).items():
        stimulus = folder / f"{name}-stimulus.safetensors"
        recording = ddm2snn.simulate(
            ddm2snn.SpikingNetwork.load(folder / f"{name}.safetensors"),
            backend=Brian2Backend(mode="cpp_standalone"),
            stimulus=ddm2snn.Stimulus.load(stimulus) if stimulus.exists() else None,
            **settings,
        )
        recording.save(folder / f"{name}.nc")
    about = {
        "hooks are as before": (id(sys.excepthook), id(warnings.showwarning)) == BEFORE,
        "global generator is as before": repr(np.random.get_state()) == state,  # noqa: NPY002
        "device": type(sys.modules["brian2"].get_device()).__name__,
        "folders left": sorted(path.name for path in Path(tempfile.gettempdir()).glob("ddm2snn-brian2-*")),
    }
    (folder / "about.json").write_text(json.dumps(about))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
