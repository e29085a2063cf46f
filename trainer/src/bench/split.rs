//! Where the device's time of a step goes, by operation and kernel, by its own clock.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use gradus_engine::device::gpu::Timing;
use serde_json::{Value, json};

use super::print;
use super::session::Session;
use super::table::{self, Column, number, percent};

const COLUMNS: [Column; 9] = [
    Column::Text("operation", 21),
    Column::Text("kernel", 30),
    Column::Text("type", 4),
    Column::Number("a step", 7),
    Column::Number("ms/step", 9),
    Column::Number("%", 5),
    Column::Number("TFLOP/s", 8),
    Column::Number("GB/s", 8),
    Column::Text("variant", 7),
];

/// One kernel of one operation in one variant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Share {
    dispatches: usize,
    seconds: f64,
    flops: f64,
    bytes: f64,
}

impl Share {
    fn add(&mut self, timing: &Timing) {
        // Later parts of a dispatch that was cut are no dispatches of their own.
        self.dispatches += usize::from(timing.first_workgroup == 0);
        self.seconds += timing.seconds;
        self.flops += timing.cost.flops;
        self.bytes += timing.cost.bytes;
    }
}

/// Operation, kernel, what its `Element` stands for, and its variant.
type Key = (&'static str, &'static str, &'static str, Arc<[(&'static str, u32)]>);

/// Everything by operation and kernel, the longest first; and the whole.
fn shares(timings: &[Timing]) -> (Vec<(Key, Share)>, Share) {
    let (mut by_kernel, mut whole) = (BTreeMap::<Key, Share>::new(), Share::default());
    for timing in timings {
        let key = (timing.operation, timing.kernel, timing.element, timing.constants.clone());
        by_kernel.entry(key).or_default().add(timing);
        whole.add(timing);
    }
    let mut shares: Vec<_> = by_kernel.into_iter().collect();
    shares.sort_by(|(_, left), (_, right)| right.seconds.total_cmp(&left.seconds));
    (shares, whole)
}

/// Prints where the time of `steps` steps went.
pub fn show(
    session: &Session,
    bench: &str,
    timings: &[Timing],
    steps: u64,
    (remark, as_json): (&str, bool),
    out: &mut dyn Write,
) {
    let (shares, whole) = shares(timings);
    let a_step = 1.0 / steps as f64;
    if as_json {
        let rows = shares.iter().map(|(key, share)| json_row(key, share, whole, a_step)).collect();
        print(out, &format!("{:#}", session.json(bench, rows)));
        return;
    }
    let remark = format!(
        "{remark}; mean of {steps} steps; FLOPs and bytes are those that the engine counts for its plans, not measured ones"
    );
    print(out, &session.head(&remark));
    print(out, &table::head(&COLUMNS));
    for (key, share) in &shares {
        print(out, &table::line(&COLUMNS, &cells(key, share, whole, a_step)));
    }
    let all: Key = ("all", "", "", Arc::from([]));
    print(out, &table::line(&COLUMNS, &cells(&all, &whole, whole, a_step)));
}

fn cells((operation, kernel, element, constants): &Key, share: &Share, whole: Share, a_step: f64) -> Vec<String> {
    let variant: Vec<String> = constants.iter().map(|(name, value)| format!("{name}={value}")).collect();
    vec![
        operation.to_string(),
        kernel.to_string(),
        element.to_string(),
        number(share.dispatches as f64 * a_step),
        number(1e3 * share.seconds * a_step),
        percent(Some(share.seconds / whole.seconds)),
        number(share.flops / share.seconds / 1e12),
        number(share.bytes / share.seconds / 1e9),
        variant.join(" "),
    ]
}

fn json_row((operation, kernel, element, constants): &Key, share: &Share, whole: Share, a_step: f64) -> Value {
    json!({
        "operation": operation,
        "kernel": kernel,
        "type": element,
        "variant": constants.iter().map(|&(name, value)| (name, value)).collect::<BTreeMap<_, _>>(),
        "dispatches_per_step": share.dispatches as f64 * a_step,
        "milliseconds_per_step": 1e3 * share.seconds * a_step,
        "share": share.seconds / whole.seconds,
        "flops_per_step": share.flops * a_step,
        "bytes_per_step": share.bytes * a_step,
        "tflops": share.flops / share.seconds / 1e12,
        "gigabytes_per_second": share.bytes / share.seconds / 1e9,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_engine::device::gpu::Cost;

    fn timing(kernel: &'static str, first_workgroup: usize, seconds: f64) -> Timing {
        let cost = Cost { flops: 3.0, bytes: 5.0 };
        Timing { operation: "add", kernel, first_workgroup, seconds, cost, ..Timing::default() }
    }

    #[test]
    fn parts_of_a_dispatch_are_added_and_counted_once() {
        let (shares, whole) = shares(&[timing("a", 0, 1.0), timing("b", 0, 2.0), timing("b", 7, 3.0)]);
        assert_eq!(shares[0].0.1, "b");
        assert_eq!(shares[0].1, Share { dispatches: 1, seconds: 5.0, flops: 6.0, bytes: 10.0 });
        assert_eq!(shares[1].1, Share { dispatches: 1, seconds: 1.0, flops: 3.0, bytes: 5.0 });
        assert_eq!(whole, Share { dispatches: 2, seconds: 6.0, flops: 9.0, bytes: 15.0 });
        let cells = cells(&shares[0].0, &shares[0].1, whole, 0.5);
        assert_eq!(cells[3..6], ["0.500", "2500", "83.3"]);
    }
}
