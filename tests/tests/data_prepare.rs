//! Text to tokens to a trained model, and what becomes of data that was changed.

mod program;

use std::fs;

use program::{errors, folder_with_text, has_gpu, losses, metrics, run, saved, succeed};

const TRAIN: &str = "train --device cpu --model llama-tiny --steps 2 --batch 1 --context 16";

#[test]
fn a_run_on_prepared_tokens_carries_their_tokenizer() {
    let folder = folder_with_text();
    let at = folder.path();
    succeed(at, "tokenizer train --input text.txt --vocabulary 400 --special <|endoftext|> --out t.json");
    succeed(at, "data prepare --input text.txt --tokenizer t.json --out p");
    succeed(at, &format!("{TRAIN} --data p --out run"));
    let step = at.join("run/checkpoint/step-00000002");
    assert_eq!(fs::read(step.join("tokenizer.json")).unwrap(), fs::read(at.join("t.json")).unwrap());
    let configuration = fs::read_to_string(at.join("run/config.toml")).unwrap();
    assert!(configuration.contains("vocab_size = 400"), "{configuration}");
    succeed(at, "generate --model run --prompt line --max-tokens 3 --device cpu");
    succeed(at, "eval --model run --data text.txt --device cpu");

    let tokens = at.join("p/train.bin");
    let mut bytes = fs::read(&tokens).unwrap();
    bytes[100] ^= 1;
    fs::write(&tokens, bytes).unwrap();
    let changed = run(at, &format!("{TRAIN} --data p --out other"));
    assert_eq!(changed.status.code(), Some(1));
    assert!(errors(&changed).contains("train.bin: does not match the hash"), "{}", errors(&changed));
}

#[test]
fn documents_are_kept_apart_on_every_device() {
    let folder = folder_with_text();
    let at = folder.path();
    let lines: String = (0..900).map(|line| format!("{{\"text\": \"line {line}: {}\"}}\n", line * line % 97)).collect();
    fs::write(at.join("a.jsonl"), lines).unwrap();
    succeed(at, "data prepare --input a.jsonl --out p");
    fs::write(
        at.join("reset.toml"),
        "[data]\ndocument_reset = true\n[evaluation]\ntokens = 80\n[checkpoint]\nevery = 1\n",
    )
    .unwrap();
    fs::write(at.join("plain.toml"), "[evaluation]\ntokens = 80\n").unwrap();
    let gpu = has_gpu(at);
    for model in ["llama-tiny", "xlstm-tiny"] {
        let train = |out: &str, flags: &str| {
            let sizes = "--steps 2 --batch 2 --context 40 --learning-rate 1e-3";
            succeed(at, &format!("train {sizes} --data p --model {model} --out {model}-{out} {flags}"));
            losses(&at.join(format!("{model}-{out}")))
        };
        let apart = train("apart", "--device cpu --config reset.toml");
        let joined = train("joined", "--device cpu --config plain.toml");
        assert!((apart[0] / joined[0] - 1.0).abs() > 1e-4, "{model}: {apart:?} {joined:?}");
        if gpu {
            for (one, other) in apart.iter().zip(train("gpu", "--device gpu:0 --config reset.toml")) {
                assert!((one / other - 1.0).abs() < 1e-4, "{model}: {one} on the CPU, {other} on the GPU");
            }
        }
        let run = at.join(format!("{model}-apart"));
        let (rows, bytes) = (metrics(&run), saved(&run, 2));
        succeed(at, &format!("train --resume {model}-apart/checkpoint/step-00000001"));
        assert_eq!(metrics(&run), rows, "{model}, resumed");
        assert!(saved(&run, 2) == bytes, "{model}, resumed");
    }
    let without = run(at, &format!("{TRAIN} --data text.txt --out text --config reset.toml"));
    assert_eq!(without.status.code(), Some(2));
    assert!(errors(&without).contains("needs the borders of documents"), "{}", errors(&without));
}
