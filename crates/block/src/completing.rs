//! Which fields repeat what others of the same event say.

/// The fields whose columns a field's column may be completed by: none for most. Who reads a field's column by itself needs
/// those of these fields as well.
///
/// The order is the one in which `crates/parsers` lists their values. Lists in another order are stored by themselves.
#[must_use]
pub fn completing(field: &str) -> &'static [&'static str] {
    match field {
        "event.original" => &["message"],
        "source.address" => &["source.ip"],
        "destination.address" => &["destination.ip"],
        "client.address" => &["client.ip"],
        "server.address" => &["server.ip"],
        "host.hostname" => &["host.name"],
        "related.ip" => &[
            "source.ip",
            "destination.ip",
            "client.ip",
            "server.ip",
            "source.nat.ip",
            "destination.nat.ip",
        ],
        "related.user" => &[
            "user.name",
            "user.effective.name",
            "user.target.name",
            "user.changes.name",
            "source.user.name",
            "destination.user.name",
            "client.user.name",
        ],
        // Of hosts mostly both names are the same, and one that is completed itself completes no other.
        "related.hosts" => &[
            "host.name",
            "url.domain",
            "source.domain",
            "destination.domain",
            "observer.hostname",
        ],
        "related.hash" => &[
            "file.hash.md5",
            "file.hash.sha1",
            "file.hash.sha256",
            "process.hash.md5",
            "process.hash.sha1",
            "process.hash.sha256",
            "process.pe.imphash",
            "file.pe.imphash",
        ],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::completing;
    use crate::lists::MAX_BASES;

    #[test]
    fn what_completes_others_is_whole() {
        for field in [
            "event.original",
            "source.address",
            "host.hostname",
            "related.ip",
            "related.user",
        ]
        .into_iter()
        .chain([
            "destination.address",
            "client.address",
            "server.address",
            "related.hosts",
            "related.hash",
        ]) {
            let bases = completing(field);
            assert!((1..=MAX_BASES).contains(&bases.len()), "{field}");
            assert!(bases.iter().all(|base| completing(base).is_empty()), "{field}");
        }
        assert!(completing("source.ip").is_empty());
    }
}
