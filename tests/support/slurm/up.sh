#!/bin/bash
# Usage: up.sh DIR
# Start a SLURM cluster of two nodes with 8 fake GPUs each on this machine: munged, mariadbd, slurmdbd, slurmctld
# and two slurmd, without systemd. Everything it writes is in DIR; DIR/env holds what a client must export. Run
# again, it starts only what does not run. Exit status 77: this machine cannot have one; the reason is printed.
#
# NET=netns gives every node a network of its own, in which "localhost" is not the other node; NET=loopback does
# without. Unset, it is netns where namespaces can be made and reach each other.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
refuse() { echo "$*" >&2; exit 77; }

[ $# = 1 ] || { echo "usage: up.sh DIR" >&2; exit 2; }
[ "$(id -u)" = 0 ] || refuse "a SLURM cluster needs root"
mkdir -p "$1"
dir=$(cd "$1" && pwd -P)
# Longer and the sockets below it would pass the 107 characters of AF_UNIX.
[ ${#dir} -le 70 ] || { echo "$dir: too long a path for sockets" >&2; exit 2; }
mkdir -p "$dir"/{etc,log,run,state,spool/n1,spool/n2,munge,dev}
export SLURM_CONF=$dir/etc/slurm.conf

log=$dir/log/up.log
exec 3>&2 >>"$log" 2>&1
trap 'code=$?; [ $code = 0 ] || { tail -n 8 "$dir"/log/*.log >&3; }' EXIT

# ---------------------------------------------------------------- packages
# One at a time: tests that run side by side may each want a cluster, and apt has no patience with a second apt.
exec 4>/tmp/slurm-packages.lock
flock 4
packages=()
while read -r program package; do command -v "$program" || packages+=("$package"); done <<'LIST'
slurmctld slurmctld
slurmd slurmd
sbatch slurm-client
munged munge
slurmdbd slurmdbd
mariadbd mariadb-server-core
mariadb mariadb-client-core
ip iproute2
LIST
if [ ${#packages[@]} -gt 0 ]; then
  command -v apt-get || { trap - EXIT; exec 2>&3; refuse "no SLURM (${packages[*]}) and no apt-get to install it"; }
  # apt would start the packages' own daemons.
  policy=/usr/sbin/policy-rc.d made=
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; }
  export DEBIAN_FRONTEND=noninteractive
  got=0
  { apt-get update -q && apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "${packages[@]}"; } \
    3>&- </dev/null || got=$?
  [ -z "$made" ] || rm -f $policy
  [ $got = 0 ] || { trap - EXIT; exec 2>&3; refuse "apt-get cannot install ${packages[*]}: $(tail -n 1 "$log")"; }
fi
exec 4>&-

# ---------------------------------------------------------------- helpers
# Every daemon is started with SLURM_CONF, so that a pid file that outlived its process names nobody else.
alive() { [ -s "$dir/run/$1.pid" ] && grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$(<"$dir/run/$1.pid")/environ"; }
await() { # await SECONDS COMMAND...
  local tries=$(($1 * 10))
  shift
  until "$@"; do
    ((tries-- > 0)) || { echo "gave up waiting for: $*"; return 1; }
    sleep 0.1
  done
}
# Away from the terminal's Ctrl-C, and without the caller's stderr, which it may be waiting to see closed.
launch() { setsid "$@" 3>&- </dev/null; }

# ---------------------------------------------------------------- network
# The number of a cluster tells it from others that run here: its bridge or its ports, and its jobs' ids, which
# name control groups that clusters share.
make_networks() {
  local i
  for ((number = RANDOM % 250, i = 0; ; number = (number + 1) % 250, i++)); do
    [ $i -lt 250 ] || return 1
    ip link add "slurmtest$number" type bridge 2>&1 && break # fails if another cluster has it
    [ -e "/sys/class/net/slurmtest$number" ] || return 1
  done
  ip addr add "10.77.$number.254/24" dev "slurmtest$number" && ip link set "slurmtest$number" up || return 1
  for i in 1 2; do
    ip netns add "slurmtest$number-n$i" &&
      ip link add "slurmt$number-$i" type veth peer name eth0 netns "slurmtest$number-n$i" &&
      ip link set "slurmt$number-$i" master "slurmtest$number" up &&
      ip -n "slurmtest$number-n$i" addr add "10.77.$number.$i/24" dev eth0 &&
      ip -n "slurmtest$number-n$i" link set lo up &&
      ip -n "slurmtest$number-n$i" link set eth0 up || return 1
  done
  # Nobody listens, but a refusal that comes at once has come through; a firewall's silence has not.
  for i in 2 254; do
    local got=0
    nsenter --net="/run/netns/slurmtest$number-n1" timeout 2 bash -c "</dev/tcp/10.77.$number.$i/9" || got=$?
    [ $got != 124 ] || return 1
  done
  nsenter --net="/run/netns/slurmtest$number-n1" unshare --mount --uts true
}
remove_networks() {
  # A namespace that is deleted keeps its link for a moment.
  for i in 1 2; do ip netns del "slurmtest$number-n$i" || true; ip link del "slurmt$number-$i" || true; done
  ip link del "slurmtest$number" || true
}
choose_port() { # eight free ports, below those of runs over several nodes, and those that the kernel gives to clients
  until port=$((16000 + RANDOM % 500 * 8)) &&
    [ -z "$(ss -Hltn "sport >= $port and sport < $((port + 8))")" ]; do :; done
}
if [ ! -s "$dir/network" ]; then
  net=${NET:-netns}
  if [ "$net" = netns ] && ! make_networks; then
    remove_networks
    [ -z "${NET:-}" ] || { echo "network namespaces do not work here"; exit 1; }
    net=loopback
  fi
  choose_port
  [ "$net" = netns ] || number=$(((port - 16000) / 8))
  echo "net=$net number=$number port=$port" >"$dir/network"
fi
source "$dir/network"
host=$(hostname -s)
if [ "$net" = netns ]; then control=10.77.$number.254 nodes=10.77.$number; else control=127.0.0.1 nodes=127.77.0; fi
names=$(printf '%s\n' "# slurmtest $dir begin" "$nodes.1 n1" "$nodes.2 n2" "# slurmtest $dir end")
if [ "$net" = netns ]; then
  # Only the nodes' mount namespaces see this one, so that clusters with other addresses do not clash.
  { cat /etc/hosts; echo "$names"; } >"$dir/etc/hosts"
elif ! grep -qF "# slurmtest $dir begin" /etc/hosts; then
  echo "$names" >>/etc/hosts
fi

# ---------------------------------------------------------------- configuration
[ -s "$dir/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
for gpu in {0..7}; do # gres wants device nodes; these are /dev/null
  [ -c "$dir/dev/nvidia$gpu" ] || mknod -m 666 "$dir/dev/nvidia$gpu" c 1 3
done
if [ -w /sys/fs/cgroup/freezer/tasks ] && [ -w /sys/fs/cgroup/memory/tasks ]; then
  tracking='ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup'
else
  tracking='ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherParams=OverMemoryKill'
fi
if [ "$net" = netns ]; then hosts=(n1 n2); else hosts=("$host" "$host"); fi
if [ ! -s "$SLURM_CONF" ]; then
  # cred_expire also is how long a requeued job waits before it starts again, 120 s by default.
  cat >"$SLURM_CONF.new" <<CONF
ClusterName=test
SlurmctldHost=$host($control)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/sock,cred_expire=5
MpiDefault=none
SwitchType=switch/none
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/%n.log
ReturnToService=2
SlurmdParameters=config_overrides
PropagateResourceLimitsExcept=MEMLOCK
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=8000
GresTypes=gpu
FirstJobId=$((number * 10000 + 1))
MaxArraySize=2001
MaxJobCount=5000
MinJobAge=600
InactiveLimit=0
JobRequeue=1
KillWait=60
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,sched_min_interval=100000
$tracking
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=$control
AccountingStoragePort=$((port + 1))
AccountingStoragePass=$dir/munge/sock
AccountingStorageTRES=gres/gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname=${hosts[0]} NodeAddr=$nodes.1 Port=$((port + 2)) CPUs=64 RealMemory=512000 Gres=gpu:8
NodeName=n2 NodeHostname=${hosts[1]} NodeAddr=$nodes.2 Port=$((port + 3)) CPUs=64 RealMemory=512000 Gres=gpu:8
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE DefaultTime=60 PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE DefaultTime=60 PriorityTier=10 PreemptMode=OFF
CONF
  echo "NodeName=n[1-2] Name=gpu File=$dir/dev/nvidia[0-7]" >"$dir/etc/gres.conf"
  printf '%s\n' CgroupPlugin=cgroup/v1 CgroupAutomount=no ConstrainRAMSpace=yes >"$dir/etc/cgroup.conf"
  (umask 077 && cat >"$dir/etc/slurmdbd.conf") <<CONF
AuthType=auth/munge
AuthInfo=socket=$dir/munge/sock
DbdHost=$host
DbdAddr=$control
DbdPort=$((port + 1))
SlurmUser=root
PidFile=$dir/run/slurmdbd.pid
LogFile=$dir/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
CONF
  mv "$SLURM_CONF.new" "$SLURM_CONF"
fi
echo "export SLURM_CONF=$SLURM_CONF" >"$dir/env"

# ---------------------------------------------------------------- daemons
if ! alive munged; then
  rm -f "$dir"/munge/sock*
  # --force: folders of temporary files are closed to other users, which munged takes for a mistake.
  launch munged --force --key-file="$dir/munge/key" --socket="$dir/munge/sock" --seed-file="$dir/munge/seed" \
    --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log"
fi
export MYSQL_UNIX_PORT=$dir/run/db.sock
sql() { mariadb --no-defaults -e "$1"; }
if ! alive mariadbd; then
  [ -d "$dir/db/mysql" ] || mariadb-install-db --no-defaults --user=root --datadir="$dir/db" --skip-test-db \
    --auth-root-authentication-method=normal >"$dir/log/install-db.log" 2>&1
  launch --fork mariadbd --no-defaults --user=root --datadir="$dir/db" --socket="$MYSQL_UNIX_PORT" \
    --pid-file="$dir/run/mariadbd.pid" --skip-networking --innodb-buffer-pool-size=64M \
    --innodb-log-file-size=32M --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0 \
    >"$dir/log/mariadbd.log" 2>&1
  await 120 sql "create database if not exists slurm"
fi
if ! alive slurmdbd; then
  launch slurmdbd
  await 120 sacctmgr -n list cluster
  sacctmgr -n list cluster format=cluster | grep -qw test || sacctmgr -i add cluster test
fi
alive slurmctld || launch slurmctld
await 120 scontrol ping
for node in n1 n2; do
  alive $node && continue
  # SLURMD_NODENAME tells which node a slurmstepd belongs to, as it does for the processes of jobs.
  start=(env "SLURMD_NODENAME=$node" slurmd -N "$node")
  if [ "$net" = netns ]; then
    # "ip netns exec" would mount /sys anew, which hides the control groups.
    launch nsenter --net="/run/netns/slurmtest$number-$node" unshare --uts --mount --propagation slave \
      sh -c 'mount --bind "$0" /etc/hosts && hostname "$1" && shift && exec "$@"' "$dir/etc/hosts" "$node" "${start[@]}"
  else
    launch "${start[@]}"
  fi
done
ready() { [ "$(sinfo -h -N -p main -o %T | grep -cxE 'idle|mixed|allocated|completing')" = 2 ]; }
await 120 ready
