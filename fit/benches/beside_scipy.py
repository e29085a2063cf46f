"""The fitter beside SciPy, in one run on one machine.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install scipy
    /tmp/venv/bin/python fit/benches/beside_scipy.py [REFERENCE]

Runs `cargo run --release -p gradus-fit --example speed`, then times SciPy on the same problems: `curve_fit` (lm, its
defaults and `maxfev` enough) on every NIST problem, the paper's L-BFGS-B on a sample of the 8,000 starts, and refits of
an IsoFLOP law by NumPy. Of repeated calls the fastest counts, on both sides, so that other work on the machine matters
little; `chrt -r 1` before the command, where it is allowed, keeps that away. REFERENCE is the folder with `paper-runs/`.
Prints Markdown.
"""

import itertools
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
import scipy
from scipy.optimize import curve_fit, minimize

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = pathlib.Path(os.environ.get("GRADUS_REFERENCE", ROOT.parent / "shared/reference"))
# Of the 8,000 starts; each takes SciPy seconds.
SAMPLE = int(os.environ.get("SAMPLE", 24))


def ours():
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "gradus-fit", "--example", "speed"], cwd=ROOT, check=True)
    environment = dict(os.environ, GRADUS_REFERENCE=str(REFERENCE))
    command = [str(ROOT / "target/release/examples/speed")]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=environment).stdout
    return [line.split() for line in text.splitlines()]


def problems():
    formulas = {}
    for line in (ROOT / "fit/tests/nist/formulas.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, formula = line.split(" ", 1)
            formulas[name] = compile(formula.replace("^", "**"), name, "eval")
    current = None
    for line in (ROOT / "fit/tests/nist/strd.txt").read_text().splitlines():
        words = line.split()
        if line.startswith("#") or words[0] == "data":
            continue
        if words[0] == "problem":
            if current:
                yield current
            current = dict(name=words[1], starts=[], rows=[], formula=formulas[words[1]])
        elif words[0] == "start":
            current["starts"].append([float(w) for w in words[1:]])
        elif words[0] == "certified":
            current["certified"] = [float(w) for w in words[1:]]
        elif words[0] not in ("deviation", "rss"):
            current["rows"].append([float(w) for w in words])
    yield current


NAMES = dict(exp=np.exp, cos=np.cos, sin=np.sin, arctan=np.arctan, pi=np.pi)


def fastest_of(calls, call):
    call()
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def scipy_nist(problem, start):
    data = np.array(problem["rows"])
    y = np.log(data[:, 0]) if problem["name"] == "Nelson" else data[:, 0]
    columns = dict(NAMES, x=data[:, 1], x2=data[:, -1])

    def model(x, *b):
        return eval(problem["formula"], dict(columns, **{f"b{j}": v for j, v in enumerate(b, 1)}))

    def fit():
        try:
            return curve_fit(model, data[:, 1], y, p0=start, maxfev=20000)[0]
        except Exception:
            return None

    seconds = fastest_of(15, fit)
    found = fit()
    certified = np.array(problem["certified"])
    good = found is not None and bool(np.all(np.abs(found / certified - 1) < 1e-4))
    return seconds, good


def headline(arch):
    import csv

    with open(REFERENCE / "paper-runs/runs.csv") as file:
        rows = [r for r in csv.DictReader(file)
                if r["arch"] == arch and r["experiment_set"] == "tokenparam" and r["selected"] == "1"]
    n, d, loss = (np.log([float(r[c]) for r in rows]) for c in ("n_params", "n_tokens", "val_loss"))

    def objective(p):
        a, b, e, alpha, beta, gamma = p
        r = np.abs(np.logaddexp(gamma * np.logaddexp(a - alpha * n, b - beta * d), e) - loss)
        return np.where(r <= 1e-3, r * r / 2, 1e-3 * (r - 5e-4)).sum()

    coarse, exponent = [0, 5, 10, 15, 20], [0, 0.2, 0.5, 1]
    grid = list(itertools.product(coarse, coarse, [-1, -0.5, 0, 0.5, 1], exponent, exponent, [0, 0.5, 1, 1.5]))
    starts = random.Random(0).sample(grid, SAMPLE)
    started = time.perf_counter()
    best = min(minimize(objective, s, method="L-BFGS-B", options=dict(ftol=1e-32, gtol=1e-32, maxls=200)).fun for s in starts)
    return (time.perf_counter() - started) / SAMPLE * len(grid), best


def scipy_bootstrap(refits):
    generator = np.random.default_rng(0)
    groups = []
    for b, flops in enumerate([6e18, 1e19, 3e19, 1e20]):
        step = np.arange(12)
        place = 0.1 * (step - 5.5)
        size = 0.008 * flops**0.55 * 10**place
        loss = 30 * flops**-0.05 + place**2 + 0.003 * np.sin((step * 7 + b * 5) * 1.7)
        groups.append((flops, np.log10(size), np.log10(flops / 6 / size), loss))
    started = time.perf_counter()
    for _ in range(refits):
        optima = []
        for flops, x, x_tokens, loss in groups:
            fitted = np.polyval(np.polyfit(x, loss, 2), x)
            again = fitted + generator.choice(loss - fitted, len(loss))
            p, q = np.polyfit(x, again, 2), np.polyfit(x_tokens, again, 2)
            optima.append((np.log10(flops), -p[1] / 2 / p[0], -q[1] / 2 / q[0], np.polyval(p, -p[1] / 2 / p[0])))
        c, n, d, low = np.array(optima).T
        for y in (n, d, np.log10(low)):
            np.polyfit(c, y, 1)
    return time.perf_counter() - started


def main():
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    if len(sys.argv) > 1:
        global REFERENCE
        REFERENCE = pathlib.Path(sys.argv[1])
    measured = ours()
    nist = {(m[1], int(m[2])): float(m[3]) for m in measured if m[0] == "nist"}
    with_statistics = [float(m[4]) for m in measured if m[0] == "nist"]
    print(f"load {os.getloadavg()[0]:.1f}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, SciPy {scipy.__version__}, NumPy {np.__version__}\n")
    print("| NIST problem | ours, µs: start 1 | start 2 | SciPy curve_fit, µs: start 1 | start 2 |\n|---|---|---|---|---|")
    theirs = {}
    for problem in problems():
        cells = []
        for index, start in enumerate(problem["starts"], 1):
            seconds, good = scipy_nist(problem, start)
            theirs[problem["name"], index] = seconds
            cells.append(f"{1e6 * seconds:.0f}" + ("" if good else " ✗"))
        own = [f"{1e6 * nist[problem['name'], i]:.0f}" for i in (1, 2)]
        print(f"| {problem['name']} | {own[0]} | {own[1]} | {cells[0]} | {cells[1]} |")
    print("\n✗: does not end within 1e-4 of the certified parameters (ours always does, to 1e-10).")
    print(f"Median of the 54: ours {1e6 * statistics.median(nist.values()):.0f} µs, with covariance and all other statistics "
          f"{1e6 * statistics.median(with_statistics):.0f} µs, SciPy {1e6 * statistics.median(theirs.values()):.0f} µs.\n")
    print("| | ours | SciPy |\n|---|---|---|")
    for m in measured:
        if m[0] == "headline":
            seconds, best = headline(m[1])
            print(f"| headline fit, {m[1]}, 8,000 starts | {float(m[3]):.2f} s ({m[2]}) | "
                  f"{seconds / 60:.1f} min by {SAMPLE} of the starts, one thread (best of them {best:.6e}) |")
        if m[0] == "bootstrap":
            part = 200
            seconds = min(scipy_bootstrap(part) for _ in range(5)) / part * 10000
            print(f"| {m[1]} refits of an IsoFLOP law | {float(m[2]):.2f} s | {seconds:.1f} s by {part} of them |")


if __name__ == "__main__":
    main()
