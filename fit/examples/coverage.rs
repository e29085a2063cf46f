//! How often intervals at 95 % hold the truth, on 2,000 synthetic laws with 1 % noise:
//! `cargo run --release -p gradus-fit --example coverage [LAWS]`. Exits with 1 where a share is outside of
//! what is stated: 93.5 to 96.5 % for profile intervals, 90 to 98 % for the studentised bootstrap.

#[path = "../tests/synthetic/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod synthetic;

use synthetic::{NAMES, bootstrap_coverage, profile_coverage};

fn main() -> std::process::ExitCode {
    let count = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(2000);
    let mut good = true;
    for (what, shares, stated) in [
        ("profile", profile_coverage(count), 0.935..=0.965),
        ("studentised bootstrap of residuals", bootstrap_coverage(count, 399), 0.90..=0.98),
    ] {
        for (name, share) in NAMES.iter().zip(shares) {
            println!("{what}, {name}: {:.2} % of {count} laws", 100.0 * share);
            good &= stated.contains(&share);
        }
    }
    if good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
