//! Several documents in one sequence are as if each were alone.

use super::*;

/// Resets [batch, sequence] at the same positions of every batch element.
pub(super) fn resets(batch: usize, sequence: usize, at: &[usize]) -> Input {
    let one = (0..sequence).map(|t| usize::from(at.contains(&t)));
    Input::index(&[batch, sequence], &one.cycle().take(batch * sequence).collect::<Vec<_>>())
}

/// Rows `from` to `to` of [1, sequence, ...].
fn rows(data: &[f64], sequence: usize, from: usize, to: usize) -> &[f64] {
    let row = data.len() / sequence;
    &data[from * row..to * row]
}

/// Where documents begin, with chunks of 16 or 32: at a chunk's first, second and last position, one position long and longer
/// than a chunk; the first borders cut off a given state at once, or after three positions.
const BORDERS: [&[usize]; 2] = [&[0, 1, 2, 16, 32, 37, 38, 63, 104], &[3, 31, 64, 65, 66]];
const SEQUENCE: usize = 110;

#[test]
fn documents_are_as_if_alone() {
    for (borders, input_gate) in
        BORDERS.into_iter().flat_map(|b| [(b, InputGate::Exponential), (b, InputGate::Sigmoid { normalize: true })])
    {
        let mut draw = Draw::new(23, 0);
        let state = inputs(&mut draw, SEQUENCE, [-3.0, 3.0], [-2.0, 6.0]);
        let mut all = state.clone();
        all.push(resets(1, SEQUENCE, borders));
        let d_h = draw.normals(&[1, SEQUENCE, 2, 37], 0.0, 1.0);
        let after = [&[1, 2, 20, 37][..], &[1, 2, 20], &[1, 2]].map(|sizes| draw.normals(sizes, 0.0, 1.0));
        let upstream: Vec<Input> = [d_h.clone()].into_iter().chain(after.clone()).collect();
        let operation = Mlstm { chunk_size: 32, epsilon: 0.0, input_gate, final_state: true };
        let starts: Vec<usize> = [0].into_iter().chain(borders.iter().copied().filter(|&at| at > 0)).collect();
        for (device, dtype, tolerance) in targets() {
            let tolerance = if dtype == DType::F64 { 1e-11 } else { tolerance };
            let (outputs, gradients) = evaluate((&device, dtype), operation, &all, &upstream);
            let h = outputs[0].to_f64().unwrap();
            for (document, &from) in starts.iter().enumerate() {
                let to = starts.get(document + 1).copied().unwrap_or(SEQUENCE);
                let part = |input: &Input| {
                    let mut sizes = input.array.sizes.clone();
                    sizes[1] = to - from;
                    Input::float(&sizes, rows(&input.array.data, SEQUENCE, from, to).to_vec())
                };
                let given = from == 0 && borders[0] > 0;
                let mut alone: Vec<Input> = state[..5].iter().map(part).collect();
                if given {
                    alone.extend(state[5..].iter().cloned());
                }
                let mut from_above = vec![part(&d_h)];
                if to == SEQUENCE {
                    from_above.extend(after.iter().cloned());
                }
                let (expected_outputs, expected) = evaluate((&device, dtype), operation, &alone, &from_above);
                let what = format!("{device:?} {dtype} {input_gate:?} {borders:?} document {document}");
                let error = relative_error(rows(&h, SEQUENCE, from, to), &expected_outputs[0].to_f64().unwrap());
                assert!(error <= tolerance, "{what} h: {error:e}");
                let scale = expected.iter().flatten().fold(0.0, |most: f64, x| most.max(x.abs()));
                for place in 0..5 {
                    let mut got = rows(&gradients[place], SEQUENCE, from, to).to_vec();
                    let mut expected = expected[place].clone();
                    if place == 4 && borders.contains(&from) {
                        // Alone, the first forget gate moves m from its start at 0.
                        assert_eq!(got[..2], [0.0, 0.0], "{what}: forget gates at a border");
                        got[..2].fill(0.0);
                        expected[..2].fill(0.0);
                    }
                    // The final m of a document alone starts from 0, so that its gradient goes elsewhere.
                    if to == SEQUENCE && matches!(place, 3 | 4) {
                        continue;
                    }
                    let error = got.iter().zip(&expected).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()));
                    assert!(error <= tolerance * scale, "{what} gradient {place}: {error:e} of {scale}");
                }
                for place in 5..8 {
                    let exact = if given { expected[place].clone() } else { vec![0.0; gradients[place].len()] };
                    if from == 0 && !given {
                        assert_eq!(gradients[place], exact, "{what}: a state that is cut off");
                    } else if given {
                        let error = gradients[place].iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                        assert!(error <= tolerance * scale, "{what} gradient {place}: {error:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_of_a_document_moves_a_bit_of_another() {
    let border = 37;
    for input_gate in [InputGate::Exponential, InputGate::Sigmoid { normalize: true }] {
        let mut draw = Draw::new(5, 0);
        let mut first = inputs(&mut draw, SEQUENCE, [-3.0, 3.0], [-2.0, 6.0]);
        let mut second = inputs(&mut draw, SEQUENCE, [-3.0, 3.0], [-2.0, 6.0]);
        first.push(resets(1, SEQUENCE, &[border]));
        second.push(resets(1, SEQUENCE, &[border, 41, 80]));
        let d_h = [(); 2].map(|()| draw.normals(&[1, SEQUENCE, 2, 37], 0.0, 1.0).array.data);
        // The first problem's document before the border, with the second's behind it, and the reverse.
        let join = |early: &Input, late: &Input| {
            let (sizes, row) = (&early.array.sizes, early.array.data.len() / SEQUENCE);
            let data = [&early.array.data[..border * row], &late.array.data[border * row..]].concat();
            Input { array: Array::new(sizes, data), ..early.clone() }
        };
        let mixed: Vec<Input> = (0..9)
            .map(
                |place| {
                    if (5..8).contains(&place) { first[place].clone() } else { join(&first[place], &second[place]) }
                },
            )
            .collect();
        let ups = d_h.each_ref().map(|data| Input::float(&[1, SEQUENCE, 2, 37], data.clone()));
        let up = join(&ups[0], &ups[1]);
        let operation = Mlstm { chunk_size: 32, epsilon: 1e-6, input_gate, final_state: false };
        for (device, dtype, _) in targets() {
            let run = |inputs: &[Input], up: &Input| {
                let (outputs, mut gradients) = evaluate((&device, dtype), operation, inputs, std::slice::from_ref(up));
                gradients.insert(0, outputs[0].to_f64().unwrap());
                gradients
            };
            let (one, other, both) = (run(&first, &ups[0]), run(&second, &ups[1]), run(&mixed, &up));
            for place in 0..6 {
                let early = |all: &[Vec<f64>]| rows(&all[place], SEQUENCE, 0, border).to_vec();
                let late = |all: &[Vec<f64>]| rows(&all[place], SEQUENCE, border, SEQUENCE).to_vec();
                assert_eq!(early(&both), early(&one), "{device:?} {dtype} {input_gate:?} {place} before the border");
                assert_eq!(late(&both), late(&other), "{device:?} {dtype} {input_gate:?} {place} behind the border");
            }
            assert_eq!(both[6..], one[6..], "{device:?} {dtype} {input_gate:?}: the initial state");
        }
    }
}

#[test]
fn steps_with_resets_follow_the_whole() {
    let sequence = 9;
    let gates =
        [InputGate::Exponential, InputGate::Sigmoid { normalize: true }, InputGate::Sigmoid { normalize: false }];
    for (input_gate, half) in gates.into_iter().flat_map(|gate| [(gate, false), (gate, true)]) {
        let mut draw = Draw::new(31, 0);
        let mut all = inputs(&mut draw, sequence, [-3.0, 3.0], [-2.0, 6.0]);
        if half {
            all[..3].iter_mut().for_each(|input| *input = input.clone().half());
        }
        let reset = resets(1, sequence, &[2, 3, 7]);
        let options = Options { input_gate, ..Options::default() };
        // Of the step, this is the only test in f16.
        let runs = |(device, ..): &(Device, DType, f64)| !half || half_missing(device).is_none();
        for (device, dtype, tolerance) in targets().into_iter().filter(runs) {
            let var = |input: &Input| Var::constant(input.tensor(&device, dtype).unwrap());
            let start = || State { memory: var(&all[5]), normalizer: var(&all[6]), stabilizer: var(&all[7]) };
            let [q, k, v, i, f] = [0, 1, 2, 3, 4].map(|place| var(&all[place]));
            let whole = Inputs { query: &q, key: &k, value: &v, input_gate: &i, forget_gate: &f };
            let (before, reset_var) = (start(), var(&reset));
            let extras = Extras { before: Some(&before), reset: Some(&reset_var), final_state: true };
            let (h, after) = mlstm_with(whole, extras, options).unwrap();
            let (h, after) = (h.tensor().to_f64().unwrap(), after.unwrap());
            let mut state = start();
            for t in 0..sequence {
                let part = |input: &Input| {
                    let mut sizes = input.array.sizes.clone();
                    sizes[1] = 1;
                    let data = rows(&input.array.data, sequence, t, t + 1).to_vec();
                    var(&Input { array: Array::new(&sizes, data), ..input.clone() })
                };
                let [q, k, v, i, f] = [0, 1, 2, 3, 4].map(|place| part(&all[place]));
                let inputs = Inputs { query: &q, key: &k, value: &v, input_gate: &i, forget_gate: &f };
                let (one, next) = mlstm_step_with(inputs, &state, Some(&part(&reset)), options).unwrap();
                let error = relative_error(&one.tensor().to_f64().unwrap(), rows(&h, sequence, t, t + 1));
                assert!(error <= tolerance, "{device:?} {dtype} {input_gate:?} step {t}: {error:e}");
                state = next;
            }
            let pairs = [
                (&state.memory, &after.memory),
                (&state.normalizer, &after.normalizer),
                (&state.stabilizer, &after.stabilizer),
            ];
            for (one, whole) in pairs {
                let (one, whole) = (one.tensor().to_f64().unwrap(), whole.tensor().to_f64().unwrap());
                let most = whole.iter().fold(1e-30, |most: f64, x| most.max(x.abs()));
                assert!(one.iter().zip(&whole).all(|(a, b)| (a - b).abs() <= tolerance * most), "{device:?} {dtype}");
            }
        }
    }
}
