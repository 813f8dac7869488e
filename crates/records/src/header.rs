//! Lines by which a file names the columns of the lines behind them: `#Fields:` of W3C logs (IIS, Windows Firewall,
//! CloudFront), the `#` lines of Zeek, the names in the first line of AWS VPC flow logs.
//!
//! A record is read by itself, perhaps hours later and on another machine, so what governs it has to go with it. Which
//! lines are such a header is all that is known here; what the names mean is for `parsers`.

use std::sync::Arc;

/// Longest header, in bytes; of a longer one nothing is kept.
pub const MAX_HEADER: usize = 8 << 10;
/// Most names of a header of plain words.
const MAX_NAMES: usize = 64;

/// How the `#` lines of Zeek that matter begin; the first also begins a header.
const ZEEK: [&[u8]; 7] = [
    b"#separator ",
    b"#set_separator",
    b"#empty_field",
    b"#unset_field",
    b"#path",
    b"#fields",
    b"#types",
];
/// The same of W3C logs.
const W3C: [&[u8]; 2] = [b"#Software:", b"#Fields:"];

/// The columns of VPC flow logs.
const VPC: &[&str] = &[
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
    "vpc-id",
    "subnet-id",
    "instance-id",
    "tcp-flags",
    "type",
    "pkt-srcaddr",
    "pkt-dstaddr",
    "region",
    "az-id",
    "sublocation-type",
    "sublocation-id",
    "pkt-src-aws-service",
    "pkt-dst-aws-service",
    "flow-direction",
    "traffic-path",
    "ecs-cluster-arn",
    "ecs-cluster-name",
    "ecs-container-instance-arn",
    "ecs-container-instance-id",
    "ecs-container-id",
    "ecs-second-container-id",
    "ecs-service-name",
    "ecs-task-definition-arn",
    "ecs-task-arn",
    "ecs-task-id",
    "reject-reason",
    "resource-id",
    "encryption-status",
];

/// The header in force while the lines of one source are read in their order.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    text: Option<Arc<str>>,
}

impl Tracker {
    /// Goes on with a header that was in force.
    #[must_use]
    pub fn resume(text: &str) -> Self {
        let fits = !text.is_empty() && text.len() <= MAX_HEADER;
        Self {
            text: fits.then(|| Arc::from(text)),
        }
    }

    /// Looks at the next line; whether it is one of a header.
    pub fn take(&mut self, line: &[u8]) -> bool {
        let Some(part) = part(line) else { return false };
        let Ok(text) = std::str::from_utf8(line) else {
            return true;
        };
        let mut header = String::new();
        if let (Some(before), Part::More(name)) = (&self.text, part)
            && is_same_kind(before, name)
        {
            for kept in before.lines().filter(|line| !line.as_bytes().starts_with(name)) {
                header.push_str(kept);
                header.push('\n');
            }
        }
        header.push_str(text);
        self.text = (header.len() <= MAX_HEADER).then(|| Arc::from(header));
        true
    }

    /// The header that governs the line that comes next; its lines joined by newlines.
    #[must_use]
    pub fn header(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }
}

/// Whether a line is one of a header.
#[must_use]
pub fn is_part(line: &[u8]) -> bool {
    part(line).is_some()
}

#[derive(Clone, Copy)]
enum Part {
    /// Begins a header.
    First,
    /// Belongs to the one that began, by how it begins.
    More(&'static [u8]),
}

fn part(line: &[u8]) -> Option<Part> {
    if line.first() == Some(&b'#') {
        let begins = |names: &[&'static [u8]]| names.iter().copied().find(|name| line.starts_with(name));
        return match (begins(&ZEEK), begins(&W3C)) {
            (Some(name), _) if Some(&name) == ZEEK.first() => Some(Part::First),
            (Some(name), _) => Some(Part::More(name)),
            (None, Some(name)) if Some(&name) == W3C.first() => Some(Part::First),
            (None, Some(name)) => Some(Part::More(name)),
            (None, None) => None,
        };
    }
    is_vpc(line).then_some(Part::First)
}

fn is_same_kind(header: &str, name: &[u8]) -> bool {
    let kind = |name: &[u8]| ZEEK.iter().any(|known| name.starts_with(known));
    kind(header.as_bytes()) == kind(name)
}

/// Four words or more, each the name of a column. Names with `_` are those of tables over such logs.
fn is_vpc(line: &[u8]) -> bool {
    let begins = |byte: &u8| byte.is_ascii_lowercase();
    if !line.first().is_some_and(begins) || line.len() > 1024 {
        return false;
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return false;
    };
    let mut count = 0;
    text.split_ascii_whitespace().take(MAX_NAMES).all(|word| {
        count += 1;
        VPC.iter().any(|known| {
            known.len() == word.len()
                && known
                    .bytes()
                    .zip(word.bytes())
                    .all(|(known, byte)| known == byte || known == b'-' && byte == b'_')
        })
    }) && count >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (Vec<bool>, Option<String>) {
        let mut tracker = Tracker::default();
        let taken = lines.iter().map(|line| tracker.take(line.as_bytes())).collect();
        (taken, tracker.header().map(|header| header.to_string()))
    }

    #[test]
    fn the_lines_that_name_columns_are_one_header() {
        let (taken, header) = read(&[
            "#separator \\x09",
            "#set_separator\t,",
            "#path\tconn",
            "#open\t2026-11-21-10-00-00",
            "#fields\tts\tuid",
            "#types\ttime\tstring",
            "1795168800.000000\tC1",
        ]);
        assert_eq!(taken, [true, true, true, false, true, true, false]);
        assert_eq!(
            header.as_deref(),
            Some("#separator \\x09\n#set_separator\t,\n#path\tconn\n#fields\tts\tuid\n#types\ttime\tstring")
        );
        let (_, header) = read(&["#Software: IIS", "#Version: 1.0", "#Fields: date time c-ip"]);
        assert_eq!(header.as_deref(), Some("#Software: IIS\n#Fields: date time c-ip"));
        let (taken, header) = read(&["version srcaddr dstaddr action", "2 203.0.113.9 10.0.0.1 ACCEPT"]);
        assert_eq!(taken, [true, false]);
        assert_eq!(header.as_deref(), Some("version srcaddr dstaddr action"));
    }

    #[test]
    fn a_new_header_takes_the_place_of_the_old() {
        let (_, header) = read(&["#Fields: date time", "2026-11-21 10:00:00", "#Fields: date time c-ip"]);
        assert_eq!(header.as_deref(), Some("#Fields: date time c-ip"));
        let (_, header) = read(&["#separator \\x09", "#path\tdns", "#separator \\x09", "#path\tconn"]);
        assert_eq!(header.as_deref(), Some("#separator \\x09\n#path\tconn"));
        let (_, header) = read(&["#separator \\x09", "#path\tdns", "#Fields: date time c-ip"]);
        assert_eq!(header.as_deref(), Some("#Fields: date time c-ip"));
    }

    #[test]
    fn other_lines_are_no_header_and_long_ones_are_not_kept() {
        for line in [
            "",
            "# a comment",
            "#!/bin/sh",
            "start end",
            "start the action now please",
            "bytes type region",
        ] {
            assert!(!Tracker::default().take(line.as_bytes()), "{line}");
        }
        let long = format!("#Fields: {}", "x ".repeat(MAX_HEADER));
        let (taken, header) = read(&["#Fields: date time", &long]);
        assert_eq!((taken, header), (vec![true, true], None));
        assert!(Tracker::resume(&long).header().is_none());
    }
}
