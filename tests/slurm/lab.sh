#!/usr/bin/env bash
# lab.sh start|stop|status DIR: a throw-away Slurm on this machine, all of it under DIR: munged, slurmctld and a slurmd for each
# of NODES virtual nodes. It listens on 127.0.0.1 alone; no systemd, no cgroups, no database. As root or as an ordinary user.
# Needs: apt-get install --no-install-recommends munge slurmctld slurmd slurm-client
# From the environment: NODES (2), CPUS (1) and GPUS (4, empty files) of each, PORT (26817; the slurmds' follow it).
set -euo pipefail
command=${1:?start|stop|status}; dir=$(realpath -m "${2:?DIR}")
nodes=${NODES:-2} cpus=${CPUS:-1} gpus=${GPUS:-4} port=${PORT:-26817}
PATH=$PATH:/usr/sbin:/sbin
export SLURM_CONF=$dir/slurm.conf
host=$(hostname -s) user=$(id -un)

stop() {
  for file in "$dir"/run/slurmd-*.pid "$dir"/run/slurmctld.pid "$dir"/run/munged.pid; do
    [ -s "$file" ] || continue
    pid=$(cat "$file")
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
    kill -9 "$pid" 2>/dev/null || true
  done
}

configure() {
  mkdir -p "$dir"/{munge,state,log,run,dev}
  chmod 0755 "$dir" "$dir/munge"
  [ -s "$dir/munge/key" ] || (umask 077; head -c128 /dev/urandom >"$dir/munge/key")
  for i in $(seq 0 $((gpus - 1))); do : >"$dir/dev/gpu$i"; done
  cat >"$dir/gres.conf" <<CONF
AutoDetect=off
Name=gpu File=$dir/dev/gpu[0-$((gpus - 1))] Flags=nvidia_gpu_env
CONF
  # cred_expire is also what a requeued job waits before it may start: 120 s by default, at least 5.
  # config_overrides: nodes may claim more CPUs than there are. MinJobAge: scontrol show job knows ended jobs for an hour.
  cat >"$SLURM_CONF" <<CONF
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort=$port
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/state/slurmd-%n
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
MinJobAge=3600
KillWait=10
NodeName=DEFAULT CPUs=$cpus RealMemory=4000 Gres=gpu:$gpus State=UNKNOWN
$(for i in $(seq "$nodes"); do echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + i))"; done)
PartitionName=debug Nodes=n[1-$nodes] Default=YES MaxTime=INFINITE DefaultTime=10 PriorityTier=1 GraceTime=30 State=UP
PartitionName=urgent Nodes=n[1-$nodes] MaxTime=INFINITE DefaultTime=10 PriorityTier=2 State=UP
CONF
}

case $command in
start)
  configure
  trap stop ERR
  # --force: a test's folder is open to its user alone, who is the only one here.
  munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/run/munged.pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed"
  slurmctld -c
  for i in $(seq "$nodes"); do slurmd -N "n$i"; done
  for _ in $(seq 100); do
    if [ "$(sinfo -h -N -p debug -t idle 2>/dev/null | wc -l)" = "$nodes" ]; then
      echo "export SLURM_CONF=$SLURM_CONF"
      exit 0
    fi
    sleep 0.1
  done
  { sinfo -N -l || true; tail -n 5 "$dir"/log/slurm*.log || true; echo "lab.sh: the cluster did not come up"; } >&2
  stop
  exit 1
  ;;
stop) stop ;;
status) sinfo -N -l; squeue ;;
*) echo "usage: $0 start|stop|status DIR" >&2; exit 2 ;;
esac
