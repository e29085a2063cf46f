//! Causal attention, forward.

use gradus_engine::ops::arithmetic::add;
use gradus_engine::ops::attention::attention;
use gradus_engine::ops::matmul::{MatMul, matmul};
use gradus_engine::ops::permute::transpose;
use gradus_engine::ops::softmax::softmax;
use gradus_engine::ops::unary::scale;
use gradus_engine::tape::apply_one;
use gradus_engine::{Result, Tensor, Var};

use super::{Rung, Subject};
use crate::bench::inputs::{Input, Rotation};
use crate::bench::kernels::attention_flops;
use crate::bench::session::Session;
use crate::bench::stopwatch::Launch;

/// Stands for −∞.
const MASKED: f32 = -1e30;

/// The rungs for [4, 1024, 8, 64], its sequence divided by `part`.
pub fn subject(part: usize) -> Subject {
    let sizes = [if part == 1 { 4 } else { 1 }, 1024 / part, 8, 64];
    let [batch, sequence, heads, head_dim] = sizes;
    let rungs = vec![
        Rung {
            name: "plain".into(),
            lesson: "products, mask and softmax one after the other, all scores in memory",
            half: false,
            prepare: Box::new(move |session| {
                let mask = mask(session, sequence)?;
                launch(session, sizes, false, move |inputs| plain(inputs, &mask))
            }),
        },
        Rung {
            name: "flash".into(),
            lesson: "scores live in registers for a tile of keys at a time; masked tiles are left out",
            half: false,
            prepare: Box::new(move |session| launch(session, sizes, false, |i| attention(&i[0], &i[1], &i[2]))),
        },
        Rung {
            name: "flash, f16".into(),
            lesson: "half the bytes; on matrix units where the adapter has them",
            half: true,
            prepare: Box::new(move |session| launch(session, sizes, true, |i| attention(&i[0], &i[1], &i[2]))),
        },
    ];
    Subject {
        name: "attention",
        sizes: format!("{sizes:?}"),
        flops: attention_flops(batch, heads, sequence, head_dim),
        rungs,
    }
}

fn launch(
    session: &Session,
    sizes: [usize; 4],
    half: bool,
    run: impl Fn(&[Var]) -> Result<Var> + 'static,
) -> Result<Launch> {
    let inputs = [0; 3].map(|_| Input::new(&sizes).in_half(half));
    let inputs = Rotation::new(&session.device, session.is_processor(), &inputs)?;
    Ok(Box::new(move || Ok(run(&inputs.constants())?.into_tensor())))
}

/// [sequence, sequence]: 0 where a row sees a key, else [`MASKED`].
fn mask(session: &Session, sequence: usize) -> Result<Var> {
    let values: Vec<f32> =
        (0..sequence * sequence).map(|place| if place % sequence > place / sequence { MASKED } else { 0.0 }).collect();
    Ok(Tensor::new(&session.device, &[sequence, sequence], &values)?.into())
}

/// softmax(Q·Kᵀ / √D + mask) · V for each head.
fn plain(inputs: &[Var], mask: &Var) -> Result<Var> {
    let [query, key, value] = [0, 1, 2].map(|place| transpose(&inputs[place], 1, 2));
    let (query, key, value) = (query?, key?, value?);
    let head_dim = *query.sizes().last().unwrap_or(&1) as f64;
    let scores =
        apply_one(MatMul { transpose_left: false, transpose_right: true, ..Default::default() }, &[&query, &key])?;
    let weights = softmax(&add(&scale(&scores, 1.0 / head_dim.sqrt())?, mask)?)?;
    transpose(&matmul(&weights, &value)?, 1, 2)
}
