"""How far predicted colour is from the truth: what each metric is.

Each is made of the photos' figures (`kcolor/evaluation/figures.py` and
`judges.py`). Of these metrics none is "the" score: people often prefer the
prediction with the worse PSNR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kcolor.evaluation.distances import frechet, kernel

# Arrays of shape (..., photos). Resamples are the leading axes.
Figures = Mapping[str, np.ndarray]

# Rounding to 8 bits has this squared error by itself.
_LEAST_SQUARED_ERROR = 1 / 12


@dataclass(frozen=True)
class Metric:
    """One number that says how good predictions are.

    Args:
        name: Its name in tables and files.
        unit: What it is measured in, or an empty string.
        better: Which of two values is the better one.
        summary: Computes it over photos, the last axis of each of the figures
            that it is made of. Its docstring is the metric's definition.
        judge: What gives these figures: one of `kcolor.evaluation.judges`,
            "draws", "people", or an empty string where `per_photo` does.
        bound: The value beyond which none is better, where there is one.
        of_sets: Whether it compares all photos with all true ones. Then
            `summary` also takes how often each photo counts, integers of shape
            `(photos,)`, and its figures have a second axis.
    """

    name: str
    unit: str
    better: Literal["lower", "higher"]
    summary: Callable[..., np.ndarray]
    judge: str = ""
    of_sets: bool = False
    bound: float | None = None


METRICS: dict[str, Metric] = {}
PEOPLE = "people"  # the judge whom no computer can ask


def _metric(
    unit: str,
    better: Literal["lower", "higher"],
    judge: str = "",
    of_sets: bool = False,
    bound: float | None = None,
):
    """Returns a decorator that enters a summary function into `METRICS`."""

    def enter(summary):
        name = summary.__name__
        METRICS[name] = Metric(
            name, unit, better, summary, judge, of_sets, bound
        )
        return summary

    return enter


@_metric(unit="ab", better="lower")
def rmse_ab(figures: Figures) -> np.ndarray:
    """Root of the mean squared error of a and b, over all pixels."""
    return np.sqrt(_pixel_mean(figures, "squared_ab"))


@_metric(unit="ab", better="lower")
def mae_ab(figures: Figures) -> np.ndarray:
    """Mean absolute error of a and b, over all pixels."""
    return _pixel_mean(figures, "absolute_ab")


@_metric(unit="ab", better="lower")
def l2_ab(figures: Figures) -> np.ndarray:
    """Mean distance in the ab plane, over all pixels."""
    return _pixel_mean(figures, "distance_ab")


@_metric(unit="dB", better="higher")
def psnr_rgb(figures: Figures) -> np.ndarray:
    """Peak signal-to-noise ratio of 8-bit sRGB, mean over photos.

    The squared error of a photo counts as no less than 1/12, that of rounding
    to 8 bits: a perfect photo has 58.9 dB. With no such bound, or one much
    lower, the few photos that are grey would outweigh all others.
    """
    return _psnr(figures["squared_rgb"]).mean(axis=-1)


@_metric(unit="dB", better="higher")
def psnr_rgb_pooled(figures: Figures) -> np.ndarray:
    """Peak signal-to-noise ratio of 8-bit sRGB, all photos as one.

    At most 58.9 dB, as `psnr_rgb`.
    """
    return _psnr(_pixel_mean(figures, "squared_rgb"))


@_metric(unit="", better="higher")
def ssim_rgb(figures: Figures) -> np.ndarray:
    """Structural similarity of 8-bit sRGB, mean over photos.

    Equals `tf.image.ssim`. It is NaN if any photo has fewer than 11 pixels in
    height or width.

    Reference:

    - [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861)
    """
    return figures["ssim_rgb"].mean(axis=-1)


@_metric(unit="%", better="higher")
def auc(figures: Figures) -> np.ndarray:
    """Share of pixels within t of the true ab, mean over t = 0, 1 .. 150.

    Reference:

    - [Zhang et al., 2016](https://arxiv.org/abs/1603.08511), section 3.1
    """
    return 100 * _pixel_mean(figures, "reached_ab")


@_metric(unit="%", better="higher")
def auc_rebalanced(figures: Figures) -> np.ndarray:
    """As `auc`, each pixel by the inverse share of its colour in training.

    On few photos it is what the few pixels of the rarest colours say, and the
    interval with it.

    Reference:

    - [Zhang et al., 2016](https://arxiv.org/abs/1603.08511), section 3.1
    """
    reached = _pixel_mean(figures, "weighted_reached_ab")
    return 100 * reached / _pixel_mean(figures, "weight")


@_metric(unit="", better="higher")
def colorfulness(figures: Figures) -> np.ndarray:
    """Colorfulness of the predicted photos in 8-bit sRGB, mean over photos.

    Best is the truth's, neither less nor more: see `colorfulness_gap`.

    Reference:

    - [Hasler and Suesstrunk, 2003](https://doi.org/10.1117/12.477378)
    """
    return figures["colorfulness_pred"].mean(axis=-1)


@_metric(unit="", better="lower")
def colorfulness_gap(figures: Figures) -> np.ndarray:
    """Absolute difference of `colorfulness` from that of the true photos.

    Reference:

    - [Hasler and Suesstrunk, 2003](https://doi.org/10.1117/12.477378)
    """
    return np.abs(
        colorfulness(figures) - figures["colorfulness_true"].mean(axis=-1)
    )


@_metric(unit="%", better="higher")
def accuracy_at_2(figures: Figures) -> np.ndarray:
    """Share of pixels whose a and b, rounded, are both within 4.4 of the truth.

    The lightness is the truth's: 2 of the 100 steps of L are as far as 4.4 of
    the 220 of a and b.
    """
    return 100 * _pixel_mean(figures, "within_2")


@_metric(unit="%", better="higher")
def accuracy_at_5(figures: Figures) -> np.ndarray:
    """Share of pixels whose a and b, rounded, are both within 11 of the truth.

    See `accuracy_at_2`.
    """
    return 100 * _pixel_mean(figures, "within_5")


@_metric(unit="ab", better="lower", judge="draws")
def best_of_8(figures: Figures) -> np.ndarray:
    """As `rmse_ab`, of the nearest of eight draws, chosen photo by photo.

    What cannot be sampled gives its one answer eight times.

    Reference:

    - [Larsson et al., 2016](https://arxiv.org/abs/1603.06668) and
      [Deshpande et al., 2017](https://arxiv.org/abs/1612.01958), whose
      "error-of-best" it is.
    """
    return np.sqrt(_pixel_mean(figures, "best_squared_ab"))


@_metric(unit="", better="lower", judge="lpips_alex")
def lpips_alex(figures: Figures) -> np.ndarray:
    """Perceptual distance by AlexNet's features, mean over photos.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1801.03924), v0.1
    """
    return figures["lpips_alex"].mean(axis=-1)


@_metric(unit="", better="lower", judge="lpips_vgg")
def lpips_vgg(figures: Figures) -> np.ndarray:
    """Perceptual distance by the features of VGG-16, mean over photos.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1801.03924), v0.1
    """
    return figures["lpips_vgg"].mean(axis=-1)


@_metric(unit="%", better="higher", judge="efficientnet_lite0")
def recognised(figures: Figures) -> np.ndarray:
    """Share of photos that EfficientNet-Lite0 takes for what it took the truth.

    Of ImageNet at 64 pixels it knows a third by their right name, in colour: so
    this is whether it says the same again, not whether it is right.

    Reference:

    - The semantic interpretability of
      [Zhang et al., 2016](https://arxiv.org/abs/1603.08511), section 3.1, by
      another network, and with its own answer in the place of a label.
    """
    return 100 * figures["recognised"].mean(axis=-1)


@_metric(unit="", better="lower", judge="efficientnet_lite0", of_sets=True)
def fid_efficientnet_lite0(figures: Figures, counts=None) -> float:
    """Frechet distance of EfficientNet-Lite0's features from the true photos'.

    Not to be set beside distances by another network, nor by another number of
    photos: few are far from any, and FIDs of a few hundred photos large.

    Reference:

    - [Heusel et al., 2017](https://arxiv.org/abs/1706.08500)
    """
    return frechet(*_features(figures, "efficientnet_lite0"), counts)


@_metric(unit="", better="lower", judge="efficientnet_lite0", of_sets=True)
def kid_efficientnet_lite0(figures: Figures, counts=None) -> float:
    """1,000 times the kernel distance of EfficientNet-Lite0's features.

    By the squared mean discrepancy under a cubic kernel, without bias: it can
    be below 0, and does not depend on the number of photos. A photo is never
    compared with its own colouring.

    Reference:

    - [Binkowski et al., 2018](https://arxiv.org/abs/1801.01401)
    """
    return 1000 * kernel(*_features(figures, "efficientnet_lite0"), counts)


@_metric(unit="", better="lower", judge="inception", of_sets=True)
def fid_inception(figures: Figures, counts=None) -> float:
    """Frechet distance of Inception-v3's features from the true photos'.

    By the weights of Keras and its way of resizing: near to, not equal to, the
    figures of papers. See `fid_efficientnet_lite0`.

    Reference:

    - [Heusel et al., 2017](https://arxiv.org/abs/1706.08500)
    """
    return frechet(*_features(figures, "inception"), counts)


@_metric(unit="", better="lower", judge="inception", of_sets=True)
def kid_inception(figures: Figures, counts=None) -> float:
    """1,000 times the kernel distance of Inception-v3's features.

    See `kid_efficientnet_lite0`.

    Reference:

    - [Binkowski et al., 2018](https://arxiv.org/abs/1801.01401)
    """
    return 1000 * kernel(*_features(figures, "inception"), counts)


@_metric(unit="%", better="lower", judge="machine_turing", bound=50.0)
def machine_turing(figures: Figures) -> np.ndarray:
    """How often a classifier tells real photos from recoloured ones.

    50 % is perfect. A small network is trained on half of the photos, real and
    recoloured, and asked about the other half; then the other way round. A
    proxy: it may look at what no person would see, and miss what all would.

    Reference:

    - [Lopez-Paz and Oquab, 2017](https://arxiv.org/abs/1610.06545)
    """
    return 100 * figures["told_apart"].mean(axis=-1)


@_metric(unit="%", better="higher", judge=PEOPLE, bound=50.0)
def fool_rate(figures: Figures) -> np.ndarray:
    """How often people take the true photo for the recoloured one.

    50 % is perfect. By `kcolor-study`, where people see both for a second; its
    interval is over participants.

    Reference:

    - [Zhang et al., 2016](https://arxiv.org/abs/1603.08511), section 3.1
    """
    return 100 * figures["fooled"].mean(axis=-1)


def _features(figures: Figures, network: str) -> tuple[np.ndarray, np.ndarray]:
    return figures[f"{network}_true"], figures[network]


def _pixel_mean(figures, name):
    # Photos may differ in size.
    return np.average(figures[name], weights=figures["pixels"], axis=-1)


def _psnr(squared_error):
    return 10 * np.log10(
        255**2 / np.maximum(squared_error, _LEAST_SQUARED_ERROR)
    )


# Those that need no judge: fast, and measured in training too.
COLOUR_METRICS = tuple(name for name, m in METRICS.items() if not m.judge)
# Of colorfulness neither much nor little is the better: the truth's is.
RANKING_METRICS = tuple(n for n in COLOUR_METRICS if n != "colorfulness")
