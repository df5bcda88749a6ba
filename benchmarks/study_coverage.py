"""How often the intervals of a study hold the truth.

    python benchmarks/study_coverage.py --repetitions 200

Simulates studies of people who are fooled at known rates, alike or each at a
rate of their own, and counts how often the 95 % intervals hold the rate. Then
people who guess, and how many of them pass the vigilance trials.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy import stats

from kcolor.study.design import SHUFFLED, Design
from kcolor.study.statistics import bootstrap, exclude
from kcolor.terminal import aligned

RATES = (0.2, 0.32, 0.5)
# Of the beta distribution of people's own rates: its two shapes' sum.
SHARPNESS = 8


def main() -> None:
    """Simulates, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--participants", type=int, default=40)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)

    rows = [["people", "rate", "bootstrap %", "Wilson %"]]
    for people in ("alike", "differing"):
        for rate in RATES:
            held = np.zeros(2)
            for repetition in range(options.repetitions):
                own = np.full(options.participants, rate)
                if people == "differing":
                    shapes = SHARPNESS * rate, SHARPNESS * (1 - rate)
                    own = random.beta(*shapes, options.participants)
                answers = _answers(random, own, options.trials)
                low, high = bootstrap(answers, seed=repetition)
                wilson = stats.binomtest(
                    int(answers["fooled"].sum()), len(answers)
                ).proportion_ci(method="wilson")
                held += [
                    low <= rate <= high,
                    wilson.low <= rate <= wilson.high,
                ]
            shares = [f"{100 * n / options.repetitions:.1f}" for n in held]
            rows.append([people, f"{rate}", *shares])
    print(aligned(rows))
    print(_guessing(random, options.repetitions * options.participants))


def _answers(
    random: np.random.Generator, own: np.ndarray, trials: int
) -> pd.DataFrame:
    people = np.repeat(np.arange(len(own)), trials)
    return pd.DataFrame(
        {
            "participant": people,
            "fooled": random.random(len(people)) < own[people],
        }
    )


def _guessing(random: np.random.Generator, people: int) -> str:
    """Returns how many of those who guess pass, and how many should."""
    design = Design(seed=0)
    watched = design.vigilance_trials
    answers = _answers(random, np.full(people, 0.5), watched).assign(
        kind="vigilance", method=SHUFFLED, answered="then", reaction_ms=500.0
    )
    _, after, _ = exclude(answers, design)
    passed = after["participant"].nunique()
    least = int(np.ceil(design.least_vigilance * watched))
    due = stats.binom.sf(least - 1, watched, 0.5)
    p = stats.binomtest(passed, people, due).pvalue
    return (
        f"\n{people} who guess: {100 * passed / people:.1f} % pass, "
        f"{100 * due:.1f} % by the binomial distribution (p {p:.2f})"
    )


if __name__ == "__main__":
    main()
