"""The code paths of a GPU on a machine without one: benchmarks/gpu.py on the CPU, and, where they are, pretended devices."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from workflow import ROOT

from nafp.compute import bfloat16_pays

PRETEND = ROOT.parent / "shared/tools/pretend_cuda/run"


def test_the_gpu_benchmark_runs_on_a_cpu(tmp_path):
    """Every section, with neither Faiss, Snakemake nor jsonschema, which a machine with a GPU may not have."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('faiss', 'snakemake', 'jsonschema'):\n    sys.modules[name] = None\n"
    )
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--quick", "--json", str(tmp_path / "gpu.json")]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT / 'scripts'}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    record = json.loads((tmp_path / "gpu.json").read_text())
    sections = [
        "machine",
        "losses",
        "resume",
        "memory",
        "fingerprints",
        "speed",
        "profile",
        "recipe",
        "search",
        "kernels",
    ]
    assert list(record) == sections
    assert all(f"## {name}: " in done.stdout for name in sections)
    assert record["losses"]["rows"][1]["most apart"] == 0  # the CPU beside itself
    assert record["resume"]["rows"][0]["same weights to the bit"]
    assert record["search"]["rows"][0]["found"].startswith("100.00%")


@pytest.mark.skipif(not PRETEND.is_file(), reason="needs the pretended CUDA devices beside the repository")
@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_devices_and_copies_of_training():
    """No tensor on the wrong device, the CPU's results bit for bit, one copy a step, and no waiting for the GPU, also after
    a resume."""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run([PRETEND, ROOT, sys.executable], env=environment, capture_output=True, text=True, timeout=900)
    cases = dict(re.findall(r"^== (.*?)\n(.*?)(?=^== |\Z)", done.stdout, flags=re.MULTILINE | re.DOTALL))
    assert len(cases) == 16 and "failed: 0" in done.stdout, done.stdout[-3000:]
    lacking = (
        set() if bfloat16_pays(torch.device("cpu")) else {"bfloat16"}
    )  # where the CPU beside it computes in float32
    for name, said in cases.items():
        if "losses" in said and name not in lacking:
            assert "equal to the CPU, bit for bit; validation equal" in said, name
    usual = cases["ntxent adam, sounds on the device"]
    copies = float(re.search(r"steps: copy to device: \d+ \(([\d.]+) a step\)", usual).group(1))
    assert copies < 1.5  # a plan; and once the spectra of the impulse responses
    assert "steps: sync" not in usual
    assert "sync" not in cases["resume"]
    assert cases["fingerprint"].count("equal to the CPU: True") == 2
