#!/usr/bin/env bash
# Starts one daemon of the test cluster and waits until it answers. Runs inside the namespaces of the host it belongs to.
# usage: daemons.sh STATE DAEMON [HOST]      DAEMON: munged | mariadbd | slurmdbd | slurmctld | slurmd
set -euo pipefail
state=$1 daemon=$2 host=${3:-}
export SLURM_CONF=$state/etc/slurm.conf

wait_for() { # wait_for SECONDS COMMAND...: until it succeeds
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "$daemon does not answer: see $state/log" >&2; return 1; }
    sleep 0.1
  done
}

start_mariadbd() {
  if [ ! -e "$state/mysql/installed" ]; then
    mariadb-install-db --no-defaults --user=root --datadir="$state/mysql" --skip-test-db >"$state/log/mariadb-install.log" 2>&1
    touch "$state/mysql/installed"
  fi
  # The network namespace is the controller's own, so the usual port is free, and nothing outside reaches 127.0.0.1.
  mariadbd --no-defaults --user=root --datadir="$state/mysql" --socket="$state/run/mysql.sock" --bind-address=127.0.0.1 \
    --tmpdir="$state/mysql" --pid-file="$state/run/mariadbd.pid" --innodb-buffer-pool-size=64M \
    --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=2 >>"$state/log/mariadbd.log" 2>&1 &
  wait_for 30 mariadb-admin --no-defaults --socket="$state/run/mysql.sock" ping
  mariadb --no-defaults --socket="$state/run/mysql.sock" <"$state/etc/accounting.sql"
}

case $daemon in
munged)
  rm -f "$state/run/munge.socket"* # left by a munged that was killed
  munged --force --key-file="$state/etc/munge.key" --socket="$state/run/munge.socket" --pid-file="$state/run/munged.pid" \
    --log-file="$state/log/munged.log" --seed-file="$state/run/munge.seed"
  ;;
mariadbd) start_mariadbd ;;
slurmdbd)
  slurmdbd
  wait_for 30 sacctmgr -n list cluster
  ;;
slurmctld)
  slurmctld
  wait_for 30 scontrol ping
  ;;
slurmd) slurmd -N "$host" ;;
*)
  echo "unknown daemon $daemon" >&2
  exit 2
  ;;
esac
