//! The exact number of parameters of a model, part by part.

use super::{Architecture, ModelConfiguration};

/// Numbers of parameters. Their sum is what the weight file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterCounts {
    /// The embedding: one row a token.
    pub embedding: u64,
    /// Query, key, value and output projections of all blocks, with their biases where they have some; for an xLSTM the gates,
    /// with the biases of input and forget gate, too.
    pub mixing: u64,
    /// The three matrices of every feed-forward layer, with their biases where they have some.
    pub feed_forward: u64,
    /// The scales of all norms, the final one included.
    pub norms: u64,
    /// The output head; 0 where it is the embedding.
    pub output_head: u64,
}

impl ParameterCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.embedding + self.mixing + self.feed_forward + self.norms + self.output_head
    }
}

impl ModelConfiguration {
    /// Counts the parameters. With d = `embedding_dim`, H heads, V tokens and f =
    /// `feed_forward_dim`, a block of an xLSTM has d·H·(2·d_qk + d_v) + 2(dH + H) + 2·d·H·d_v for
    /// mixing, 3·d·f and 2d + H·d_v in norms; a block of a Transformer has d·H·d_qk +
    /// d·H_kv·(d_qk + d_v) + H·d_v·d, 3·d·f and 2d, and in biases, if it has them, H·d_qk +
    /// H_kv·(d_qk + d_v) + d and 2f + d. Outside the blocks are V·d (twice if the
    /// head is not tied) and d. Sizes that [`Self::validate`] refuses may overflow.
    pub fn parameters(&self) -> ParameterCounts {
        let [vocabulary, width, blocks, heads, groups, qk, v, inner] = [
            self.vocab_size,
            self.embedding_dim,
            self.num_blocks,
            self.num_heads,
            self.num_key_value_heads,
            self.qk_head_dim,
            self.v_head_dim,
            self.feed_forward_dim,
        ]
        .map(|size| size as u64);
        let (mixing, feed_forward_biases, norms) = match self.architecture {
            Architecture::Xlstm => {
                let query_key_value = width * heads * (2 * qk + v);
                let input_and_forget_gate = 2 * (width * heads + heads);
                let output_gate_and_projection = 2 * width * heads * v;
                (query_key_value + input_and_forget_gate + output_gate_and_projection, 0, 2 * width + heads * v)
            }
            Architecture::Transformer => {
                let query_and_output = width * heads * (qk + v);
                let mixing_biases = if self.attention_bias { heads * qk + groups * (qk + v) + width } else { 0 };
                let feed_forward_biases = if self.mlp_bias { 2 * inner + width } else { 0 };
                (query_and_output + width * groups * (qk + v) + mixing_biases, feed_forward_biases, 2 * width)
            }
        };
        ParameterCounts {
            embedding: vocabulary * width,
            mixing: blocks * mixing,
            feed_forward: blocks * (3 * width * inner + feed_forward_biases),
            norms: blocks * norms + width,
            output_head: if self.tie_word_embeddings { 0 } else { vocabulary * width },
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::configuration::presets;

    #[test]
    fn published_sizes_are_met() {
        // arXiv 2510.02228 and its public accounting: xLSTM 160M and 7B, Transformer 160M; the
        // fourth there, d = 1024 with 24 blocks, is llama-400m.
        for (name, total) in [
            ("xlstm-160m", 164_110_224),
            ("xlstm-7b", 6_865_424_896),
            ("llama-160m", 162_220_800),
            ("llama-400m", 406_635_520),
        ] {
            assert_eq!(presets::find(name).unwrap().model.parameters().total(), total, "{name}");
        }
    }

    #[test]
    fn parts_of_a_small_model_counted_by_hand() {
        let mut model = presets::find("xlstm-tiny").unwrap().model;
        let counts = model.parameters();
        assert_eq!(counts.embedding, 256 * 128);
        assert_eq!(counts.output_head, 256 * 128);
        // q, k: 64 × 128; v, output gate, output projection: 128 × 128; two gates: 4 × 128 + 4.
        assert_eq!(counts.mixing, 4 * (2 * 64 * 128 + 3 * 128 * 128 + 2 * (4 * 128 + 4)));
        assert_eq!(counts.feed_forward, 4 * 3 * 128 * 384);
        assert_eq!(counts.norms, 4 * 3 * 128 + 128);
        model.tie_word_embeddings = true;
        assert_eq!(model.parameters().total(), counts.total() - 256 * 128);
    }

    #[test]
    fn grouped_heads_have_fewer_keys_and_values() {
        let mut model = presets::find("llama-tiny").unwrap().model;
        let all = model.parameters();
        model.num_key_value_heads = 1;
        // Three of four heads' keys and values, 32 wide each, are gone from four blocks.
        assert_eq!(all.mixing - model.parameters().mixing, 4 * 3 * 2 * 32 * 128);
        assert_eq!(all.norms, 4 * 2 * 128 + 128);
    }

    #[test]
    fn biases_are_counted_by_part() {
        let mut model = presets::find("llama-tiny").unwrap().model;
        model.num_key_value_heads = 2;
        let without = model.parameters();
        (model.attention_bias, model.mlp_bias) = (true, true);
        let with = model.parameters();
        // Four blocks: 128 of queries, 64 of keys, 64 of values, 128 on the way back; twice 384, and 128.
        assert_eq!(with.mixing - without.mixing, 4 * (128 + 64 + 64 + 128));
        assert_eq!(with.feed_forward - without.feed_forward, 4 * (2 * 384 + 128));
        assert_eq!((with.norms, with.embedding), (without.norms, without.embedding));
    }

    #[test]
    fn sizes_are_near_their_names() {
        for preset in presets::all().unwrap() {
            let size = preset.name.rsplit('-').next().unwrap();
            let Some((digits, unit)) = size.split_at_checked(size.len() - 1) else { continue };
            let Ok(value) = digits.parse::<f64>() else { continue };
            let named = value * if unit == "b" { 1e9 } else { 1e6 };
            let total = preset.model.parameters().total() as f64;
            assert!((total / named - 1.0).abs() < 0.06, "{}: {total}", preset.name);
        }
    }
}
