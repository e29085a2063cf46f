//! Parameters, FLOPs and bytes against the authors' functions.

mod reference;

use gradus_fit::counts::{
    Architecture, AttentionCount, CellCount, CellForm, Inference, Shape, cell_bytes, cell_flops, feed_forward_size,
};
use reference::read;

#[track_caller]
fn same(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{what}: {found} is not {expected}");
}

#[test]
fn worked_examples() {
    let shape = |architecture, d_model, blocks, heads, d_query, d_value, d_ff| Shape {
        architecture,
        d_model,
        blocks,
        heads,
        key_value_heads: heads,
        d_query,
        d_value,
        d_ff,
        vocabulary: 50304,
        tied: false,
    };
    let small = shape(Architecture::Xlstm, 768, 12, 6, 64, 128, 2112);
    assert_eq!(small.parameters(), 164_110_224);
    let forward = |s: &Shape, t| s.forward_flops(t, CellCount::First, AttentionCount::Causal).total();
    same(forward(&small, 8192), 2_090_649_498_624.0, "160M forward");
    let large = shape(Architecture::Xlstm, 4096, 32, 8, 256, 512, 10944);
    assert_eq!(large.parameters(), 6_865_424_896);
    let large = Inference { shape: large, batch: 1.0 };
    same(large.prefill_flops(2048.0), 26_787_085_307_904.0, "7B prefill FLOPs");
    same(large.prefill_bytes(2048.0), 32_421_866_752.0, "7B prefill bytes");
    same(large.step_flops(0.0), 13_520_072_192.0, "7B step FLOPs");
    same(large.step_bytes(0.0), 13_594_668_288.0, "7B step bytes");
    let llama = shape(Architecture::Transformer, 4096, 32, 32, 128, 128, 10944);
    let llama = Inference { shape: llama, batch: 1.0 };
    same(llama.prefill_flops(2048.0), 27_869_956_590_796.8, "Transformer prefill FLOPs");
    same(llama.prefill_bytes(2048.0), 25_687_615_744.0, "Transformer prefill bytes");
    same(llama.step_bytes_over(16384.0, 100.0), 8_754_664_171.52, "Transformer step bytes");
    assert_eq!(feed_forward_size(Architecture::Xlstm, 768), 2112);
    assert_eq!(feed_forward_size(Architecture::Transformer, 768), 2048);
    same(llama.shape.state_bytes(1), 524_288.0, "cache a token");
}

#[test]
fn training_counts_are_the_authors() {
    let Some(table) = read("accounting_training.csv") else { return };
    for row in &table.rows {
        let shape = table.shape(row, "d_ff");
        assert_eq!(shape.parameters(), table.whole(row, "n_params"));
        let context = table.whole(row, "ctx");
        let forward = shape.forward_flops(context, CellCount::First, AttentionCount::Causal);
        for (found, column) in [
            (forward.total(), "forward_flops"),
            (forward.linear, "linear"),
            (forward.mixing, "sequence_mix"),
            (forward.other, "other"),
        ] {
            same(found, table.number(row, column), column);
        }
        same(shape.training_flops(context, 1.0), table.number(row, "train_flops_per_sequence"), "training");
        let other = shape.forward_flops(context, CellCount::Tiled, AttentionCount::Full).total();
        same(other, table.number(row, "forward_flops_alt_mode"), "other count");
    }
}

#[test]
fn cell_counts_are_the_authors() {
    let Some(table) = read("accounting_mlstm_cell.csv") else { return };
    for row in &table.rows {
        let [t, h, q, v, causal] = ["T", "n_heads", "d_qk", "d_hv", "f_causal"]
            .map(|c| if table.text(row, c).is_empty() { 1.0 } else { table.number(row, c) });
        let form = match table.text(row, "form") {
            "chunkwise" => CellForm::Chunkwise(table.whole(row, "L")),
            "recurrent" => CellForm::Recurrent,
            _ => CellForm::Parallel,
        };
        same(cell_flops(form, t, h, q, v, causal), table.number(row, "flops"), "FLOPs");
        if let Some(bytes) = cell_bytes(form, t, h, q, v) {
            same(bytes, table.number(row, "bytes"), "bytes");
        }
    }
}

#[test]
fn inference_counts_are_the_authors() {
    let Some(table) = read("accounting_inference.csv") else { return };
    for row in &table.rows {
        let shape = table.shape(row, "d_ff");
        let at = Inference { shape, batch: table.number(row, "batch") };
        let prefill = table.number(row, "prefill");
        same(at.prefill_flops(prefill), table.number(row, "prefill_flops"), "prefill FLOPs");
        same(at.prefill_bytes(prefill), table.number(row, "prefill_bytes"), "prefill bytes");
        same(at.step_bytes_over(prefill, 100.0), table.number(row, "step_bytes_as_fitted"), "step bytes as fitted");
        same(at.step_bytes(prefill), table.number(row, "step_bytes_one_step"), "step bytes");
        if shape.architecture == Architecture::Xlstm {
            same(at.step_flops(prefill), table.number(row, "step_flops_as_coded"), "step FLOPs");
        }
        let state = at.batch * shape.state_bytes(prefill as u64);
        same(state, table.number(row, "state_or_kv_bytes"), "state");
    }
}

#[test]
fn every_run_has_its_parameters_and_flops_from_its_shape() {
    let Some(table) = read("runs.csv") else { return };
    let mut total = 0.0;
    for row in &table.rows {
        let shape = table.shape(row, "d_ff");
        assert_eq!(shape.parameters(), table.whole(row, "n_params"));
        let sequences = table.number(row, "batch_seqs") * table.number(row, "train_steps");
        let flops = shape.training_flops(table.whole(row, "ctx"), sequences);
        let expected = table.number(row, "flops_train");
        assert!(
            (flops - expected).abs() <= 1e-9 * expected,
            "{}: {flops} is not {expected}",
            table.text(row, "run_id")
        );
        total += flops;
    }
    println!("{} runs, {total:.6e} FLOPs", table.rows.len());
}

/// Grouped keys and values and a tied head, which the paper's models do not have: counted by hand.
#[test]
fn grouped_heads_and_tied_embeddings() {
    let mut shape = Shape {
        architecture: Architecture::Transformer,
        d_model: 8,
        blocks: 2,
        heads: 4,
        key_value_heads: 4,
        d_query: 2,
        d_value: 2,
        d_ff: 16,
        vocabulary: 10,
        tied: false,
    };
    let whole = shape;
    shape.key_value_heads = 1;
    // Keys and values of three heads, 2 + 2 wide, in two blocks.
    assert_eq!(whole.parameters() - shape.parameters(), 2 * 3 * 4 * 8);
    let forward = |s: &Shape| s.forward_flops(6, CellCount::First, AttentionCount::Causal);
    same(forward(&whole).linear - forward(&shape).linear, 2.0 * 6.0 * 2.0 * 3.0 * 4.0 * 8.0, "linear");
    same(forward(&whole).mixing, forward(&shape).mixing, "every query head still attends");
    same(whole.state_bytes(6) / 4.0, shape.state_bytes(6), "cache");
    let step = |shape| Inference { shape, batch: 1.0 }.step_bytes(5.0);
    // The cache of three heads for 6 tokens, their weights, and what they compute, 2 bytes each.
    same(step(whole) - step(shape), 2.0 * 2.0 * (3.0 * 4.0 * 6.0 + 3.0 * 4.0 * 8.0 + 3.0 * 4.0), "step");
    shape.tied = true;
    assert_eq!(whole.parameters() - shape.parameters(), 2 * 3 * 4 * 8 + 10 * 8);
}
