"""Whether the memory of a search's worker grows from trial to trial.

    python benchmarks/search_memory.py --out DIR [--trials 50]

Small trials of several architectures and losses on the demo photos, in one
worker; its greatest resident memory in each is drawn in DIR/memory.png.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import psutil

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

SPACE = """
experiment: {{data: demo, image_size: 32, batch_size: 16}}
tuner: random
trials: {trials}
budget: {{steps: 10}}
space:
  arch: [unet, zhang, cnn]
  loss: [l2, smooth_l1, ce]
  learning_rate: {{float: [1e-4, 1e-2], log: true}}
"""
SEARCH = "from kcolor.cli.search import main; main()"


def workers(process: psutil.Process) -> list[psutil.Process]:
    """Returns the search's processes that train."""
    found = []
    for child in process.children():
        with contextlib.suppress(psutil.Error):
            if "kcolor.searching.worker" in child.cmdline():
                found.append(child)
    return found


def measure(out: Path, trials: int) -> list[float]:
    """Returns the worker's greatest memory in MiB during each trial."""
    out.mkdir(parents=True)
    space = out / "memory.yaml"
    space.write_text(SPACE.format(trials=trials))
    command = [sys.executable, "-c", SEARCH]
    command += ["--space", str(space), "--out", str(out / "search")]
    process = psutil.Popen(command)
    memory, most = [], 0.0
    while process.poll() is None:
        # None is there for the moment in which it begins anew.
        for worker in workers(process):
            with contextlib.suppress(psutil.Error):
                most = max(most, worker.memory_info().rss / 2**20)
        ended = len(list(out.glob("search/trial_*/metrics.json")))
        if ended > len(memory):
            memory.append(most)
            most = 0.0
        time.sleep(0.05)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return memory


def main() -> None:
    """Draws the figure and prints what it shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=50)
    options = parser.parse_args()
    memory = measure(options.out, options.trials)
    slope = np.polyfit(np.arange(len(memory)), memory, 1)[0]
    print(f"MiB in each trial: {[round(m) for m in memory]}")
    print(f"most {max(memory):.0f} MiB, trend {slope:+.1f} MiB a trial")
    figure, axes = plt.subplots(figsize=(7, 3))
    axes.plot(range(1, len(memory) + 1), memory, ".-")
    axes.set(xlabel="trial", ylabel="worker's memory (MiB)", ylim=(0, None))
    figure.tight_layout()
    figure.savefig(options.out / "memory.png", dpi=100)


if __name__ == "__main__":
    main()
