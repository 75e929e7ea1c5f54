#!/bin/bash
# Usage: down.sh DIR
# End the cluster that up.sh started in DIR, with its jobs, and remove what it made outside DIR.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
dir=$(cd "$1" && pwd -P)
export SLURM_CONF=$dir/etc/slurm.conf
exec >>"$dir/log/down.log" 2>&1

alive() { [ -s "$dir/run/$1.pid" ] && grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$(<"$dir/run/$1.pid")/environ"; }
stop() {
  alive "$1" || return 0
  local pid
  pid=$(<"$dir/run/$1.pid")
  kill "$pid" || true
  for _ in {1..100}; do
    grep -qz . "/proc/$pid/environ" || return 0 # a zombie's is empty
    sleep 0.1
  done
  kill -9 "$pid" || true
}
# What jobs left: processes that carry this cluster's SLURM_CONF and belong to a node or a job.
left() {
  grep -lzxF "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ 2>/dev/null |
    xargs -r grep -lzE '^(SLURM_JOB_ID|SLURMD_NODENAME)=' 2>/dev/null | cut -d/ -f3
}

# Steps outlive slurmd, so the jobs go first, while it is there to end them in good order.
if alive slurmctld; then
  timeout 5 scancel --user=root || true
  for _ in {1..20}; do
    [ -n "$(timeout 5 squeue -h)" ] || break
    sleep 0.3
  done
fi
for name in n1 n2 slurmctld slurmdbd mariadbd munged; do stop $name; done
left | xargs -r kill -9 || true

for group in freezer memory; do # those of another cluster are in use, so rmdir leaves them
  find /sys/fs/cgroup/$group/slurm_n[12] -depth -type d -exec rmdir {} \; || true
done
if [ -s "$dir/network" ]; then
  source "$dir/network"
  if [ "$net" = netns ]; then
    # A namespace that is deleted keeps its link for a moment.
    for i in 1 2; do ip netns del "slurmtest$number-n$i" || true; ip link del "slurmt$number-$i" || true; done
    ip link del "slurmtest$number" || true
  else
    # Written in place: /etc/hosts may be a bind mount.
    sed "\\|^# slurmtest $dir begin\$|,\\|^# slurmtest $dir end\$|d" /etc/hosts >"$dir/etc/hosts.new"
    cat "$dir/etc/hosts.new" >/etc/hosts
  fi
  rm -f "$dir/network" "$SLURM_CONF" # another start chooses anew
fi
