#!/usr/bin/env bash
# Sound for all videos of a folder or a list, shared out to the tasks of an array, however many there are; or one task alone.
#   sbatch slurm/infer_array.sh
#   sbatch --array=0-7 slurm/infer_array.sh INPUT MODEL OUT
#   sbatch --array=0-7%4 -p teaching --gres=gpu:t4:1 --export=ALL,INPUT=clips.csv,MODEL=models/audio slurm/infer_array.sh
# Environment, for what stands on no command line: INPUT (default videos), MODEL (default models/audio), OUT (default sounds), SEED (0),
# LEASE_S (120: seconds until the videos of a node that is gone are taken over), WORKERS (processes; the task's CPUs by default),
# and those of slurm/env.sh (PYTHON, V2A_ENV).
# Each task takes the next video that nobody has (claims are files in OUT), so a task that never starts leaves no gap, and one that is
# preempted, requeued or submitted again makes nothing twice. Each writes OUT/report.jsonl and OUT/failures.jsonl anew when it
# ends: what the last one writes is of all of them.
#SBATCH --job-name=v2a-infer
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR2@60
#SBATCH --output=infer-%A_%a.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
input=${1:-${INPUT:-videos}} model=${2:-${MODEL:-models/audio}} out=${3:-${OUT:-sounds}}
if [ -n "${V2A_ENV:-}" ] || [ -e slurm/env.sh ]; then # modules or a container; submitted from elsewhere it needs none
  [ -e "${V2A_ENV:-slurm/env.sh}" ] || { echo "there is no '$V2A_ENV': V2A_ENV names the file that sets up Python" >&2 && exit 1; }
  # shellcheck source=slurm/env.sh
  source "${V2A_ENV:-slurm/env.sh}"
fi
python=${PYTHON:-.venv/bin/python}
if [ ! -e "$input" ]; then
  echo "there are no videos at '$input': put some there, or name them: sbatch slurm/infer_array.sh INPUT MODEL OUT" >&2
  exit 1
fi
if [ ! -d "$model" ]; then
  echo "there is no model at '$model': train one (python -m v2a.audio), and export it" \
    "(python -m v2a.export runs/audio --out models/audio), or name its folder as MODEL" >&2
  exit 1
fi
command -v "$python" >/dev/null || {
  echo "there is no '$python': make setup puts it there, or name one as PYTHON" >&2
  exit 1
}

signal=
# shellcheck disable=SC2317 # the traps call it
stop() { # the present video is given back, and others take it at once
  signal=$1
  kill -TERM "$child" 2>/dev/null || true
}
trap 'stop USR2' USR2 # time is nearly up, or the job is preempted where Slurm says so by this signal
trap 'stop TERM' TERM # preempted, or cancelled
export OMP_NUM_THREADS=1
"$python" -m v2a.infer --model "$model" --out "$out" --seed "${SEED:-0}" --set lease_s="${LEASE_S:-120}" \
  --workers "${WORKERS:-${SLURM_CPUS_PER_TASK:-1}}" -- "$input" &
child=$!
while :; do # a signal ends `wait`, and not the child
  status=0
  wait "$child" || status=$?
  if [ "$status" -le 128 ] || ! kill -0 "$child" 2>/dev/null; then break; fi
done
if [ "$status" = 130 ] && [ "$signal" = USR2 ]; then
  echo "asked to stop; queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
if [ "$status" = 130 ] && [ -n "$signal" ]; then
  sleep 600 # Slurm ends this task, and knows whether it is to run again: a task that ended by itself would not
fi
exit "$status"
