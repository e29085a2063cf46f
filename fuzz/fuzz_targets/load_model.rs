#![no_main]

mod folder;

use libfuzzer_sys::fuzz_target;

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder");
}

fuzz_target!(|input: &[u8]| {
    FOLDER.with(|at| {
        if let Err(error) = folder::load_input(at.path(), input) {
            assert!(!error.to_string().is_empty());
        }
    });
});
