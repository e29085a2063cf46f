use std::collections::HashMap;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;
use crate::configuration::presets;
use crate::hugging_face::SpecialTokens;

/// The devices to test: the CPU, and the first adapter if there is one.
pub(crate) fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    match Device::gpu(0) {
        Ok(gpu) => devices.push(gpu),
        Err(error) => {
            assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but {error}");
            println!("skipped on the GPU: {error}");
        }
    }
    devices
}

fn small(name: &str) -> Model {
    let mut configuration = presets::find(name).unwrap().model;
    configuration.num_blocks = 2;
    Model::new(configuration, &Device::cpu(), 3).unwrap()
}

fn written(name: &str) -> (tempfile::TempDir, Model) {
    let model = small(name);
    let folder = tempfile::tempdir().unwrap();
    for (file, content) in files(&model, &SpecialTokens::default()).unwrap() {
        fs::write(folder.path().join(file), content).unwrap();
    }
    (folder, model)
}

fn same(a: &Model, b: &Model) {
    assert_eq!(a.configuration(), b.configuration());
    for ((a, b), parameter) in a.weights.iter().zip(&b.weights).zip(a.parameters()) {
        assert!(a.to_vec::<f32>().unwrap() == b.to_vec::<f32>().unwrap(), "{}", parameter.name);
    }
}

/// Tensors as bytes by name, to be changed and written again.
type Plain = HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn plain(path: &Path) -> Plain {
    let file = File::open(path).unwrap();
    let tensors = file.tensors().unwrap();
    tensors
        .iter()
        .map(|(name, view)| (name.clone(), (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect()
}

fn store(path: &Path, tensors: &Plain) {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_model_is_read_as_it_was_written() {
    for name in ["xlstm-tiny", "llama-tiny"] {
        let (folder, model) = written(name);
        same(&load(folder.path(), &Device::cpu()).unwrap(), &model);
        assert_eq!(configuration(folder.path()).unwrap(), *model.configuration());
    }
}

#[test]
fn saving_in_shards_and_in_one_file_gives_the_same_model() {
    for name in ["xlstm-tiny", "llama-tiny"] {
        let model = small(name);
        let tokens = SpecialTokens { begin: Some(1), end: vec![2], pad: None };
        let folder = tempfile::tempdir().unwrap();
        save(&model, &tokens, folder.path(), Stored::F32, 300_000).unwrap();
        assert!(folder.path().join(INDEX).is_file() && !folder.path().join(WEIGHTS).exists());
        let shards = fs::read_dir(folder.path()).unwrap().count() - 2;
        assert!(shards > 3, "{shards}");
        same(&load(folder.path(), &Device::cpu()).unwrap(), &model);
        assert_eq!(special_tokens(folder.path()).unwrap(), tokens);
        let other = tempfile::tempdir().unwrap();
        save(&model, &tokens, other.path(), Stored::F32, DEFAULT_SHARD_BYTES).unwrap();
        assert!(other.path().join(WEIGHTS).is_file() && !other.path().join(INDEX).exists());
        same(&load(other.path(), &Device::cpu()).unwrap(), &model);
    }
}

#[test]
fn half_as_many_bytes_give_weights_rounded_once() {
    let model = small("xlstm-tiny");
    for (stored, unit) in [(Stored::F16, 4.9e-4), (Stored::Bf16, 3.91e-3)] {
        let folder = tempfile::tempdir().unwrap();
        save(&model, &SpecialTokens::default(), folder.path(), stored, DEFAULT_SHARD_BYTES).unwrap();
        let text = fs::read_to_string(folder.path().join(CONFIGURATION)).unwrap();
        assert!(text.contains(&format!("\"dtype\": \"{}\"", stored.name())), "{text}");
        for device in devices() {
            let loaded = load(folder.path(), &device).unwrap();
            for (a, b) in loaded.weights.iter().zip(&model.weights) {
                for (a, b) in a.to_vec::<f32>().unwrap().iter().zip(b.to_vec::<f32>().unwrap()) {
                    // Below 6e-5 f16 has steps of 6e-8.
                    assert!((a - b).abs() <= b.abs() * unit + 3e-8, "{a} {b}");
                }
            }
        }
    }
}

/// NX-AI's plain layout: `config.yaml`, numbered files without an index, the embedding under another name.
#[test]
fn the_plain_layout_is_read() {
    let (folder, model) = written("xlstm-tiny");
    let at = folder.path();
    let mut tensors = plain(&at.join(WEIGHTS));
    let embedding = tensors.remove("backbone.embeddings.weight").unwrap();
    tensors.insert("embedding.weight".into(), embedding);
    let names: Vec<String> = tensors.keys().cloned().collect();
    let second: Plain = names[..10].iter().map(|name| (name.clone(), tensors.remove(name).unwrap())).collect();
    fs::remove_file(at.join(WEIGHTS)).unwrap();
    store(&at.join("model_0.safetensors"), &tensors);
    store(&at.join("model_1.safetensors"), &second);
    let c = model.configuration();
    let yaml = format!(
        "embedding_dim: {}\nnum_heads: {}\nnum_blocks: {}\nvocab_size: {}\nffn_proj_factor: 2.667\nweight_mode: \"single\"\n\
         max_position_embeddings: {}\n",
        c.embedding_dim, c.num_heads, c.num_blocks, c.vocab_size, c.context_length
    );
    fs::remove_file(at.join(CONFIGURATION)).unwrap();
    fs::write(at.join(PLAIN_CONFIGURATION), yaml).unwrap();
    same(&load(at, &Device::cpu()).unwrap(), &model);
    fs::rename(at.join("model_1.safetensors"), at.join("model_2.safetensors")).unwrap();
    let error = load(at, &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("shards are missing: model_1.safetensors"), "{error}");
}

/// `weight_mode` "fused": matrices that read the same input are one, the rows in a fixed order.
#[test]
fn fused_matrices_are_cut() {
    let (folder, model) = written("xlstm-tiny");
    let path = folder.path().join(WEIGHTS);
    let mut tensors = plain(&path);
    for block in 0..2 {
        for (fused, parts) in [
            ("mlstm_layer.qkv_opreact.weight", &["q.weight", "k.weight", "v.weight", "ogate_preact.weight"][..]),
            ("mlstm_layer.ifgate_preact.weight", &["igate_preact.weight", "fgate_preact.weight"]),
            ("mlstm_layer.ifgate_preact.bias", &["igate_preact.bias", "fgate_preact.bias"]),
            ("ffn.proj_up_gate_z.weight", &["proj_up_gate.weight", "proj_up.weight"]),
        ] {
            let room = fused.split('.').next().unwrap();
            let (mut rows, mut data, mut shape) = (0, Vec::new(), Vec::new());
            for part in parts {
                let (_, sizes, bytes) = tensors.remove(&format!("backbone.blocks.{block}.{room}.{part}")).unwrap();
                rows += sizes[0];
                data.extend(bytes);
                shape = sizes;
            }
            shape[0] = rows;
            tensors.insert(format!("backbone.blocks.{block}.{fused}"), (Dtype::F32, shape, data));
        }
    }
    store(&path, &tensors);
    same(&load(folder.path(), &Device::cpu()).unwrap(), &model);
    let fused = tensors.get_mut("backbone.blocks.1.ffn.proj_up_gate_z.weight").unwrap();
    fused.1 = vec![fused.1[0] / 2, fused.1[1] * 2];
    store(&path, &tensors);
    let error = load(folder.path(), &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("`backbone.blocks.1.ffn.proj_up_gate_z.weight` has shape [384, 256]"), "{error}");
    assert_eq!(error.matches("proj_up_gate_z").count(), 1, "once for both parts: {error}");
}

#[test]
fn tied_heads_and_rotary_frequencies_may_be_stored() {
    let mut configuration = presets::find("llama-tiny").unwrap().model;
    configuration.tie_word_embeddings = true;
    configuration.num_blocks = 1;
    let model = Model::new(configuration, &Device::cpu(), 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    save(&model, &SpecialTokens::default(), folder.path(), Stored::F32, DEFAULT_SHARD_BYTES).unwrap();
    let path = folder.path().join(WEIGHTS);
    let mut tensors = plain(&path);
    assert!(!tensors.contains_key("lm_head.weight"));
    same(&load(folder.path(), &Device::cpu()).unwrap(), &model);
    tensors.insert("lm_head.weight".into(), tensors["model.embed_tokens.weight"].clone());
    tensors.insert("model.layers.0.self_attn.rotary_emb.inv_freq".into(), (Dtype::F32, vec![1], vec![0; 4]));
    store(&path, &tensors);
    same(&load(folder.path(), &Device::cpu()).unwrap(), &model);
    tensors.get_mut("lm_head.weight").unwrap().2[0] ^= 1;
    store(&path, &tensors);
    let error = load(folder.path(), &Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("`lm_head.weight` is not one of the model's"), "{error}");
}

#[test]
fn damaged_files_are_named() {
    let (folder, model) = written("llama-tiny");
    let refused = |part: &str| {
        let error = load(folder.path(), &Device::cpu()).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    };
    let path = folder.path().join(WEIGHTS);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    refused("truncated");
    fs::write(&path, b"").unwrap();
    refused("model.safetensors");
    let mut named = Named::default();
    for (parameter, tensor) in model.parameters().iter().zip(&model.weights).skip(1) {
        named.add(&parameter.name, tensor).unwrap();
    }
    named.add("foreign.weight", &model.weights[0]).unwrap();
    fs::write(&path, named.to_bytes().unwrap()).unwrap();
    refused("`model.embed_tokens.weight` is missing; tensor `foreign.weight` is not one of the model's");
    fs::write(&path, &bytes).unwrap();
    let mut tensors = plain(&path);
    let entry = tensors.get_mut("model.norm.weight").unwrap();
    entry.0 = Dtype::I32;
    store(&path, &tensors);
    refused("`model.norm.weight` is I32; f32, f16 and bf16 can be read");
    fs::write(&path, &bytes).unwrap();
    let configuration = folder.path().join(CONFIGURATION);
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, text.replace("\"vocab_size\": 256", "\"vocab_size\": 300")).unwrap();
    refused("has shape [256, 128], the configuration says [300, 128]");
    // As many blocks as no memory holds the names of.
    fs::write(&configuration, text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2000000000")).unwrap();
    refused("it has 21 tensors, and");
    fs::remove_file(&configuration).unwrap();
    refused("config.json");
    fs::write(&configuration, &text).unwrap();
    fs::remove_file(&path).unwrap();
    refused("there is no such file");
    fs::write(folder.path().join("pytorch_model.bin"), b"PK").unwrap();
    refused("pytorch_model.bin; only safetensors");
}

/// Biases belong to a model if its configuration says so, in each of the two parts of a block.
#[test]
fn biases_are_looked_for_where_the_configuration_has_them() {
    let mut configuration = presets::find("llama-tiny").unwrap().model;
    (configuration.num_blocks, configuration.num_key_value_heads) = (1, 2);
    (configuration.attention_bias, configuration.mlp_bias) = (true, true);
    let model = Model::new(configuration, &Device::cpu(), 3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    save(&model, &SpecialTokens::default(), folder.path(), Stored::F32, DEFAULT_SHARD_BYTES).unwrap();
    same(&load(folder.path(), &Device::cpu()).unwrap(), &model);
    let refused = |parts: &[&str]| {
        let error = load(folder.path(), &Device::cpu()).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{parts:?}: {error}");
    };
    let path = folder.path().join(CONFIGURATION);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"attention_bias\": true", "\"attention_bias\": false")).unwrap();
    refused(&[
        "`model.layers.0.self_attn.q_proj.bias` is not one of the model's",
        "`model.layers.0.self_attn.o_proj.bias`",
    ]);
    fs::write(&path, text.replace("\"mlp_bias\": true", "\"mlp_bias\": false")).unwrap();
    refused(&["`model.layers.0.mlp.gate_proj.bias` is not one of the model's"]);
    fs::write(&path, &text).unwrap();
    let file = folder.path().join(WEIGHTS);
    let mut tensors = plain(&file);
    tensors.remove("model.layers.0.mlp.down_proj.bias").unwrap();
    let query = tensors["model.layers.0.self_attn.q_proj.bias"].clone();
    tensors.insert("model.layers.0.self_attn.k_proj.bias".into(), query);
    store(&file, &tensors);
    refused(&[
        "`model.layers.0.mlp.down_proj.bias` is missing",
        "`model.layers.0.self_attn.k_proj.bias` has shape [128], the configuration says [64]",
    ]);
}

#[test]
fn damaged_indices_are_named() {
    let model = small("llama-tiny");
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    save(&model, &SpecialTokens::default(), at, Stored::F32, 300_000).unwrap();
    let refused = |part: &str| {
        let error = load(at, &Device::cpu()).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    };
    let index = at.join(INDEX);
    let text = fs::read_to_string(&index).unwrap();
    let change = |from: &str, to: &str| {
        assert!(text.contains(from));
        fs::write(&index, text.replacen(from, to, 1)).unwrap();
    };
    change("\"weight_map\"", "\"weights\"");
    refused("`weight_map` is missing");
    change("{", "");
    refused(INDEX);
    change("\"model.norm.weight\"", "\"model.nowm.weight\"");
    refused("tensor `model.nowm.weight` is not in");
    refused("tensor `model.norm.weight` of");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let file = |tensor: &str| value["weight_map"][tensor].as_str().unwrap().to_owned();
    let (first, last) = (file("model.embed_tokens.weight"), file("lm_head.weight"));
    change(&format!("\"lm_head.weight\": \"{last}\""), &format!("\"lm_head.weight\": \"{first}\""));
    refused("`lm_head.weight` is not in");
    // Two tensors of one file.
    let (norm, gate) = ("model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.weight");
    assert_eq!(file(norm), file(gate));
    change(&format!("\"{norm}\": \"{}\"", file(norm)), &format!("\"{norm}\": \"{last}\""));
    refused(&format!("tensor `{norm}` is in"));
    for way_out in ["../secret.safetensors", "/etc/passwd", "a\\\\b", ""] {
        change(&format!("\"lm_head.weight\": \"{last}\""), &format!("\"lm_head.weight\": \"{way_out}\""));
        refused("it must be a file's name");
    }
    fs::write(&index, &text).unwrap();
    fs::copy(at.join(&first), at.join("extra.safetensors")).unwrap();
    load(at, &Device::cpu()).unwrap();
    fs::copy(at.join(&first), at.join(&last)).unwrap();
    refused("is in");
    fs::remove_file(at.join(&first)).unwrap();
    fs::remove_file(at.join(&last)).unwrap();
    refused("shards are missing from the folder");
    refused(&first);
    refused(&last);
}
