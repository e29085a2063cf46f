#!/usr/bin/env bash
# A whole Slurm cluster on this machine's loopback address: munged, slurmctld and one slurmd, all in one folder.
#
#   cluster.sh start FOLDER CONTROLLER_PORT NODE_PORT    then use it with SLURM_CONF=FOLDER/slurm.conf
#   cluster.sh stop FOLDER
#
# Needs Debian's slurm-wlm and munge; no root. Jobs run as the user who started it.
set -euo pipefail
PATH=$PATH:/usr/sbin
folder=$2

stop() {
    for daemon in slurmd slurmctld munged; do
        if [ -s "$folder/$daemon.pid" ]; then kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true; fi
    done
}

start() {
    local user host
    user=$(id -un)
    host=$(hostname -s)
    mkdir -p "$folder/state" "$folder/spool"
    # munged refuses folders that others may write to, and a key that others may read.
    chmod 755 "$folder"
    (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
    cat >"$folder/slurm.conf" <<END
ClusterName=gradus
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$1
SlurmdPort=$2
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
SlurmUser=$user
SlurmdUser=$user
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
KillWait=20
MessageTimeout=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    export SLURM_CONF="$folder/slurm.conf"
    slurmctld
    # slurmd wants control groups of one kind or none, though nothing here uses them; which it bears differs between machines.
    for plugin in cgroup/v1 disabled cgroup/v2 autodetect; do
        echo "CgroupPlugin=$plugin" >"$folder/cgroup.conf"
        slurmd || continue
        for _ in $(seq 50); do
            if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then return; fi
            sleep 0.2
            kill -0 "$(cat "$folder/slurmd.pid" 2>/dev/null || echo none)" 2>/dev/null || break
        done
    done
    tail -n 20 "$folder"/*.log >&2
    echo "the cluster did not come up" >&2
    stop
    exit 1
}

case $1 in
start) start "$3" "$4" ;;
stop) stop ;;
esac
