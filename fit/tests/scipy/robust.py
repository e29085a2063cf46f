"""Robust fits by SciPy's least_squares: writes robust.txt beside this file, which ../robust.rs compares with.

    /tmp/venv/bin/python fit/tests/scipy/robust.py

Columns: model, loss, scale, cost (SciPy's, half of our objective), parameters. The best of all starts counts: losses that
fall back have several minima.
"""

import itertools
import pathlib

import numpy as np
import scipy
from scipy.optimize import least_squares

ERRORS = np.array([0.02, -0.05, 0.03, 0.0, 2.5, -0.04, 0.01, 0.05, -1.5, 0.03, -0.02, 0.04])
X = np.arange(12.0)
MODELS = {
    # name: (model, true parameters); errors are added to the truth
    "decay": (lambda p: p[0] * np.exp(-p[1] * X) + p[2], [5.0, 0.3, 1.0]),
    "line": (lambda p: p[0] + p[1] * X, [1.0, 0.5]),
    "logistic": (lambda p: p[0] / (1 + np.exp(p[1] - p[2] * X)), [8.0, 3.0, 0.6]),
    "power": (lambda p: p[0] * (X + 1) ** p[1], [2.0, 0.7]),
}


def main():
    lines = [f"# SciPy {scipy.__version__} least_squares (trf, exact tolerances), best of all starts; written by robust.py"]
    for name, (model, truth) in MODELS.items():
        y = model(truth) + ERRORS
        for loss, scale in [("linear", 1.0), *itertools.product(["huber", "soft_l1", "cauchy", "arctan"], [0.05, 0.1, 1.0])]:
            best = None
            for factors in itertools.product([0.7, 1.0, 1.4], repeat=len(truth)):
                start = np.array(truth) * factors
                found = least_squares(lambda p: model(p) - y, start, jac="3-point", loss=loss, f_scale=scale,
                                      x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=5000)
                found = least_squares(lambda p: model(p) - y, found.x, jac="3-point", loss=loss, f_scale=scale,
                                      ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=5000)
                if best is None or found.cost < best.cost:
                    best = found
            lines.append(" ".join([name, loss, str(scale), repr(float(best.cost)), *(repr(float(v)) for v in best.x)]))
    path = pathlib.Path(__file__).with_name("robust.txt")
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
