//! The command line: `gradus [VERB] [FLAGS]`. With no verb it trains.

pub mod bench;
pub mod check;
pub mod count;
pub mod data;
pub mod devices;
pub mod eval;
pub mod export;
pub mod fit;
pub mod generate;
pub mod logits;
pub mod numbers;
pub mod plot;
pub mod predict;
pub mod profile;
pub mod report;
pub mod sweep;
pub mod time;
pub mod tokenizer;
pub mod train;

use clap::{Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "gradus",
    version,
    about = "Trains and runs xLSTM and Transformer language models on any GPU, or the CPU"
)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, max_term_width = 100)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Flags of `train`, which need no verb.
    #[command(flatten)]
    pub train: train::Arguments,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train a model on text (also with no verb at all)
    Train(train::Arguments),
    /// Continue a text with a trained model
    Generate(generate::Arguments),
    /// Measure how well a model predicts a text
    Eval(eval::Arguments),
    /// Compute the logits of token ids, to compare implementations
    Logits(logits::Arguments),
    /// Count a model's parameters, FLOPs, bytes and state
    Count(count::Arguments),
    /// Write a model's folder for other programs, in Hugging Face layout
    Export(export::Arguments),
    /// Turn text into tokens to train on
    Data(data::Arguments),
    /// Train a tokenizer on text
    Tokenizer(tokenizer::Arguments),
    /// List the devices of this machine, and what each can do
    Devices(devices::Arguments),
    /// Check every operation on a device against its definition
    Check(check::Arguments),
    /// Time a model's first token and its steps over batch and prompt length
    Time(time::Arguments),
    /// Time training, kernels, or the versions of a kernel, on a device
    Bench(bench::Arguments),
    /// Show where a GPU's time of a training step goes, kernel by kernel
    Profile(profile::Arguments),
    /// Draw loss and throughput of runs
    Plot(plot::Arguments),
    /// Make the runs of a scaling study, from a plan
    Sweep(sweep::Arguments),
    /// Write what studies found as one HTML page
    Report(report::Arguments),
    /// Fit a law to the runs or timings of a CSV file
    Fit(fit::FitArgs),
    /// Predict sizes, tokens and losses from a fit
    Predict(predict::PredictArgs),
}

impl CommandLine {
    /// The verb, which is `train` where none was given.
    pub fn verb(self) -> Verb {
        self.verb.unwrap_or(Verb::Train(self.train))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Verb, clap::Error> {
        CommandLine::try_parse_from(std::iter::once("gradus").chain(line.split_whitespace())).map(CommandLine::verb)
    }

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_verb_is_train() {
        for (line, steps) in [("", None), ("--steps 5", Some(5)), ("train --steps 6", Some(6))] {
            let Verb::Train(arguments) = parse(line).unwrap() else { panic!("{line}") };
            assert_eq!(arguments.steps, steps, "{line}");
        }
    }

    #[test]
    fn unknown_verbs_and_flags_suggest_the_nearest() {
        for (line, suggestion) in [
            ("trian", "train"),
            ("train --step 5", "--steps"),
            ("generate --modle x", "--model"),
            ("devices --jsn", "--json"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.to_string().contains(suggestion), "{line}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn numbers_out_of_range_are_errors() {
        for line in [
            "--steps 0",
            "--steps -3",
            "--steps 1.5",
            "--batch 0",
            "--batch 9999999999",
            "--context 0",
            "--learning-rate 0",
            "--learning-rate -1e-3",
            "--learning-rate nan",
            "--learning-rate -inf",
            "--learning-rate inf",
            "--learning-rate 1e999",
            "--seed -1",
            "--eval-every 0",
            "--stop-at 0",
            "--keep 0",
            "--max-time 0s",
            "--max-time never",
            "--device tpu",
            "generate --model m --prompt p --temperature -0.1",
            "generate --model m --prompt p --temperature inf",
            "generate --model m --prompt p --top-p 0",
            "generate --model m --prompt p --top-p 1.1",
            "generate --model m --prompt p --top-k 0",
            "generate --model m --prompt p --max-tokens 0",
            "generate --model m --repetition-penalty 0",
            "generate --model m --batch 0",
            "eval --model m --data d --context 0",
            "count --model m --context 0",
            "export --model m --out d --dtype f8",
            "export --model m --out d --shard-bytes 0",
            "tokenizer train --input a --out t --vocabulary 0",
            "time --model m --batch 1,0",
            "time --model m --prefill 0",
            "time --model m --memory 0",
            "data prepare --input a --out d --validation-fraction 1",
            "check --cases 0",
            "bench train --batch 0",
            "bench train --steps 0",
            "bench train --vocabulary 0",
            "bench train --precision f64",
            "bench kernels --device tpu",
            "sweep --preset demo --rate 0",
            "sweep --preset demo --device tpu",
        ] {
            let error = parse(line).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue), "{line}: {error}");
            let flag = line.split_whitespace().rev().nth(1).unwrap();
            assert!(error.to_string().contains(flag), "{line}: {error}");
        }
    }

    #[test]
    fn every_verb_takes_its_flags() {
        let train = "train --config c.toml --model llama-tiny --data d --device gpu:1 --steps 5 --max-time 5m --batch 4 --context 64 \
                     --learning-rate 1e-3 --seed 1 --out o --eval-every 10 --keep 3";
        for line in [
            train,
            "train --checkpoint runs/a",
            "train --init runs/a/checkpoint/best --data d",
            "train --set train.steps=5 --set evaluation.sample_prompt=x --stop-at 3",
            "train --resume runs/a --device cpu --stop-at 9",
            "generate --model m --prompt p --max-tokens 10 --temperature 0 --top-k 5 --top-p 0.9 --seed 3 --device cpu",
            "generate --checkpoint m",
            "generate --model m --prompts f --batch 4 --repetition-penalty 1.2 --stop END --stop -- --json --ignore-end",
            "generate --model m --tokens t.json",
            "logits --model m --tokens t.json --out l.safetensors --device gpu:0",
            "eval --model m --data d --context 64 --json --device cpu",
            "count --model xlstm-7b --context 2048 --batch 8 --json",
            "export --model m --out d --dtype bf16 --shard-bytes 1000000",
            "tokenizer train --input a --input b --vocabulary 8192 --special <|endoftext|> --out t.json",
            "data prepare --input a --input b.jsonl.gz --tokenizer t.json --out d --validation-fraction 0.01 --field body --end-token </s>",
            "devices --json",
            "check --device gpu --operation matmul --cases 10 --seed 4 --elements 64",
            "check --long --max-time 8h --state runs/check/x.json --seed 1000",
            "check --device cpu --vectors tests/vectors --operation mlstm",
            "time --model xlstm-7b --batch 1,8,32 --prefill 2048,16384 --generate 100 --precision f16 --memory 24GiB --plan --json",
            "bench train --model llama-tiny --device gpu --batch 4 --context 64 --steps 9 --vocabulary 300 --precision f32 --json",
            "profile --model llama-tiny --device gpu --batch 4 --context 64 --steps 9 --trace a.json --json",
            "bench kernels --device gpu:1 --only matmul --json",
            "bench ladder --device gpu --json",
            "plot runs/a runs/b --out runs.svg",
            "report lab/demo lab/other --out report.html",
            "sweep plan.toml --out d --device cpu --retry-failed --allow-repeats",
            "sweep --preset demo --dry-run --rate 2e10",
            "sweep --out d",
            "sweep status d",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        assert!(parse("generate --prompt p").is_err(), "generate needs a model");
        assert!(parse("generate --model m --prompt p --prompts f").is_err(), "one source of prompts");
        assert!(parse("count --model m").is_err(), "counts depend on the context");
        assert!(parse("time --batch 1").is_err(), "only a model can be timed");
        assert!(parse("report --out x.html").is_err(), "only studies can be reported on");
        assert!(parse("plot --out x.svg").is_err(), "only runs can be drawn");
        assert!(parse("tokenizer").is_err(), "tokenizer needs to know what");
        assert!(parse("bench").is_err(), "bench needs to know what");
        assert!(parse("train --resume runs/a --steps 5").is_err(), "a resumed run keeps its length");
        assert!(parse("train --resume runs/a --set train.seed=5").is_err(), "a resumed run keeps its configuration");
        assert!(parse("train --init runs/a --model llama-tiny").is_err(), "one source of the model");
        assert!(parse("check --max-time 3s").is_err(), "only a long check has a time");
        assert!(parse("check --long --cases 3").is_err(), "a long check draws for ever");
        assert!(parse("check --vectors v --cases 3").is_err(), "vectors are not drawn");
        assert!(parse("check --vectors v --seed 3").is_err(), "vectors are not drawn");
        assert!(parse("sweep plan.toml --preset demo --out d").is_err(), "one plan");
        assert!(parse("--steps 5 devices").is_err(), "train's flags are not for other verbs");
    }
}
