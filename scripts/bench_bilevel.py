"""Data hyper-cleaning, the benchmark of the literature: softmax regression on corrupted labels, a weight per example.

    OMP_NUM_THREADS=1 python scripts/bench_bilevel.py [--data digits blobs] [--noise .2 .35 .5] [--seeds 0 1 2 3 4 5]

Upper level: cross-entropy on 200 clean examples. Lower level: (1/n) sum_i sigmoid(x_i) CE_i(W) + 1e-3 |W|^2. Every method
takes steps of x as long as the grid's best on seeds 100 and 101 at the middle noise (--choose prints the grid). Unrolled and
implicit differentiation are TorchOpt's (`pip install torchopt`, no dependency of rlx); without it, they are left out and said so.
Digits: scikit-learn's, 600 corrupted, 997 to test. Blobs: ten Gaussians in 20 dimensions, 500 corrupted, 2,000 to test.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score
from torch import Tensor
from torch.nn.functional import cross_entropy

from rlx.bilevel.double_loop import DoubleLoop, double_loop
from rlx.bilevel.penalty import constant, falling
from rlx.bilevel.problem import box, everywhere
from rlx.bilevel.single_loop import SingleLoop, single_loop

NUM_CLEAN, CLASSES, L2 = 200, 10, 1e-3
CHOOSING = (100, 101)
SIGMA = 10.0, 1.0  # first and last; from 1 to .1, both algorithms are worse (seed 100)
STEPS = (0.02, 0.2, 2.0)  # of x, times n: the grid


@dataclass(frozen=True)
class Data:
    train_ND: Tensor
    labels_N: Tensor
    wrong_N: Tensor  # bool
    clean_VD: Tensor
    clean_V: Tensor
    test_MD: Tensor
    test_M: Tensor


@dataclass(frozen=True)
class Cleaning:
    """Implements rlx.bilevel.problem.Bilevel; y is the (D, C) matrix of the softmax regression."""

    data: Data

    def upper(self, x: Tensor, y: Tensor, sample: object = None) -> Tensor:
        return cross_entropy(self.data.clean_VD @ y, self.data.clean_V)

    def lower(self, x: Tensor, y: Tensor, sample: object = None) -> Tensor:
        losses_N = cross_entropy(self.data.train_ND @ y, self.data.labels_N, reduction="none")
        return (torch.sigmoid(x) * losses_N).mean() + L2 * y.square().sum()

    def project_x(self, x: Tensor) -> Tensor:
        return box(-8.0, 8.0)(x)

    def project_y(self, y: Tensor) -> Tensor:
        return everywhere(y)

    def draw(self, generator: torch.Generator) -> None:
        return None

    def step(self) -> float:
        """The inverse of a bound on the lower level's curvature: softmax regression has at most half of the features'."""
        parts = (self.data.train_ND, self.data.clean_VD)
        return 1 / (max(float(torch.linalg.matrix_norm(p, 2) ** 2 / len(p)) for p in parts) / 2 + 2 * L2)


def made(name: str, noise: float, seed: int) -> Data:
    """Corrupted labels are drawn uniformly from the other classes, so that `noise` is the share of wrong labels."""
    rng = np.random.default_rng(seed)
    if name == "digits":
        found = load_digits()
        features, labels, num_train = found.data / 16, found.target, 600
        order = rng.permutation(len(labels))
        features, labels = features[order], labels[order]
    else:
        num_train, number = 500, 500 + NUM_CLEAN + 2000
        centres, labels = rng.normal(size=(CLASSES, 20)), rng.integers(CLASSES, size=number)
        features = centres[labels] + rng.normal(size=(number, 20))
    features = np.concatenate([(features - features.mean(0)) / (features.std(0) + 1e-6), np.ones((len(labels), 1))], 1)
    shown, wrong = labels[:num_train].copy(), np.zeros(num_train, dtype=bool)
    wrong[rng.permutation(num_train)[: round(noise * num_train)]] = True
    shown[wrong] = (shown[wrong] + rng.integers(1, CLASSES, size=wrong.sum())) % CLASSES
    x, y = torch.tensor(features), torch.tensor(labels)
    end = num_train + NUM_CLEAN
    train, clean, test = slice(0, num_train), slice(num_train, end), slice(end, None)
    return Data(x[train], torch.tensor(shown), torch.tensor(wrong), x[clean], y[clean], x[test], y[test])


def fitted(features_ND: Tensor, labels_N: Tensor, weight_N: Tensor | None = None) -> Tensor:
    """The softmax regression by L-BFGS, (D, C)."""
    y = torch.zeros(features_ND.shape[1], CLASSES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([y], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses_N = cross_entropy(features_ND @ y, labels_N, reduction="none")
        value = (losses_N if weight_N is None else weight_N * losses_N).mean() + L2 * y.square().sum()
        value.backward()
        return value

    optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    return y.detach()


def start(problem: Cleaning) -> tuple[Tensor, Tensor]:
    number = len(problem.data.labels_N)
    return torch.zeros(number, dtype=torch.float64), torch.zeros(
        problem.data.train_ND.shape[1], CLASSES, dtype=torch.float64
    )


def penalty_double(problem: Cleaning, step_x: float, num_steps: int = 500) -> Tensor:
    """Algorithm 1: 500 outer steps of 3 inner ones, sigma from 10 to 1."""
    x, y = start(problem)
    steps = constant(step_x * len(x)), constant(problem.step() / (1 + SIGMA[0]))
    numbers = DoubleLoop(num_steps, 3, 1, *steps, falling(*SIGMA, num_steps), None)
    return double_loop(problem, x, y, numbers, torch.Generator()).x


def penalty_single(problem: Cleaning, step_x: float, num_steps: int = 1000) -> Tensor:
    """Algorithm 2: 1,000 steps, sigma from 10 to 1. Without noise, momentum changes nothing."""
    x, y = start(problem)
    steps = constant(step_x * len(x)), constant(problem.step() / (1 + SIGMA[0]))
    numbers = SingleLoop(num_steps, *steps, falling(*SIGMA, num_steps), constant(1.0))
    return single_loop(problem, x, y, numbers, torch.Generator()).x


def unrolled(problem: Cleaning, step_x: float, num_outer: int = 200, num_inner: int = 10) -> Tensor:
    """Truncated back-propagation through 10 steps of TorchOpt's functional SGD, y kept from one outer step to the next."""
    import torchopt

    x, y = start(problem)
    optimizer = torchopt.sgd(lr=problem.step())
    for _ in range(num_outer):
        x = x.requires_grad_()
        params = {"y": y.requires_grad_()}
        state = optimizer.init(params)
        for _ in range(num_inner):
            (gradient,) = torch.autograd.grad(problem.lower(x, params["y"]), params["y"], create_graph=True)
            updates, state = optimizer.update({"y": gradient}, state, inplace=False)
            params = torchopt.apply_updates(params, updates, inplace=False)
        (of_x,) = torch.autograd.grad(problem.upper(x, params["y"]), x)
        x, y = problem.project_x((x - step_x * len(x) * of_x).detach()), params["y"].detach()
    return x


def implicit(problem: Cleaning, step_x: float, num_outer: int = 200, num_inner: int = 10) -> Tensor:
    """Implicit differentiation at y after 10 more steps, by TorchOpt's custom_root with 10 steps of conjugate gradients."""
    import torchopt
    from torchopt.diff.implicit import custom_root

    step = problem.step()

    def optimality(y: Tensor, x: Tensor) -> Tensor:
        return torch.func.grad(lambda at: problem.lower(x, at))(y)

    @custom_root(optimality, argnums=1, solve=torchopt.linear_solve.solve_cg(maxiter=10))
    def solve(y: Tensor, x: Tensor) -> Tensor:
        for _ in range(num_inner):
            y = y - step * optimality(y, x)
        return y

    x, y = start(problem)
    for _ in range(num_outer):
        x = x.requires_grad_()
        solved = solve(y, x)
        (of_x,) = torch.autograd.grad(problem.upper(x, solved), x)
        x, y = problem.project_x((x - step_x * len(x) * of_x).detach()), solved.detach()
    return x


METHODS: dict[str, Callable[[Cleaning, float], Tensor]] = {
    "penalty, Algorithm 1": penalty_double,
    "penalty, Algorithm 2": penalty_single,
    "unrolled (TorchOpt)": unrolled,
    "implicit (TorchOpt)": implicit,
}


def row(data: Data, x: Tensor | None, y: Tensor, seconds: float) -> dict[str, float]:
    """Test accuracy; of learnt weights the AUC and F1 of "x_i >= 0: the label is right"."""
    found = {"accuracy": float(((data.test_MD @ y).argmax(1) == data.test_M).double().mean()), "seconds": seconds}
    if x is not None:
        right = (~data.wrong_N).numpy()
        found |= {"auc": float(roc_auc_score(right, x.numpy())), "f1": float(f1_score(right, (x >= 0).numpy()))}
    return found


def baselines(data: Data) -> dict[str, dict[str, float]]:
    noisy = fitted(data.train_ND, data.labels_N)
    losses_N = cross_entropy(data.train_ND @ noisy, data.labels_N, reduction="none")
    kept_N = losses_N <= losses_N.quantile(1 - float(data.wrong_N.double().mean()))
    both = fitted(torch.cat([data.train_ND, data.clean_VD]), torch.cat([data.labels_N, data.clean_V]))
    return {
        "all labels": row(data, None, noisy, 0.0),
        "clean ones alone": row(data, None, fitted(data.clean_VD, data.clean_V), 0.0),
        "all and clean ones": row(data, None, both, 0.0),
        "small loss": row(data, -losses_N, fitted(data.train_ND[kept_N], data.labels_N[kept_N]), 0.0)
        | {"f1": float(f1_score((~data.wrong_N).numpy(), kept_N.numpy()))},
        "oracle": row(data, None, fitted(data.train_ND[~data.wrong_N], data.labels_N[~data.wrong_N]), 0.0),
    }


def measured(name: str, data: Data, step_x: float) -> dict[str, float]:
    began = time.process_time()
    x = METHODS[name](Cleaning(data), step_x).detach()  # seconds of one CPU thread, whatever runs beside it
    seconds = time.process_time() - began
    return row(data, x, fitted(data.train_ND, data.labels_N, torch.sigmoid(x)), seconds)


def shown(rows: list[dict[str, float]], key: str) -> str:
    """Mean and half of the 95 % interval of Student's t over the seeds."""
    values = np.array([r[key] for r in rows if key in r])
    if not len(values):
        return ""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return f"{values.mean():.3f} ± {half:.3f}" if key != "seconds" else f"{values.mean():.1f}" if values.any() else ""


def chosen(name: str, data: str, noise: float, tell: bool) -> float:
    """The step of the grid with the most accuracy on the choosing seeds, at one share of noise."""
    found = {
        step: np.mean([measured(name, made(data, noise, seed), step)["accuracy"] for seed in CHOOSING])
        for step in STEPS
    }
    if tell:
        print(f"{data}, {name}: " + ", ".join(f"step {s:g}: {a:.3f}" for s, a in found.items()), flush=True)
    return max(found, key=lambda step: found[step])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "blobs"], choices=["digits", "blobs"])
    parser.add_argument("--noise", nargs="+", type=float, default=[0.2, 0.35, 0.5])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(6)))
    parser.add_argument("--choose", action="store_true", help="print the grid on the choosing seeds")
    asked = parser.parse_args()
    methods = list(METHODS)
    try:
        import torchopt  # noqa: F401
    except ImportError:
        methods = [name for name in methods if "TorchOpt" not in name]
        print("unrolled and implicit differentiation are left out: pip install torchopt")
    print("| data | wrong labels | method | test accuracy | AUC | F1 | CPU seconds |\n|---|---|---|---|---|---|---|")
    for data in asked.data:
        steps = {name: chosen(name, data, sorted(asked.noise)[len(asked.noise) // 2], asked.choose) for name in methods}
        for noise in asked.noise:
            sets = [made(data, noise, seed) for seed in asked.seeds]
            rows = {key: [] for key in (*baselines(sets[0]), *methods)}
            for one in sets:
                for key, found in (
                    baselines(one) | {name: measured(name, one, steps[name]) for name in methods}
                ).items():
                    rows[key].append(found)
            prior = 2 * (1 - noise) / (2 - noise)
            for key, found in rows.items():
                named = f"{key}, step {steps[key]:g} n" if key in steps else key
                numbers = " | ".join(shown(found, k) for k in ("accuracy", "auc", "f1", "seconds"))
                print(f"| {data} | {100 * noise:.0f} % (prior F1 {prior:.3f}) | {named} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
