//! Child processes that never outlive this one.
//!
//! The kernel sends a chosen signal to the child when the *thread* that started it ends (`PR_SET_PDEATHSIG`), so every
//! child gets a thread of its own, which starts it and then waits for its exit. A child also gets its own process
//! group: Ctrl-C at a terminal reaches this process alone, which then stops its children in the order it wants.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::sync::watch;

pub use nix::sys::signal::Signal;

/// A running or ended child process. Dropping it sends the signal chosen for the death of this process, and waits for
/// nothing.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    on_parent_death: Signal,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// Starts `command` in a process group of its own; `on_parent_death` is what it gets when this process ends first
    /// (on Linux; elsewhere it is left running). It may get it more than once, as the threads of this process end one
    /// after the other.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(mut command: Command, on_parent_death: Signal) -> io::Result<Self> {
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        die_with_parent(&mut command, on_parent_death);
        let (started, start) = mpsc::sync_channel(1);
        let (exit_sender, exit) = watch::channel(None);
        std::thread::Builder::new().name("child".to_owned()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let _ = started.send(Ok(child.id()));
            match child.wait() {
                Ok(status) => {
                    exit_sender.send_replace(Some(status));
                }
                Err(error) => tracing::error!(pid = child.id(), %error, "wait for child process failed"),
            }
        })?;
        let pid = start
            .recv()
            .map_err(|_| io::Error::other("the thread that starts the process ended early"))??;
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        Ok(Self {
            pid: Pid::from_raw(pid),
            on_parent_death,
            exit,
        })
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// How it ended, when it has.
    #[must_use]
    pub fn exited(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&self, signal: Signal) {
        if self.exited().is_none() {
            let _ = kill(self.pid, signal);
        }
    }

    /// Waits until it ends. `None` when the system cannot tell how it ended.
    pub async fn wait(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Asks it to stop (SIGTERM), kills it when `grace` is over, and waits for its end. True when it stopped by itself.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(grace, self.wait()).await.is_ok() {
            return true;
        }
        self.signal(Signal::SIGKILL);
        self.wait().await;
        false
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(self.on_parent_death);
    }
}

#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "the standard library marks code that runs between fork and exec unsafe"
)]
fn die_with_parent(command: &mut Command, signal: Signal) {
    use std::os::unix::process::CommandExt;
    let parent = std::process::id();
    // SAFETY: the closure makes two system calls and touches neither memory of other threads nor the allocator.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(signal)?;
            // A parent that died before the call above sends no signal any more.
            if std::os::unix::process::parent_id() != parent {
                return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
            }
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command, _signal: Signal) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_is_stopped_and_its_exit_is_known() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let child = Child::spawn(command, Signal::SIGKILL).unwrap();
        assert!(child.exited().is_none());
        assert!(child.stop(Duration::from_secs(10)).await);
        assert!(!child.exited().unwrap().success());
    }

    #[tokio::test]
    async fn a_child_that_ignores_the_request_is_killed() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 600; done"]);
        command.stdout(std::process::Stdio::null());
        let child = Child::spawn(command, Signal::SIGKILL).unwrap();
        // Whether the shell has set its trap by then decides only which way it ends.
        child.stop(Duration::from_millis(300)).await;
        assert!(child.exited().is_some());
    }

    #[tokio::test]
    async fn a_dropped_child_ends() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let child = Child::spawn(command, Signal::SIGKILL).unwrap();
        let mut exit = child.exit.clone();
        drop(child);
        let ended = tokio::time::timeout(Duration::from_secs(10), exit.wait_for(Option::is_some)).await;
        assert!(ended.is_ok_and(|status| status.is_ok()));
    }

    #[test]
    fn a_missing_program_is_an_error() {
        assert!(Child::spawn(Command::new("/nonexistent/program"), Signal::SIGKILL).is_err());
    }
}
