#!/usr/bin/env bash
# PID 1 of one host of the test cluster, in PID, network, mount, UTS and IPC namespaces of its own. When it is killed, the
# kernel ends every process of the host and takes back its mounts and network.
# usage: host_init.sh MARK STATE HOST SHARED...     MARK only serves to be found in the process list
set -euo pipefail
state=$2 host=$3
shift 3
here=$(dirname "$(realpath "$0")")
export LC_ALL=C.UTF-8

# A node's temporary folders are its own, as on a real cluster; folders that the cluster shares stay visible below them.
# They are opened first and mounted again from the open descriptor, because the new file system covers their path.
private_folders() {
  local folder path descriptor
  for folder in /tmp /var/tmp /dev/shm; do
    local -a kept=() descriptors=()
    for path in "$@"; do
      if [[ $path == "$folder"/* && -d $path ]]; then
        exec {descriptor}<"$path"
        kept+=("$path") descriptors+=("$descriptor")
      fi
    done
    mount -t tmpfs -o mode=1777 "$host" "$folder"
    for i in "${!kept[@]}"; do
      mkdir -p "${kept[i]}"
      mount --no-canonicalize --bind "/proc/self/fd/${descriptors[i]}" "${kept[i]}"
      descriptor=${descriptors[i]}
      exec {descriptor}<&-
    done
  done
}

hostname "$host"
cd /
until ip -4 address show 2>/dev/null | grep -q 'inet 10\.'; do sleep 0.05; done
mount --bind "$state/etc/hosts" /etc/hosts
if [ "$host" = ctl ]; then
  for daemon in munged mariadbd slurmdbd slurmctld; do bash "$here/daemons.sh" "$state" "$daemon"; done
  touch "$state/controller-ready"
else
  private_folders "$@"
  until [ -e "$state/controller-ready" ]; do sleep 0.05; done
  rm -rf "$state/spool/$host"/pmix.* # after a power cut: sockets of jobs that ran here, in the way of the same job's next try
  bash "$here/daemons.sh" "$state" slurmd "$host"
fi
# Stay, and reap what daemons leave behind (bash does it while it waits).
while :; do
  sleep 3600 &
  wait $! || true
done
