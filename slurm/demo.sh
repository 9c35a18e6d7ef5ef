#!/usr/bin/env bash
# `make demo-cluster`: bring up the test cluster and train the self-test on its four T4 hosts through Horovod, for real.
# Where there is no root, or a Slurm of the machine's own, the same on two local ranks. The cluster is left as it was found.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
runs=$PWD/demo/runs
testbed=("$python" -m slurm.testbed)

if "${testbed[@]}" env >/dev/null 2>&1; then
  echo "== the test cluster is up already; using it"
elif [ "$(id -u)" = 0 ] && "${testbed[@]}" up; then
  trap '"${testbed[@]}" down' EXIT
else
  echo "== no test cluster here (the reason stands above, or: it needs root); training locally"
  ranks=2
  "$python" -c 'import horovod' 2>/dev/null || { ranks=1; echo "== no Horovod here either (make setup says why): one process"; }
  "$python" -m hpc.submit --cluster local --ranks-per-node "$ranks" --runs "$runs" stage=selftest
  exit
fi
eval "$("${testbed[@]}" env)"
echo "== its nodes"
sinfo
echo "== training on four hosts: one rank each, gradients averaged by Horovod over MPI"
"$python" -m hpc.submit --nodes 4 --gpus-per-node 2 --follow --runs "$runs" stage=selftest
echo "== what accounting says"
sacct -X -o JobID,JobName,Partition,NNodes,Elapsed,State | tail -3
echo "== the run's folder: $(ls -d "$runs"/selftest-*)"
echo "try next: make cluster-up && make cluster-shell     (docs/testbed.md)"
