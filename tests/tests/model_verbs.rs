//! `gradus logits`, `eval`, `count`, `export`, `tokenizer` and the options of `generate`, as a user runs them.

mod program;

use std::fs;
use std::path::{Path, PathBuf};

use program::{errors, folder_with_text, run, succeed};
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name).canonicalize().unwrap()
}

fn text(line: &str, at: &Path) -> String {
    String::from_utf8(succeed(at, line).stdout).unwrap()
}

fn parsed(line: &str, at: &Path) -> Value {
    serde_json::from_str(&text(line, at)).unwrap()
}

#[track_caller]
fn refused(at: &Path, line: &str, code: i32, parts: &[&str]) {
    let output = run(at, line);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(code), "{line}: {said}");
    for part in parts {
        assert!(said.contains(part), "{line}: `{part}` is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn floats(path: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    let values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    (view.shape().to_vec(), values)
}

/// The token ids of a model's vectors as JSON.
fn write_ids(at: &Path, model: &str, name: &str) -> Vec<Vec<i64>> {
    let bytes = fs::read(vectors(model).join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    let ids: Vec<i64> = view.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
    let rows: Vec<Vec<i64>> = ids.chunks(view.shape()[1]).map(<[i64]>::to_vec).collect();
    fs::write(at.join(format!("{model}-{name}.json")), json!(rows).to_string()).unwrap();
    rows
}

#[test]
fn logits_and_greedy_tokens_are_the_published_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for model in ["xlstm_tiny", "llama_tiny", "llama_tiny_sharded_bf16"] {
        let from = vectors(model);
        let ids = write_ids(at, model, "input_ids");
        for device in ["cpu", "gpu"] {
            if device == "gpu" && !program::has_gpu(at) {
                continue;
            }
            let line = format!(
                "logits --model {} --tokens {model}-input_ids.json --out l.safetensors --device {device}",
                from.display()
            );
            succeed(at, &line);
            let (sizes, got) = floats(&at.join("l.safetensors"), "logits");
            assert_eq!(sizes, [ids.len(), ids[0].len(), 97]);
            let (_, expected) = floats(&from.join("expected.safetensors"), "logits");
            let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
            let error = got.iter().zip(&expected).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest;
            assert!(error <= if device == "cpu" { 2e-5 } else { 1e-4 }, "{model} on {device}: {error:e}");
        }
        if model == "llama_tiny_sharded_bf16" {
            continue;
        }
        write_ids(at, model, "prompt_ids");
        let greedy = write_ids(at, model, "greedy_ids");
        let line = format!(
            "generate --model {} --tokens {model}-prompt_ids.json --temperature 0 --max-tokens {} --ignore-end --json --device cpu",
            from.display(),
            greedy[0].len()
        );
        for (line, greedy) in text(&line, at).lines().zip(&greedy) {
            let object: Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["tokens"], json!(greedy), "{model}");
        }
    }
}

#[test]
fn tokens_and_texts_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (llama, xlstm) = (vectors("llama_tiny"), vectors("xlstm_tiny"));
    let (llama, xlstm) = (llama.display(), xlstm.display());
    fs::write(at.join("ids.json"), "[[1, 97]]").unwrap();
    fs::write(at.join("ragged.json"), "[[1, 2], [3]]").unwrap();
    fs::write(at.join("long.json"), json!([vec![1; 300]]).to_string()).unwrap();
    fs::write(at.join("text.txt"), "ABC ".repeat(100)).unwrap();
    let logits = |file: &str, model: &dyn std::fmt::Display| {
        format!("logits --model {model} --tokens {file} --out l.safetensors --device cpu")
    };
    refused(at, &logits("ids.json", &llama), 1, &["ids.json", "text 0, position 1: 97 is no token", "0 to 96"]);
    refused(at, &logits("ragged.json", &llama), 1, &["text 0 has 2 tokens and text 1 has 1"]);
    refused(at, &logits("none.json", &llama), 1, &["none.json"]);
    refused(at, &logits("long.json", &llama), 2, &["300 tokens, and the model has positions for 256"]);
    refused(at, "logits --model llama-tiny --tokens ids.json --out l.safetensors", 2, &["has no weights"]);
    assert!(!at.join("l.safetensors").exists() && !at.join("l.safetensors.partial").exists());
    // An xLSTM goes on; that it was not made for it is said.
    let mut configuration: Value =
        serde_json::from_str(&fs::read_to_string(vectors("xlstm_tiny").join("config.json")).unwrap()).unwrap();
    configuration["max_position_embeddings"] = json!(256);
    fs::create_dir(at.join("short")).unwrap();
    fs::write(at.join("short/config.json"), configuration.to_string()).unwrap();
    fs::copy(vectors("xlstm_tiny").join("model.safetensors"), at.join("short/model.safetensors")).unwrap();
    let said = errors(&succeed(at, &logits("long.json", &"short")));
    assert!(said.contains("warning: 300 tokens are more than the 256"), "{said}");
    assert_eq!(floats(&at.join("l.safetensors"), "logits").0, [1, 300, 97]);

    let generate = |rest: &str| format!("generate --model {llama} --device cpu {rest}");
    refused(at, &generate("--prompt hello"), 1, &["cannot be encoded: its byte 0 is 104", "97 tokens"]);
    refused(at, &generate("--prompt AB --max-tokens 300"), 2, &["positions for 256", "--max-tokens"]);
    refused(at, &generate("--tokens ids.json"), 1, &["97 is no token"]);
    succeed(at, &generate("--prompt AB --max-tokens 255"));
    let eval = |rest: &str| format!("eval --model {xlstm} --device cpu {rest}");
    let score = parsed(&eval("--data text.txt --context 64 --json"), at);
    assert_eq!((&score["tokens"], &score["bytes"], &score["context"]), (&json!(399), &json!(399), &json!(64)));
    fs::write(at.join("text.txt"), "abc").unwrap();
    refused(at, &eval("--data text.txt"), 1, &["cannot be encoded: its byte 0 is 97"]);
    fs::write(at.join("text.txt"), "A").unwrap();
    refused(at, &eval("--data text.txt"), 1, &["it has 1 tokens"]);
    refused(at, &eval("--data none.txt"), 1, &["none.txt"]);
    refused(at, &format!("eval --model {llama} --device cpu --data text.txt --context 257"), 2, &["positions for 256"]);
}

#[test]
fn a_trained_model_is_measured_exported_and_written_with() {
    let folder = folder_with_text();
    let at = folder.path();
    for model in ["xlstm-tiny", "llama-tiny"] {
        let out = format!("run-{model}");
        succeed(
            at,
            &format!(
                "train --device cpu --data text.txt --steps 30 --batch 4 --context 64 --model {model} --out {out}"
            ),
        );
        let eval = |model: &str, rest: &str| {
            parsed(&format!("eval --device cpu --model {model} --data short.txt --json {rest}"), at)
        };
        let short: String = fs::read_to_string(at.join("text.txt")).unwrap().chars().take(1500).collect();
        fs::write(at.join("short.txt"), &short).unwrap();
        let score = eval(&out, "");
        let number = |name: &str| score[name].as_f64().unwrap();
        assert_eq!((&score["tokens"], &score["context"]), (&json!(1499), &json!(64)));
        assert!((number("perplexity") - number("loss").exp()).abs() < 1e-9 * number("perplexity"));
        assert!((number("bits_per_byte") - number("loss") / std::f64::consts::LN_2).abs() < 1e-9);
        assert!(number("loss") < 4.0 && number("loss") > 0.5, "{score}");
        assert!(eval(&out, "--context 5")["loss"].as_f64().unwrap() > number("loss"), "less context, more loss");

        // What is exported computes the same to the bit, in one file and in several.
        fs::write(at.join("ids.json"), "[[10, 20, 30, 200]]").unwrap();
        let logits = |model: &str| {
            succeed(at, &format!("logits --device cpu --model {model} --tokens ids.json --out l.safetensors"));
            floats(&at.join("l.safetensors"), "logits").1
        };
        let expected = logits(&out);
        for (name, flags) in [("one", ""), ("several", "--shard-bytes 400000")] {
            let exported = format!("{name}-{model}");
            succeed(at, &format!("export --model {out} --out {exported} {flags}"));
            assert_eq!(logits(&exported), expected);
            assert_eq!(at.join(&exported).join("model.safetensors.index.json").is_file(), name == "several");
            refused(at, &format!("export --model {out} --out {exported}"), 2, &["is there already"]);
        }
        succeed(at, &format!("export --model one-{model} --out half-{model} --dtype bf16"));
        let (whole, half) =
            (at.join(format!("one-{model}/model.safetensors")), at.join(format!("half-{model}/model.safetensors")));
        assert!(fs::metadata(half).unwrap().len() < fs::metadata(whole).unwrap().len() * 6 / 10);
        assert_ne!(logits(&format!("half-{model}")), expected);

        // Many prompts: each as alone, in the order given, whatever the batch.
        fs::write(at.join("prompts.txt"), "line 1\n\nthe kernel of\nx\n").unwrap();
        let generate = |rest: &str| {
            text(&format!("generate --device cpu --model {out} --max-tokens 20 --temperature 0 {rest}"), at)
        };
        let together = generate("--prompts prompts.txt --json");
        assert_eq!(generate("--prompts prompts.txt --json --batch 2"), together);
        let lines: Vec<Value> = together.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines.iter().map(|line| line["prompt"].as_str().unwrap()).collect::<Vec<_>>(),
            ["line 1", "the kernel of", "x"]
        );
        for line in &lines {
            let prompt = line["prompt"].as_str().unwrap();
            fs::write(at.join("one.json"), json!([prompt]).to_string()).unwrap();
            let alone: Value = serde_json::from_str(&generate("--prompts one.json --json")).unwrap();
            assert_eq!(&alone, line, "{model}");
            assert_eq!((line["tokens"].as_array().unwrap().len(), &line["end"]), (20, &json!("length")));
        }
        let shown = generate("--prompts prompts.txt");
        assert!(shown.starts_with("=== 1 of 3 ===\nline 1") && shown.contains("\n=== 3 of 3 ===\nx"), "{shown}");

        // A stop string ends the text before it.
        let whole = lines[0]["text"].as_str().unwrap();
        let stop: String = whole.chars().skip(3).take(2).filter(|c| !c.is_whitespace()).collect();
        if !stop.is_empty() {
            let cut = generate(&format!("--prompt x --json --stop {stop}"));
            let cut: Value = serde_json::from_str(&cut).unwrap();
            let full: Value = lines[2].clone();
            let expected = full["text"].as_str().unwrap().split(stop.as_str()).next().unwrap();
            assert_eq!(cut["text"], json!(expected));
        }
        let penalised = generate("--prompt x --repetition-penalty 1e6 --json");
        let tokens: Value = serde_json::from_str::<Value>(&penalised).unwrap()["tokens"].clone();
        let tokens: Vec<u64> = tokens.as_array().unwrap().iter().map(|token| token.as_u64().unwrap()).collect();
        let different: std::collections::BTreeSet<u64> = tokens.iter().copied().collect();
        assert_eq!(different.len(), tokens.len(), "no token comes twice: {tokens:?}");

        let counts = parsed(&format!("count --model {out} --context 64 --json"), at);
        let preset = parsed(&format!("count --model {model} --context 64 --json"), at);
        assert_eq!(counts, preset);
    }
}

#[test]
fn a_tokenizer_is_trained_and_used() {
    let folder = folder_with_text();
    let at = folder.path();
    let train = "tokenizer train --input text.txt --vocabulary 300 --special <end>";
    succeed(at, &format!("{train} --out t.json"));
    succeed(at, &format!("{train} --out again.json"));
    assert_eq!(fs::read(at.join("t.json")).unwrap(), fs::read(at.join("again.json")).unwrap());
    refused(at, "tokenizer train --input text.txt --vocabulary 200 --out x.json", 1, &["at least 256 tokens"]);
    refused(at, "tokenizer train --input none --vocabulary 300 --out x.json", 1, &["none", "no such file"]);
    fs::write(at.join("latin.txt"), b"caf\xe9 caf\xe9").unwrap();
    refused(
        at,
        "tokenizer train --input latin.txt --vocabulary 300 --out x.json",
        1,
        &["latin.txt", "no UTF-8 at byte 3"],
    );

    // A model of 300 tokens with it.
    fs::write(
        at.join("model.toml"),
        "[model]\narchitecture = \"xlstm\"\nvocab_size = 300\nembedding_dim = 32\nnum_blocks = 1\nnum_heads = 2\n\
         qk_head_dim = 8\nv_head_dim = 16\nfeed_forward_dim = 64\ncontext_length = 64\n",
    )
    .unwrap();
    succeed(at, "train --device cpu --data text.txt --model model.toml --steps 2 --batch 2 --out run");
    succeed(at, "export --model run --out hf");
    fs::copy(at.join("t.json"), at.join("hf/tokenizer.json")).unwrap();
    let line = "generate --model hf --device cpu --prompt kernel --max-tokens 6 --json";
    let object = parsed(line, at);
    assert!(object["tokens"].as_array().unwrap().len() <= 6);
    fs::write(at.join("short.txt"), "the kernel of the tensor\n".repeat(40)).unwrap();
    let score = parsed("eval --model hf --device cpu --data short.txt --json", at);
    let (tokens, bytes) = (score["tokens"].as_f64().unwrap(), score["bytes"].as_f64().unwrap());
    assert!(bytes > 1.5 * tokens && bytes > 980.0, "{score}");
    let bits = score["loss"].as_f64().unwrap() * tokens / bytes / std::f64::consts::LN_2;
    assert!((score["bits_per_byte"].as_f64().unwrap() - bits).abs() < 1e-9);
    // It travels with the model.
    succeed(at, "export --model hf --out hf2 --dtype f16");
    assert_eq!(fs::read(at.join("hf2/tokenizer.json")).unwrap(), fs::read(at.join("t.json")).unwrap());
    fs::write(at.join("hf2/tokenizer.json"), "{}").unwrap();
    refused(at, "generate --model hf2 --device cpu --prompt a", 1, &["tokenizer.json", "no tokenizer"]);
}

#[test]
fn counts_are_the_papers() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let count = parsed("count --model xlstm-7b --context 2048 --json", at);
    assert_eq!(count["parameters"]["total"], json!(6_865_424_896u64));
    assert_eq!(count["prefill"]["flops"], json!(26_787_085_307_904u64));
    assert_eq!(count["step"]["bytes"], json!(13_594_668_288u64));
    assert!(text("count --model llama-160m --context 2048 --batch 4", at).contains("162220800"));
    let folder = vectors("xlstm_tiny");
    let count = parsed(&format!("count --model {} --context 10 --json", folder.display()), at);
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let stored: usize = tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum();
    assert_eq!(count["parameters"]["total"], json!(stored));
    refused(at, "count --model xlstm-9b --context 10", 2, &["xlstm-"]);
}
