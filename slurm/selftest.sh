#!/usr/bin/env bash
# Does this cluster train? A minute of data-parallel training over all nodes of the job, and a preflight of each.
#   sbatch -N4 slurm/selftest.sh
#   sbatch -N2 --ntasks-per-node=4 --gres=gpu:4 -p dgx slurm/selftest.sh
# Environment: RUN_DIR (default runs/selftest-JOBID), STEPS (default 100), and those of slurm/env.sh.
#SBATCH --job-name=v2a-selftest
#SBATCH --ntasks-per-node=1
#SBATCH --time=0:15:00
#SBATCH --output=selftest-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
[ -e slurm/env.sh ] || { echo "submit it from the checkout: cd CHECKOUT && sbatch slurm/selftest.sh" >&2 && exit 1; }
# shellcheck source=slurm/env.sh
source "${V2A_ENV:-slurm/env.sh}"
exec srun --mpi="$MPI" --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
  "$PYTHON" -m hpc.worker --controller "$CONTROLLER" --run-dir "${RUN_DIR:-runs/selftest-$SLURM_JOB_ID}" \
  stage=selftest steps="${STEPS:-100}"
