//! Dispatches as a trace in Chrome's format, which Perfetto reads too: one track of kernels, one of operations, one of
//! submissions. Times are microseconds of the device's clock from the first dispatch on.
//!
//! The format: "Trace Event Format", complete events (`"ph": "X"`).

use std::collections::BTreeMap;

use gradus_engine::device::gpu::Timing;
use serde_json::{Value, json};

const PROCESS: u32 = 1;
const KERNELS: u32 = 1;
const OPERATIONS: u32 = 2;
const SUBMISSIONS: u32 = 3;

/// The trace, with `title` as the name of the process.
pub(super) fn of(timings: &[Timing], title: &str) -> Value {
    let start = timings.iter().map(|timing| timing.begun).fold(f64::INFINITY, f64::min);
    let mut events = vec![named("process_name", 0, title)];
    for (track, name) in [(KERNELS, "kernels"), (OPERATIONS, "operations"), (SUBMISSIONS, "submissions")] {
        events.push(named("thread_name", track, name));
    }
    events.extend(timings.iter().map(|timing| {
        let variant: BTreeMap<_, _> = timing.constants.iter().copied().collect();
        let arguments = json!({
            "operation": timing.operation,
            "type": timing.element,
            "variant": variant,
            "first_workgroup": timing.first_workgroup,
            "flops": timing.cost.flops,
            "bytes": timing.cost.bytes,
        });
        let span = (timing.begun, timing.begun + timing.seconds);
        complete(KERNELS, timing.kernel, span, start, arguments)
    }));
    let operations = spans(timings, |timing| timing.operation);
    events.extend(operations.map(|(name, span)| complete(OPERATIONS, name, span, start, json!({}))));
    let submissions = spans(timings, |timing| timing.submission);
    events.extend(
        submissions
            .map(|(number, span)| complete(SUBMISSIONS, &format!("submission {number}"), span, start, json!({}))),
    );
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

/// Neighbours of the same kind, from the beginning of the first to the end of the last.
fn spans<'a, T: PartialEq + 'a>(
    timings: &'a [Timing],
    kind: impl Fn(&Timing) -> T + Copy + 'a,
) -> impl Iterator<Item = (T, (f64, f64))> + 'a {
    timings.chunk_by(move |one, next| kind(one) == kind(next)).map(move |group| {
        let begun = group.iter().map(|timing| timing.begun).fold(f64::INFINITY, f64::min);
        let ended = group.iter().map(|timing| timing.begun + timing.seconds).fold(begun, f64::max);
        (kind(&group[0]), (begun, ended))
    })
}

fn named(what: &str, track: u32, name: &str) -> Value {
    json!({ "ph": "M", "name": what, "pid": PROCESS, "tid": track, "args": { "name": name } })
}

fn complete(track: u32, name: &str, (begun, ended): (f64, f64), start: f64, arguments: Value) -> Value {
    let micro = |seconds: f64| (seconds * 1e9).round() / 1e3;
    json!({
        "ph": "X",
        "name": name,
        "pid": PROCESS,
        "tid": track,
        "ts": micro(begun - start),
        "dur": micro(ended - begun),
        "args": arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(operation: &'static str, submission: usize, begun: f64) -> Timing {
        Timing { operation, kernel: "k", submission, begun, seconds: 2e-6, ..Timing::default() }
    }

    #[test]
    fn dispatches_lie_where_the_clock_saw_them_and_neighbours_are_joined() {
        let timings = [timing("a", 0, 5.0), timing("a", 0, 5.0 + 3e-6), timing("b", 1, 5.0 + 8e-6)];
        let trace = of(&timings, "card");
        let events = trace["traceEvents"].as_array().unwrap();
        let on = |track: u32| -> Vec<(String, f64, f64)> {
            let events = events.iter().filter(|event| event["ph"] == "X" && event["tid"] == track);
            let span = |event: &Value| (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
            events.map(|event| (event["name"].as_str().unwrap().into(), span(event).0, span(event).1)).collect()
        };
        let entry = |name: &str, at, long| (name.to_string(), at, long);
        assert_eq!(on(KERNELS), [entry("k", 0.0, 2.0), entry("k", 3.0, 2.0), entry("k", 8.0, 2.0)]);
        assert_eq!(on(OPERATIONS), [entry("a", 0.0, 5.0), entry("b", 8.0, 2.0)]);
        assert_eq!(on(SUBMISSIONS), [entry("submission 0", 0.0, 5.0), entry("submission 1", 8.0, 2.0)]);
        assert_eq!(events[0]["args"]["name"], "card");
        assert!(of(&[], "").is_object());
    }
}
