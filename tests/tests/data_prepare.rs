//! Text to tokens to a trained model, and what becomes of data that was changed.

mod program;

use std::fs;

use program::{errors, folder_with_text, run, succeed};

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
