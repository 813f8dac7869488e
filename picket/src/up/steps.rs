//! Saying what is being done: one `✓` line for each step on stderr, and a spinner meanwhile at a terminal.

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A step in progress. Dropping it without [`Step::done`] leaves no line behind.
pub(crate) struct Step {
    spinner: ProgressBar,
}

impl Step {
    /// Begins a step.
    pub(crate) fn begin(text: impl Into<Cow<'static, str>>) -> Self {
        let spinner = ProgressBar::new_spinner();
        if std::io::stderr().is_terminal() {
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(100));
        } else {
            spinner.set_draw_target(ProgressDrawTarget::hidden());
        }
        spinner.set_message(text);
        Self { spinner }
    }

    /// Says how far it is.
    pub(crate) fn set(&self, text: impl Into<Cow<'static, str>>) {
        self.spinner.set_message(text);
    }

    /// Ends it with what came out.
    pub(crate) fn done(self, text: &str) {
        self.spinner.finish_and_clear();
        eprintln!("✓ {text}");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.spinner.finish_and_clear();
    }
}
