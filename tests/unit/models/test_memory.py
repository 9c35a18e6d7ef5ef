"""A whole clip of the paper's geometry, in a process of its own."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from v2a.comm import LocalComm
from v2a.models.config import Model
from v2a.models.make import make_vqvae
from v2a.quantize.config import Settings
model = make_vqvae(Model(name=sys.argv[1]), Settings(), LocalComm(), 0)
model(torch.rand(1, 3, 20, 144, 256))
model.eval()
with torch.no_grad():
    model(torch.rand(1, 3, 100, 144, 256))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "residual"])
def test_a_whole_clip_takes_less_than_4_gigabytes(name: str):
    done = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True)
    assert 100 < int(done.stdout) < 4096
