#!/usr/bin/env bash
# Workers of a sweep that live long and run trial after trial, one for each task of the array: a QoS of four jobs is four workers,
# however many trials there are. What comes after the script's name goes to `python -m sweeps.optuna_run`;
# workers on several nodes share a study in a database (--storage): a journal file, the default, is for one machine.
#   sbatch --array=0-3 slurm/sweep_workers.sh --storage postgresql://me@db.example/sweeps stage=vqvae
#   sbatch --array=0-3 --time=1-00:00:00 --gres=gpu:1 slurm/sweep_workers.sh --storage postgresql://me@db.example/sweeps --trials 40 stage=vqvae
# Environment: those of slurm/env.sh.
#SBATCH --job-name=v2a-sweep
#SBATCH --ntasks=1
#SBATCH --time=1-00:00:00
#SBATCH --signal=USR2@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=sweep-%A_%a.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
[ -e slurm/env.sh ] || { echo "submit it from the checkout: cd CHECKOUT && sbatch slurm/sweep_workers.sh" >&2 && exit 1; }
# shellcheck source=slurm/env.sh
source "${V2A_ENV:-slurm/env.sh}"
exec srun --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" "$PYTHON" -u -m sweeps.optuna_run --mode workers "$@"
