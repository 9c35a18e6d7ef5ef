#!/usr/bin/env bash
# Train stage 2, the decoder of sound, over all nodes of the job; settings of the stage come after the script's name.
#   sbatch -N4 slurm/train_audio.sh
#   sbatch -N2 --ntasks-per-node=4 --gres=gpu:4 -p batch slurm/train_audio.sh train.batch=8 train.steps=20000
#   RUN_DIR=runs/mine sbatch -N4 slurm/train_audio.sh preset=paper      (the same again goes on with it)
# Environment: RUN_DIR (default runs/audio-JOBID), MODEL (default models/vqvae), CODES (default data/codes), DATA (default data/clips), and those of slurm/env.sh.
# It saves and goes on by itself when its time is up, when it is preempted, or when a rank dies; `python -m hpc.status` shows it. The
# same error twice at the same step stops it. `python -m hpc.submit stage=audio` does more: it checks before the queue.
#SBATCH --job-name=v2a-audio
#SBATCH --ntasks-per-node=1
#SBATCH --time=1-00:00:00
#SBATCH --signal=USR2@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=audio-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
[ -e slurm/env.sh ] || { echo "submit it from the checkout: cd CHECKOUT && sbatch slurm/train_audio.sh" >&2 && exit 1; }
# shellcheck source=slurm/env.sh
source "${V2A_ENV:-slurm/env.sh}"
# shellcheck source=slurm/train.sh
source slurm/train.sh
train audio "${RUN_DIR:-runs/audio-$SLURM_JOB_ID}" "model=${MODEL:-models/vqvae}" "codes=${CODES:-data/codes}" "data=${DATA:-data/clips}" "$@"
