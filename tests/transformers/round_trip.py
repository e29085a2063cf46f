"""Models to and fro between gradus and Hugging Face transformers: README.md says what is compared."""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

# Everything is in folders; a name is never looked up elsewhere.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    xLSTMConfig,
    xLSTMForCausalLM,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = "".join(
    f"line {n}: the {w} of step {n % 17} is {n * n % 1009}.\n"
    for n in range(3000)
    for w in [["gradient", "tensor", "kernel", "sequence", "state"][n * 7 % 5]]
)
failures = []


def report(what, error, limit):
    good = error <= limit  # NaN is not
    print(f"{'ok  ' if good else 'FAIL'} {what}: {error:.1e} of {limit:.0e}", flush=True)
    if not good:
        failures.append(what)


def same(what, a, b):
    print(f"{'ok  ' if a == b else 'FAIL'} {what}", flush=True)
    if a != b:
        print(f"     {a!r}\n     {b!r}")
        failures.append(what)


def relative(got, expected):
    return ((got - expected).abs().max() / expected.abs().max()).item()


class Gradus:
    def __init__(self, program, device):
        self.program, self.device = program, device

    def __call__(self, *arguments, device=True):
        line = [self.program, *map(str, arguments)] + (["--device", self.device] if device else [])
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(line)}\n{done.stderr}")
        return done.stdout

    def logits(self, folder, ids):
        with tempfile.TemporaryDirectory() as at:
            tokens, out = f"{at}/tokens.safetensors", f"{at}/logits.safetensors"
            save_file({"tokens": ids}, tokens)
            self("logits", "--model", folder, "--tokens", tokens, "--out", out)
            return load_file(out)["logits"]

    def greedy(self, folder, ids, count):
        with tempfile.TemporaryDirectory() as at:
            tokens = f"{at}/tokens.json"
            pathlib.Path(tokens).write_text(json.dumps(ids.tolist()))
            lines = self(
                "generate", "--model", folder, "--tokens", tokens, "--temperature", 0, "--max-tokens", count,
                "--ignore-end", "--json",
            )
        return [json.loads(line)["tokens"] for line in lines.splitlines()]


def opened(folder, dtype=torch.float32):
    """The model, if every tensor of the files is one of its own and none of its own is missing."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    Model = {"llama": LlamaForCausalLM, "xlstm": xLSTMForCausalLM}[kind]
    model, info = Model.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)
    problems = {key: sorted(map(str, info[key])) for key in info if info[key]}
    same(f"{folder.name} opens with nothing missing or left over", problems, {})
    return model.eval()


def theirs(model, ids):
    with torch.no_grad():
        return model(ids, use_cache=False).logits


def from_gradus(gradus, at):
    (at / "text.txt").write_text(TEXT)
    scaled = ["rope_type=llama3", "rope_factor=8", "rope_low_freq_factor=1", "rope_high_freq_factor=4",
              "rope_original_context=32"]  # fmt: skip
    variant = [flag for key in ["attention_bias=true", "mlp_bias=true", *scaled] for flag in ["--set", f"model.{key}"]]
    # The last goes on from the weights of the one before, which give the shape.
    for preset, of_model in [
        ("llama-tiny", ["--model", "llama-tiny"]),
        ("xlstm-tiny", ["--model", "xlstm-tiny"]),
        ("llama-variant", ["--model", "llama-tiny", *variant]),
        ("llama-tuned", ["--init", at / "run-llama-variant"]),
    ]:
        run = at / f"run-{preset}"
        gradus("train", *of_model, "--data", at / "text.txt", "--steps", 40, "--batch", 4, "--context", 64,
               "--out", run)  # fmt: skip
        ids = torch.randint(0, 256, (2, 50), generator=torch.Generator().manual_seed(1))
        ours = gradus.logits(run, ids)
        step = run / "checkpoint" / "step-00000040"
        report(f"{preset}: a run's step in transformers", relative(theirs(opened(step), ids), ours), 1e-4)
        for name, flags in [("f32", []), ("bf16", ["--dtype", "bf16"]), ("shards", ["--shard-bytes", 1_000_000])]:
            out = at / f"{preset}-{name}"
            gradus("export", "--model", run, "--out", out, *flags, device=False)
            ours_out = gradus.logits(out, ids)
            if name != "bf16":
                same(f"{preset} {name}: gradus reads what it wrote", torch.equal(ours_out, ours), True)
            report(f"{preset} {name}: gradus export in transformers", relative(theirs(opened(out), ids), ours_out), 1e-4)


def made_by_transformers():
    torch.manual_seed(5)
    llama = dict(vocab_size=131, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                 max_position_embeddings=128, initializer_range=0.15)  # fmt: skip
    yield "llama-grouped", LlamaForCausalLM(LlamaConfig(**llama, num_key_value_heads=2, rope_theta=5e5))
    yield "llama-wide-heads", LlamaForCausalLM(LlamaConfig(**llama, num_key_value_heads=1, head_dim=20, rms_norm_eps=1e-3))
    yield "llama-tied", LlamaForCausalLM(LlamaConfig(**llama, tie_word_embeddings=True))
    # Waves that keep their frequency, are mixed and are divided: heads of 12 have six.
    llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                  original_max_position_embeddings=64)  # fmt: skip
    linear = dict(rope_type="linear", factor=3.0)
    for name, keys in [
        ("llama-scaled", dict(rope_parameters=dict(llama3, rope_theta=5e4), num_key_value_heads=2, tie_word_embeddings=True)),
        ("llama-linear", dict(rope_parameters=dict(linear, rope_theta=1e4))),
        ("llama-attention-bias", dict(attention_bias=True, num_key_value_heads=2)),
        ("llama-mlp-bias", dict(mlp_bias=True, rope_parameters=dict(linear, rope_theta=3e4), tie_word_embeddings=True)),
        ("llama-biases-scaled", dict(attention_bias=True, mlp_bias=True, num_key_value_heads=1,
                                     rope_parameters=dict(llama3, rope_theta=1e4))),
    ]:  # fmt: skip
        model = LlamaForCausalLM(LlamaConfig(**llama, **keys))
        # Its initialisation leaves biases at zero.
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if key.endswith("bias"):
                    parameter.normal_(0, 0.5)
        yield name, model
    for name, keys in [
        ("xlstm-small", {}),
        ("xlstm-odd", dict(qk_dim_factor=0.25, v_dim_factor=2.0, eps=1e-4, norm_eps=1e-5, gate_soft_cap=8.0)),
    ]:
        # Widths that its own cache can hold: multiples of 64.
        config = xLSTMConfig(vocab_size=131, hidden_size=256 if name == "xlstm-odd" else 128, num_hidden_layers=2,
                             num_heads=4, chunk_size=16, autocast_kernel_dtype="float32", **keys)  # fmt: skip
        model = xLSTMForCausalLM(config)
        # Its initialisation leaves the gates at zero: every weight is to matter.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0, 1.2 / parameter.shape[1] ** 0.5)
                else:
                    parameter.add_(torch.randn_like(parameter) * 0.5)
        yield name, model


def older_keys(folder, out):
    """The folder with the rotary embedding's keys as transformers 4 wrote them."""
    shutil.copytree(folder, out)
    config = json.loads((out / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"rope_type" if kind == "llama3" else "type": kind, **rope}
    (out / "config.json").write_text(json.dumps(config))
    return out


def weights_of(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    return tensors


def to_gradus(gradus, at):
    for name, model in made_by_transformers():
        model = model.eval()
        ids = torch.randint(0, 131, (2, 45))
        for form in ["f32", "bf16", "shards"]:
            folder = at / f"{name}-{form}"
            saved = model.to(torch.bfloat16) if form == "bf16" else model
            saved.save_pretrained(folder, **({"max_shard_size": "60KB"} if form == "shards" else {}))
            model = opened(folder)
            ours = gradus.logits(folder, ids)
            # Llama in float64 needs no more than the type; transformers' xLSTM fixes float32 inside.
            exact = model.double() if name.startswith("llama") else model
            report(f"{name} {form}: logits", relative(ours.double(), theirs(exact, ids).double()), 1e-4)
            if name.startswith("llama"):
                old = older_keys(folder, at / f"{name}-{form}-older")
                same(f"{name} {form}: the same logits with older keys", torch.equal(gradus.logits(old, ids), ours), True)
            model = model.float()
            with torch.no_grad():
                # Without a mask of its own it would mask the prompt's zeros as padding.
                prompt = ids[:, :6]
                expected = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False,
                                          use_cache=name.startswith("llama"), eos_token_id=None, pad_token_id=0)[:, 6:].tolist()  # fmt: skip
            same(f"{name} {form}: greedy tokens", gradus.greedy(folder, ids[:, :6], 12), expected)
            back = at / f"{name}-{form}-back"
            gradus("export", "--model", folder, "--out", back, "--dtype", "bf16" if form == "bf16" else "f32", device=False)
            before, after = weights_of(folder), weights_of(back)
            # A tied head that transformers stores anyway is not stored twice.
            equal = all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in after)
            same(f"{name} {form}: the same bits there and back", (sorted(after), equal), (sorted(before), True))
            same(f"{name} {form}: the same logits there and back", torch.equal(theirs(opened(back), ids), theirs(model, ids)), True)
            # The next form is saved from f32 weights that bf16 holds.
        # The loss of a text of bytes below 131.
        text = "".join(TEXT[:4000])
        (at / "eval.txt").write_text(text)
        score = json.loads(gradus("eval", "--model", folder, "--data", at / "eval.txt", "--context", 64, "--json"))
        tokens = torch.tensor([list(text.encode())])
        nats = 0.0
        for first in range(0, tokens.shape[1] - 1, 64):
            window = tokens[:, first : first + 65]
            logits = theirs(model, window[:, :-1])[0].double()
            nats += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
        loss = nats / (tokens.shape[1] - 1)
        report(f"{name}: loss of gradus eval", abs(score["loss"] / loss - 1), 1e-4)


def tokenizer(gradus, at):
    (at / "text.txt").write_text(TEXT)
    file = at / "tokenizer.json"
    gradus("tokenizer", "train", "--input", at / "text.txt", "--vocabulary", 400, "--special", "<|end|>", "--out", file,
           device=False)  # fmt: skip
    fast = PreTrainedTokenizerFast(tokenizer_file=str(file), eos_token="<|end|>")
    same("tokenizer: its size", len(fast), 400)
    for text in [TEXT[:500], "  Übergröße 日本語 🦀\n\n\tx"]:
        same(f"tokenizer: {text[:12]!r} comes back", fast.decode(fast(text).input_ids), text)
    # A model that has it: the ids of gradus are those of transformers.
    folder = at / "with-tokenizer"
    torch.manual_seed(9)
    config = LlamaConfig(vocab_size=400, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
                         eos_token_id=0, bos_token_id=None)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    shutil.copy(file, folder / "tokenizer.json")
    model = opened(folder)
    prompt = "the kernel of step 3"
    line = json.loads(gradus("generate", "--model", folder, "--prompt", prompt, "--temperature", 0, "--max-tokens", 9, "--json"))
    ids = fast(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        expected = model.generate(ids, max_new_tokens=9, do_sample=False, pad_token_id=0)[0, ids.shape[1] :].tolist()
    same("tokenizer: greedy tokens after a prompt", line["tokens"], expected)
    same("tokenizer: their text", line["text"], fast.decode(expected, skip_special_tokens=True))
    text = TEXT[:3000]
    (at / "short.txt").write_text(text)
    score = json.loads(gradus("eval", "--model", folder, "--data", at / "short.txt", "--context", 1024, "--json"))
    ids = fast(text, return_tensors="pt").input_ids
    same("tokenizer: tokens of gradus eval", score["tokens"], ids.shape[1] - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gradus", default=str(ROOT / "target/release/gradus"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", type=pathlib.Path, help="an empty folder for the models, to look at")
    arguments = parser.parse_args()
    gradus = Gradus(arguments.gradus, arguments.device)
    with tempfile.TemporaryDirectory() as temporary:
        at = arguments.keep or pathlib.Path(temporary)
        for part in [from_gradus, to_gradus, tokenizer]:
            folder = at / part.__name__
            folder.mkdir(parents=True)
            part(gradus, folder)
    print(f"{len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
