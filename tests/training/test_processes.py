"""Two processes train as one would on both their batches, and end with the same parameters."""

import subprocess
import sys
import textwrap
from pathlib import Path

import torch

SCRIPT = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import torch
    from codemem.training.processes import Processes, device_of_process

    torch.set_num_threads(1)
    device = device_of_process("cpu")
    processes = Processes.join(device)
    gradients = [torch.full((2, 3), 1.0 + processes.rank), torch.arange(4.0) * processes.rank]
    processes.average(gradients)
    decided = processes.agree(10.0 + processes.rank, device)
    torch.save((gradients, decided), Path(sys.argv[1]) / f"{processes.rank}.pt")
    processes.leave()
    """
)


def test_gradients_are_averaged_and_the_leader_decides(tmp_path: Path) -> None:
    script = tmp_path / "both.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(script), str(tmp_path)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        (first, second), decided = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.equal(first, torch.full((2, 3), 1.5))
        assert torch.equal(second, torch.arange(4.0) / 2)
        assert decided == 10.0
