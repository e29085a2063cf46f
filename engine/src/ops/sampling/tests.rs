use super::*;
use crate::check::test_device::gpu;

const PLAIN: Options = Options { temperature: 1.0, top_k: None, top_p: 1.0, repetition_penalty: 1.0 };

fn devices(mut test: impl FnMut(&Device)) {
    test(&Device::cpu());
    if let Some(gpu) = gpu() {
        test(&gpu);
    }
}

fn chosen(device: &Device, options: Options, rows: &[Vec<f32>], texts: &[Text], steps: usize) -> Vec<Vec<u32>> {
    let vocabulary = rows[0].len();
    let mut sampler = Sampler::new(device, options, vocabulary, texts).unwrap();
    let logits = Tensor::new(device, &[rows.len(), vocabulary], &rows.concat()).unwrap();
    let given = Tensor::new(device, &[rows.len()], &vec![NONE; rows.len()]).unwrap();
    let step = |_| {
        let chosen = sampler.choose(&logits, &given).unwrap();
        let (tokens, reports) = (chosen.tokens.to_vec::<u32>().unwrap(), chosen.reports.to_vec::<u32>().unwrap());
        assert!(tokens.iter().zip(&reports).all(|(token, report)| token == report || (*report == NONE && *token == 0)));
        reports
    };
    (0..steps).map(step).collect()
}

/// Logits without a pattern, some of them equal.
fn logits(count: usize, seed: u32) -> Vec<f32> {
    (0..count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 77_777) >> 22) as f32 / 100.0 - 5.0)
        .collect()
}

fn texts(count: usize) -> Vec<Text<'static>> {
    (0..count).map(|row| Text { seed: 1000 + row as u64 * 0x1_0000_0001, tokens: &[] }).collect()
}

/// Probabilities by the definition: sorted, in f64.
fn probabilities(options: Options, x: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|a, b| x[*b].total_cmp(&x[*a]));
    let weight = |token: usize| (f64::from(x[token] - x[order[0]]) / options.temperature).exp();
    let k = options.top_k.unwrap_or(x.len()).min(x.len());
    let mut kept: Vec<usize> = order.iter().copied().filter(|token| x[*token] >= x[order[k - 1]]).collect();
    let total: f64 = kept.iter().map(|token| weight(*token)).sum();
    if options.top_p < 1.0 {
        let (mut sum, mut last) = (0.0, kept[0]);
        for token in &kept {
            last = *token;
            sum += weight(*token);
            if sum >= options.top_p * total {
                break;
            }
        }
        kept.retain(|token| x[*token] >= x[last]);
    }
    let total: f64 = kept.iter().map(|token| weight(*token)).sum();
    (0..x.len()).map(|token| if kept.contains(&token) { weight(token) / total } else { 0.0 }).collect()
}

#[test]
fn tokens_come_as_often_as_the_definition_says() {
    const DRAWS: usize = 2048;
    devices(|device| {
        for options in [
            PLAIN,
            Options { temperature: 0.5, ..PLAIN },
            Options { top_k: Some(3), ..PLAIN },
            Options { top_p: 0.7, ..PLAIN },
            Options { temperature: 2.0, top_k: Some(6), top_p: 0.8, ..PLAIN },
        ] {
            let x = vec![0.5, 2.0, -1.0, 1.5, 1.5, 0.0, 1.9, -30.0, 1.0];
            let rows = vec![x.clone(); DRAWS];
            let mut counts = vec![0.0; x.len()];
            for token in &chosen(device, options, &rows, &texts(DRAWS), 1)[0] {
                counts[*token as usize] += 1.0;
            }
            for (token, (count, p)) in counts.iter().zip(probabilities(options, &x)).enumerate() {
                // Five standard deviations.
                let allowed = 5.0 * (DRAWS as f64 * p * (1.0 - p)).sqrt();
                assert!(
                    (count - DRAWS as f64 * p).abs() <= allowed,
                    "{options:?} on {}: token {token} {count} times, expected {}",
                    device.name(),
                    DRAWS as f64 * p
                );
            }
        }
    });
}

/// The draw is the same on both devices; only where it falls on the border of two tokens can rounding tell them apart.
#[test]
fn devices_choose_alike() {
    let mut differences = 0;
    let mut all = 0;
    if let Some(gpu) = &gpu() {
        for vocabulary in [1usize, 2, 31, 255, 256, 257, 1000, 5003] {
            for (options, rows) in [
                (PLAIN, 5),
                (Options { top_k: Some(7), temperature: 0.7, ..PLAIN }, 5),
                (Options { top_p: 0.9, repetition_penalty: 1.3, ..PLAIN }, 5),
                (Options { top_p: 0.4, top_k: Some(300), temperature: 3.0, repetition_penalty: 0.8 }, 3),
                (Options { temperature: 0.0, repetition_penalty: 1.1, ..PLAIN }, 4),
            ] {
                let x: Vec<Vec<f32>> = (0..rows).map(|row| logits(vocabulary, row)).collect();
                let seen: Vec<u32> = (0..vocabulary as u32).step_by(3).collect();
                let mut texts = texts(rows as usize);
                texts[0].tokens = &seen;
                let [a, b] = [&Device::cpu(), gpu].map(|device| chosen(device, options, &x, &texts, 4).concat());
                all += a.len();
                differences += a.iter().zip(&b).filter(|(a, b)| a != b).count();
            }
        }
    }
    assert!(differences * 200 <= all, "{differences} of {all} tokens differ");
}

#[test]
fn the_likeliest_is_the_first_of_equal_ones_and_penalties_count() {
    devices(|device| {
        let greedy = Options { temperature: 0.0, ..PLAIN };
        let rows = vec![vec![0.0, 3.0, 2.0, 3.0, -5.0], vec![-1.0, -2.0, -3.0, -4.0, -1.0]];
        assert_eq!(chosen(device, greedy, &rows, &texts(2), 2), [[1, 0], [1, 0]]);
        let options = Options { repetition_penalty: 1.4, ..greedy };
        let with = [Text { seed: 0, tokens: &[] }, Text { seed: 0, tokens: &[0, 4] }];
        // 3, then the other 3, then 3/1.4 against 2; −1·1.4 against −2.
        assert_eq!(chosen(device, options, &rows, &with, 3), [[1, 0], [3, 0], [1, 0]]);
        let mut wide = vec![-1.0; 50_304];
        wide[50_303] = 2.0;
        assert_eq!(chosen(device, greedy, &[wide.clone()], &texts(1), 1), [[50_303]]);
        // Equal ones far apart, and one that is not finite.
        wide[40_000] = 2.0;
        wide[2047] = 2.0;
        assert_eq!(chosen(device, greedy, &[wide.clone(), vec![-7.0; 50_304]], &texts(2), 1), [[2047, 0]]);
        wide[30_000] = f32::INFINITY;
        assert_eq!(chosen(device, greedy, &[wide], &texts(1), 1), [[NONE]]);
    });
}

/// A row with a token that is given neither draws nor remembers, so that its own draws are what they are alone.
#[test]
fn given_tokens_pass_through() {
    devices(|device| {
        let x = logits(300, 3);
        let alone: Vec<u32> = chosen(device, PLAIN, std::slice::from_ref(&x), &texts(1), 3).concat();
        let mut sampler = Sampler::new(device, PLAIN, 300, &texts(2)).unwrap();
        let rows = Tensor::new(device, &[2, 300], &[x.clone(), x].concat()).unwrap();
        let mut step = |given: [u32; 2]| {
            let given = Tensor::new(device, &[2], &given).unwrap();
            sampler.choose(&rows, &given).unwrap().reports.to_vec::<u32>().unwrap()
        };
        let steps = [[7, NONE], [299, NONE], [NONE, NONE], [NONE, 5], [NONE, NONE]].map(&mut step);
        assert_eq!((steps[0][0], steps[1][0], steps[3][1]), (7, 299, 5));
        assert_eq!([steps[2][0], steps[3][0], steps[4][0]].as_slice(), alone);
    });
}

#[test]
fn what_is_not_finite_is_reported() {
    devices(|device| {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for options in [PLAIN, Options { temperature: 0.0, ..PLAIN }] {
                let mut row = vec![0.5; 600];
                row[599] = bad;
                let good = vec![0.5; 600];
                let tokens = &chosen(device, options, &[row, good], &texts(2), 1)[0];
                assert!(tokens[0] == NONE && tokens[1] < 600, "{bad} on {}: {tokens:?}", device.name());
            }
        }
    });
}

#[test]
fn options_out_of_range_are_refused() {
    let refused = |options: Options, vocabulary: usize, text: Text, part: &str| {
        let error = Sampler::new(&Device::cpu(), options, vocabulary, &[text]).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let text = Text { seed: 0, tokens: &[] };
    refused(Options { temperature: f64::NAN, ..PLAIN }, 9, text, "temperature");
    refused(Options { top_k: Some(0), ..PLAIN }, 9, text, "top-k");
    refused(Options { top_p: 0.0, ..PLAIN }, 9, text, "top-p");
    refused(Options { repetition_penalty: 0.0, ..PLAIN }, 9, text, "penalty");
    refused(PLAIN, 1 << 24, text, "vocabulary");
    refused(PLAIN, 9, Text { seed: 0, tokens: &[9] }, "token 9");
    let mut sampler = Sampler::new(&Device::cpu(), PLAIN, 9, &[text]).unwrap();
    let logits = Tensor::new(&Device::cpu(), &[1, 8], &[0f32; 8]).unwrap();
    let given = Tensor::new(&Device::cpu(), &[1], &[NONE]).unwrap();
    assert!(sampler.choose(&logits, &given).unwrap_err().to_string().contains("[1, 9]"));
}
