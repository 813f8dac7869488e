//! What the values of a line are in ECS.

use model::ecs;

use super::Reading;
use super::variables::Means;
use crate::aliases::is_known;
use crate::derive::{DESTINATION, SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::formats::{set_request, set_status};
use crate::network::is_ip;
use crate::record::Warning;
use crate::tree::{Json, Map};

impl<'a> Reading<'a> {
    /// The values by the names of their variables.
    pub(in super::super) fn object(&self) -> Map<'a> {
        let known = self.values.iter().filter(|(_, value)| is_known(value));
        known
            .map(|(variable, value)| (variable.name.as_str().into(), Json::from(value.clone())))
            .collect()
    }

    /// Sets what the variables are known to mean.
    pub(in super::super) fn fill(&self, draft: &mut Draft) {
        draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
        draft.set_list(ecs::EVENT_TYPE, &["access"]);
        if self.is_ambiguous {
            draft.warn(Warning::Ambiguous);
        }
        let (mut client, mut client_port, mut server, mut server_port) = ("", "", "", "");
        let (mut path, mut query, mut has_url) = ("", "", false);
        for (variable, value) in &self.values {
            let value = value.as_ref();
            if !is_known(value) {
                continue;
            }
            match variable.means {
                Means::Client if client.is_empty() => client = value,
                Means::ClientPort => client_port = value,
                Means::ServerAddress => server = value,
                Means::ServerPort => server_port = value,
                Means::User => draft.user(value),
                Means::CommonTime | Means::IsoTime | Means::Epoch | Means::OwnTime => {
                    // A time in seconds may stand beside one that is finer.
                    let time = variable.time(value);
                    draft.timestamp = draft.timestamp.max(time);
                }
                Means::Request => {
                    set_request(draft, value);
                    has_url = true;
                }
                Means::Method => draft.set("http.request.method", value),
                Means::Url => {
                    draft.set("url.original", value);
                    has_url = true;
                }
                Means::Path => path = value,
                Means::Query => query = value.trim_start_matches('?'),
                Means::Protocol => draft.set_text("http.version", value.trim_start_matches("HTTP/")),
                Means::Scheme => draft.set("url.scheme", value),
                Means::Host => {
                    let host = split_port(value).0;
                    draft.set("url.domain", host);
                    draft.set("destination.domain", host);
                }
                Means::Server => draft.set_default("destination.domain", value),
                Means::Status => set_status(draft, value),
                Means::BodyBytes => draft.set_int("http.response.body.bytes", value),
                Means::SentBytes => draft.set_int("http.response.bytes", value),
                Means::RequestBytes => draft.set_int("http.request.bytes", value),
                Means::Seconds => took(draft, value, 1e9),
                Means::Millis => took(draft, value, 1e6),
                Means::Micros => took(draft, value, 1e3),
                Means::Referrer => draft.set("http.request.referrer", value),
                Means::Agent => draft.set("user_agent.original", value),
                Means::Forwarded => {
                    let first = value.split(',').next().unwrap_or("").trim();
                    if is_ip(first) {
                        draft.set("network.forwarded_ip", first);
                    }
                }
                Means::RequestId => draft.set("http.request.id", value),
                Means::TlsProtocol => {
                    if let Some(version) = value.strip_prefix("TLSv") {
                        draft.set("tls.version", version);
                        draft.set("tls.version_protocol", "tls");
                    }
                }
                Means::TlsCipher => draft.set("tls.cipher", value),
                Means::Pid => draft.set_int(ecs::PROCESS_PID, value),
                Means::File => draft.set("file.path", value),
                Means::Client | Means::Number | Means::Own => {}
            }
        }
        if !has_url && !path.is_empty() {
            let between = if query.is_empty() { "" } else { "?" };
            draft.set("url.original", format!("{path}{between}{query}"));
        }
        endpoint(draft, &SOURCE, client, client_port);
        endpoint(draft, &DESTINATION, server, server_port);
    }
}

#[allow(clippy::cast_possible_truncation, reason = "durations far below 2^53 ns")]
fn took(draft: &mut Draft, value: &str, nanos: f64) {
    if let Ok(number) = value.parse::<f64>()
        && (0.0..1e9).contains(&number)
    {
        draft.set("event.duration", (number * nanos).round() as i64);
    }
}
