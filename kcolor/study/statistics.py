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
from statsmodels.stats.power import TTestPower

from kcolor.study.design import LEFT, SHUFFLED, TEST, VIGILANCE, Design

CONFIDENCE, POWER = 0.95, 0.8
RESAMPLES = 10_000
POINTS = 0.05  # a difference in fool rates that is worth seeing
CHANCE = 0.5
# Fewer say little of how people differ, and fewer answers that were fooled, or
# were not, little of how rare that is.
FEW_PEOPLE, FEW_ANSWERS = 8, 5
LARGE = 4.0  # a difference, in standard deviations


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
        participants, of few no narrower than the next; `wilson_low` and
        `wilson_high`, which hold answers for independent; `p_chance` and
        `p_shuffled`, of exact tests against 1/2 and against shuffled colours;
        `d_prime`, `criterion`; `reaction_ms`, the median, with its quartiles.
    """
    found = {}
    shuffled = answers[answers["method"] == SHUFFLED]["fooled"]
    for method, own in answers.groupby("method"):
        fooled, trials = int(own["fooled"].sum()), len(own)
        test = stats.binomtest(fooled, trials, CHANCE)
        wilson = test.proportion_ci(CONFIDENCE, method="wilson")
        low, high = bootstrap(own, seed=seed)
        is_sure = own["participant"].nunique() >= FEW_PEOPLE
        is_sure = is_sure and min(fooled, trials - fooled) >= FEW_ANSWERS
        if not is_sure or np.isnan(low):
            low = float(np.nanmin([low, wilson.low]))
            high = float(np.nanmax([high, wilson.high]))
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
    counts = _counts(parts)
    few = len(counts)
    if few < 2:
        return np.nan, np.nan
    random = np.random.default_rng(seed)
    drawn = random.multinomial(few, np.full(few, 1 / few), size=resamples)
    values = _rates(np.einsum("ri,ipk->prk", drawn, counts))
    values = values[~np.isnan(values)]  # draws of none who saw it
    if not len(values) or np.ptp(values) == 0:
        return np.nan, np.nan
    tail = (1 - CONFIDENCE) / 2
    wider = np.sqrt(few / (few - 1)) * (
        stats.t.ppf(tail, few - 1) / stats.norm.ppf(tail)
    )
    tail = stats.norm.cdf(wider * stats.norm.ppf(tail))
    low, high = np.quantile(values, [tail, 1 - tail])
    # The estimate is in it whatever the skew.
    value = _rates(counts.sum(axis=0))
    return float(min(low, value)), float(max(high, value))


def _counts(parts: list[pd.DataFrame]) -> np.ndarray:
    """Returns how often each participant was fooled, and asked.

    Returns:
        (participants, methods, 2), of whole numbers as floats.
    """
    people = sorted(set().union(*(part["participant"] for part in parts)))
    counts = [
        part.groupby("participant")["fooled"]
        .agg(["sum", "size"])
        .reindex(people, fill_value=0)
        for part in parts
    ]
    return np.stack(counts, axis=1).astype(float)


def _rates(counts: np.ndarray) -> np.ndarray:
    """Returns the fool rate of one method, or how far it is above the other's.

    Args:
        counts: (methods, ..., 2), answers that were fooled, and all.
    """
    with np.errstate(invalid="ignore"):
        rates = counts[..., 0] / counts[..., 1]
    return rates[0] if len(rates) == 1 else rates[0] - rates[1]


def _variance(parts: list[pd.DataFrame]) -> float:
    """Returns the variance of what `bootstrap` draws, in one formula.

    By each participant's part in it, as if the rates were straight lines.
    """
    counts = _counts(parts)
    people, total = len(counts), counts.sum(axis=0)
    away = counts[..., 0] - total[:, 0] / total[:, 1] * counts[..., 1]
    own = (away / total[:, 1]) @ np.array([1.0, -1.0])[: len(parts)]
    return float(people / (people - 1) * np.square(own).sum())


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
        participants, nan where few saw both; `p`, by exchanging the two
        methods' answers within participants, each counting the same; `p_holm`,
        corrected for the number of pairs. The surest first.

    Reference:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    by_method = _by_method(answers)
    found = []
    for one, other in itertools.combinations(by_method, 2):
        pair = by_method[one], by_method[other]
        both = set.intersection(*(set(part["participant"]) for part in pair))
        low, high = np.nan, np.nan
        if len(both) >= FEW_PEOPLE:
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
    # What is no number comes last.
    return sorted(found, key=lambda p: (np.isnan(p["p_holm"]), p["p_holm"]))


def power(answers: pd.DataFrame) -> dict[str, float]:
    """Returns what a study of this size can see.

    Args:
        answers: Those that count.

    Returns:
        `design_effect`, by how much the variance of a method's fool rate is
        above that of as many independent answers, the mean over methods;
        `detectable`, the difference between two methods' fool rates that would
        be seen in 80 of 100 such studies at 5 %, and
        `participants_for_5_points`, how many would be needed to see one of 5
        points: both by the mean variance of all pairs of methods, nan where
        there is none or too few participants to know it.

    Reference:
        Kish 1965, "Survey Sampling", section 8.2, for the design effect; Cohen
        1988, "Statistical Power Analysis", section 2.3, for paired differences.
    """
    result = {
        "design_effect": np.nan,
        "detectable": np.nan,
        "participants_for_5_points": np.nan,
    }
    people = answers["participant"].nunique()
    if people < FEW_PEOPLE:
        return result
    parts = [
        own
        for own in _by_method(answers).values()
        if own["participant"].nunique() >= FEW_PEOPLE
    ]
    effects = [
        _variance([part]) / (rate * (1 - rate) / len(part))
        for part in parts
        if 0 < (rate := part["fooled"].mean()) < 1
    ]
    variances = [
        _variance(list(pair)) for pair in itertools.combinations(parts, 2)
    ]
    if effects:
        result["design_effect"] = float(np.mean(effects))
    if any(variances):
        # Of one participant's difference.
        deviation = np.sqrt(np.mean(variances) * people)
        seen = {"alpha": 1 - CONFIDENCE, "power": POWER}
        size = TTestPower().solve_power(nobs=people, **seen)
        result["detectable"] = float(size * deviation)
        # It cannot solve for what two participants would show.
        needed = TTestPower().solve_power(
            effect_size=min(POINTS / deviation, LARGE), **seen
        )
        result["participants_for_5_points"] = float(np.ceil(needed))
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


def _by_method(answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Returns the answers to each method, but for shuffled colours."""
    groups = answers.groupby("method")
    return {method: own for method, own in groups if method != SHUFFLED}


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
