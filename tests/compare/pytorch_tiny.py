"""Training speed of the two tiny models in PyTorch on the CPU, in f32.

The Transformer has the shape of the preset `llama-tiny`, written plainly with PyTorch's own attention; the xLSTM has
the shape of `xlstm-tiny` and is the authors' code (packages `xlstm` and `mlstm_kernels`) with their kernels in plain
PyTorch. Both train on random bytes; speed does not depend on what they learn.

    python pytorch_tiny.py                      both models, one line of JSON each
    python pytorch_tiny.py --model transformer --seconds 60

Where PyTorch offers a choice of equal results, the faster one is taken (AdamW and attention as fused kernels; the
mLSTM kernel by `--mlstm-kernel`).
"""

import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

VOCABULARY = 256
WIDTH = 128
BLOCKS = 4
HEADS = 4
FEED_FORWARD = 384
NORM_EPS = 1e-6
ROPE_THETA = 10000.0
BATCH = 8
SEQUENCE = 256

QK_HEAD_DIM = 16
V_HEAD_DIM = 32
CHUNK_SIZE = 64
GATE_SOFT_CAP = 15.0
OUTPUT_LOGIT_SOFT_CAP = 30.0

# Peak learning rate of both presets, and the largest gradient norm that gradus takes for each architecture.
LEARNING_RATE = 3e-3
GRADIENT_CLIP = {"transformer": 1.0, "xlstm": 0.5}


class Attention(nn.Module):
    """Causal self-attention with rotary embedding by half rotation: pairs are (j, j + head_dim / 2)."""

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.v_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.o_proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x, cosine, sine):
        batch, sequence, _ = x.shape

        def heads(y):
            return y.view(batch, sequence, HEADS, WIDTH // HEADS).transpose(1, 2)

        def rotate(y):
            first, second = y.chunk(2, dim=-1)
            return y * cosine + torch.cat((-second, first), dim=-1) * sine

        query, key = rotate(heads(self.q_proj(x))), rotate(heads(self.k_proj(x)))
        y = functional.scaled_dot_product_attention(query, key, heads(self.v_proj(x)), is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(batch, sequence, WIDTH))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self):
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, FEED_FORWARD, bias=False)
        self.up_proj = nn.Linear(WIDTH, FEED_FORWARD, bias=False)
        self.down_proj = nn.Linear(FEED_FORWARD, WIDTH, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a residual connection."""

    def __init__(self):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(WIDTH, eps=NORM_EPS)
        self.self_attn = Attention()
        self.post_attention_layernorm = nn.RMSNorm(WIDTH, eps=NORM_EPS)
        self.mlp = FeedForward()

    def forward(self, x, cosine, sine):
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine)
        return x + self.mlp(self.post_attention_layernorm(x))


class Transformer(nn.Module):
    """The model of `llama-tiny`."""

    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(TransformerBlock() for _ in range(BLOCKS))
        self.norm = nn.RMSNorm(WIDTH, eps=NORM_EPS)
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        head_dim = WIDTH // HEADS
        frequency = ROPE_THETA ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
        angle = torch.outer(torch.arange(SEQUENCE, dtype=torch.float64), frequency).repeat(1, 2)
        self.register_buffer("cosine", angle.cos().float())
        self.register_buffer("sine", angle.sin().float())
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=(2 / (5 * WIDTH)) ** 0.5)

    def forward(self, ids):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine)
        return self.lm_head(self.norm(x))


def xlstm(kernel):
    """The model of `xlstm-tiny` by the authors' code."""
    from xlstm.xlstm_large.model import xLSTMLarge, xLSTMLargeConfig

    model = xLSTMLarge(
        xLSTMLargeConfig(
            embedding_dim=WIDTH,
            num_heads=HEADS,
            num_blocks=BLOCKS,
            vocab_size=VOCABULARY,
            norm_eps=NORM_EPS,
            qk_dim_factor=HEADS * QK_HEAD_DIM / WIDTH,
            v_dim_factor=HEADS * V_HEAD_DIM / WIDTH,
            ffn_proj_factor=FEED_FORWARD / WIDTH,
            ffn_round_up_to_multiple_of=64,
            gate_soft_cap=GATE_SOFT_CAP,
            output_logit_soft_cap=OUTPUT_LOGIT_SOFT_CAP,
            chunkwise_kernel=kernel,
            sequence_kernel="native_sequence__native",
            step_kernel="native",
            mode="train",
            chunk_size=CHUNK_SIZE,
            # Their layer unpacks the last states even where none are asked for.
            return_last_states=True,
            autocast_kernel_dtype="float32",
            weight_mode="single",
        )
    )
    # The authors' code leaves these to PyTorch's defaults; they are set as gradus starts them.
    with torch.no_grad():
        for block in model.backbone.blocks:
            layer = block.mlstm_layer
            layer.igate_preact.weight.zero_()
            layer.igate_preact.bias.fill_(-10.0)
            layer.fgate_preact.weight.zero_()
            layer.fgate_preact.bias.copy_(torch.linspace(3.0, 6.0, HEADS))
            assert layer.q.weight.shape == (HEADS * QK_HEAD_DIM, WIDTH)
            assert layer.v.weight.shape == (HEADS * V_HEAD_DIM, WIDTH)
            assert block.ffn.proj_up.weight.shape == (FEED_FORWARD, WIDTH)
    return model


def measure(name, model, arguments):
    """Median time of a training step after the warm-up."""
    decaying = [weight for weight in model.parameters() if weight.ndim == 2]
    others = [weight for weight in model.parameters() if weight.ndim != 2]
    optimizer = torch.optim.AdamW(
        [{"params": decaying, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.95),
        fused=True,
    )
    random = torch.Generator().manual_seed(arguments.seed)
    compiled = torch.compile(model) if arguments.compile else model

    def step():
        bytes_ = torch.randint(VOCABULARY, (BATCH, SEQUENCE + 1), generator=random)
        logits = compiled(bytes_[:, :-1])
        if isinstance(logits, tuple):  # The authors' xLSTM returns its states too.
            logits = logits[0]
        loss = functional.cross_entropy(logits.reshape(-1, VOCABULARY), bytes_[:, 1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_CLIP[name])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    for _ in range(arguments.warm_up):
        step()
    times = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < arguments.seconds or len(times) < 5:
        start = time.perf_counter()
        loss = step()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    return {
        "model": name,
        "tokens_per_second": round(BATCH * SEQUENCE / median, 1),
        "median_step_seconds": round(median, 5),
        "fastest_step_seconds": round(min(times), 5),
        "steps": len(times),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "last_loss": round(loss, 4),
        "threads": torch.get_num_threads(),
        "compiled": arguments.compile,
        "torch": torch.__version__,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=["transformer", "xlstm", "both"], default="both")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured time a model (default 20)")
    parser.add_argument("--warm-up", type=int, default=5, help="steps before it (default 5)")
    parser.add_argument("--threads", type=int, help="PyTorch's threads (default: its own choice)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="use torch.compile (needs a C++ compiler)")
    parser.add_argument(
        "--mlstm-kernel",
        choices=["chunkwise--native_autograd", "chunkwise--native_custbw"],
        default="chunkwise--native_autograd",
        help="the authors' mLSTM kernel (default: the first)",
    )
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    names = ["transformer", "xlstm"] if arguments.model == "both" else [arguments.model]
    for name in names:
        torch.manual_seed(arguments.seed)
        try:
            model = Transformer() if name == "transformer" else xlstm(arguments.mlstm_kernel)
        except ImportError as error:
            sys.exit(f"pytorch_tiny.py: {error}; install the packages that README.md names")
        result = measure(name, model, arguments)
        if name == "xlstm":
            result["mlstm_kernel"] = arguments.mlstm_kernel
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
