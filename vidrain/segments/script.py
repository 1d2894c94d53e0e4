"""The script for `sbatch` that makes segments, as a text: a task of its array for each.

Names go in quoted, and nowhere but as words of a command: a comment or a directive ends with its line.
"""

import shlex
import sys
from pathlib import Path

_MOST_TASKS = 1000  # of an array: Slurm allows indices up to 1000 unless its MaxArraySize says otherwise


def array_script(target: Path, *, segments: int, threads: int, device: str) -> str:
    """A bash script that makes the planned segments of `target`; several a task where there are more than 1000."""
    tasks = min(segments, _MOST_TASKS)
    words = (sys.executable, "-m", "vidrain", "segment", "run", str(target.absolute()))
    gpu = "#SBATCH --gres=gpu:1\n" if device == "cuda" else ""
    return f"""#!/bin/bash
# Made by vidrain: a task makes a segment. Run it with sbatch. When it is over, whatever became of the tasks, the
# command that wrote this joins the segments if it is given again without --slurm and --fresh; it makes what is missing.
#SBATCH --job-name=vidrain
#SBATCH --array=0-{tasks - 1}
#SBATCH --cpus-per-task={threads}
{gpu}code=0
for ((index = SLURM_ARRAY_TASK_ID; index < {segments}; index += {tasks})); do
  {shlex.join(words)} --index "$index" || code=$?
done
exit "$code"
"""
