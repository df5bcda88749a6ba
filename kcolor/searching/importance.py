"""How much each searched setting mattered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from kcolor.searching.board import Row
from kcolor.searching.space import Space

LEAST_TRIALS = 10  # that tell anything
TREES, REPEATS = 200, 20
BUDGET = "budget"


def importances(
    found: Sequence[Row], space: Space
) -> tuple[dict[str, tuple[float, float]], float]:
    """Returns how much of the scores' variance each setting explains.

    A random forest learns the score from the settings and the budget; a
    setting's importance is how much of its R2 is lost when the setting's values
    are dealt among the trials anew.

    Args:
        found: Trials.
        space: What was searched.

    Returns:
        name -> (mean, standard deviation over deals), the greatest first; and
        the R2 of the forest on trials that a tree has not seen, at most 1:
        where it is near 0 or below, the importances tell nothing.

    Reference:
        Breiman 2001, "Random Forests", sec. 10.
    """
    done = [row for row in found if row.score is not None]
    names = [setting.name for setting in space.searched]
    if len({row.units for row in done}) > 1:
        names.append(BUDGET)
    columns = np.array([_column(name, done, space) for name in names]).T
    scores = np.array([row.score for row in done])
    forest = RandomForestRegressor(
        TREES, oob_score=True, random_state=0, min_samples_leaf=2
    ).fit(columns, scores)
    lost = permutation_importance(
        forest, columns, scores, n_repeats=REPEATS, random_state=0
    )
    order = np.argsort(-lost.importances_mean)
    told = {
        names[i]: (lost.importances_mean[i], lost.importances_std[i])
        for i in order
    }
    return told, float(forest.oob_score_)


def importance(found: Sequence[Row], space: Space) -> str:
    """Returns that as a table for a terminal."""
    done = [row for row in found if row.score is not None]
    if len(done) < LEAST_TRIALS:
        return f"importance of settings: needs {LEAST_TRIALS} trials at least"
    told, score = importances(found, space)
    width = max(map(len, told)) + 2
    lines = [
        f"importance of each setting for {space.objective} "
        f"({len(done)} trials; R2 on trials not seen: {score:.2f}):"
    ]
    lines += [
        f"{name:{width}}{mean:.2f} ± {spread:.2f}"
        for name, (mean, spread) in told.items()
    ]
    return "\n".join(lines)


def _column(name: str, done: Sequence[Row], space: Space) -> list[float]:
    """Returns a setting as numbers; -1 where it is not searched."""
    if name == BUDGET:
        return [float(np.log(row.units)) for row in done]
    (range_,) = (s.range for s in space.searched if s.name == name)
    return [
        range_.number(row.settings[name]) if name in row.settings else -1.0
        for row in done
    ]
