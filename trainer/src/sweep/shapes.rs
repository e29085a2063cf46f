//! Which models a sweep trains: widths and depths around the predicted optimum of a budget.

use gradus_fit::counts::feed_forward_size;
use gradus_models::configuration::{Architecture, ModelConfiguration, presets};

use super::plan::Plan;
use crate::counting::shape;
use crate::data::tokens::BYTE_VOCABULARY;
use crate::error::Result;

/// Widths are tried up to this many steps, depths up to this many blocks.
const MOST_WIDTHS: usize = 512;
const MOST_BLOCKS: usize = 64;
/// Depths are tried up to this factor from the plan's aspect.
const MOST_STRETCHED: f64 = 2.0;
/// A size may be this far from its place in the grid, as a share of the distance to its neighbour, for a better aspect.
const TOLERANCE: f64 = 0.2;

/// Width that a head has, or nearly: 32 for small models, as `xlstm-tiny` and `llama-tiny`, then as the published runs
/// (64 and 128 for Transformers, 128 and 256 for xLSTMs).
fn head_width(architecture: Architecture, width: usize) -> f64 {
    match (architecture, width) {
        (_, ..256) => 32.0,
        (Architecture::Transformer, ..=1024) => 64.0,
        (Architecture::Xlstm, ..512) => 64.0,
        (Architecture::Xlstm, 1024..) => 256.0,
        _ => 128.0,
    }
}

/// The number of heads: divides the width into even parts as near as can be to the width of a head. `None` where every such
/// part is more than twice as wide, as for a width of two times a prime.
fn heads(architecture: Architecture, width: usize) -> Option<usize> {
    let wanted = head_width(architecture, width);
    let distance = |heads: &usize| (width as f64 / *heads as f64 / wanted).ln().abs();
    let even = (1..=width / 2).filter(|heads| width.is_multiple_of(2 * heads));
    let nearest = even.min_by(|left, right| distance(left).total_cmp(&distance(right)))?;
    (width as f64 / nearest as f64 <= 2.0 * wanted).then_some(nearest)
}

/// The smallest preset of an architecture: what shapes do not say is as there.
fn smallest(architecture: Architecture) -> Result<ModelConfiguration> {
    let name = match architecture {
        Architecture::Xlstm => "xlstm-tiny",
        Architecture::Transformer => "llama-tiny",
    };
    Ok(presets::find(name)?.model)
}

/// The model over bytes of a width, which is cut into `heads`, and of a depth.
fn shaped(base: &ModelConfiguration, width: usize, heads: usize, blocks: usize, context: usize) -> ModelConfiguration {
    let head = width / heads;
    let xlstm = base.architecture == Architecture::Xlstm;
    ModelConfiguration {
        vocab_size: BYTE_VOCABULARY,
        embedding_dim: width,
        num_blocks: blocks,
        num_heads: heads,
        num_key_value_heads: heads,
        v_head_dim: head,
        qk_head_dim: if xlstm { head / 2 } else { head },
        feed_forward_dim: feed_forward_size(shape(base).architecture, width as u64) as usize,
        context_length: context,
        ..base.clone()
    }
}

/// Training FLOPs of one token.
pub fn flops_per_token(model: &ModelConfiguration) -> f64 {
    shape(model).training_flops(model.context_length as u64, 1.0) / model.context_length as f64
}

/// N, both embeddings included.
pub fn parameters(model: &ModelConfiguration) -> u64 {
    model.parameters().total()
}

/// Every model that a sweep may choose, by rising N.
///
/// # Errors
/// If a model has no kernels.
pub fn candidates(plan: &Plan, architecture: Architecture, context: usize) -> Result<Vec<ModelConfiguration>> {
    let base = smallest(architecture)?;
    let mut models = Vec::new();
    for width in (1..=MOST_WIDTHS).map(|step| step * plan.width_step) {
        let Some(heads) = heads(architecture, width) else { continue };
        for blocks in 1..=MOST_BLOCKS {
            let stretched = width as f64 / blocks as f64 / plan.aspect;
            // A narrow model has one block, however narrow it is.
            if stretched < 1.0 / MOST_STRETCHED && blocks > 1 {
                break;
            }
            if stretched <= MOST_STRETCHED {
                let model = shaped(&base, width, heads, blocks, context);
                model.validate()?;
                models.push(model);
            }
        }
    }
    models.sort_by_key(|model| (parameters(model), model.num_blocks));
    Ok(models)
}

/// `plan.sizes` models for a budget, evenly apart in ln N, from N*/√spread to N*·√spread: N* is where the budget gives
/// `plan.tokens_per_parameter` tokens a parameter. Only models of at most `most_flops` a token are taken. Fewer come back
/// where there are not so many different ones.
pub fn around_optimum(
    plan: &Plan,
    budget: f64,
    most_flops: f64,
    candidates: &[ModelConfiguration],
) -> Vec<ModelConfiguration> {
    let log = |model: &ModelConfiguration| (parameters(model) as f64).ln();
    let off = |model: &ModelConfiguration| {
        (budget / flops_per_token(model) / parameters(model) as f64 / plan.tokens_per_parameter).ln().abs()
    };
    let Some(centre) = candidates.iter().min_by(|left, right| off(left).total_cmp(&off(right))) else {
        return Vec::new();
    };
    let apart = plan.spread.ln() / (plan.sizes.max(2) - 1) as f64;
    let target = |place: usize| log(centre) + apart * (place as f64 - (plan.sizes - 1) as f64 / 2.0);
    let affordable: Vec<&ModelConfiguration> =
        candidates.iter().filter(|model| flops_per_token(model) <= most_flops).collect();
    nearest(plan.aspect, (0..plan.sizes).map(target), apart, &affordable)
}

/// A model for each of the sizes that a plan names; fewer come back where two have one nearest model, or one has none near.
pub fn named(plan: &Plan, candidates: &[ModelConfiguration]) -> Vec<ModelConfiguration> {
    let mut targets: Vec<f64> = plan.parameters.iter().map(|size| size.ln()).collect();
    targets.sort_by(f64::total_cmp);
    let apart = targets.windows(2).map(|pair| pair[1] - pair[0]).fold(std::f64::consts::LN_2, f64::min);
    nearest(plan.aspect, targets.into_iter(), apart, &candidates.iter().collect::<Vec<_>>())
}

/// A model for each target of ln N, by rising N: of those that a target has near it, the one that is nearest to the aspect.
/// `apart` is the distance of targets.
fn nearest(
    aspect: f64,
    targets: impl Iterator<Item = f64>,
    apart: f64,
    candidates: &[&ModelConfiguration],
) -> Vec<ModelConfiguration> {
    let mut chosen: Vec<ModelConfiguration> = Vec::new();
    for target in targets {
        let miss = |model: &ModelConfiguration| ((parameters(model) as f64).ln() - target).abs();
        let shape_miss =
            |model: &ModelConfiguration| (model.embedding_dim as f64 / model.num_blocks as f64 / aspect).ln().abs();
        let free = || candidates.iter().copied().filter(|model| !chosen.contains(model));
        let near = free().filter(|model| miss(model) <= TOLERANCE * apart);
        let best = near.min_by(|left, right| shape_miss(left).total_cmp(&shape_miss(right)));
        let nearest = || free().min_by(|left, right| miss(left).total_cmp(&miss(right)));
        // A grid of which two places have one nearest model is too fine for the widths there are.
        if let Some(model) = best.or_else(nearest).filter(|model| miss(model) <= apart) {
            chosen.push(model.clone());
        }
    }
    chosen.sort_by_key(parameters);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_even_parts_near_the_wanted_width() {
        for (width, expected) in [(8, 1), (32, 1), (48, 2), (64, 2), (80, 2), (112, 4), (128, 4), (512, 8)] {
            assert_eq!(heads(Architecture::Transformer, width), Some(expected), "{width}");
        }
        assert_eq!(heads(Architecture::Xlstm, 512), Some(4));
        assert_eq!(heads(Architecture::Xlstm, 2048), Some(8));
        assert_eq!(heads(Architecture::Transformer, 262), None);
    }

    #[test]
    fn sizes_spread_evenly_around_the_optimum() {
        let mut plan = Plan::preset("demo").unwrap();
        plan.sizes = 7;
        for architecture in [Architecture::Xlstm, Architecture::Transformer] {
            let candidates = candidates(&plan, architecture, 128).unwrap();
            for budget in [3e11, 1e12, 1e14] {
                let chosen = around_optimum(&plan, budget, f64::INFINITY, &candidates);
                let sizes: Vec<f64> = chosen.iter().map(|model| parameters(model) as f64).collect();
                assert_eq!(sizes.len(), 7);
                assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{sizes:?}");
                let spread = sizes[6] / sizes[0];
                assert!(spread > 0.6 * plan.spread && spread < 1.6 * plan.spread, "{architecture} {budget}: {sizes:?}");
                let middle = &chosen[3];
                let ratio = budget / flops_per_token(middle) / sizes[3] / plan.tokens_per_parameter;
                assert!((0.6..1.7).contains(&ratio), "{architecture} {budget}: {ratio}");
            }
        }
    }
}
