use std::cell::Cell;
use std::io::BufRead;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use super::super::storage::Disk;
use super::*;

/// A disk on which one thing goes wrong.
struct Failing {
    /// Bytes that can still be written in all.
    room: Rc<Cell<u64>>,
    /// Calls of `sync` and of `rename` that still succeed.
    syncs: Cell<u64>,
    renames: Cell<u64>,
}

impl Failing {
    fn new(room: u64, syncs: u64, renames: u64) -> Self {
        Self { room: Rc::new(Cell::new(room)), syncs: Cell::new(syncs), renames: Cell::new(renames) }
    }

    fn count(left: &Cell<u64>) -> io::Result<()> {
        left.set(left.get().checked_sub(1).ok_or(io::Error::from(io::ErrorKind::StorageFull))?);
        Ok(())
    }
}

struct Filling(Box<dyn Write>, Rc<Cell<u64>>);

impl Write for Filling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.get() == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fits = bytes.len().min(self.1.get() as usize);
        self.1.set(self.1.get() - fits as u64);
        self.0.write_all(&bytes[..fits])?;
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Storage for Failing {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        Disk.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Write>> {
        Ok(Box::new(Filling(Disk.create(path)?, self.room.clone())))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        Self::count(&self.syncs)?;
        Disk.sync(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Self::count(&self.renames)?;
        Disk.rename(from, to)
    }
}

fn position(step: u64) -> Position {
    Position {
        data: String::new(),
        step,
        applied: step,
        loss_scale: 2.0,
        in_a_row: step,
        tokens: step * 2048,
        window: step * 8,
        seed: 7,
        seconds: step as f64 * 0.25,
        device: String::new(),
    }
}

/// Files whose content depends on the step.
fn save(storage: &dyn Storage, run: &Path, step: u64, newest: usize) -> Result<Saved> {
    save_beside(storage, run, step, Keep { newest, best: None })
}

fn save_beside(storage: &dyn Storage, run: &Path, step: u64, keep: Keep) -> Result<Saved> {
    write_step(storage, run, &position(step), keep, |writer| {
        writer.file("model.safetensors", |file| file.write_all(&[step as u8; 3000]))?;
        writer.file("config.json", |file| write!(file, "{{\"step\": {step}}}"))
    })
}

fn load(run: &Path) -> Result<Position> {
    read_step(&find_step(run)?)
}

fn names(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join(FOLDER)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_is_read_from_the_run_its_checkpoints_and_the_step() {
    let run = tempfile::tempdir().unwrap();
    let saved = save(&Disk, run.path(), 400, 2).unwrap();
    assert_eq!(saved.folder, run.path().join("checkpoint/step-00000400"));
    for path in [run.path(), &run.path().join(FOLDER), &saved.folder] {
        assert_eq!(load(path).unwrap(), position(400));
    }
    assert_eq!(fs::read(saved.folder.join("model.safetensors")).unwrap(), [400u64 as u8; 3000]);
    assert_eq!(names(run.path()), ["latest", "step-00000400"]);
}

#[test]
fn only_the_newest_are_kept() {
    let run = tempfile::tempdir().unwrap();
    for step in [5, 10, 15, 20] {
        save(&Disk, run.path(), step, 2).unwrap();
    }
    assert_eq!(names(run.path()), ["latest", "step-00000015", "step-00000020"]);
    save(&Disk, run.path(), 25, 1).unwrap();
    assert_eq!(names(run.path()), ["latest", "step-00000025"]);
}

#[test]
fn the_best_is_kept_beside_the_newest() {
    let run = tempfile::tempdir().unwrap();
    for (step, best) in [(5, 5), (10, 10), (15, 10), (20, 10)] {
        save_beside(&Disk, run.path(), step, Keep { newest: 1, best: Some(best) }).unwrap();
    }
    assert_eq!(names(run.path()), ["best", "latest", "step-00000010", "step-00000020"]);
    let [best, latest] = [BEST, LATEST].map(|pointer| run.path().join(FOLDER).join(pointer));
    assert!(is_pointer(&best) && is_pointer(&latest) && !is_pointer(run.path()));
    assert_eq!((load(&best).unwrap(), load(&latest).unwrap()), (position(10), position(20)));
    assert_eq!(load(run.path()).unwrap(), position(20));
    // A better one takes its place, and the same step may turn out to be the best after it was saved.
    save_beside(&Disk, run.path(), 20, Keep { newest: 1, best: Some(20) }).unwrap();
    assert_eq!((load(&best).unwrap(), load(&latest).unwrap()), (position(20), position(20)));
    save_beside(&Disk, run.path(), 25, Keep { newest: 1, best: Some(20) }).unwrap();
    assert_eq!(names(run.path()), ["best", "latest", "step-00000020", "step-00000025"]);
    mark_best(&Disk, run.path(), None).unwrap();
    mark_best(&Disk, run.path(), None).unwrap();
    assert_eq!(names(run.path()), ["latest", "step-00000020", "step-00000025"]);
}

#[test]
fn a_run_taken_up_earlier_replaces_its_later_steps() {
    let run = tempfile::tempdir().unwrap();
    for step in [5, 10, 15] {
        save(&Disk, run.path(), step, 9).unwrap();
    }
    discard_after(&Disk, run.path(), 5).unwrap();
    assert_eq!(names(run.path()), ["latest", "step-00000005"]);
    assert_eq!(load(run.path()).unwrap().step, 5);
    // The same step again, as when an interrupt follows a save at once, is not touched.
    save(&Failing::new(20, 9, 9), run.path(), 5, 9).unwrap();
    assert_eq!(load(run.path()).unwrap().step, 5);
    // A damaged one is replaced.
    fs::write(run.path().join("checkpoint/step-00000005/config.json"), "").unwrap();
    save(&Disk, run.path(), 5, 9).unwrap();
    assert_eq!(load(run.path()).unwrap().step, 5);
    assert!(names(run.path()).iter().all(|name| !name.starts_with(".tmp-replaced")), "{:?}", names(run.path()));
}

#[test]
fn wherever_saving_fails_the_previous_checkpoint_loads() {
    let run = tempfile::tempdir().unwrap();
    save(&Disk, run.path(), 1, 3).unwrap();
    let full = u64::MAX;
    let mut failures = 0;
    let mut check = |storage: Failing| {
        match save(&storage, run.path(), 2, 3) {
            Ok(_) => {
                assert_eq!(load(run.path()).unwrap(), position(2));
                discard_after(&Disk, run.path(), 1).unwrap();
                return false;
            }
            Err(error) => {
                assert!(error.hint().unwrap().contains("the disk is full"), "{error}");
                failures += 1;
            }
        }
        // `latest` may already have been replaced when the last sync fails: both steps are whole.
        let loaded = load(run.path()).unwrap();
        assert!(loaded == position(1) || loaded == position(2));
        let earlier = read_step(&run.path().join("checkpoint/step-00000001")).unwrap();
        assert_eq!(earlier, position(1));
        assert!(names(run.path()).iter().all(|name| !name.starts_with(".tmp-")), "{:?}", names(run.path()));
        discard_after(&Disk, run.path(), 1).unwrap();
        true
    };
    let mut room = 0;
    while check(Failing::new(room, full, full)) {
        room += 61;
    }
    let mut syncs = 0;
    while check(Failing::new(full, syncs, full)) {
        syncs += 1;
    }
    let mut renames = 0;
    while check(Failing::new(full, full, renames)) {
        renames += 1;
    }
    // Three files, their folder and its parent, `latest` and its folder are synced; two renames.
    assert_eq!((syncs, renames), (7, 2));
    assert!(failures > 50, "{failures}");
}

#[test]
fn an_error_of_the_writer_leaves_no_trace() {
    let run = tempfile::tempdir().unwrap();
    save(&Disk, run.path(), 1, 3).unwrap();
    let failed = write_step(&Disk, run.path(), &position(2), Keep { newest: 3, best: None }, |writer| {
        writer.file("model.safetensors", |file| file.write_all(b"half"))?;
        Err(TrainerError::Interrupted)
    });
    assert!(matches!(failed, Err(TrainerError::Interrupted)));
    assert_eq!(names(run.path()), ["latest", "step-00000001"]);
}

#[test]
fn names_outside_the_folder_and_taken_names_are_refused() {
    let run = tempfile::tempdir().unwrap();
    for name in ["../x", STATE_FILE, ".hidden", "a/b", "twice"] {
        let saved = write_step(&Disk, run.path(), &position(1), Keep { newest: 1, best: None }, |writer| {
            writer.file("twice", |_| Ok(()))?;
            writer.file(name, |_| Ok(()))
        });
        assert!(saved.is_err(), "{name}");
    }
}

#[test]
fn damage_is_found_and_named() {
    let run = tempfile::tempdir().unwrap();
    let folder = save(&Disk, run.path(), 3, 1).unwrap().folder;
    let model = folder.join("model.safetensors");
    let good = fs::read(&model).unwrap();
    let problem = |path: &Path| {
        let error = load(path).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.hint().is_some());
        error.to_string()
    };
    fs::write(&model, &good[..2999]).unwrap();
    assert!(problem(run.path()).contains("model.safetensors: has 2999 bytes and should have 3000"));
    let mut flipped = good.clone();
    flipped[1234] ^= 4;
    fs::write(&model, &flipped).unwrap();
    assert!(problem(run.path()).contains("model.safetensors: does not match the hash"));
    fs::remove_file(&model).unwrap();
    assert!(problem(run.path()).contains("model.safetensors"));
    fs::write(&model, &good).unwrap();
    load(run.path()).unwrap();
    let latest = run.path().join("checkpoint/latest");
    for text in ["", "step-3", "../../etc", "step-00000099", "\u{0}"] {
        fs::write(&latest, text).unwrap();
        let problem = problem(run.path());
        assert!(problem.contains("latest"), "{problem}");
    }
    // Killed before the first `latest`: the step's folder is whole.
    fs::remove_file(&latest).unwrap();
    load(run.path()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    assert!(problem(empty.path()).contains("no checkpoint here"));
}

/// Names the run folder for the child process that the next test starts from this program.
const WRITER: &str = "GRADUS_TEST_CHECKPOINT_WRITER";

#[test]
fn killed_at_any_moment_the_last_checkpoint_loads() {
    if let Ok(run) = std::env::var(WRITER) {
        for step in 1.. {
            save(&Disk, Path::new(&run), step, 2).unwrap();
            println!("saved {step}");
        }
    }
    let mut complete = 0;
    for attempt in 0..12u64 {
        let run = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "run_folder::checkpoint::tests::killed_at_any_moment_the_last_checkpoint_loads",
                "--nocapture",
            ])
            .env(WRITER, run.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(20_000 + attempt * 5_437));
        child.kill().unwrap();
        let said = io::BufReader::new(child.stdout.take().unwrap()).lines();
        let saved = said.filter_map(|line| line.ok()?.strip_prefix("saved ")?.parse().ok()).max().unwrap_or(0);
        child.wait().unwrap();
        if saved > 0 {
            complete += 1;
            assert!(load(run.path()).unwrap().step >= saved);
        }
        // The next run's saves clean up and go on.
        save(&Disk, run.path(), saved + 1000, 2).unwrap();
        assert!(names(run.path()).iter().all(|name| !name.starts_with(".tmp-")));
    }
    assert!(complete > 0, "no child came to save anything");
}
