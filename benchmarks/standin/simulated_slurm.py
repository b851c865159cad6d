"""A SLURM of programs that only pretend: ``sbatch`` and the others ask one server, whose jobs wait, sleep and make outputs.

For many thousands of jobs: a real job starts Python and Snakemake twice, which a small machine cannot do for all of them.
"""

import base64
import heapq
import itertools
import json
import re
import shlex
import socketserver
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rehearsed import draw, make, name_of
from snakemake.target_jobs import parse_target_jobs_cli_args

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
CLIENT = """#!{python} -IS
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect({address!r})
s.sendall(json.dumps([sys.argv[0].rsplit("/", 1)[1], *sys.argv[1:]]).encode() + b"\\n")
status, out, err = json.loads(s.makefile().read())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""
CONFIGURATION = "MinJobAge               = 300 sec\nMaxArraySize            = 1001\n"  # SLURM's defaults
MIN_JOB_AGE = 300  # seconds for which squeue knows a job that has ended
ENDINGS = (
    "FAILED",
    "TIMEOUT",
    "OUT_OF_MEMORY",
    "NODE_FAIL",
    "CANCELLED",
    "refused",
    "PREEMPTED",
)  # ends of injected failures, in turn
REQUEUED = ("NODE_FAIL", "PREEMPTED")  # ends after which a job that was submitted with --requeue waits again
REFUSAL = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"
Files = Callable[[str, dict[str, str]], list[tuple[str, bool]]]


@dataclass
class Submission:
    """What sbatch was asked for: a rule's job, or a group of them that run one after another."""

    number: str
    name: str
    jobs: list[tuple[str, dict[str, str]]]  # (rule, wildcards)
    asked: dict[str, str]
    requeue: bool
    state: str = "PENDING"
    ended: float = 0.0
    fails: str = ""


def jobs_of(command: str) -> list[tuple[str, dict[str, str]]]:
    """The jobs (rule, wildcards) that Snakemake's command for a node runs."""
    words = shlex.split(command)
    start = words.index("--target-jobs") + 1
    targets = list(itertools.takewhile(lambda word: not word.startswith("--"), words[start:]))
    return [(target.rulename, dict(target.wildcards_dict)) for target in parse_target_jobs_cli_args(targets)]


def array_commands(command: str, first: int, last: int) -> dict[int, str]:
    """Task -> the command that it runs, of an array of the SLURM executor."""
    payload = re.search(r"--slurm-jobstep-array-execs=(\S+)", command)
    others = json.loads(base64.b64decode(shlex.split(payload[1])[0])) if payload else {}
    own = command.split(" --slurm-jobstep-array-execs")[0]
    return {
        task: zlib.decompress(bytes.fromhex(others[str(task)])).decode() if str(task) in others else own
        for task in range(first, last + 1)
    }


@dataclass
class SimulatedSlurm:
    """A context manager: the server, and the folder ``bin`` of programs that ask it.

    ``files`` says of a rule and wildcards which files the job makes, and which of them are folders. A job waits ``wait_s``, then
    sleeps ``sleep_s``. Of the jobs a share ``fail`` ends badly, once each, in all the ways of ``ENDINGS``.
    """

    folder: Path
    files: Files
    sleep_s: float = 1.0
    wait_s: float = 1.0
    fail: float = 0.0
    submissions: dict[str, Submission] = field(default_factory=dict)
    calls: Counter = field(default_factory=Counter)
    injected: dict[str, str] = field(default_factory=dict)  # job -> how its first attempt ended
    most_at_a_time: int = 0

    def __enter__(self) -> "SimulatedSlurm":
        self.lock, self.numbers, self.places = threading.Lock(), itertools.count(1), itertools.count()
        self.events: list[tuple[float, int, str]] = []
        self.active = 0
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        address = str(self.folder / "socket")
        for name in PROGRAMS:
            (programs / name).write_text(CLIENT.format(python=sys.executable, address=address))
            (programs / name).chmod(0o755)
        slurm = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                program, *arguments = json.loads(self.rfile.readline())
                self.wfile.write(json.dumps(slurm.answer(program, arguments)).encode())

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(address, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.up = True
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.up = False
        self.server.shutdown()
        self.server.server_close()

    def answer(self, program: str, arguments: list[str]) -> tuple[int, str, str]:
        """(exit status, output, errors) of a program."""
        with self.lock:
            self.calls[program] += 1
            match program:
                case "sbatch":
                    return self.sbatch(arguments)
                case "squeue":
                    return 0, self.squeue(arguments[arguments.index("--name") + 1]), ""
                case "scancel":
                    for number in arguments:
                        self.end(self.submissions[number], "CANCELLED")
                    return 0, "", ""
                case "scontrol":
                    return 0, CONFIGURATION, ""
                case _:
                    return 0, "PARTITION\nall*\n", ""

    def sbatch(self, arguments: list[str]) -> tuple[int, str, str]:
        """Take in a submission, or an array of them."""
        command = next(word for word in arguments if word.startswith("--wrap=")).removeprefix("--wrap=")
        asked = {
            key: str(value)
            for key, value in zip(arguments, arguments[1:], strict=False)
            if key in ("--job-name", "--mem", "-t")
        }
        asked |= dict(word.split("=", 1) for word in arguments if word.startswith(("--cpus", "--gpus", "--array")))
        number = str(next(self.numbers))
        commands = {number: command}
        if "--array" in asked:
            first, last = map(int, asked["--array"].split("-"))
            commands = {f"{number}_{task}": text for task, text in array_commands(command, first, last).items()}
        requeue = "--requeue" in arguments
        taken = {
            one: Submission(one, asked["--job-name"], jobs_of(text), asked, requeue) for one, text in commands.items()
        }
        for submission in taken.values():
            submission.fails = self.to_fail(submission)
        if any(one.fails == "refused" for one in taken.values()):
            return 1, "", REFUSAL
        for submission in taken.values():
            self.submissions[submission.number] = submission
            self.active += 1
            self.enqueue(submission)
        self.most_at_a_time = max(self.most_at_a_time, self.active)
        return 0, f"{number}\n", ""

    def enqueue(self, submission: Submission) -> None:
        """Let a submission wait and sleep."""
        end = time.monotonic() + self.wait_s + self.sleep_s * len(submission.jobs)
        heapq.heappush(self.events, (end, next(self.places), submission.number))

    def to_fail(self, submission: Submission) -> str:
        """How this submission shall end badly; nothing if it shall not."""
        for rule, wildcards in submission.jobs:
            name = name_of(rule, wildcards)
            if draw(name) < self.fail and name not in self.injected:
                self.injected[name] = ENDINGS[len(self.injected) % len(ENDINGS)]
                return self.injected[name]
        return ""

    def squeue(self, name: str) -> str:
        """The states of a run's jobs, of those that ended in the last minutes too."""
        oldest = time.monotonic() - MIN_JOB_AGE
        known = [one for one in self.submissions.values() if one.name == name and (not one.ended or one.ended > oldest)]
        return "".join(f"{one.number}|{one.state}\n" for one in known)

    def end(self, submission: Submission, state: str) -> None:
        """Let a submission end, if it has not."""
        if not submission.ended:
            submission.state, submission.ended = state, time.monotonic()
            self.active -= 1

    def run(self) -> None:
        """End submissions when their time has come."""
        while self.up:
            due = []
            with self.lock:
                while self.events and self.events[0][0] <= time.monotonic():
                    due.append(self.submissions[heapq.heappop(self.events)[2]])
            for submission in due:
                if not submission.ended:
                    self.finish(submission)
            time.sleep(0.05)

    def finish(self, submission: Submission) -> None:
        """Make the outputs of a submission's jobs: of one that fails, the first output only."""
        made = [file for job in submission.jobs for file in self.files(*job)]
        for path, folder in made[: 1 if submission.fails else None]:
            make(str(self.folder / "project" / path), folder)
        with self.lock:
            if submission.requeue and submission.fails in REQUEUED:
                submission.fails = ""
                self.enqueue(submission)
            else:
                self.end(submission, submission.fails or "COMPLETED")
