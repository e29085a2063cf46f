//! Sizes that do not fit, sizes of 0, and sizes beyond what the kernels address.

use super::*;
use crate::ops::attention::sizes::Sizes;

fn tensor(sizes: &[usize]) -> Var {
    Var::from(Tensor::new(&Device::cpu(), sizes, &vec![0f32; sizes.iter().product()]).unwrap())
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let message =
        |query: &[usize], key: &[usize]| attention(&tensor(query), &tensor(key), &tensor(key)).unwrap_err().to_string();
    assert!(message(&[1, 4, 3, 8], &[1, 4, 2, 8]).contains("multiple"));
    assert!(message(&[1, 4, 3, 8], &[1, 4, 0, 8]).contains("multiple"));
    assert!(message(&[1, 4, 2, 8], &[1, 3, 2, 8]).contains("fewer"));
    assert!(
        message(&[1, 4, 2, 257], &[1, 4, 2, 257])
            .contains("is 257; it must be 1 to 256, and the nearest that works is 256")
    );
    assert!(message(&[1, 4, 2, 0], &[1, 4, 2, 0]).contains("1 to 256, and the nearest that works is 1:"));
    assert!(message(&[1, 4, 2, 8], &[1, 4, 2, 7]).contains("agree"));
    assert!(message(&[1, 4, 2, 8], &[2, 4, 2, 8]).contains("[1, 4, 2, 8], key [2, 4, 2, 8]"));
    assert!(message(&[4, 2, 8], &[4, 2, 8]).contains("[batch, sequence, heads, head_dim]"));
    let (query, key) = (tensor(&[1, 4, 2, 8]), tensor(&[1, 6, 2, 8]));
    let options = |length| AttentionOptions { key_length: Some(length) };
    for length in [3, 7] {
        let error = attention_with(options(length), &query, &key, &key).unwrap_err().to_string();
        assert!(error.contains(&format!("{length} keys are used")), "{error}");
    }
    let first_key = |sizes: &[usize]| {
        let zeros = vec![0u32; sizes.iter().product()];
        Var::from(Tensor::new(&Device::cpu(), sizes, &zeros).unwrap())
    };
    let documents =
        |first_key: &Var| attention_documents(options(6), &query, &key, &key, first_key).map(|_| ()).unwrap_err();
    assert!(documents(&first_key(&[4])).to_string().contains("[batch, queries], it is [4]"));
    assert!(documents(&first_key(&[1, 6])).to_string().contains("[batch, queries], it is [1, 6]"));
    assert!(documents(&tensor(&[1, 4])).to_string().contains("first_key must be u32, it is f32"));
}

#[test]
fn sizes_of_zero_are_right() {
    // Batch, queries, keys, heads, kv heads.
    let all = [
        [0, 3, 4, 2, 1],
        [2, 0, 5, 2, 1],
        [2, 0, 0, 2, 1],
        [2, 3, 4, 0, 1],
        [0, 0, 0, 0, 2],
        [0, 1, 4, 2, 1],
        [2, 1, 4, 0, 1],
    ];
    for [batch, queries, keys, heads, kv_heads] in all {
        let inputs = inputs(1, [batch, queries, heads, 8], keys, kv_heads, 1.0);
        let d_output = Input::float(&[batch, queries, heads, 8], vec![1.0; batch * queries * heads * 8]);
        let first_key = Input::index(&[batch, queries], &vec![0; batch * queries]);
        for case in [plain(inputs.clone()), with_documents(AttentionOptions::default(), inputs, first_key)] {
            for device in devices() {
                // A block of memory that held something else before.
                drop(Tensor::new(&device, &[batch * keys * kv_heads * 8], &vec![7f32; batch * keys * kv_heads * 8]));
                let found = compute(&case, &d_output, &device, DType::F32);
                assert!(found[0].is_empty() && found[2].is_empty());
                for d_key in &found[3..] {
                    assert_eq!(d_key[..], vec![0.0; batch * keys * kv_heads * 8], "{} on {device:?}", case.describe());
                }
            }
        }
    }
}

#[test]
fn more_elements_than_the_kernels_address_are_refused() {
    let addressable = |query: [usize; 4], keys: usize, kv_heads: usize| {
        let spec = |sizes: &[usize]| Spec::new(sizes, DType::F32).unwrap();
        let key = spec(&[query[0], keys, kv_heads, query[3]]);
        Sizes::new(&Attention::default(), &[spec(&query), key, key]).unwrap().expect_addressable()
    };
    addressable([1 << 5, 1 << 12, 1 << 6, 1 << 8], 1 << 12, 1).unwrap();
    let message = addressable([1 << 5, (1 << 12) + 1, 1 << 6, 1 << 8], 1 << 13, 1).unwrap_err().to_string();
    assert!(message.contains("query [32, 4097, 64, 256] over key [32, 8192, 1, 256]"), "{message}");
    assert!(message.contains("2148007936 elements, more than the 2147483648"), "{message}");
    assert!(addressable([1, 1, 2, 256], (1 << 22) + 1, 2).is_err());
    assert!(addressable([1 << 30, 1, 1, 8], 1 << 19, 1).is_err());
    // Few keys for very many heads: the partial sums of a single step are the largest.
    assert!(addressable([1 << 9, 1, 1 << 16, 4], 1 << 12, 1).is_err());
}
