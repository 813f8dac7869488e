//! What every request handler works with.

use std::sync::Arc;

use identity::Authorities;
use storage::Store;
use tokio_util::sync::CancellationToken;

use crate::app::accounts::Accounts;
use crate::app::events::Events;
use crate::app::peers::Peers;
use crate::app::watchers::Watchers;
use crate::auth::Auth;
use crate::config::HttpConfig;
use crate::limits::Limits;

/// Shared by all requests; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// The database.
    pub store: Store,
    /// Who is calling.
    pub auth: Auth,
    /// Users and keys.
    pub accounts: Accounts,
    /// Stored events.
    pub events: Events,
    /// Other nodes.
    pub peers: Peers,
    /// Whose certificates count as signers of receipts.
    pub authorities: Arc<Authorities>,
    /// Alert watches.
    pub watchers: Watchers,
    /// Request rates.
    pub limits: Arc<Limits>,
    /// Sizes and times.
    pub http: Arc<HttpConfig>,
    /// Cancelled when the server is going away: what does not end by itself has to.
    pub shutdown: CancellationToken,
}
