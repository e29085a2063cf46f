//! `gradus fit` and `gradus predict` as a person calls them: what they print, write and refuse.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `gradus` in a folder with these words.
fn gradus(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gradus")).current_dir(folder).args(words).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn good(folder: &Path, line: &str) -> String {
    let output = gradus(folder, &line.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "gradus {line}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A call that must fail with one error holding these parts, print nothing and write nothing.
#[track_caller]
fn refused(folder: &Path, words: &[&str], parts: &[&str]) {
    let before = files(folder);
    let output = gradus(folder, words);
    let text = said(&output);
    assert!(!output.status.success(), "gradus {words:?} was taken");
    assert!(output.stdout.is_empty(), "gradus {words:?} printed though it failed");
    assert!(!text.contains("panicked"), "gradus {words:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "gradus {words:?}: no `{part}` in: {text}");
    }
    assert_eq!(files(folder), before, "gradus {words:?} left a file");
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("readable");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs of two architectures at four budgets with optima N* = 0.008·C^0.55, in the columns of the paper.
fn runs() -> String {
    let mut text =
        String::from("arch,ctx,experiment_set,isoflop,preset_ratio,n_params,n_tokens,flops_train,val_loss\n");
    for (arch, better) in [("xlstm", 0.98), ("transformer", 1.0)] {
        for ctx in [2048.0, 8192.0] {
            for flops in [6e18, 1e19, 3e19, 1e20_f64] {
                for step in 0..9 {
                    let place = 0.12 * (f64::from(step) - 4.0);
                    let params = 0.008 * flops.powf(0.55) * 10f64.powf(place) * if ctx > 4000.0 { 0.9 } else { 1.0 };
                    let noise = 0.002 * (f64::from(step) * 2.3 + flops.ln()).sin();
                    let loss = better * (30.0 * flops.powf(-0.05) + place * place + noise);
                    let tokens = flops / 6.0 / params;
                    text += &format!("{arch},{ctx},isoflop,{flops:e},,{params:.9e},{tokens:.9e},{flops:e},{loss:.7}\n");
                }
            }
        }
        for ratio in [22.0, 110.0, 550.0] {
            for params in [1.6e8, 4e8, 8e8, 1.4e9, 2.7e9_f64] {
                let (tokens, flops) = (ratio * params, 6.0 * ratio * params * params);
                let loss = 1.2 + (1e5 * params.powf(-0.6) + 4e5 * tokens.powf(-0.6)).powf(0.4);
                let loss = better * loss * (1.0 + 0.002 * (params.ln() * 9.0 + ratio).sin());
                text += &format!("{arch},8192,tokenparam,,{ratio},{params:.9e},{tokens:.9e},{flops:.9e},{loss:.7}\n");
            }
        }
    }
    text
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("runs.csv"), runs()).expect("written");
    let mut times = String::from("arch,model,batch,prefill,ttft_ms,step_ms,flops,bytes\n");
    for batch in [8.0, 16.0, 32.0_f64] {
        for prefill in [128.0, 512.0, 2048.0, 8192.0_f64] {
            let (flops, bytes) = (1.4e10 * batch * prefill, 1.3e10 + 4e5 * batch * prefill);
            let ttft = (flops / 4e14 + 3e-3) * 1e3 * (1.0 + 0.01 * (batch + prefill).sin());
            let step = (bytes / 1.5e12 + 2e-3 + 5e-5 * batch) * 1e3 * (1.0 + 0.01 * (batch * prefill).cos());
            times += &format!("xlstm,7B,{batch},{prefill},{ttft:.6},{step:.6},{flops:e},{bytes:e}\n");
        }
    }
    fs::write(folder.path().join("times.csv"), &times).expect("written");
    // Of one time alone.
    let first: String = times
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            [&cells[..5], &cells[6..]].concat().join(",") + "\n"
        })
        .collect();
    fs::write(folder.path().join("first.csv"), first).expect("written");
    // 4 ms, and 0.5·prefill^0.25 ms: equal at a prefill of 4096.
    let mut steps = String::from("arch,batch,prefill,step_ms\n");
    for prefill in [64.0, 512.0, 2048.0, 16384.0_f64] {
        steps += &format!("flat,1,{prefill},4\nrising,1,{prefill},{}\nflat,8,{prefill},9\n", 0.5 * prefill.powf(0.25));
    }
    fs::write(folder.path().join("steps.csv"), steps).expect("written");
    let decay: String = (0..12)
        .map(|i| format!("{i},{:.6}\n", 3.0 * (-0.4 * f64::from(i)).exp() + 0.01 * (f64::from(i) * 5.1).sin()))
        .collect();
    fs::write(folder.path().join("decay.csv"), format!("x,y\n{decay}")).expect("written");
    folder
}

#[test]
fn every_law_is_fitted_from_the_command_line() {
    let folder = folder();
    let at = folder.path();
    for (line, words) in [
        ("isoflop runs.csv --group arch,ctx", &["At 1e20 FLOPs train", "95 %:", "R²"][..]),
        ("loss-surface runs.csv --group arch --starts 40 --bootstrap 20", &["summed Huber loss", "gamma"]),
        (
            "loss-surface runs.csv --group arch --starts 40 --gamma 1 --huber 0.01 --bootstrap 0",
            &["gamma = 1.000000 (held)"],
        ),
        (
            "loss-surface runs.csv --where arch==xlstm --starts 40 --law additive --bootstrap 0",
            &["gamma = 1.000000 (held)"],
        ),
        ("power-law runs.csv --x flops_train --y val_loss --where preset_ratio==22 --offset", &["with an offset"]),
        ("context runs.csv --group arch", &["from context 2048 to 8192", "T^("]),
        ("overtraining runs.csv --group arch", &["weighted mean eta"]),
        ("pareto runs.csv --bins 3", &["compute for equal loss", "along the envelope"]),
        ("ttft times.csv", &["alpha_eff", "median error"]),
        ("ttft times.csv --roofline max --residual ms", &["the larger of", "milliseconds"]),
        ("step-time times.csv --group model", &["beta_eff", "eps_batch_s"]),
        ("roofline first.csv", &["xlstm prefill: 12 calls", "they meet at"]),
        (
            "crossing steps.csv --y step_ms --where batch==1",
            &["they cross at prefill 4096: from there on flat has the smaller"],
        ),
        (
            "crossing steps.csv --y step_ms --group batch",
            &["cross at prefill 4096", "flat alone: there is nothing to cross"],
        ),
        (
            "curve decay.csv --model a*exp(-b*x) --start a=1,b=0.1 --loss soft-l1 --scale 0.1",
            &["profile 95 %", "bootstrap"],
        ),
        ("curve decay.csv --model a*exp(-b*x)+c --start a=1,b=0.1,c=0 --fix c --log a --bound b=0:2", &["(held)"]),
    ] {
        let text = good(at, &format!("fit {line}"));
        for word in words {
            assert!(text.contains(word), "{line}: no `{word}` in\n{text}");
        }
        let json = good(at, &format!("fit {line} --json"));
        let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(document["gradus_fit"], 1, "{line}");
        assert_eq!(document["what"], line.split_whitespace().next().expect("a law"), "{line}");
    }
}

#[test]
fn plots_are_written_whole_or_not_at_all() {
    let folder = folder();
    let at = folder.path();
    good(at, "fit isoflop runs.csv --group arch,ctx --plot a.svg");
    good(at, "fit isoflop runs.csv --group arch,ctx --plot a.PNG");
    assert!(fs::read_to_string(at.join("a.svg")).expect("drawn").trim_end().ends_with("</svg>"));
    assert_eq!(&fs::read(at.join("a.PNG")).expect("drawn")[1..4], b"PNG");
    assert_eq!(files(at), ["a.PNG", "a.svg", "decay.csv", "first.csv", "runs.csv", "steps.csv", "times.csv"]);
    refused(at, &["fit", "isoflop", "runs.csv", "--plot", "a.pdf"], &["a.pdf", ".svg or .png"]);
    refused(
        at,
        &["fit", "isoflop", "runs.csv", "--group", "arch,ctx", "--plot", "no/a.svg"],
        &["no/a.svg", "cannot be written"],
    );
}

#[test]
fn predictions_follow_from_saved_fits() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("iso.json"), good(at, "fit isoflop runs.csv --group arch --where ctx==8192 --json"))
        .expect("written");
    let text = good(at, "predict --law iso.json --compute 1e20");
    assert!(text.contains("params") && text.contains("arch = xlstm"), "{text}");
    let far = good(at, "predict --law iso.json --compute 1e23 --json");
    assert!(far.contains("an extrapolation"), "{far}");
    let value: serde_json::Value = serde_json::from_str(&far).expect("JSON");
    let params = &value["predictions"][0]["values"]["params"];
    let [low, middle, high] = ["low", "value", "high"].map(|k| params[k].as_f64().expect("a number"));
    let truth = 0.9 * 0.008 * 1e23f64.powf(0.55);
    assert!(low < truth && truth < high && low < middle && middle < high, "{params} should hold {truth:e}");
    for query in ["--params 1e9", "--tokens 1e10", "--loss 2.9"] {
        good(at, &format!("predict --law iso.json {query}"));
    }
    let surface = good(at, "fit loss-surface runs.csv --where arch==xlstm --starts 60 --bootstrap 0 --json");
    fs::write(at.join("surface.json"), surface).expect("written");
    good(at, "predict --law surface.json --params 1e9 --tokens 1e11");
    good(at, "predict --law surface.json --compute 1e21");
    refused(at, &["predict", "--law", "surface.json", "--loss", "0.1"], &["irreducible"]);
    refused(at, &["predict", "--law", "iso.json", "--params", "1e9", "--tokens", "1e9"], &["optimal runs only"]);
    refused(at, &["predict", "--law", "iso.json", "--compute", "0"], &["above zero"]);
    refused(at, &["predict", "--law", "iso.json"], &["--compute"]);
    refused(at, &["predict", "--law", "runs.csv", "--compute", "1e20"], &["runs.csv", "not JSON"]);
    refused(at, &["predict", "--law", "none.json", "--compute", "1e20"], &["none.json", "cannot be read"]);
}

#[test]
fn bad_tables_are_refused_by_row_and_column() {
    let folder = folder();
    let at = folder.path();
    let table = runs();
    let lines: Vec<&str> = table.lines().collect();
    let write = |name: &str, text: String| fs::write(at.join(name), text).expect("written");
    let cell = |line: &str, column: usize, value: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells[column] = value;
        cells.join(",")
    };
    let with = |row: usize, column: usize, value: &str| {
        let mut changed: Vec<String> = lines.iter().map(|l| (*l).to_string()).collect();
        changed[row - 1] = cell(lines[row - 1], column, value);
        changed.join("\n")
    };
    let isoflop = ["fit", "isoflop", "bad.csv", "--group", "arch,ctx"];
    for (text, parts) in [
        (table.replacen("val_loss", "valid_loss", 1), &["no column `val_loss`", "did you mean `valid_loss`"][..]),
        (with(5, 8, "low"), &["row 5", "`val_loss`", "`low` is not a number"]),
        (with(6, 8, "NaN"), &["row 6", "`val_loss`", "not a finite number"]),
        (with(6, 5, "inf"), &["row 6", "`n_params`", "not a finite number"]),
        (with(7, 8, "0"), &["row 7", "`val_loss`", "no logarithm"]),
        (with(8, 5, "-3"), &["row 8", "`n_params`", "no logarithm"]),
        (with(9, 7, ""), &["row 9", "`flops_train`", "empty"]),
        (with(9, 8, "3,4"), &["row 9", "10 cells"]),
        (lines[0].to_string(), &["no rows"]),
        (String::new(), &["bad.csv", "empty"]),
        (lines[..3].join("\n"), &["arch = xlstm", "6.000e18", "needs 3 runs"]),
        // One group with one budget among groups with four.
        (
            [&lines[..10], &lines[37..]].concat().join("\n"),
            &["arch = xlstm, ctx = 2048", "2 budgets or more", "there are 1"],
        ),
    ] {
        write("bad.csv", text);
        refused(at, &isoflop, parts);
    }
    // The same size at every run: no parabola.
    let constant: Vec<String> =
        lines.iter().enumerate().map(|(i, l)| if i == 0 { (*l).to_string() } else { cell(l, 5, "1e8") }).collect();
    write("bad.csv", constant.join("\n"));
    refused(at, &isoflop, &["do not differ enough"]);
    refused(at, &["fit", "loss-surface", "bad.csv", "--starts", "9"], &["every run has 100000000"]);
    refused(at, &["fit", "power-law", "bad.csv", "--x", "n_params", "--y", "val_loss"], &["do not differ enough"]);
    // Doubled rows are reported and counted.
    write("bad.csv", format!("{table}{}\n{}\n", lines[1], lines[2]));
    let text = good(at, "fit isoflop bad.csv --group arch,ctx");
    assert!(text.contains("2 rows repeat others") && text.contains("is row 2 again"), "{text}");
    fs::write(at.join("binary.csv"), [0xff, 0xfe, 0x00]).expect("written");
    refused(at, &["fit", "isoflop", "binary.csv"], &["binary.csv", "not UTF-8"]);
    refused(at, &["fit", "isoflop", "none.csv"], &["none.csv", "cannot be read"]);
}

#[test]
fn wrong_options_are_refused() {
    let folder = folder();
    let at = folder.path();
    let curve = ["fit", "curve", "decay.csv", "--model", "a*exp(-b*x)", "--start"];
    let more = |rest: &[&'static str]| [&curve[..], rest].concat();
    for (words, parts) in [
        (vec!["fit", "isoflp", "runs.csv"], &["isoflop"][..]),
        (vec!["fit", "isoflop", "runs.csv", "--grup", "arch"], &["--group"]),
        (vec!["fit", "isoflop", "runs.csv", "--group", "archs"], &["no column `archs`", "`arch`"]),
        (vec!["fit", "isoflop", "runs.csv", "--weight", "multiplicity"], &["no column `multiplicity`"]),
        (vec!["fit", "isoflop", "runs.csv", "--column", "val_loss"], &["NAME=OTHER"]),
        (vec!["fit", "isoflop", "runs.csv", "--where", "ctx ~ 3"], &["operators are"]),
        (vec!["fit", "isoflop", "runs.csv", "--where", "ctx == 3"], &["no row", "ctx == 3"]),
        (vec!["fit", "isoflop", "runs.csv", "--level", "95"], &["--level", "between 0 and 1"]),
        (vec!["fit", "pareto", "runs.csv", "--weight", "ctx"], &["no use for --weight"]),
        (vec!["fit", "context", "runs.csv", "--bootstrap", "9"], &["no use for --bootstrap"]),
        (vec!["fit", "pareto", "runs.csv", "--bins", "0"], &["--bins"]),
        (vec!["fit", "loss-surface", "runs.csv", "--huber", "0"], &["--huber", "above zero"]),
        (vec!["fit", "loss-surface", "runs.csv", "--law", "additive", "--gamma", "free"], &["--law additive"]),
        (vec!["fit", "power-law", "runs.csv", "--x", "ctx"], &["--y"]),
        (vec!["fit", "step-time", "times.csv", "--least-batch", "99"], &["no row has a batch of 99"]),
        (vec!["fit", "crossing", "times.csv", "--y", "step_ms"], &["one value only, xlstm"]),
        (vec!["fit", "crossing", "steps.csv", "--y", "step_ms", "--by", "archs"], &["no column `archs`"]),
        (vec!["fit", "roofline", "steps.csv"], &["no column"]),
        (
            vec!["fit", "roofline", "times.csv"],
            &["`flops` cannot be the work of prefills and of steps alike", "step_flops"],
        ),
        (vec!["fit", "roofline", "decay.csv"], &["neither a column `ttft_ms` nor `step_ms`"]),
        (more(&["a=1"]), &["no column `b`"]),
        (more(&["a=1,b=x"]), &["the start of b", "not a number"]),
        (more(&["a=1,b=1,a=2"]), &["`a` twice"]),
        (more(&["a=1,b=1,c=1"]), &["`c`", "does not occur"]),
        (more(&["a=1,b=1", "--bound", "c=0:1"]), &["no parameter `c`"]),
        (more(&["a=1,b=1", "--bound", "b=2:3"]), &["`b`", "outside its bounds"]),
        (more(&["a=-1,b=1", "--log", "a"]), &["`a`", "above zero"]),
        (
            vec!["fit", "curve", "decay.csv", "--model", "a*exp(-b*x", "--start", "a=1,b=1"],
            &["column 11", "`)` is missing"],
        ),
        (vec!["fit", "curve", "decay.csv", "--model", "a*sinn(b*x)", "--start", "a=1,b=1"], &["no function `sinn`"]),
        (
            vec!["fit", "curve", "decay.csv", "--model", "a+b*x", "--start", "a=1,b=1", "--where", "x < 1"],
            &["1 point cannot determine 2 parameters"],
        ),
    ] {
        refused(at, &words, parts);
    }
}
