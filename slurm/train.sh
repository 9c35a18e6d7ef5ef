# shellcheck shell=bash
# What train_vqvae.sh and train_audio.sh have in common: the ranks of one stage, and after them the question whether the job goes on by
# itself (the time was up, a rank died, …) or stops. They source it.
#   train STAGE RUN_DIR [key=value …]
train() {
  local stage=$1 run_dir=$2 status=0
  shift 2
  trap : TERM USR2 # a preempted or timed-out job must not lose this script before its ranks have saved
  srun --mpi="$MPI" --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    "$PYTHON" -u -m hpc.worker --controller "$CONTROLLER" --run-dir "$run_dir" "stage=$stage" "$@" || status=$?
  [ "$status" = 0 ] || exec "$PYTHON" -u -m hpc.again --run-dir "$run_dir" --status "$status"
}
