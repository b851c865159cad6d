"""The training loop: from the newest state to the last epoch, with states, weights and a log on the way."""

import shutil
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path

from nafp.training.checks import kept_epochs
from nafp.training.event_log import EventLog
from nafp.training.trainer import Trainer, best_epoch


def train(trainer: Trainer, name: str, board: Path) -> Trainer:
    """Train to the last epoch, from the newest state in the trainer's checkpoints if there is one."""
    trainer.choose_micro_batch()
    resume(trainer, name)
    if trainer.rank:  # only rank 0 writes
        while trainer.epoch < trainer.settings.epochs:
            deque(trainer.run_epoch(), maxlen=0)
            trainer.finish_epoch()
        return trainer
    steps, epochs = trainer.batches.steps, trainer.settings.epochs
    if not trainer.steps_done:
        shutil.rmtree(board, ignore_errors=True)  # events of a training that is not continued
    log = EventLog(name, board, epochs * steps, trainer.steps_done, trainer.batches.anchors, asdict(trainer.settings))
    saved = time.monotonic()
    while trainer.epoch < epochs:
        for count in trainer.run_epoch():
            log.steps(count, trainer.steps_done, trainer.epoch + 1, trainer.losses[-1], trainer.lr(), trainer.speed())
            due = time.monotonic() - saved > 60 * trainer.settings.checkpoints["minutes"]
            if due and trainer.step < steps:
                log.flush()
                trainer.checkpoints.save_state(trainer.state(), trainer.epoch, trainer.step)
                saved = time.monotonic()
        record = trainer.finish_epoch()
        log.epoch(record, trainer.steps_done, trainer.similarity)
        save_epoch(trainer)
        saved = time.monotonic()
    log.close()
    return trainer


def resume(trainer: Trainer, name: str) -> None:
    """Continue from the newest state, if there is one, unless it has more epochs than the run."""
    if trainer.rank == 0:
        trainer.checkpoints.remove_damaged_states()
    state, epochs = trainer.checkpoints.load_state(), trainer.settings.epochs
    if state and len(state["history"]) <= epochs:
        trainer.restore(state)
        if trainer.rank == 0:
            if not trainer.step:  # the state has them, should their file be damaged
                save_weights(trainer)
            part = f", step {trainer.step} of the next" if trainer.step else ""
            print(f"{name}: going on after epoch {trainer.epoch}{part} of {epochs}", flush=True)
    elif state and trainer.rank == 0:
        print(
            f"{name}: has {len(state['history'])} epochs, more than the {epochs} asked for, and is trained anew",
            flush=True,
        )


def save_epoch(trainer: Trainer) -> None:
    """Save weights and state after an epoch, and drop what the policy does not keep."""
    checkpoints, policy = trainer.checkpoints, trainer.settings.checkpoints
    save_weights(trainer)
    checkpoints.save_state(trainer.state(), trainer.epoch, 0)
    # History of the state before, whose best epoch is wanted if the state saved here is damaged
    before = trainer.history[:-1]
    best = {trainer.best, *([best_epoch(before)] if before else [])}
    checkpoints.prune(kept_epochs(trainer.epoch, policy["every"], policy["last"]) | best)


def save_weights(trainer: Trainer) -> None:
    """Save the weights after the epoch that was finished last."""
    trainer.checkpoints.save_weights(trainer.weights(), trainer.epoch, trainer.settings.identity())
