//! Which files are for validation: decided by the hash of the file's path, so that it is the same
//! on every machine and does not change when other files come or go.

use sha2::{Digest, Sha256};

/// Whether the file of this path, with `/` between its parts, is in the held-out `fraction`.
pub fn is_validation(path: &str, fraction: f64) -> bool {
    let digest = Sha256::digest(path.as_bytes());
    let first = digest.iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
    (first as f64) < fraction * 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_held_out_share_is_the_fraction() {
        let held_out = |fraction| (0..10_000).filter(|i| is_validation(&format!("src/{i}.rs"), fraction)).count();
        assert_eq!((held_out(0.0), held_out(1.0)), (0, 10_000));
        // Four standard deviations of a binomial distribution.
        assert!((413..=587).contains(&held_out(0.05)), "{}", held_out(0.05));
    }

    #[test]
    fn the_split_never_changes() {
        // SHA-256 of "a" begins with ca97…: 0.791 of the way.
        assert!(!is_validation("a", 0.791) && is_validation("a", 0.792));
    }
}
