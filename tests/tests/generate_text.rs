//! `gradus generate` from every kind of folder.

mod program;

use std::fs;

use program::{errors, folder_with_text, succeed};

#[test]
fn text_is_the_same_for_a_seed_and_follows_the_prompt() {
    for model in ["xlstm-tiny", "llama-tiny"] {
        let folder = folder_with_text();
        let at = folder.path();
        succeed(
            at,
            &format!("train --device cpu --data text.txt --steps 30 --batch 4 --context 64 --model {model} --out run"),
        );
        let text = |line: &str| {
            let output = succeed(at, &format!("generate --device cpu --max-tokens 40 --prompt line {line}"));
            assert!(errors(&output).contains("tokens/s"), "{}", errors(&output));
            output.stdout
        };
        let first = text("--model run");
        assert!(first.starts_with(b"line") && first.len() >= 44, "{}", String::from_utf8_lossy(&first));
        for place in ["run", "run/checkpoint", "run/checkpoint/step-00000030"] {
            assert_eq!(text(&format!("--model {place}")), first, "{model} {place}");
        }
        assert_eq!(text("--checkpoint run"), first);
        assert_ne!(text("--model run --seed 1"), first);
        let greedy = text("--model run --temperature 0");
        assert_eq!(text("--model run --temperature 0 --seed 9"), greedy);
        assert_eq!(text("--model run --top-k 1 --seed 5"), greedy);

        // A folder of plain Hugging Face layout is a model too, and one to train on from.
        fs::create_dir(at.join("hf")).unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(at.join("run/checkpoint/step-00000030").join(name), at.join("hf").join(name)).unwrap();
        }
        assert_eq!(text("--model hf"), first);
        succeed(at, "train --device cpu --data text.txt --steps 2 --batch 4 --context 64 --model hf --out more");
        let (before, after) = (program::losses(&at.join("run")), program::losses(&at.join("more")));
        assert!(after[0] < 0.8 * before[0], "{model}: trains on from {}, not from {}", before[29], after[0]);
    }
}
