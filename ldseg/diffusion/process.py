"""The forward process, and what a network's prediction says about it.

Every function takes the rates of the schedule (``signal_rate`` and ``noise_rate``) already gathered at the sample's time
and shaped to broadcast, so that it serves tensors of any backend, NumPy arrays and any rank.
"""

from __future__ import annotations

from ldseg.base.spatial import Tensor

PREDICTIONS = ("eps", "x0", "v", "ldseg")
"""What a denoiser may predict: the noise, the clean latent, the velocity, or the noise as LDSeg trains it."""


def _known(prediction: str) -> str:
    if prediction not in PREDICTIONS:
        raise ValueError(f"expected a prediction of {PREDICTIONS}, got {prediction!r}")
    return prediction


def corrupt(x0: Tensor, noise: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    r"""Draw from the forward process.

    :math:`x_t = \sqrt{\bar\alpha_t} x_0 + \sqrt{1-\bar\alpha_t} \epsilon` (Ho et al. 2020, eq. 4).
    """
    return signal_rate * x0 + noise_rate * noise


def target(prediction: str, x0: Tensor, noise: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    r"""What the network should have said.

    The noise, the clean latent, or the velocity
    :math:`v = \sqrt{\bar\alpha_t} \epsilon - \sqrt{1-\bar\alpha_t} x_0` (Salimans & Ho 2022, arXiv 2202.00512).

    Raises:
        ValueError: for a prediction that is not one of ``PREDICTIONS``.
    """
    match _known(prediction):
        case "x0":
            return x0
        case "v":
            return signal_rate * noise - noise_rate * x0
    return noise


def convert(
    prediction: str, predicted: Tensor, x_t: Tensor, signal_rate: Tensor, noise_rate: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn a prediction at ``x_t`` into the pair ``(x0, eps)`` that it implies.

    Inverts ``corrupt``: for any prediction, ``corrupt(x0, eps, ...)`` gives ``x_t`` back. The noise implied by a clean
    latent needs ``noise_rate > 0``, the clean latent implied by noise ``signal_rate > 0``.

    Raises:
        ValueError: for a prediction that is not one of ``PREDICTIONS``.
    """
    match _known(prediction):
        case "x0":
            return predicted, (x_t - signal_rate * predicted) / noise_rate
        case "v":
            return signal_rate * x_t - noise_rate * predicted, noise_rate * x_t + signal_rate * predicted
    return (x_t - noise_rate * predicted) / signal_rate, predicted


def decodable(prediction: str, predicted: Tensor, x_t: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    r"""The latent that the label decoder sees in training.

    The clean latent that the prediction implies, but for ``ldseg``, which decodes :math:`z_t - \hat\epsilon` (Zaman et
    al., arXiv 2407.12952): unlike the clean latent implied by noise, it stays in range when hardly any signal is left.
    """
    if prediction == "ldseg":
        return x_t - predicted
    return convert(prediction, predicted, x_t, signal_rate, noise_rate)[0]
