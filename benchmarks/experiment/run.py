"""Train every trial of a plan with every seed, ask each of them, and keep the answers as `osoroi evaluate` writes them.

    python -m benchmarks.experiment.run benchmarks/experiment/viton.toml --out FOLDER [--only WORD ...]

A trial is trained by the code of ``osoroi train``; what is done is not done again, and what was stopped goes on.
``FOLDER/answers/QUESTION/TRIAL-SEED.json`` are evaluations, which `osoroi compare` and `osoroi report` read.
"""

import argparse
import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from benchmarks.experiment import asking, pieces, plan
from benchmarks.experiment.plan import Plan, Trial

from osoroi.encoder import DEFAULT, Encoder
from osoroi.errors import BadRun
from osoroi.evaluation import results
from osoroi.training import loop, run

DATA = Path(os.environ.get("OSOROI_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def answer(experiment: Plan, trial: Trial, seed: int, out: Path) -> None:
    """Train one trial with one seed where that has not been done, and ask it what it has not been asked."""
    due = [one for one in experiment.asked(trial) if not path_of(out, one.name, trial, seed).exists()]
    if not due:
        return
    if trial.pieces:
        for question in due:
            parts = [next(each for each in experiment.trials if each.name == name) for name in trial.pieces]
            answers = {each.settings(seed).category: path_of(out, question.name, each, seed) for each in parts}
            results.save(pieces.joined(answers), path_of(out, question.name, trial, seed))
        return
    encoder = opened(trial, seed, out)
    for question in due:
        began = time.monotonic()
        task = question.task if trial.encoder is None else replace(question.task, encoder=trial.encoder)
        found = asking.ask(encoder, task, out / "crops")
        told = shlex.join(["python", "-m", "benchmarks.experiment.run", *sys.argv[1:]])
        results.save(replace(found, command=told), path_of(out, question.name, trial, seed))
        best = results.means(found, found.main, ["hit@1", "hit@5", "nDCG@5"])
        figures = ", ".join(f"{name} {interval.mean:.3f}" for name, interval in best.items())
        say(f"{trial.name} seed {seed}, {question.name}: {figures} ({time.monotonic() - began:.0f} s)")


def opened(trial: Trial, seed: int, out: Path) -> Encoder:
    """The encoder of a trial, trained if need be."""
    if trial.encoder is not None:
        return Encoder.open(DEFAULT if trial.encoder == "default" else Path(trial.encoder))
    folder = out / "runs" / f"{trial.name}-{seed}"
    try:
        network, config = run.load(folder)
    except BadRun:
        train(trial, seed, folder, out / "features")
        network, config = run.load(folder)
    if (config.recipe, config.datasets) != (trial.settings(seed), (trial.dataset,)):
        raise BadRun(f"{folder} holds another run: {config}", hint="give each plan an --out of its own")
    return asking.NetworkEncoder(network, config.recipe, trial.dataset)


def train(trial: Trial, seed: int, folder: Path, cache: Path) -> None:
    """As `osoroi train` does; a run that was stopped goes on."""
    config = run.RunConfig((trial.dataset,), trial.settings(seed), backbone=trial.backbone, foreground=trial.foreground)
    began, said = time.monotonic(), [time.monotonic()]

    def on_step(step: loop.Step) -> None:
        if time.monotonic() - said[0] > 60:
            said[0] = time.monotonic()
            say(f"{trial.name} seed {seed}: epoch {step.epoch + 1}/{step.epochs}, {step.left_s:.0f} s left")

    resume = (folder / run.CONFIG).exists()
    metrics = run.run(config, folder, resume=resume, cache=cache, callbacks=run.Callbacks(on_step=on_step))
    say(f"{trial.name} seed {seed}: trained in {time.monotonic() - began:.0f} s, held out {_text(metrics)}")


def _text(metrics: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if "@" in name)


def path_of(out: Path, question: str, trial: Trial, seed: int) -> Path:
    """Where an answer is kept."""
    return out / "answers" / question / f"{trial.name}-{seed}.json"


def say(text: str) -> None:
    """A line with the time of day."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def opened_plan(path: Path, out: Path) -> Plan:
    """The plan in a file, its folders filled in."""
    return plan.read(path, data=DATA, weights=DATA.parent / "weights", out=out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], help="trials whose name holds one of these words")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    experiment = opened_plan(arguments.plan, arguments.out)
    for trial in experiment.trials:
        if not arguments.only or any(word in trial.name for word in arguments.only):
            for seed in trial.seeds:
                answer(experiment, trial, seed, arguments.out)


if __name__ == "__main__":
    main()
