"""How large the errors behind a linear model are, from the model itself: restricted maximum likelihood.

Model: residual of view i (6,) = A_i theta + noise with covariance S_i = P_i + joint^2 Q_i, where P_i comes from the
corners and Q_i = J_i J_i^T carries the error of each joint. Some of theta have a Gaussian prior whose width is itself
estimated. Source: Patterson and Thompson, Biometrika 58 (1971).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

# Errors of a joint outside these are not believed, rad (or m): a thousandth and a fiftieth of a radian.
SMALLEST, LARGEST = 1e-5, 0.05


@dataclass(frozen=True)
class LinearModel:
    """residuals (V, 6); design (V, 6, P); corners (V, 6, 6) and joints (V, 6, 6): P_i and Q_i; precision (P,): of the
    fixed priors, 0 where there is none. groups: columns whose priors have one unknown width each.
    """

    residuals: np.ndarray
    design: np.ndarray
    corners: np.ndarray
    joints: np.ndarray
    precision: np.ndarray
    groups: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Fit:
    """theta (P,) with covariance (P, P); noise (V, 6, 6): S_i over the view's weight (V,); precision (P,): all priors.

    widths: of the joints' noise, then of each group.
    """

    theta: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray
    weights: np.ndarray
    precision: np.ndarray
    widths: np.ndarray
    deviance: float


def fit(model: LinearModel, start: Sequence[float], weights: np.ndarray | None = None, *, steps: int = 60) -> Fit:
    """theta and the widths together; weights (V,) of the views in 0..1, `start` the widths to begin with."""

    def deviance(logs: np.ndarray) -> float:
        return _solve(model, np.exp(logs), weights).deviance

    bounds = [(np.log(SMALLEST), np.log(LARGEST))] * len(start)
    begin = np.clip(np.log(np.asarray(start)), *bounds[0])
    found = minimize(
        deviance,
        begin,
        method="Nelder-Mead",
        bounds=bounds,
        options={"maxfev": steps * len(start), "xatol": 0.02, "fatol": 0.01},
    )
    return _solve(model, np.exp(found.x), weights)


def _solve(model: LinearModel, widths: np.ndarray, weights: np.ndarray | None) -> Fit:
    noise = model.corners + widths[0] ** 2 * model.joints
    if weights is not None:
        noise = noise / weights[:, None, None]
    precision = model.precision.copy()
    prior = 0.0
    for columns, width in zip(model.groups, widths[1:], strict=True):
        precision[columns] = 1 / width**2
        prior += len(columns) * 2 * np.log(width)
        # A weak opinion that such errors are small keeps the width finite when the views tell nothing of it.
        prior += np.logaddexp(0, 2 * np.log(width / 0.02))
    lower = np.linalg.cholesky(noise)
    whitened = np.linalg.solve(lower, np.concatenate([model.design, model.residuals[..., None]], 2))
    flat = whitened.reshape(-1, whitened.shape[2])
    a, r = flat[:, :-1], flat[:, -1]
    normal = a.T @ a + np.diag(precision)
    scale = 1 / np.sqrt(np.diag(normal))
    factor = np.linalg.cholesky(normal * np.outer(scale, scale))
    inverse = np.linalg.inv(factor)
    covariance = inverse.T @ inverse * np.outer(scale, scale)
    theta = covariance @ (a.T @ r)
    left = r - a @ theta
    total = float(left @ left + theta**2 @ precision)
    total += 2 * float(np.log(np.diagonal(lower, axis1=1, axis2=2)).sum())
    total += 2 * float(np.log(np.diag(factor)).sum() - np.log(scale).sum()) + prior
    used = np.ones(len(noise)) if weights is None else weights
    return Fit(theta, covariance, noise, used, precision, widths, total)
