//! When a started process counts as ready.

use std::path::PathBuf;
use std::time::Duration;

use agentd::status::{self, ConnectionState};
use anyhow::bail;
use model::Timestamp;
use model::node::Role;
use storage::{Store, nodes};

/// How often is looked.
const POLL: Duration = Duration::from_millis(100);

/// What to look at.
#[derive(Clone, Debug)]
pub(super) enum Ready {
    /// It has registered itself in the database, which it does when it serves.
    Registered { store: Store, role: Role, name: String },
    /// The agent's status says that it is connected and has looked at the files it follows: where it begins to read a
    /// file that is there already must be settled before anybody is told to write to it.
    Connected { status: PathBuf },
}

impl Ready {
    /// Waits until the process that was started at `since` is ready; gives its address, empty for an agent. Only an
    /// agent that is refused is an error: everything else may still pass.
    pub(super) async fn wait(&self, since: Timestamp) -> anyhow::Result<String> {
        loop {
            match self {
                Self::Registered { store, role, name } => {
                    let live = nodes::live(store, Some(*role)).await.unwrap_or_default();
                    if let Some(node) = live
                        .into_iter()
                        .find(|node| node.id.as_str() == name && node.started_at >= since)
                    {
                        return Ok(node.addr);
                    }
                }
                Self::Connected { status } => {
                    if let Ok(status) = status::read(status)
                        && status.started_at >= since
                    {
                        match status.connection.state {
                            ConnectionState::Connected if !status.files.is_empty() => return Ok(String::new()),
                            ConnectionState::Refused => bail!(
                                "the collector refuses it: {}",
                                status.connection.last_error.as_deref().unwrap_or("no reason given")
                            ),
                            ConnectionState::Connected | ConnectionState::Connecting | ConnectionState::Waiting => {}
                        }
                    }
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
