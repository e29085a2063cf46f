#!/usr/bin/env bash
# Training speed of PyTorch and gradus on the tiny models: alternately, in one run, on one machine.
#
#   tests/compare/run.sh [ROUNDS]        default 3
#
# Environment:
#   GRADUS    the program                  (default: target/release/gradus of this checkout)
#   PYTHON    a Python with PyTorch        (default: /tmp/compare-venv/bin/python)
#   SECONDS_EACH  PyTorch's measured time a model and round (default 20)
#   STEPS     gradus's steps a round       (default 60)
#   THREADS   threads of both              (default: each takes its own choice)
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
rounds="${1:-3}"
gradus="${GRADUS:-$root/target/release/gradus}"
python="${PYTHON:-/tmp/compare-venv/bin/python}"
seconds="${SECONDS_EACH:-20}"
steps="${STEPS:-60}"

if ! [[ "$rounds" =~ ^[1-9][0-9]*$ ]]; then
    echo "run.sh: ROUNDS is \"$rounds\"; it must be a whole number from 1" >&2
    exit 2
fi
if [[ ! -x "$gradus" ]]; then
    echo "run.sh: there is no program at $gradus; build it with: cargo build --release -p gradus-trainer" >&2
    exit 2
fi
if ! "$python" -c 'import torch, xlstm, mlstm_kernels' 2>/dev/null; then
    echo "run.sh: $python has not all of torch, xlstm and mlstm_kernels; see $here/README.md" >&2
    exit 2
fi

threads=()
if [[ -n "${THREADS:-}" ]]; then
    threads=(--threads "$THREADS")
    export RAYON_NUM_THREADS="$THREADS"
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

measure_pytorch() { # model
    "$python" "$here/pytorch_tiny.py" --model "$1" --seconds "$seconds" ${threads[@]+"${threads[@]}"} >>"$work/pytorch.jsonl"
}

measure_gradus() { # preset round
    local out="$work/$1-$2" log="$work/$1-$2.log"
    if ! "$gradus" train --model "$1" --device cpu --steps "$steps" --out "$out" >"$log" 2>&1 </dev/null; then
        echo "run.sh: gradus train --model $1 failed; the end of what it wrote:" >&2
        tail -n 20 "$log" >&2
        exit 1
    fi
    "$python" "$here/table.py" read "$1" "$out/metrics.jsonl" >>"$work/gradus.jsonl"
}

read -r load _ </proc/loadavg 2>/dev/null || load=unknown
echo "cores $(nproc), load before the run $load (figures count only on a machine that does nothing else)"
for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds" >&2
    measure_pytorch transformer
    measure_gradus llama-tiny "$round"
    measure_pytorch xlstm
    measure_gradus xlstm-tiny "$round"
done
"$python" "$here/table.py" print "$work/pytorch.jsonl" "$work/gradus.jsonl"
