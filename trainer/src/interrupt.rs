//! Ctrl-C, and SIGTERM where there are signals: once to finish the step, save and leave; twice to leave at once.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Result, TrainerError};

/// The exit code of an interrupted program.
pub const EXIT_CODE: u8 = 130;

/// Whether the user has asked to stop. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C for the whole program, and SIGTERM, by which service managers and batch systems ask a program to end.
    /// The first one is only remembered; the second ends the program at once.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn install() -> Result<Self> {
        let interrupt = Self::default();
        let seen = interrupt.clone();
        let on_signal = move || {
            if seen.requested.swap(true, Ordering::SeqCst) {
                std::process::exit(EXIT_CODE.into());
            }
            // Nobody may be reading; then the message is lost and nothing else.
            let _ = writeln!(
                std::io::stderr(),
                "\nstopping: what has begun is finished and saved; Ctrl-C again leaves at once"
            );
        };
        take_over(on_signal).map_err(TrainerError::io("take over", "Ctrl-C".as_ref()))?;
        Ok(interrupt)
    }

    /// Whether that was asked for.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Asks to stop as Ctrl-C does.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }
}

/// Has a thread call `on_signal` at each signal.
#[cfg(unix)]
fn take_over(on_signal: impl Fn() + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || signals.forever().for_each(|_| on_signal()))?;
    Ok(())
}

#[cfg(not(unix))]
fn take_over(on_signal: impl Fn() + Send + 'static) -> std::io::Result<()> {
    ctrlc::set_handler(on_signal).map_err(|error| std::io::Error::other(format!("{error}")))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    /// Tells the process that the next test starts from this program what to do.
    const ROLE: &str = "GRADUS_TEST_INTERRUPT_ROLE";
    const NAME: &str = "interrupt::tests::once_saves_and_twice_leaves";

    fn child(role: &str) -> (Child, impl FnMut() -> String) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let next =
            move || lines.by_ref().map(Result::unwrap).find_map(|line| line.strip_prefix("child: ").map(String::from));
        let mut next = next;
        (child, move || next().unwrap_or_default())
    }

    fn send(signal: &str, child: &Child) {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }

    #[test]
    fn once_saves_and_twice_leaves() {
        if let Ok(role) = std::env::var(ROLE) {
            let interrupt = Interrupt::install().unwrap();
            println!("child: ready");
            while !interrupt.requested() {
                std::thread::sleep(Duration::from_millis(1));
            }
            println!("child: saving");
            if role == "slow" {
                std::thread::sleep(Duration::from_secs(60));
            }
            println!("child: saved");
            std::process::exit(EXIT_CODE.into());
        }
        for signal in ["-INT", "-TERM"] {
            let (mut quick, mut said) = child("quick");
            assert_eq!(said(), "ready");
            send(signal, &quick);
            assert_eq!((said(), said()), ("saving".into(), "saved".into()));
            assert_eq!(quick.wait().unwrap().code(), Some(130));
        }

        let (mut slow, mut said) = child("slow");
        assert_eq!(said(), "ready");
        send("-INT", &slow);
        assert_eq!(said(), "saving");
        send("-INT", &slow);
        assert_eq!(slow.wait().unwrap().code(), Some(130));
        assert_eq!(said(), "", "it left before it had saved");
    }
}
