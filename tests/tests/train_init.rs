//! Fine-tuning: a run that starts from the weights of another has its shape and its weights, and an optimizer of its own.

mod program;

use std::fs;
use std::path::Path;

use program::{errors, folder_with_text, losses, run, saved, succeed};

const TRAIN: &str = "train --device cpu --batch 2 --context 32";

/// A run of a small Transformer, `first`, of which `checkpoint/best` and the last step differ.
fn first_run(folder: &Path) {
    let line = format!("{TRAIN} --data text.txt --model llama-tiny --set model.num_blocks=2 --steps 12 --out first");
    succeed(folder, &line);
}

fn refused(folder: &Path, line: &str, code: i32, parts: &[&str]) {
    let output = run(folder, line);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(code), "gradus {line}: {said}");
    for part in parts {
        assert!(said.contains(part), "gradus {line}: no `{part}` in: {said}");
    }
}

#[test]
fn the_weights_and_the_shape_are_taken_over_and_the_optimizer_is_not() {
    let folder = folder_with_text();
    let at = folder.path();
    first_run(at);
    succeed(at, "export --model first --out hf");
    // A rate too small to change any weight: what is saved is what the run started from.
    let still = "--set optimizer.learning_rate=1e-30 --steps 1 --data text.txt";
    let [weights, moments] = saved(&at.join("first"), 12);
    for (from, out) in [("first", "a"), ("first/checkpoint", "b"), ("first/checkpoint/step-00000012", "c"), ("hf", "d")]
    {
        succeed(at, &format!("{TRAIN} --init {from} {still} --out {out}"));
        let [now, fresh] = saved(&at.join(out), 1);
        assert!(now == weights, "{from}");
        assert!(fresh != moments, "{from}");
    }
    assert_eq!(losses(&at.join("a")), losses(&at.join("d")));
    // What it learns goes on from there, and config.toml repeats it.
    succeed(at, &format!("{TRAIN} --init first --data text.txt --steps 3 --out tuned"));
    assert!(losses(&at.join("tuned"))[0] < losses(&at.join("first"))[0] - 0.5, "{:?}", losses(&at.join("tuned")));
    succeed(at, "train --config tuned/config.toml --out again");
    assert!(saved(&at.join("again"), 3) == saved(&at.join("tuned"), 3));
    // A resumed run needs them no more.
    succeed(at, "train --config tuned/config.toml --out stopped --stop-at 2");
    fs::rename(at.join("first"), at.join("gone")).unwrap();
    succeed(at, "train --resume stopped");
    assert!(saved(&at.join("stopped"), 3) == saved(&at.join("tuned"), 3));
}

#[test]
fn what_contradicts_the_weights_is_refused() {
    let folder = folder_with_text();
    let at = folder.path();
    first_run(at);
    let line = format!("{TRAIN} --data text.txt --steps 1 --init");
    fs::write(at.join("other.toml"), "[model]\npreset = \"xlstm-tiny\"\n").unwrap();
    let has = "the model that the run starts from has";
    refused(at, &format!("{line} first --set model.num_blocks=3"), 2, &["`num_blocks` is 3", has, "--init"]);
    refused(at, &format!("{line} first --config other.toml"), 2, &["other.toml:2", "`architecture` is \"xlstm\"", has]);
    refused(at, &format!("{line} first --model llama-tiny"), 2, &["--init", "--model"]);
    refused(at, &format!("{TRAIN} --model llama-tiny --set train.init=first"), 2, &["--model", "train.init"]);
    refused(at, &format!("{line} nowhere"), 2, &["no folder `nowhere`", "Hugging Face"]);
    fs::create_dir(at.join("empty")).unwrap();
    refused(at, &format!("{line} empty"), 1, &["empty", "no checkpoint here"]);
    assert!(!at.join("runs").exists(), "a run that cannot start leaves no folder");
}

#[test]
fn tokens_of_another_tokenizer_are_refused() {
    let folder = folder_with_text();
    let at = folder.path();
    for (size, name) in [(300, "one"), (290, "two")] {
        succeed(at, &format!("tokenizer train --input text.txt --vocabulary {size} --out {name}.json"));
        succeed(at, &format!("data prepare --input text.txt --tokenizer {name}.json --out {name}"));
    }
    succeed(at, &format!("{TRAIN} --model llama-tiny --data one --steps 2 --out first"));
    let tune = format!("{TRAIN} --init first --steps 1");
    refused(
        at,
        &format!("{tune} --data two"),
        1,
        &["two/tokenizer.json", "step-00000002/tokenizer.json", "data prepare"],
    );
    refused(at, &format!("{tune} --data text.txt"), 1, &["text.txt", "its tokens are bytes", "data prepare"]);
    succeed(at, &format!("{tune} --data one --out tuned"));
    assert!(at.join("tuned/checkpoint/step-00000001/tokenizer.json").is_file());
}
