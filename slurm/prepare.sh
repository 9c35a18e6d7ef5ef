#!/usr/bin/env bash
# Videos to clip shards, shared out over all tasks of the job; settings of the stage come after the script's name.
#   sbatch -N2 --ntasks-per-node=8 slurm/prepare.sh
#   VIDEOS='my clips/' OUT=data/clips sbatch -N4 --ntasks-per-node=16 slurm/prepare.sh fit=crop
# Environment: VIDEOS (default videos), OUT (default data/clips), RUN_DIR (default runs/prepare-JOBID), and those of slurm/env.sh.
# The same again goes on after a kill: what is done is not done twice.
#SBATCH --job-name=v2a-prepare
#SBATCH --ntasks-per-node=4
#SBATCH --time=12:00:00
#SBATCH --signal=USR2@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=prepare-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
[ -e slurm/env.sh ] || { echo "submit it from the checkout: cd CHECKOUT && sbatch slurm/prepare.sh" >&2 && exit 1; }
# shellcheck source=slurm/env.sh
source "${V2A_ENV:-slurm/env.sh}"
# shellcheck source=slurm/train.sh
source slurm/train.sh
train prepare "${RUN_DIR:-runs/prepare-$SLURM_JOB_ID}" "videos=${VIDEOS:-videos}" "out=${OUT:-data/clips}" "$@"
