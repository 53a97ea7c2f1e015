#!/bin/bash
# Several workers of one training, under Slurm: sbatch docs/slurm.sh, in a clone that all nodes see (several-machines.md).
#SBATCH --job-name=cnn
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --requeue
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
export PATH="$PWD/.venv/bin:$PATH"
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
names=$(printf '"%s:2222",' "${hosts[@]}")
export NAMES="${names%,}"
# Where one task fails, all end; `scontrol requeue` starts them again, and they go on from the checkpoint.
srun --kill-on-bad-exit=1 bash -euc '
    task="{\"type\": \"worker\", \"index\": $SLURM_PROCID}"
    export TF_CONFIG="{\"cluster\": {\"worker\": [$NAMES]}, \"task\": $task}"
    if [ "$SLURM_PROCID" = 0 ]; then exec dvc repro train; else exec python -m stages.train; fi
'
