"""The Moré-Garbow-Hillstrom functions by MINPACK's lmder, through SciPy: writes minpack.txt beside this file.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install scipy
    /tmp/venv/bin/python fit/tests/scipy/minpack.py

Functions as in MINPACK's test programs and in ../minpack/mod.rs; Jacobians by complex steps, exact to rounding.
"""

import pathlib
import warnings

import numpy as np
import scipy
from scipy.optimize import leastsq

TOLERANCE = np.sqrt(np.finfo(float).eps)
LIMIT = 2000

BARD = np.array([.14, .18, .22, .25, .29, .32, .35, .39, .37, .58, .73, .96, 1.34, 2.1, 4.39])
V = np.array([4, 2, 1, .5, .25, .167, .125, .1, .0833, .0714, .0625])
KOWALIK = np.array([.1957, .1947, .1735, .16, .0844, .0627, .0456, .0342, .0323, .0235, .0246])
MEYER = np.array([34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.])
OSBORNE_1 = np.array([
    .844, .908, .932, .936, .925, .908, .881, .85, .818, .784, .751, .718, .685, .658, .628, .603, .58, .558, .538, .522,
    .506, .49, .478, .467, .457, .448, .438, .431, .424, .42, .414, .411, .406])
OSBORNE_2 = np.array([
    1.366, 1.191, 1.112, 1.013, .991, .885, .831, .847, .786, .725, .746, .679, .608, .655, .616, .606, .602, .626, .651,
    .724, .649, .649, .694, .644, .624, .661, .612, .558, .533, .495, .5, .423, .395, .375, .372, .391, .396, .405, .428,
    .429, .523, .562, .607, .653, .672, .708, .633, .668, .645, .632, .591, .559, .597, .625, .739, .71, .729, .72, .636,
    .581, .428, .292, .162, .098, .054])


def turns(x, y):
    if abs(x.real) >= abs(y.real):
        return np.arctan(y / x) / (2 * np.pi) + (0.5 if x.real < 0 else 0.0)
    quarter = 0.25 if y.real >= 0 else (0.75 if x.real < 0 else -0.25)
    return quarter - np.arctan(x / y) / (2 * np.pi)


def linear_1(x, m=50):
    n = len(x)
    f = np.full(m, -2 * x.sum() / m - 1)
    f[:n] += x
    return f


def linear_2(x, m=50):
    return np.arange(1, m + 1) * (np.arange(1, len(x) + 1) * x).sum() - 1


def linear_3(x, m=50):
    n = len(x)
    f = np.arange(m) * (np.arange(2, n) * x[1:-1]).sum() - 1
    f[0] = f[-1] = -1
    return f


def watson(x):
    n = len(x)
    t = np.arange(1, 30) / 29
    j = np.arange(n)
    slope = (j[1:] * x[1:] * t[:, None] ** (j[1:] - 1)).sum(1)
    value = (x * t[:, None] ** j).sum(1)
    return np.concatenate([slope - value**2 - 1, [x[0], x[1] - x[0] ** 2 - 1]])


def chebyquad(x):
    n = m = len(x)
    t = 2 * x - 1
    before, now = np.ones_like(t), t
    f = []
    for i in range(1, m + 1):
        integral = -1 / (i * i - 1) if i % 2 == 0 else 0
        f.append(now.sum() / n - integral)
        before, now = now, 2 * t * now - before
    return np.array(f)


def brown_almost_linear(x):
    n = len(x)
    f = x + x.sum() - (n + 1)
    f[-1] = np.prod(x) - 1
    return f


def box(x):
    t = np.arange(1, 11) / 10
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) + x[2] * (np.exp(-10 * t) - np.exp(-t))


def brown_dennis(x):
    t = np.arange(1, 21) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def osborne_2(x):
    t = np.arange(65) / 10
    peaks = sum(x[k] * np.exp(-x[k + 4] * (t - x[k + 7]) ** 2) for k in (1, 2, 3))
    return OSBORNE_2 - (x[0] * np.exp(-t * x[4]) + peaks)


def bard(x):
    u = np.arange(1, 16)
    v = 16 - u
    return BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


I10 = np.arange(1, 11)
T33 = 10 * np.arange(33)
FUNCTIONS = [
    (linear_1, np.ones(5)),
    (linear_2, np.ones(5)),
    (linear_3, np.ones(5)),
    (lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]), [-1.2, 1]),
    (lambda x: np.array([10 * (x[2] - 10 * turns(x[0], x[1])), 10 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]]), [-1, 0, 0]),
    (lambda x: np.array([x[0] + 10 * x[1], 5**.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**.5 * (x[0] - x[3]) ** 2]),
     [3, -1, 0, 1]),
    (lambda x: np.array([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]]), [.5, -2]),
    (bard, np.ones(3)),
    (lambda x: KOWALIK - x[0] * (V * (V + x[1])) / (V * (V + x[2]) + x[3]), [.25, .39, .415, .39]),
    (lambda x: x[0] * np.exp(x[1] / (45 + 5 * np.arange(1, 17) + x[2])) - MEYER, [.02, 4000, 250]),
    (watson, np.zeros(9)),
    (box, [0, 10, 20]),
    (lambda x: 2 + 2 * I10 - (np.exp(I10 * x[0]) + np.exp(I10 * x[1])), [.3, .4]),
    (brown_dennis, [25, 5, -5, -1]),
    (chebyquad, np.arange(1, 9) / 9),
    (brown_almost_linear, np.full(10, .5)),
    (lambda x: OSBORNE_1 - (x[0] + x[1] * np.exp(-T33 * x[3]) + x[2] * np.exp(-T33 * x[4])), [.5, 1.5, -1, .01, .02]),
    (osborne_2, [1.3, .65, .65, .7, .6, 3, 5, 7, 2, 4.5, 5.5]),
]


def main():
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    lines = [
        f"# MINPACK's lmder through SciPy {scipy.__version__}'s leastsq, ftol = xtol = sqrt(2^-52), gtol = 0, factor 100,",
        f"# at most {LIMIT} evaluations; written by minpack.py. Columns: function, multiple of the start, info,",
        "# evaluations, Jacobians, sum of squares.",
    ]
    for number, (function, start) in enumerate(FUNCTIONS, 1):
        for factor in (1, 10, 100):
            x0 = factor * np.array(start, float)
            if number == 11 and factor > 1:
                x0 = np.full(len(x0), float(factor))

            def jacobian(x):
                columns = []
                for j in range(len(x)):
                    z = x.astype(complex)
                    z[j] += 1e-200j
                    columns.append(function(z).imag / 1e-200)
                return np.array(columns).T

            def real(x):
                return np.asarray(function(x.astype(complex))).real.copy()

            x, _, info, _, flag = leastsq(
                real, x0, Dfun=jacobian, full_output=True, ftol=TOLERANCE, xtol=TOLERANCE, gtol=0.0, maxfev=LIMIT, factor=100)
            with np.errstate(all="ignore"):
                rss = float((real(x) ** 2).sum())
            lines.append(f"{number} {factor} {flag} {info['nfev']} {info['njev']} {rss:.12e}")
    path = pathlib.Path(__file__).with_name("minpack.txt")
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
