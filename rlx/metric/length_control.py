"""Gold's gain and the win rate over the start with the difference in length taken out: is the gain length?

Win rate: the length-controlled win rate of AlpacaEval 2 (Dubois et al. 2024, arXiv 2404.04475, section 3), within one run:

    logit P(policy wins on prompt x) = theta + phi tanh(d_x / sd(d)),    d_x = length of the policy's answer - start's

and the win rate is sigmoid(theta), that of answers of equal length. It differs from AlpacaEval's number in four ways:
lengths are tokens, not characters; there is no term for the instruction's difficulty, which AlpacaEval fits over many
models of one judge (one model against one start cannot tell it from theta); there are no gamed baselines; and Firth's
(1993) penalty stands for its cross-validated L1 one, so that theta is finite where length separates wins from losses.

Gold: gain_x = theta + phi d_x by least squares, and theta is the gain. MacKinnon and White's (1985) HC3 interval holds for
a spread of gain that changes with length.

Both read the effect of length off this run's own prompts. Where nearly every answer is longer (`completions/longer_rate`
near 1), an equal length is an extrapolation, and the intervals grow accordingly.
"""

import numpy as np
from scipy import optimize, special, stats

from rlx.core.evaluation import Evaluation
from rlx.metric import win_rate
from rlx.metric.interval import mean_interval
from rlx.metric.score import standardised
from rlx.metric.win_rate import outcomes

MIN_PROMPTS = 8  # two coefficients from fewer prompts than this say nothing
Estimate = tuple[float, float, float]  # value, lower and upper bound of its 95 % interval


def controlled_gain(gain_B: np.ndarray, longer_by_B: np.ndarray) -> Estimate | None:
    """The mean of `gain_B` at no difference in length. None where the difference is the same on every prompt but not 0:
    nothing then tells length from everything else."""
    if np.ptp(longer_by_B) == 0:
        return (float(gain_B.mean()), *mean_interval(gain_B)) if longer_by_B[0] == 0 else None
    X = _design(longer_by_B / np.std(longer_by_B, ddof=1))
    bread = np.linalg.inv(X.T @ X)
    coefficients = bread @ X.T @ gain_B
    leverage_B = np.einsum("bi,ij,bj->b", X, bread, X)
    influence_B = _over(gain_B - X @ coefficients, 1 - leverage_B)
    error = _sandwich_error(bread, X, influence_B)
    half = float(stats.t.ppf(0.975, len(gain_B) - 2)) * error
    return float(coefficients[0]), float(coefficients[0]) - half, float(coefficients[0]) + half


def controlled_win_rate(outcomes_B: np.ndarray, longer_by_B: np.ndarray) -> Estimate | None:
    """P(win) at no difference in length, of outcomes 0, 0.5 (a tie) and 1. None as for `controlled_gain`.

    The interval is symmetric in the logit. Its error is the larger of HC3's and the model's own, whose variance ties
    lower by at least their share: HC3's alone would be certain where length separates wins from losses.
    """
    if np.ptp(longer_by_B) == 0 or np.ptp(outcomes_B) == 0:
        plain = (float(outcomes_B.mean()), *win_rate.interval(outcomes_B))
        return plain if np.ptp(outcomes_B) == 0 or longer_by_B[0] == 0 else None
    X = _design(np.tanh(longer_by_B / np.std(longer_by_B, ddof=1)))
    theta = firth(X, outcomes_B)
    p_B = special.expit(X @ theta)
    weight_B = p_B * (1 - p_B)
    bread = np.linalg.inv(X.T @ (weight_B[:, None] * X))
    leverage_B = weight_B * np.einsum("bi,ij,bj->b", X, bread, X)
    robust = _sandwich_error(bread, X, _over(outcomes_B - p_B, 1 - leverage_B))
    untied = float(np.mean(outcomes_B != 0.5))
    error = max(robust, float(np.sqrt(untied * bread[0, 0])))
    half = float(stats.t.ppf(0.975, len(outcomes_B) - 2)) * error
    value, low, high = special.expit([theta[0], theta[0] - half, theta[0] + half])
    return float(value), float(low), float(high)


def firth(X: np.ndarray, y_B: np.ndarray) -> np.ndarray:
    """Coefficients of the logistic regression of `y_B` in [0, 1] on `X` (B, 2) that maximise the log-likelihood plus half
    the log-determinant of the information (Firth 1993): finite for every `y_B`."""

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z_B = X @ theta
        p_B = special.expit(z_B)
        weight_B = p_B * (1 - p_B)
        information = X.T @ (weight_B[:, None] * X)
        sign, log_determinant = np.linalg.slogdet(information)
        if sign <= 0:
            return np.inf, np.zeros_like(theta)
        leverage_B = weight_B * np.einsum("bi,ij,bj->b", X, np.linalg.inv(information), X)
        value = np.sum(y_B * z_B - np.logaddexp(0, z_B)) + log_determinant / 2
        gradient = X.T @ (y_B - p_B + leverage_B * (0.5 - p_B))
        return -value, -gradient

    return optimize.minimize(objective, np.zeros(X.shape[1]), jac=True, method="BFGS").x


def _design(x_B: np.ndarray) -> np.ndarray:
    return np.stack([np.ones(len(x_B)), x_B], -1)


def _over(residual_B: np.ndarray, rest_B: np.ndarray) -> np.ndarray:
    """residual / (1 - leverage), and 0 where one prompt alone decides its fit: its residual is 0 there."""
    return np.divide(residual_B, rest_B, out=np.zeros_like(residual_B), where=rest_B > 1e-9)


def _sandwich_error(bread: np.ndarray, X: np.ndarray, residual_B: np.ndarray) -> float:
    """Standard error of the first coefficient."""
    scores = (X * residual_B[:, None]) @ bread
    return float(np.sqrt(np.sum(scores[:, 0] ** 2)))


def measure(evaluation: Evaluation) -> dict[str, float]:
    """Gain in SD of the start's gold and win rate, each with its interval; the mean difference in tokens, and the share of
    prompts with the longer answer (a tie counts half). Left out: both below 8 prompts, the gain where the start's gold has
    no spread, and either where every answer is longer by the same number of tokens."""
    lengths_B = evaluation.mask_BT.sum(-1).double().numpy()
    longer_by_B = lengths_B - evaluation.start_lengths_B
    metrics = {
        "completions/longer_by": float(longer_by_B.mean()),
        "completions/longer_rate": float((np.sign(longer_by_B) + 1).mean() / 2),
    }
    if len(longer_by_B) < MIN_PROMPTS:
        return metrics
    won_B = outcomes(evaluation.gold_B, evaluation.start_gold_B)
    found = {"gold/win_rate_length_controlled": controlled_win_rate(won_B, longer_by_B)}
    if np.ptp(evaluation.start_gold_B) > 0:
        gain_B = standardised(evaluation.gold_B, evaluation.start_gold_B)
        found["gold/score_sd_units_length_controlled"] = controlled_gain(gain_B, longer_by_B)
    for name, estimate in found.items():
        if estimate is not None:
            metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"] = estimate
    return metrics
