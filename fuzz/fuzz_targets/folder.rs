//! A fuzzer's input as a model's folder: shared by the fuzz target and the test that replays its corpus.

use std::fs;
use std::path::Path;

use gradus_engine::Device;
use gradus_models::folder::{CONFIGURATION, INDEX, PLAIN_CONFIGURATION, WEIGHTS, load, special_tokens};
use gradus_models::{Model, Result};

/// Writes the input into an empty folder and loads that.
pub fn load_input(folder: &Path, input: &[u8]) -> Result<Model> {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (configuration, index, weights) = (part(), part(), part());
    let name = if configuration.first() == Some(&b'{') { CONFIGURATION } else { PLAIN_CONFIGURATION };
    let put =
        |name: &str, content: &[u8]| fs::write(folder.join(name), content).expect("a temporary folder can be written");
    for name in [CONFIGURATION, PLAIN_CONFIGURATION, INDEX, WEIGHTS, "a.safetensors"] {
        let _ = fs::remove_file(folder.join(name));
    }
    put(name, configuration);
    if index.is_empty() {
        put(WEIGHTS, weights);
    } else {
        put(INDEX, index);
        put("a.safetensors", weights);
    }
    // Read on its own, as the program does.
    let _ = special_tokens(folder);
    load(folder, &Device::cpu())
}
