"""Opens a model folder with Hugging Face transformers and compares its logits with stored ones.

    python transformers_open.py FOLDER --logits logits.safetensors --ids ids.json
    python transformers_open.py FOLDER --logits expected.safetensors

FOLDER holds config.json and model.safetensors and is opened unchanged, on the CPU, in float32. `ids.json` is a list of
token ids or a list of such lists of one length; without it the ids are the tensor `input_ids` of the logits' file. That
file holds `logits`, [sequence, vocabulary] or [batch, sequence, vocabulary]. The error is the largest difference over
the largest stored logit; a second figure takes it token by token. Exit code 0: they agree; 1: they do not, or the
folder cannot be opened as it is; 2: wrong use.
"""

import argparse
import json
import os
import sys

# Everything is in the folder; a name is never looked up elsewhere.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file


def fail(message, code=1):
    print(f"transformers_open.py: {message}", file=sys.stderr)
    sys.exit(code)


def stored(path, ids_path):
    """The token ids and the logits to compare with, both with a batch axis."""
    try:
        tensors = load_file(path)
    except (OSError, ValueError, RuntimeError) as error:
        fail(f"{path}: {error}", 2)
    if "logits" not in tensors:
        fail(f"{path}: no tensor `logits`; it has {', '.join(sorted(tensors))}", 2)
    if ids_path:
        try:
            with open(ids_path, encoding="utf-8") as file:
                ids = torch.tensor(json.load(file), dtype=torch.long)
        except (OSError, ValueError, TypeError) as error:
            fail(f"{ids_path}: {error}", 2)
    elif "input_ids" in tensors:
        ids = tensors["input_ids"].long()
    else:
        fail(f"{path}: no tensor `input_ids`; give the token ids with --ids", 2)
    logits = tensors["logits"].float()
    ids = ids[None] if ids.ndim == 1 else ids
    logits = logits[None] if logits.ndim == 2 else logits
    if logits.shape[:2] != ids.shape:
        fail(f"{path}: logits {list(logits.shape)} do not fit token ids {list(ids.shape)}", 2)
    return ids, logits


def opened(folder):
    """The model, if every tensor of the file is one of its own and none of its own is missing."""
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            written = json.load(file)
    except (OSError, ValueError) as error:
        fail(f"{folder}: {error}", 2)
    kind = written.get("model_type")
    if kind == "llama":
        from transformers import LlamaForCausalLM as Model
    elif kind == "xlstm":
        from transformers import xLSTMForCausalLM as Model
    else:
        fail(f"{folder}/config.json: `model_type` is {kind!r}; llama and xlstm can be compared", 2)
    try:
        model, report = Model.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True, attn_implementation="eager"
        )
    except Exception as error:  # Whatever transformers raises, the folder does not open as it is.
        fail(f"{folder}: transformers cannot open it: {type(error).__name__}: {error}")
    # A tied head is filled from the embedding; it is not a loss that the file has none.
    problems = {key: sorted(map(str, report[key])) for key in report if report[key]}
    if problems:
        fail(f"{folder}: it opens, but {json.dumps(problems)}")
    # What transformers knows nothing of, it keeps as an attribute and computes without.
    if kind == "llama" and written.get("output_logit_soft_cap") is not None:
        fail(f"{folder}/config.json: `output_logit_soft_cap` is set; transformers' Llama has none and would ignore it")
    if kind == "xlstm" and model.config.tie_word_embeddings:
        head, embedding = model.lm_head.weight, model.get_input_embeddings().weight
        if not torch.equal(head, embedding):
            fail(f"{folder}: `tie_word_embeddings` is true but the head differs from the embedding")
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", help="folder with config.json and model.safetensors")
    parser.add_argument("--logits", required=True, help="safetensors file with `logits`")
    parser.add_argument("--ids", help="JSON file of token ids (default: `input_ids` of the logits' file)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest relative error (default 1e-4)")
    arguments = parser.parse_args()
    ids, expected = stored(arguments.logits, arguments.ids)
    model = opened(arguments.folder)
    if int(ids.min()) < 0 or int(ids.max()) >= model.config.vocab_size:
        fail(f"token ids from {int(ids.min())} to {int(ids.max())}; the vocabulary has {model.config.vocab_size}", 2)
    if expected.shape[-1] != model.config.vocab_size:
        fail(f"logits of {expected.shape[-1]} tokens; the vocabulary has {model.config.vocab_size}")
    with torch.no_grad():
        # Without a cache: transformers sizes the xLSTM's cache by a rule of its own, which not every width meets.
        logits = model(ids, use_cache=False).logits.float()
    difference = (logits - expected).abs()
    # Written so that NaN counts as a disagreement.
    error = (difference.max() / expected.abs().max()).item()
    by_token = (difference.amax(-1) / expected.abs().amax(-1).clamp_min(1e-30)).max().item()
    agree = error <= arguments.tolerance
    same_choice = (logits.argmax(-1) == expected.argmax(-1)).float().mean().item()
    print(
        json.dumps(
            {
                "folder": arguments.folder,
                "model": type(model).__name__,
                "tokens": ids.numel(),
                "worst_relative_error": error,
                "worst_relative_error_of_a_token": by_token,
                "same_most_likely_token": same_choice,
                "tolerance": arguments.tolerance,
                "agree": agree,
            }
        )
    )
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
