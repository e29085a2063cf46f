//! `runs.csv`: a row a finished run, with the columns that `gradus fit` reads.

use std::fmt::Write;

use super::plan::Study;
use super::runs::PlannedRun;
use super::standing::{Finished, Standing};

/// The columns: those of the published table of runs that a sweep knows, then its own.
const HEADER: &str = "arch,experiment_set,ctx,isoflop,preset_ratio,n_params,n_params_without_embeddings,n_tokens,flops_train,\
    token_param_ratio,d_model,n_blocks,n_heads,d_hv,d_qk,d_ff,batch_seqs,train_steps,lr,warmup_steps,val_loss,\
    train_loss_last,step_time_s,seed,device,run_id";

/// The whole table.
pub fn table(study: Study, runs: &[(PlannedRun, Standing)]) -> String {
    let mut text = format!("{HEADER}\n");
    for (run, standing) in runs {
        if let Standing::Finished(finished) = standing {
            text += &row(study, run, finished);
        }
    }
    text
}

fn row(study: Study, run: &PlannedRun, finished: &Finished) -> String {
    let configuration = &run.configuration;
    let model = &configuration.model;
    let (parameters, tokens) = (run.parameters(), run.tokens());
    let (budget, ratio) = match run.ratio {
        Some(ratio) => (String::new(), ratio.to_string()),
        None => (format!("{:e}", run.budget), String::new()),
    };
    let warmup = (configuration.schedule.warmup * run.steps as f64).round();
    let seconds = finished.step_seconds.map_or(String::new(), |seconds| format!("{seconds:.6}"));
    let mut row = String::new();
    let _ = writeln!(
        row,
        "{},{},{},{budget},{ratio},{parameters},{},{tokens},{:e},{},{},{},{},{},{},{},{},{},{:e},{warmup},{},{},{seconds},{},\"{}\",{}",
        model.architecture,
        study.experiment_set(),
        model.context_length,
        run.parameters_without_embeddings(),
        run.flops(),
        tokens as f64 / parameters as f64,
        model.embedding_dim,
        model.num_blocks,
        model.num_heads,
        model.v_head_dim,
        model.qk_head_dim,
        model.feed_forward_dim,
        configuration.train.batch,
        run.steps,
        configuration.optimizer.learning_rate,
        finished.validation_loss,
        finished.training_loss,
        configuration.train.seed,
        finished.device.replace('"', "\"\""),
        run.name,
    );
    row
}
