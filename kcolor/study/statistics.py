"""What the answers of a study say, and how sure that is.

An answer fooled is one that took the true photo for the recoloured one. All
intervals are of 95 %.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from kcolor.study.design import LEFT, SHUFFLED, TEST, VIGILANCE, Design

CONFIDENCE, POWER = 0.95, 0.8
RESAMPLES = 10_000
POINTS = 0.05  # a difference in fool rates that is worth seeing
CHANCE = 0.5


def exclude(
    trials: pd.DataFrame, design: Design
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Leaves out what the design says does not count.

    Args:
        trials: As `kcolor.study.answers.read` gives them.
        design: The study's.

    Returns:
        All answers outside practice; those that count; and how many
        participants and answers were left out, by the reason.
    """
    asked = trials[trials["kind"].isin([TEST, VIGILANCE])]
    before = asked[asked["answered"].notna()]
    watched = before[before["kind"] == VIGILANCE]
    found = (~watched["fooled"]).groupby(watched["participant"]).mean()
    unchecked = set(before["participant"]) - set(found.index)
    if not design.vigilance_trials:
        unchecked = set()
    careless = set(found.index[found < design.least_vigilance])
    kept = before[~before["participant"].isin(unchecked | careless)]
    is_fast = kept["reaction_ms"] < design.fastest
    after = kept[~is_fast]
    return (
        before,
        after,
        {
            "participants_careless": len(careless),
            "participants_unchecked": len(unchecked),
            "answers_fast": int(is_fast.sum()),
            "answers_missing": len(asked) - len(before),
        },
    )


def rates(answers: pd.DataFrame, seed: int = 0) -> dict[str, dict]:
    """Returns each method's fool rate, and what else is known of it.

    Args:
        answers: Those that count.
        seed: Of the bootstrap.

    Returns:
        method -> `participants`, `photos`, `trials` and `fooled`, how many;
        `value`, the fool rate; `low` and `high`, by the bootstrap over
        participants, nan where all agree; `wilson_low` and `wilson_high`, which
        hold answers for independent; `p_chance` and `p_shuffled`, of exact
        tests against 1/2 and against shuffled colours; `d_prime`, `criterion`;
        `reaction_ms`, the median, with its quartiles.
    """
    found = {}
    shuffled = answers[answers["method"] == SHUFFLED]["fooled"]
    for method, own in answers.groupby("method"):
        fooled, trials = int(own["fooled"].sum()), len(own)
        test = stats.binomtest(fooled, trials, CHANCE)
        wilson = test.proportion_ci(CONFIDENCE, method="wilson")
        low, high = bootstrap(own, seed=seed)
        quartiles = own["reaction_ms"].quantile([0.25, 0.5, 0.75])
        found[method] = {
            "participants": own["participant"].nunique(),
            "photos": own["photo"].nunique(),
            "trials": trials,
            "fooled": fooled,
            "value": fooled / trials,
            "low": low,
            "high": high,
            "wilson_low": wilson.low,
            "wilson_high": wilson.high,
            "p_chance": float(test.pvalue),
            "p_shuffled": np.nan
            if method == SHUFFLED
            else _exact(own["fooled"], shuffled),
            **sensitivity(own),
            "reaction_ms": float(quartiles[0.5]),
            "reaction_low_ms": float(quartiles[0.25]),
            "reaction_high_ms": float(quartiles[0.75]),
        }
    return found


def bootstrap(
    answers: pd.DataFrame,
    other: pd.DataFrame | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the interval of a fool rate, or of how far it is above another's.

    Participants are drawn with replacement, each with all their answers: one
    who is easily fooled is so every time, so answers are not independent. The
    percentiles are widened as few participants need it.

    Args:
        answers: Of one method.
        other: Of another.
        resamples: How often they are drawn.
        seed: Of the draws.

    Returns:
        Both ends; nan where participants do not differ, or there is only one.

    Example:

    >>> answers = pd.DataFrame({
    ...     "participant": [1, 1, 2, 2, 3, 3],
    ...     "fooled": [True, False, True, True, False, False],
    ... })
    >>> low, high = bootstrap(answers)
    >>> bool(0 <= low < 0.5 < high <= 1)
    True

    Reference:
        Hesterberg 2015, "What Teachers Should Know About the Bootstrap",
        section 5.2, on expanded percentiles.
    """
    parts = [answers] if other is None else [answers, other]
    people = sorted(set().union(*(part["participant"] for part in parts)))
    if len(people) < 2:
        return np.nan, np.nan
    random = np.random.default_rng(seed)
    drawn = random.multinomial(
        len(people), np.full(len(people), 1 / len(people)), size=resamples
    )
    values = []
    for part in parts:
        own = part.groupby("participant")["fooled"].agg(["sum", "size"])
        own = own.reindex(people, fill_value=0).to_numpy(float)
        with np.errstate(invalid="ignore"):
            fooled, trials = (drawn @ own).T
            values.append(fooled / trials)
    estimates = [part["fooled"].mean() for part in parts]
    value, centre = (
        (values[0], estimates[0])
        if other is None
        else (values[0] - values[1], estimates[0] - estimates[1])
    )
    value = value[~np.isnan(value)]  # draws of none who saw it
    if not len(value) or np.ptp(value) == 0:
        return np.nan, np.nan
    tail = (1 - CONFIDENCE) / 2
    few = len(people)
    wider = np.sqrt(few / (few - 1)) * (
        stats.t.ppf(tail, few - 1) / stats.norm.ppf(tail)
    )
    tail = stats.norm.cdf(wider * stats.norm.ppf(tail))
    low, high = np.quantile(value, [tail, 1 - tail])
    # The estimate is in it whatever the skew.
    return float(min(low, centre)), float(max(high, centre))


def sensitivity(answers: pd.DataFrame) -> dict[str, float]:
    """Returns how well the recoloured photo is told from the true one.

    Args:
        answers: Of one method.

    Returns:
        `d_prime`, in standard deviations of what a photo seems: 0 is chance;
        and `criterion`, below 0 where people lean to the left or upper photo.
        Half an answer is added to each count, so that none is infinite.

    Example:

    >>> answers = pd.DataFrame({
    ...     "fake": ["left", "left", "right", "right"],
    ...     "chosen": ["left", "right", "right", "left"],
    ... })
    >>> sensitivity(answers)
    {'d_prime': 0.0, 'criterion': 0.0}

    Reference:
        Macmillan and Creelman 2005, "Detection Theory", ch. 7, for two
        alternatives; Hautus 1995 for the half.
    """
    said_left = answers["chosen"] == LEFT
    is_left = answers["fake"] == LEFT
    hit, alarm = (
        stats.norm.ppf((said_left[part].sum() + 0.5) / (part.sum() + 1))
        for part in (is_left, ~is_left)
    )
    return {
        "d_prime": float((hit - alarm) / np.sqrt(2)),
        "criterion": float(-(hit + alarm) / 2) + 0.0,
    }


def differences(
    answers: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> list[dict]:
    """Compares all pairs of methods.

    Args:
        answers: Those that count.
        resamples: Of bootstrap and permutations, each.
        seed: Of both.

    Returns:
        For each pair `one`, `other`, `value`, how far the fool rate of the one
        is above the other's, `low` and `high`, by the bootstrap over
        participants; `p`, by exchanging the two methods' answers within
        participants; `p_holm`, corrected for the number of pairs.

    Reference:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    by_method = {
        method: own
        for method, own in answers.groupby("method")
        if method != SHUFFLED
    }
    found = []
    for one, other in itertools.combinations(by_method, 2):
        pair = by_method[one], by_method[other]
        low, high = bootstrap(*pair, resamples, seed)
        rate = [part["fooled"].mean() for part in pair]
        found.append(
            {
                "one": one,
                "other": other,
                "value": float(rate[0] - rate[1]),
                "low": low,
                "high": high,
                "p": _exchanged(*pair, resamples, seed),
            }
        )
    known = [part for part in found if not np.isnan(part["p"])]
    for part in found:
        part["p_holm"] = np.nan
    if known:
        _, corrected, *_ = multipletests(
            [part["p"] for part in known], method="holm"
        )
        for part, p in zip(known, corrected, strict=True):
            part["p_holm"] = float(p)
    return found


def power(answers: pd.DataFrame, found: dict[str, dict]) -> dict[str, float]:
    """Returns what a study of this size can see.

    Args:
        answers: Those that count.
        found: What `rates` gave for them.

    Returns:
        `design_effect`, by how much the answers' dependence widens variances,
        the mean over methods; `answers`, of a method, the mean; `detectable`,
        the difference between two methods' fool rates that would be seen in 80
        of 100 such studies at 5 %; `participants_for_5_points`, how many would
        be needed to see one of 5 points.

    Reference:
        Kish 1965, "Survey Sampling", section 8.2, for the design effect; Cohen
        1988, "Statistical Power Analysis", ch. 6, for the power.
    """
    methods = [part for name, part in found.items() if name != SHUFFLED]
    effects = []
    for part in methods:
        independent = part["wilson_high"] - part["wilson_low"]
        ratio = (part["high"] - part["low"]) / independent
        if not np.isnan(ratio):
            effects.append(max(ratio**2, 1.0))
    trials = np.mean([part["trials"] for part in methods])
    rate = float(np.mean([part["value"] for part in methods]))
    effect = float(np.mean(effects)) if effects else np.nan
    people = answers["participant"].nunique()
    result = {
        "answers": float(trials),
        "design_effect": effect,
        "detectable": np.nan,
        "participants_for_5_points": np.nan,
    }
    if np.isnan(effect) or not 0 < rate < 1:
        return result
    seen = {"alpha": 1 - CONFIDENCE, "power": POWER}
    height = NormalIndPower().solve_power(nobs1=trials / effect, **seen)
    farther = np.sin(min(np.arcsin(np.sqrt(rate)) + height / 2, np.pi / 2)) ** 2
    result["detectable"] = float(farther - rate)
    size = proportion_effectsize(min(rate + POINTS, 1), rate)
    needed = NormalIndPower().solve_power(effect_size=size, **seen) * effect
    result["participants_for_5_points"] = float(
        np.ceil(needed * people / trials)
    )
    return result


def sides(answers: pd.DataFrame) -> dict[str, float]:
    """Returns how often people chose the left or upper photo, of all answers.

    Returns:
        `value`, `low` and `high` (Wilson), and `p` of the exact test against
        1/2: the recoloured photo stands there in half of all trials.
    """
    left = int((answers["chosen"] == LEFT).sum())
    test = stats.binomtest(left, len(answers), CHANCE)
    ends = test.proportion_ci(CONFIDENCE, method="wilson")
    return {
        "value": left / len(answers),
        "low": ends.low,
        "high": ends.high,
        "p": float(test.pvalue),
    }


def by_photo(answers: pd.DataFrame) -> pd.DataFrame:
    """Returns each pair's answers, the most convincing fake first.

    Returns:
        Columns `method`, `photo`, `pair`, `trials`, `fooled`, `value`, `low`
        and `high` (Wilson).
    """
    table = (
        answers.groupby(["method", "photo", "pair"])["fooled"]
        .agg(trials="size", fooled="sum")
        .reset_index()
    )
    table["value"] = table["fooled"] / table["trials"]
    ends = [
        stats.binomtest(int(k), int(n)).proportion_ci(method="wilson")
        for k, n in zip(table["fooled"], table["trials"], strict=True)
    ]
    table["low"] = [end.low for end in ends]
    table["high"] = [end.high for end in ends]
    # Few answers say little: nearer to the method's mean, the fewer they are.
    mean = table["method"].map(answers.groupby("method")["fooled"].mean())
    shrunk = (table["fooled"] + 2 * mean) / (table["trials"] + 2)
    order = shrunk.sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _exact(one: pd.Series, other: pd.Series) -> float:
    """Returns Fisher's exact test of two rates: binomial, given their sum."""
    if not len(other):
        return np.nan
    table = [[part.sum(), (~part).sum()] for part in (one, other)]
    return float(stats.fisher_exact(table).pvalue)


def _exchanged(
    one: pd.DataFrame, other: pd.DataFrame, resamples: int, seed: int
) -> float:
    """Returns the test of two rates by participants who saw both."""
    rate = [
        part.groupby("participant")["fooled"].mean() for part in (one, other)
    ]
    both = rate[0].index.intersection(rate[1].index)
    if len(both) < 2:
        return np.nan
    apart = (rate[0][both] - rate[1][both]).to_numpy()
    test = stats.permutation_test(
        (apart,),
        lambda values, axis: values.mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples - 1,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)
