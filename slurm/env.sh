# shellcheck shell=bash
# What the batch scripts of this folder need before they start Python; they source it, or the file that V2A_ENV names. Change it for your
# cluster. With modules:
#   module load openmpi/4.1.4 ffmpeg
# In a container, PYTHON is a program that starts Python inside of it:
#   #!/bin/sh
#   exec apptainer exec --nv /shared/v2a-hpc.sif python "$@"
: "${PYTHON:=.venv/bin/python}"
# Where srun has no PMIx: MPI=none CONTROLLER=gloo
: "${MPI:=pmix}" "${CONTROLLER:=mpi}"
export PYTHON MPI CONTROLLER
command -v "$PYTHON" >/dev/null || {
  echo "there is no '$PYTHON': make setup puts it there, or name one as PYTHON" >&2
  exit 1
}
