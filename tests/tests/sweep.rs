//! Sweeps as a user makes them: what a kill leaves is gone on with, failures are recorded, and bad input says what is wrong.

mod program;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use gradus_engine::Device;
use gradus_trainer::interrupt::Interrupt;
use gradus_trainer::sweep::folder::SweepFolder;
use gradus_trainer::sweep::plan::Plan;
use gradus_trainer::sweep::runs::runs;
use gradus_trainer::sweep::standing::Standing;
use gradus_trainer::sweep::training::Trainer;
use gradus_trainer::sweep::workers;
use program::{errors, folder_with_text, gradus, results, run, succeed};

/// Twelve runs of a second or less each.
const PLAN: &str = "study = 'isoflop'\narchitectures = ['xlstm', 'transformer']\nbudgets = [1e9, 2e9]\ncontexts = [32]\n\
    sizes = 3\nwidth_step = 8\ndata = 'text.txt'\ntokens_per_parameter = 1.0\nevaluation_tokens = 2048\nbatch_tokens = 128\n";

fn folder_with_plan(more: &str) -> tempfile::TempDir {
    let folder = folder_with_text();
    fs::write(folder.path().join("plan.toml"), format!("{PLAN}{more}")).unwrap();
    folder
}

fn said(folder: &Path, line: &str) -> String {
    String::from_utf8(succeed(folder, line).stdout).unwrap()
}

#[test]
fn a_killed_sweep_goes_on_and_ends_with_the_same_table() {
    let folder = folder_with_plan("");
    let whole = said(folder.path(), "sweep plan.toml --out whole --device cpu");
    assert!(whole.contains("12 runs: 12 finished") && whole.contains("overhead"), "{whole}");
    let expected = results(&folder.path().join("whole"));
    assert_eq!(expected.len(), 13);

    let out = folder.path().join("killed");
    // Killed twice, each time when more runs have a checkpoint than before.
    for at_least in [2, 6] {
        let mut child = gradus(folder.path(), "sweep plan.toml --out killed --device cpu")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begun = || {
            let runs = fs::read_dir(out.join("runs")).into_iter().flatten().flatten();
            runs.filter(|run| run.path().join("checkpoint/latest").exists()).count()
        };
        let started = Instant::now();
        while begun() < at_least {
            assert!(started.elapsed() < Duration::from_secs(300), "only {} runs have begun", begun());
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let between = said(folder.path(), "sweep status killed");
    assert!(!between.contains("12 finished") && between.contains("0 damaged"), "{between}");
    // Without a plan: the folder knows it.
    let end = said(folder.path(), "sweep --out killed --device cpu");
    assert!(end.contains("12 runs: 12 finished"), "{end}");
    assert_eq!(results(&out), expected);

    // What is finished is not made again, and the table is made anew from the folders.
    fs::remove_file(out.join("runs.csv")).unwrap();
    let again = said(folder.path(), "sweep plan.toml --out killed --device cpu");
    assert!(!again.contains(" 1/12"), "{again}");
    assert_eq!(results(&out), expected);
    let fit = said(folder.path(), "fit isoflop killed/runs.csv --group arch --from 1e8 --to 1e10 --json");
    assert!(fit.contains("\"what\": \"isoflop\"") || fit.contains("\"what\":\"isoflop\""), "{fit}");
}

/// Two devices take turns, and the table is that of one.
#[test]
fn devices_make_runs_beside_each_other() {
    let folder = folder_with_plan("");
    let text = fs::read_to_string(folder.path().join("plan.toml")).unwrap();
    let data = folder.path().join("text.txt").display().to_string();
    fs::write(folder.path().join("plan.toml"), text.replace("text.txt", &data)).unwrap();
    succeed(folder.path(), "sweep plan.toml --out one --device cpu");
    let plan = Plan::read(&folder.path().join("plan.toml")).unwrap();
    let interrupt = Interrupt::default();
    let trainers = || [(); 2].map(|()| Trainer::new((Device::cpu(), "asked for".into()), interrupt.clone()));
    let open = |name: &str| SweepFolder::create(&folder.path().join(name), &plan).unwrap();
    let planned = || runs(&plan).unwrap().into_iter().map(|run| (run, Standing::Waiting)).collect::<Vec<_>>();

    let mut said = Vec::new();
    let sweep = open("two");
    let seconds = workers::make(&sweep, &mut trainers(), &planned(), (&interrupt, &mut said)).unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(seconds > 0.0 && said.lines().count() == 12, "{said}");
    assert!((1..=12).all(|number| said.contains(&format!("{number:>3}/12 "))), "{said}");
    succeed(folder.path(), "sweep status two");
    assert_eq!(results(&folder.path().join("two")), results(&folder.path().join("one")));

    // What would meet every run ends the work of both; what was made stays.
    let sweep = open("blocked");
    let all = planned();
    fs::write(sweep.run(&all[2].0.name), "in the way").unwrap();
    let error = workers::make(&sweep, &mut trainers(), &all, (&interrupt, &mut Vec::new())).unwrap_err();
    assert!(error.to_string().contains(&all[2].0.name) && interrupt.requested(), "{error}");
    let finished = all.iter().filter(|(run, _)| matches!(Standing::of(&sweep, run), Standing::Finished(_))).count();
    assert!((1..=3).contains(&finished), "{finished} of 12 were made");
}

/// Runs at fixed ratios of tokens to parameters have their lines in the report.
#[test]
fn over_training_is_swept_and_reported() {
    let folder = folder_with_text();
    let plan = "study = 'overtraining'\narchitectures = ['xlstm', 'transformer']\nparameters = [5e3, 1e4, 2e4]\nratios = [2, 6]\n\
        contexts = [32]\nwidth_step = 8\ndata = 'text.txt'\nevaluation_tokens = 2048\nbatch_tokens = 128\n";
    fs::write(folder.path().join("over.toml"), plan).unwrap();
    let table = said(folder.path(), "sweep over.toml --device cpu --dry-run --rate 1e9 --allow-repeats");
    assert!(table.contains("12 runs,") && table.contains("xlstm-t32-r6-"), "{table}");
    let end = said(folder.path(), "sweep over.toml --out over --device cpu --allow-repeats");
    assert!(end.contains("12 runs: 12 finished") && end.contains("gradus report over --out report.html"), "{end}");
    let rows = results(&folder.path().join("over"));
    let column = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
    let (set, budget, ratio) = (column("experiment_set"), column("isoflop"), column("preset_ratio"));
    for row in &rows[1..] {
        assert_eq!((row[set].as_str(), row[budget].as_str()), ("tokenparam", ""));
        let number = |name: &str| row[column(name)].parse::<f64>().unwrap();
        let wanted: f64 = row[ratio].parse().unwrap();
        assert!((number("n_tokens") / number("n_params") / wanted - 1.0).abs() < 0.01, "{row:?}");
    }
    succeed(folder.path(), "report over --out report.html");
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("gradus fit overtraining over/runs.csv"), "the section has its fit");
    assert!(page.contains("Where they were made") && page.contains("<td>CPU, "), "the runs' device is in the page");
    assert!(!page.contains("There are no runs at fixed ratios"));
}

/// A study of learning rates names the scale that other plans take, and they take it.
#[test]
fn learning_rates_are_swept_and_used() {
    let folder = folder_with_text();
    let plan = "architectures = ['xlstm', 'transformer']\nbudgets = [2e9]\ncontexts = [32]\nsizes = 1\nwidth_step = 8\n\
        data = 'text.txt'\ntokens_per_parameter = 1.0\nevaluation_tokens = 2048\nbatch_tokens = 128\n";
    let rates = format!("study = 'learning_rate'\nlearning_rate_factors = [0.01, 0.5, 1, 30]\n{plan}");
    fs::write(folder.path().join("rates.toml"), rates).unwrap();
    let end = said(folder.path(), "sweep rates.toml --out rates --device cpu");
    assert!(end.contains("8 runs: 8 finished") && end.contains("xlstm-t32-c2e9-d"), "{end}");
    assert!(end.contains("-f0.01-s0") && end.contains("gradus fit minimum rates/runs.csv --x lr"), "{end}");
    assert_eq!(end.matches(" times the rate").count(), 2, "{end}");
    // A hundredth of the rate learns little, and so does 30 times the rate: the best is between.
    let line = end.lines().find(|line| line.contains("learning_rate_scale = {")).expect("a key for other plans");
    let scale: toml::Table = line.split(": ").nth(1).unwrap().parse().unwrap();
    for architecture in ["xlstm", "transformer"] {
        let best = scale["learning_rate_scale"][architecture].as_float().unwrap();
        assert!(best > 0.011 && best < 29.0, "{line}");
    }
    assert!(said(folder.path(), "sweep status rates").contains(line));
    succeed(folder.path(), "report rates --out report.html");
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("There are no runs at a learning rate of choice"), "no law is fitted to them");
    assert!(page.contains("Best learning rates") && page.contains("the loss is lowest at a learning rate of"));
    // The other study's runs have the rule's rate times that.
    let rate = |plan: &str, out: &str| -> Vec<f64> {
        fs::write(folder.path().join("next.toml"), plan).unwrap();
        succeed(folder.path(), &format!("sweep next.toml --out {out} --device cpu"));
        let rows = results(&folder.path().join(out));
        let place = rows[0].iter().position(|column| column == "lr").unwrap();
        rows[1..].iter().map(|row| row[place].parse().unwrap()).collect()
    };
    let by_rule = rate(&format!("study = 'isoflop'\n{plan}"), "rule");
    let scaled = rate(&format!("study = 'isoflop'\n{plan}learning_rate_scale = {{ transformer = 0.5 }}\n"), "scaled");
    assert_eq!((scaled[0], scaled[1]), (by_rule[0], 0.5 * by_rule[1]), "the xLSTM, then the Transformer");
}

/// A plan that is made to fit is the one that the folder keeps and goes on with.
#[test]
fn a_plan_is_made_to_fit_a_time() {
    let folder = folder_with_plan("seeds = [0, 1]\n");
    let whole = said(folder.path(), "sweep plan.toml --device cpu --dry-run --rate 1e9 --budget 60s");
    assert!(whole.contains("24 runs,") && whole.contains("the plan fits as it is"), "{whole}");
    let less = said(folder.path(), "sweep plan.toml --device cpu --dry-run --rate 1e9 --budget 20s");
    assert!(less.contains("in place of 1e9, 2e9") || less.contains("seeds [0]"), "{less}");
    let none = run(folder.path(), "sweep plan.toml --device cpu --dry-run --rate 1e9 --budget 0.001s");
    assert_eq!(none.status.code(), Some(2));
    assert!(errors(&none).contains("one run of each architecture and context"), "{}", errors(&none));
    let made = said(folder.path(), "sweep plan.toml --out d --device cpu --budget 3s");
    assert!(made.contains("in place of"), "{made}");
    let kept = fs::read_to_string(folder.path().join("d/sweep.toml")).unwrap();
    let again = said(folder.path(), "sweep plan.toml --out d --device cpu --budget 3s");
    assert!(again.contains("goes on as it was planned"), "{again}");
    assert_eq!(fs::read_to_string(folder.path().join("d/sweep.toml")).unwrap(), kept);
}

#[test]
fn diverged_runs_are_recorded_and_the_rest_go_on() {
    let folder = folder_with_plan("learning_rate = 1e30\n");
    let end = said(folder.path(), "sweep plan.toml --out d --device cpu");
    assert!(end.contains("12 runs: 0 finished, 0 begun, 0 waiting, 12 failed"), "{end}");
    assert_eq!(results(&folder.path().join("d")).len(), 1);
    let reasons: Vec<String> = fs::read_dir(folder.path().join("d/failures"))
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert_eq!(reasons.len(), 12);
    assert!(reasons.iter().all(|reason| reason.contains("diverged") || reason.contains("not finite")), "{reasons:?}");
    // They are not made again unless that is asked for.
    let started = said(folder.path(), "sweep --out d --device cpu");
    assert!(!started.contains(" 1/12"), "{started}");
    let retried = said(folder.path(), "sweep --out d --device cpu --retry-failed");
    assert!(retried.contains(" 1/12") && retried.contains("12 failed"), "{retried}");
}

#[test]
fn a_damaged_run_is_left_as_it_is_and_said() {
    let folder = folder_with_plan("");
    let text = fs::read_to_string(folder.path().join("plan.toml")).unwrap();
    fs::write(folder.path().join("plan.toml"), text.replace("'xlstm', ", "").replace("1e9, ", "")).unwrap();
    succeed(folder.path(), "sweep plan.toml --out d --device cpu");
    let runs = folder.path().join("d/runs");
    let mut names: Vec<_> = fs::read_dir(&runs).unwrap().map(|run| run.unwrap().path()).collect();
    names.sort();
    let state = |run: &Path| {
        let latest = fs::read_to_string(run.join("checkpoint/latest")).unwrap();
        run.join("checkpoint").join(latest.trim()).join("model.safetensors")
    };
    let weights = fs::read(state(&names[0])).unwrap();
    fs::write(state(&names[0]), &weights[..weights.len() / 2]).unwrap();
    let text = fs::read_to_string(names[1].join("config.toml")).unwrap();
    fs::write(names[1].join("config.toml"), text.replace("seed = 0", "seed = 5")).unwrap();
    fs::write(names[2].join("notes.txt"), "mine").unwrap();
    let output = run(folder.path(), "sweep --out d --device cpu");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output);
    for says in [
        "it was cut off or changed",
        "not that of the plan's run",
        "it holds notes.txt",
        "3 damaged",
        "3 run folders are damaged and were left as they are",
        "move such a folder away",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    assert_eq!(fs::read_to_string(names[2].join("notes.txt")).unwrap(), "mine");
    assert_eq!(results(&folder.path().join("d")).len(), 1);
    // Mended, moved away, cleared: all is well again, and only the one that was moved is made anew.
    fs::write(state(&names[0]), &weights).unwrap();
    fs::rename(&names[1], folder.path().join("away")).unwrap();
    fs::remove_file(names[2].join("notes.txt")).unwrap();
    let end = String::from_utf8(succeed(folder.path(), "sweep --out d --device cpu").stdout).unwrap();
    assert!(end.contains("3 runs: 3 finished"), "{end}");
    assert_eq!(end.matches("/3 ").count(), 1, "{end}");
}

#[test]
fn bad_input_says_what_is_wrong_and_makes_nothing() {
    let folder = folder_with_plan("");
    let plan = |name: &str, from: &str, to: &str| {
        fs::write(folder.path().join(name), PLAN.replace(from, to)).unwrap();
    };
    plan("unknown.toml", "sizes", "size");
    plan("small.toml", "1e9", "1e5");
    plan("data.toml", "sizes", "max_epochs = 0.1\nsizes");
    plan("other.toml", "sizes = 3", "sizes = 3\nspread = 7.0");
    plan("nothing.toml", "text.txt", "nothing.txt");
    fs::create_dir(folder.path().join("foreign")).unwrap();
    fs::write(folder.path().join("foreign/thesis.tex"), "x").unwrap();
    for (line, code, says) in [
        ("sweep unknown.toml --out d", 2, "unknown.toml:5: unknown key `size`"),
        ("sweep unknown.toml --out d", 2, "did you mean `sizes`?"),
        ("sweep small.toml --out d", 2, "no size in range meets it"),
        ("sweep data.toml --out d", 1, "epochs of the"),
        ("sweep data.toml --out d", 1, "--allow-repeats"),
        ("sweep nothing.toml --out d", 1, "there is no such file or folder"),
        ("sweep none.toml --out d", 1, "cannot read none.toml"),
        ("sweep --preset dmo --out d", 2, "there is no plan `dmo`"),
        ("sweep plan.toml", 2, "a sweep needs a folder"),
        ("sweep", 2, "a sweep needs a plan"),
        ("sweep plan.toml --out foreign", 1, "not of a sweep, for instance thesis.tex"),
        ("sweep status foreign", 1, "not the folder of a sweep"),
    ] {
        let output =
            run(folder.path(), &format!("{line}{}", if line.contains("status") { "" } else { " --device cpu" }));
        assert_eq!(output.status.code(), Some(code), "{line}: {}", errors(&output));
        assert!(errors(&output).contains(says), "{line}: {}", errors(&output));
        assert!(!folder.path().join("d").exists(), "{line}");
    }
    let allowed = said(folder.path(), "sweep data.toml --device cpu --allow-repeats --dry-run --rate 1e9");
    assert!(allowed.contains("12 runs,"), "{allowed}");
    // A folder belongs to one plan.
    fs::create_dir(folder.path().join("kept")).unwrap();
    let text = "# another\n".to_string() + PLAN;
    fs::write(folder.path().join("kept/sweep.toml"), text).unwrap();
    let output = run(folder.path(), "sweep other.toml --out kept --device cpu");
    assert!(errors(&output).contains("another sweep: `spread`"), "{}", errors(&output));
}
