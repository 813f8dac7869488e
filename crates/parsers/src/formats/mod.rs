//! The text formats besides what programs of a Linux host say: one file a format, all in one table.

mod access;
mod apache_error;
mod auditd;
mod bind;
mod cef;
mod cisco_asa;
mod coredns;
mod daemons;
mod dhcpd;
mod dnsmasq;
mod haproxy;
mod iis;
mod kernel;
mod keyed;
mod mail;
mod mikrotik;
mod nginx_error;
mod packet_filter;
mod panos;
mod pfsense;
mod snort;
mod squid;
mod unbound;

use std::collections::HashSet;
use std::sync::LazyLock;

use model::Timestamp;
use rustc_hash::FxHashMap;

use crate::draft::Draft;
use crate::scan::Marks as _;

pub(crate) use access::{set_request, set_status};

/// What a format is given to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// The line, or the message when an envelope was around it.
    pub(crate) text: &'a str,
    /// The program the envelope names; empty when there is no envelope.
    pub(crate) program: &'a str,
    /// The operator or the program says that the text is of this format. Else only its first characters do, and what
    /// may stand in front of them is somebody else's text.
    pub(crate) is_certain: bool,
    /// When the line was seen, for times without a year.
    pub(crate) observed: Timestamp,
    /// The lines by which its file names the columns.
    pub(crate) header: Option<&'a str>,
}

/// One format.
#[derive(Debug)]
pub(crate) struct Format {
    /// What `picket.log_type` calls it.
    pub(crate) name: &'static str,
    /// Other names an operator may give it.
    pub(crate) aliases: &'static [&'static str],
    /// What `event.dataset` may be; what stands before the dot is `event.module`. The operator's choice decides, then
    /// the file's path, then the first.
    pub(crate) datasets: &'static [&'static str],
    /// Programs of a syslog envelope whose messages are of this format.
    pub(crate) programs: &'static [&'static str],
    /// What characters its texts begin with where no program is named; any when there are none here.
    pub(crate) begins: &'static [&'static str],
    /// Whether a text may be of this format, from its first byte; cheap, and false for most texts of others. Whether it is
    /// one, `take` says. Programs write what strangers send them, so a mark further on proves nothing.
    pub(crate) looks: fn(&str) -> bool,
    /// Reads a text. False, and the draft as it was, when it is not of this format.
    pub(crate) take: fn(&mut Draft, &Input<'_>) -> bool,
}

/// All of them. The first that looks like a line gets it.
pub(crate) const FORMATS: &[&Format] = &[
    &auditd::FORMAT,
    &cef::CEF,
    &cef::LEEF,
    &cisco_asa::FORMAT,
    &panos::FORMAT,
    &keyed::FORTIGATE,
    &packet_filter::FORMAT,
    &pfsense::FORMAT,
    &mikrotik::FORMAT,
    &daemons::WIREGUARD,
    &snort::FORMAT,
    &apache_error::FORMAT,
    &nginx_error::FORMAT,
    &squid::FORMAT,
    &access::FORMAT,
    &iis::FORMAT,
    &haproxy::FORMAT,
    &keyed::ALB,
    &keyed::VPC_FLOW,
    &keyed::ZEEK,
    &coredns::FORMAT,
    &bind::FORMAT,
    &unbound::FORMAT,
    &dnsmasq::FORMAT,
    &dhcpd::FORMAT,
    &dhcpd::KEA,
    &dhcpd::MICROSOFT,
    &mail::POSTFIX,
    &mail::DOVECOT,
    &daemons::FAIL2BAN,
    &daemons::VSFTPD,
    &daemons::OPENVPN,
    &daemons::MONGODB,
    &daemons::CLAMAV,
    &kernel::FORMAT,
];

impl Format {
    /// All names it answers to.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let (aliases, datasets) = (self.aliases.iter().copied(), self.datasets.iter().copied());
        std::iter::once(self.name).chain(aliases).chain(datasets)
    }

    /// The dataset of a line, by what the operator called it and the path of its file.
    pub(crate) fn dataset(&self, log_type: Option<&str>, path: &str) -> &'static str {
        if let [only] = self.datasets {
            return only;
        }
        let wanted = log_type.unwrap_or("");
        let is = |dataset: &&'static str| *dataset == wanted;
        let of_module = |dataset: &&'static str| {
            let name = dataset.parts(b'.').next().unwrap_or("");
            !wanted.is_empty() && wanted.starts_with(name)
        };
        let in_path = |dataset: &&'static str| {
            let name = dataset.parts(b'.').next().unwrap_or("");
            path.has(name) || name == "apache" && path.has("httpd")
        };
        let all = || self.datasets.iter().copied();
        all()
            .find(is)
            .or_else(|| all().find(of_module))
            .or_else(|| all().find(in_path))
            .or_else(|| self.datasets.first().copied())
            .unwrap_or("")
    }
}

/// The formats that a log type means: one, or all of a product that has several.
pub(crate) fn named(log_type: &str) -> impl Iterator<Item = &'static Format> {
    // Names come from the operator, who does not choose them to be slow.
    static BY_NAME: LazyLock<FxHashMap<&'static str, Vec<&'static Format>>> = LazyLock::new(|| {
        let mut by_name: FxHashMap<_, Vec<&'static Format>> = FxHashMap::default();
        for format in FORMATS.iter().copied() {
            for name in format.names().collect::<HashSet<_>>() {
                by_name.entry(name).or_default().push(format);
            }
        }
        by_name
    });
    BY_NAME.get(log_type).map_or(&[][..], Vec::as_slice).iter().copied()
}

/// Reads a line whose file names its columns: as what the header says, when the line fits it.
pub(crate) fn governed(draft: &mut Draft, input: &Input<'_>, log_type: Option<&str>) -> Option<&'static Format> {
    type Take = fn(&mut Draft, &Input<'_>, &str) -> bool;
    const GOVERNED: [(&Format, Take); 3] = [
        (&iis::FORMAT, iis::take_named),
        (&keyed::ZEEK, keyed::take_named_zeek),
        (&keyed::VPC_FLOW, keyed::take_named_vpc),
    ];
    let header = input.header?;
    GOVERNED
        .into_iter()
        .filter(|(format, _)| log_type.is_none_or(|name| format.names().any(|known| known == name)))
        .find(|(_, take)| take(draft, input, header))
        .map(|(format, _)| format)
}

/// Reads a text as what its program writes; the text of a program that no format names, as what it looks like.
#[inline(never)]
pub(crate) fn detect(draft: &mut Draft, input: &Input<'_>) -> Option<&'static Format> {
    static BY_PROGRAM: LazyLock<FxHashMap<&'static str, Vec<&'static Format>>> = LazyLock::new(|| {
        let mut by_program: FxHashMap<_, Vec<&'static Format>> = FxHashMap::default();
        for format in FORMATS.iter().copied() {
            for program in format.programs {
                by_program.entry(*program).or_default().push(format);
            }
        }
        by_program
    });
    if !input.program.is_empty()
        && let Some(formats) = BY_PROGRAM.get(input.program)
    {
        let certain = Input {
            is_certain: true,
            ..*input
        };
        return formats.iter().copied().find(|format| (format.take)(draft, &certain));
    }
    candidates(input.text)
        .iter()
        .copied()
        .filter(|format| (format.looks)(input.text))
        .find(|format| (format.take)(draft, input))
}

/// The formats whose texts begin with the first character of a text, in their order.
fn candidates(text: &str) -> &'static [&'static Format] {
    static BY_FIRST: LazyLock<Vec<Vec<&'static Format>>> = LazyLock::new(|| {
        let begin = |format: &Format, first| {
            format.begins.is_empty()
                || format
                    .begins
                    .iter()
                    .any(|characters| characters.as_bytes().contains(&first))
        };
        let of = |first| FORMATS.iter().copied().filter(|format| begin(format, first)).collect();
        (0..=u8::MAX).map(of).collect()
    });
    let first = text.as_bytes().first();
    first
        .and_then(|first| BY_FIRST.get(usize::from(*first)))
        .map_or(FORMATS, Vec::as_slice)
}

const DIGITS: &str = "0123456789";
const CAPITALS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_candidate(format: &Format, text: &str) -> bool {
        candidates(text).iter().any(|candidate| candidate.name == format.name)
    }

    #[test]
    fn what_looks_like_a_format_begins_with_one_of_its_characters() {
        let lines = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lines");
        let mut seen = 0;
        for entry in std::fs::read_dir(lines).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            for line in text
                .lines()
                .flat_map(|line| line.match_indices(' ').map(|(at, _)| &line[at + 1..]).chain([line]))
            {
                for format in FORMATS.iter().filter(|format| (format.looks)(line)) {
                    assert!(is_candidate(format, line), "{}: {line}", format.name);
                    seen += 1;
                }
            }
        }
        assert!(seen > 500);
    }

    proptest! {
        #[test]
        fn no_other_beginning_looks_like_a_format(
            head in "[ -~\\t]{0,3}|([0-9]{4}-[0-9]{2}-[0-9]{2}[T ])?[0-9]{2}:[0-9]{2}:[0-9]{2} ?",
            at in any::<prop::sample::Index>(),
        ) {
            let tails = [
                "[INFO] 1.2.3.4:5 - 6 \"A IN a. udp 1 false 2\" NOERROR qr 1 0.1s", "audit(1.2:3): a=b", "CEF:0|a|b|c|d|e|5|a=b",
                "1|a|b|c|d|e|5|a=b", "LEEF:1.0|a|b|c|d|", "type=a logid=1 subtype=b", ",1,2,3,a,b,block,in,4,", "wireguard: wg0: x",
                "[**] [1:2:3] x", "[Mon Dec 26 16:15:55 2016] [x] y", "1234567890.123 5", "1.2.3.4:5 [26/Dec/2016:16:16:29.123] x",
                "2 1 eni-1 a b c d e f g h i j OK", "unbound[1:0] info: x", "ABC [kea-dhcp4.x]", "10,1/2/3,1:2:3,a,b,c,d", "fail2ban.x",
                "I NETWORK [x] y", "12.123456] x", "h2 2026-01-01T00:00:00.000Z a b",
            ];
            let text = format!("{head}{}", tails[at.index(tails.len())]);
            for format in FORMATS.iter().filter(|format| (format.looks)(&text)) {
                prop_assert!(is_candidate(format, &text), "{}: {}", format.name, text);
            }
        }
    }
}
