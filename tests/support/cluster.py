"""A SLURM cluster of one node on this machine, without root's services: python tests/support/cluster.py FOLDER COMMAND ...

runs a command with the cluster up and takes it down afterwards. Needs Debian's slurm-wlm and munge, and no cgroups: jobs
are followed by their process ids (``proctrack/linuxproc``), and their limits are not enforced.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
CONFIG = """
ClusterName=tiny
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={controller}
SlurmdPort={node}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=1
KillWait=3
MinJobAge=600
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=100000 Gres=gpu:1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that this machine lacks."""
    return [name for name in PROGRAMS if not shutil.which(name, path=PATH)]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """Daemons of a one-node SLURM, below a folder with a short path; a context manager that leaves none running."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        path = f"{self.folder / 'bin'}:{PATH}"
        self.environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *options: str) -> None:
        """Start a daemon in the foreground of a session of its own."""
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                [name, *options], env=self.environment, stdout=out, stderr=out, start_new_session=True
            )

    def start_controller(self) -> None:
        self.start("slurmctld", "-D")
        self.until_answers("scontrol", "ping")

    def stop(self, name: str) -> None:
        """End a daemon and wait for it."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def ask(self, *command: str) -> str:
        """The output of one of SLURM's commands; empty if it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    def until_answers(self, *command: str, expected: str = "UP", seconds: float = 60) -> None:
        """Wait for a word in a command's output."""
        end = time.monotonic() + seconds
        while expected not in self.ask(*command):
            if time.monotonic() > end:
                logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log"))
                raise TimeoutError(f"{' '.join(command)} does not say {expected}\n{logs}")
            time.sleep(0.2)

    def __enter__(self) -> "Cluster":
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        controller, node = free_ports(2)
        facts = {"host": socket.gethostname().split(".")[0], "user": subprocess.getoutput("id -un")}
        text = CONFIG.format(**facts, folder=self.folder, controller=controller, node=node)
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        srun = self.folder / "bin/srun"  # Snakemake drops, in a job, all variables that begin with SLURM
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun", path=PATH)} "$@"\n')
        srun.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = {"key": key, "socket": "munge.socket", "pid": "munge.pid", "log": "munge.log", "seed": "munge.seed"}
        options = [f"--{name}-file={self.folder / file}" for name, file in files.items() if name != "socket"]
        try:
            self.start("munged", "--foreground", "--force", f"--socket={self.folder / files['socket']}", *options)
            self.until_answers("munge", f"--socket={self.folder / files['socket']}", "--no-input", expected="MUNGE")
            self.start("slurmctld", "-D")
            self.start("slurmd", "-D")
            self.until_answers("scontrol", "ping")
            self.until_answers("sinfo", "--noheader", "--format=%T", expected="idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if "slurmctld" in self.daemons:
            self.ask("scancel", "--signal=KILL", "--full", f"--user={subprocess.getoutput('id -un')}")
            self.ask("scancel", f"--user={subprocess.getoutput('id -un')}")
            end = time.monotonic() + 20
            while self.ask("squeue", "--noheader") and time.monotonic() < end:
                time.sleep(0.2)
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self.daemons:
                self.stop(name)


if __name__ == "__main__":
    with Cluster(Path(sys.argv[1])) as cluster:
        sys.exit(subprocess.run(sys.argv[2:], env=cluster.environment).returncode)
