//! The fuzzer's corpus, replayed as it is and with random damage: an error or a model, never a panic, and never much memory.

#[path = "../../fuzz/fuzz_targets/folder.rs"]
mod folder;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The system's allocator, with the most that was ever taken at once.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; only sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(taken, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What loading one input of a few thousand bytes may take: the program around it has some megabytes of its own.
const MOST_BYTES: usize = 48 << 20;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/load_model");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// One change of the kinds that break parsers.
fn damage(input: &mut Vec<u8>, random: &mut SmallRng) {
    const NUMBERS: [&[u8]; 10] = [
        b"0",
        b"-1",
        b"1e999",
        b"4294967296",
        b"18446744073709551615",
        b"null",
        b"[]",
        b"\"x\"",
        b"2147483647",
        b"0.5",
    ];
    let at = random.random_range(0..input.len().max(1)).min(input.len().saturating_sub(1));
    match random.random_range(0..7) {
        0 if !input.is_empty() => input[at] ^= 1 << random.random_range(0..8),
        1 => input.truncate(at),
        2 => input.insert(at, random.random()),
        3 if !input.is_empty() => {
            input.remove(at);
        }
        4 => {
            // A number becomes another one.
            let Some(first) = input[at..].iter().position(u8::is_ascii_digit).map(|place| at + place) else { return };
            let length = input[first..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            input.splice(first..first + length, NUMBERS[random.random_range(0..NUMBERS.len())].iter().copied());
        }
        5 => {
            let end = (at + random.random_range(1..64)).min(input.len());
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        _ => {
            // The length of the header, the most dangerous number of all.
            let Some(zero) = input.iter().rposition(|byte| *byte == b'{').filter(|place| *place >= 8) else { return };
            let length: u64 = random.random::<u64>() >> random.random_range(0..64);
            input[zero - 8..zero].copy_from_slice(&length.to_le_bytes());
        }
    }
}

#[test]
fn the_corpus_and_what_damage_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let cases: usize = std::env::var("GRADUS_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let corpus = corpus();
    assert!(corpus.len() >= 20, "the corpus has only {} files", corpus.len());
    let mut random = SmallRng::seed_from_u64(11);
    for (name, input) in &corpus {
        let result = folder::load_input(folder.path(), input);
        match (&result, name.split('-').next().unwrap()) {
            (Ok(_), "good") => {}
            (Err(error), "bad") => {
                let text = error.to_string();
                println!("{name}: {text}");
                let file = folder.path().display().to_string();
                assert!(text.contains(&file) && text.len() > file.len() + 20, "{name}: {text}");
            }
            (Ok(_), _) => panic!("{name} loads"),
            (Err(error), _) => panic!("{name}: {error}"),
        }
        for _ in 0..cases {
            let mut damaged = input.clone();
            for _ in 0..random.random_range(1..4) {
                damage(&mut damaged, &mut random);
            }
            if let Err(error) = folder::load_input(folder.path(), &damaged) {
                assert!(!error.to_string().is_empty());
            }
            let most = MOST.load(Ordering::Relaxed);
            assert!(
                most < MOST_BYTES,
                "{most} bytes at once for a damaged {name}: {}",
                String::from_utf8_lossy(&damaged)
            );
        }
    }
}
