//! Synthetic tasks in the place of text: how many answers are right is told, and a run is taken up again with the same bits.

mod program;

use std::fs;

use program::{errors, folder_with_text, metrics, run, saved, succeed};

const TRAIN: &str = "train --device cpu --model xlstm-tiny --steps 4 --batch 2 --context 12 --config small.toml";

#[test]
fn a_task_is_trained_on_and_taken_up_again() {
    let folder = folder_with_text();
    let at = folder.path();
    fs::write(at.join("small.toml"), "[evaluation]\nevery = 2\ntokens = 48\n[checkpoint]\nevery = 2\n").unwrap();
    for task in ["recall", "copy", "parity", "modular"] {
        succeed(at, &format!("{TRAIN} --task {task} --out {task}"));
        let (rows, bytes) = (metrics(&at.join(task)), saved(&at.join(task), 4));
        let right: Vec<f64> = rows.iter().filter_map(|row| row["accuracy"].as_f64()).collect();
        assert!(right.len() == 2 && right.iter().all(|share| (0.0..=1.0).contains(share)), "{task}: {right:?}");
        let configuration = fs::read_to_string(at.join(task).join("config.toml")).unwrap();
        assert!(configuration.contains(&format!("\ntask = \"{task}\"")), "{configuration}");
        succeed(at, &format!("train --resume {task}/checkpoint/step-00000002"));
        assert_eq!(metrics(&at.join(task)), rows, "{task}, resumed");
        assert!(saved(&at.join(task), 4) == bytes, "{task}, resumed");
    }
    fs::write(at.join("both.toml"), "[data]\npath = \"text.txt\"\ntask = \"copy\"\n").unwrap();
    fs::write(at.join("wrong.toml"), "[data]\ntask = \"parrity\"\n").unwrap();
    for (flags, part) in [
        ("--task copy --data text.txt", "cannot be used with"),
        ("--config both.toml", "`path` does not go with the task \"copy\""),
        ("--config wrong.toml", "did you mean \"parity\"?"),
        ("--task recall --context 3", "a context of 3 is too short for the task \"recall\""),
        ("--task copi", "copy"),
    ] {
        let refused = run(at, &format!("train --device cpu --steps 1 --model xlstm-tiny {flags}"));
        assert_eq!(refused.status.code(), Some(2), "{flags}: {}", errors(&refused));
        assert!(errors(&refused).contains(part), "{flags}: {}", errors(&refused));
    }
}
