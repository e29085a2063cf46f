//! What does not fit is an error with the operation's name and every shape or type, for every operation of the table: never a
//! panic, never a number.

mod device;

use gradus_engine::check::{Case, Draw, TABLE};
use gradus_engine::device::gpu::Options;
use gradus_engine::operation::run;
use gradus_engine::{DType, Device, Error, Spec, Tensor};

fn cases() -> impl Iterator<Item = Case> {
    TABLE.iter().flat_map(|row| (0..3).map(|seed| (row.draw)(&mut Draw::new(seed, 64))))
}

fn tensor(device: &Device, sizes: &[usize], dtype: DType) -> Tensor {
    Tensor::zeros(device, Spec::new(sizes, dtype).unwrap()).unwrap()
}

/// The inputs of a case as zeros, floats in f32.
fn inputs(case: &Case, device: &Device) -> Vec<Tensor> {
    let dtype = |index: bool| if index { DType::U32 } else { DType::F32 };
    case.inputs.iter().map(|input| tensor(device, &input.array.sizes, dtype(input.index))).collect()
}

fn attempt(case: &Case, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    run(&*case.operation, &inputs.iter().collect::<Vec<_>>())
}

fn expect_named(case: &Case, error: &Error) {
    let message = error.to_string();
    let name = case.operation.name();
    // Gated and plain forms of one operation may share the head of their names.
    assert!(message.starts_with(name) || name.starts_with(message.split(':').next().unwrap()), "{name}: {message}");
}

#[test]
fn a_type_that_an_operation_has_not_is_refused() {
    for case in cases() {
        for place in 0..case.inputs.len() {
            for dtype in [DType::U32, DType::F64, DType::F32, DType::F16] {
                let mut inputs = inputs(&case, &Device::cpu());
                let before = inputs[place].dtype();
                inputs[place] = tensor(&Device::cpu(), inputs[place].sizes(), dtype);
                match attempt(&case, &inputs) {
                    Ok(_) => {
                        // The only float may have either type, and what only moves numbers takes any; floats must be alike.
                        let floats = case.inputs.iter().filter(|input| !input.index).count();
                        let alone = case.inputs.len() == 1 || (floats == 1 && dtype == DType::F64);
                        let fits = dtype == before || alone;
                        assert!(fits, "{}: input {place} as {dtype} was taken", case.describe());
                    }
                    Err(error) => {
                        expect_named(&case, &error);
                        let taken = format!("{error}");
                        assert!(taken.contains(dtype.name()), "{}: {taken} does not say {dtype}", case.describe());
                    }
                }
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for case in cases() {
        let good = inputs(&case, &Device::cpu());
        assert!(attempt(&case, &[]).is_err(), "{}: no inputs were taken", case.describe());
        let more: Vec<Tensor> = good.iter().cloned().chain(good.first().cloned()).collect();
        if let Ok(outputs) = attempt(&case, &more) {
            // Joining takes any number.
            assert!(!outputs.is_empty());
        }
        for place in 0..good.len() {
            let sizes = good[place].sizes().to_vec();
            let mut changed: Vec<Vec<usize>> =
                vec![[sizes.as_slice(), &[2]].concat(), [&[2], sizes.as_slice()].concat()];
            for dimension in 0..sizes.len() {
                for size in [0, sizes[dimension] + 1, 2 * sizes[dimension]] {
                    let mut sizes = sizes.clone();
                    sizes[dimension] = size;
                    changed.push(sizes);
                }
                let mut fewer = sizes.clone();
                fewer.remove(dimension);
                changed.push(fewer);
            }
            for sizes in changed.into_iter().filter(|sizes| sizes.len() <= gradus_engine::MAX_DIMENSIONS) {
                let mut inputs = good.clone();
                inputs[place] = tensor(&Device::cpu(), &sizes, inputs[place].dtype());
                let specs: Vec<Spec> = inputs.iter().map(Tensor::spec).collect();
                // Either the rule refuses it by name, or the outputs are as the rule says.
                match (case.operation.outputs(&specs), attempt(&case, &inputs)) {
                    (Ok(expected), Ok(outputs)) => {
                        let got: Vec<Spec> = outputs.iter().map(Tensor::spec).collect();
                        assert_eq!(got, expected, "{} with {specs:?}", case.describe());
                    }
                    (_, Err(error)) => expect_named(&case, &error),
                    (Err(error), Ok(_)) => panic!("{}: ran although {error}", case.describe()),
                }
            }
        }
    }
}

#[test]
fn tensors_of_two_devices_are_refused() {
    let Some(gpu) = device::open(Options::from_environment()) else { return };
    for case in cases() {
        let good = inputs(&case, &Device::cpu());
        for place in 0..good.len() {
            let mut inputs = good.clone();
            inputs[place] = inputs[place].to_device(&gpu).unwrap();
            if inputs.len() == 1 {
                continue;
            }
            let error = attempt(&case, &inputs).unwrap_err();
            expect_named(&case, &error);
            let message = error.to_string();
            assert!(matches!(error, Error::Device { .. }), "{}: {message}", case.describe());
            assert!(message.contains("on cpu") && message.contains("on gpu"), "{message}");
        }
    }
}
