//! What the tables compare: a tag for the kind of value, and its bytes.

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::IpNet;
use model::indicator::{Indicator, IndicatorType};

/// Kinds of keys. Addresses and hashes are kept as their bytes, the rest as text.
pub(super) mod tag {
    pub(in crate::set) const IP: u8 = 1;
    pub(in crate::set) const NET: u8 = 2;
    pub(in crate::set) const DOMAIN: u8 = 3;
    pub(in crate::set) const URL: u8 = 4;
    pub(in crate::set) const HASH: u8 = 5;
    pub(in crate::set) const EMAIL: u8 = 6;
}

/// A key as it is built for a lookup or an insertion.
#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    pub(super) tag: u8,
    pub(super) bytes: Vec<u8>,
}

impl Key {
    /// The key of an indicator; `None` when its value is not canonical.
    pub(super) fn of(indicator: &Indicator) -> Option<Self> {
        let mut key = Self::default();
        let value = indicator.value.as_str();
        match indicator.kind {
            IndicatorType::Ip => {
                if let Ok(ip) = value.parse::<IpAddr>() {
                    key.set_ip(ip.to_canonical());
                } else {
                    key.set_net(value.parse::<IpNet>().ok()?.trunc());
                }
            }
            IndicatorType::Domain => key.set_text(tag::DOMAIN, value),
            IndicatorType::Url => key.set_text(tag::URL, value),
            IndicatorType::Email => key.set_text(tag::EMAIL, value),
            IndicatorType::Md5 | IndicatorType::Sha1 | IndicatorType::Sha256 => {
                if !key.set_hash(value) {
                    return None;
                }
            }
        }
        (key.bytes.len() <= usize::from(u16::MAX)).then_some(key)
    }

    pub(super) fn set_ip(&mut self, ip: IpAddr) {
        self.tag = tag::IP;
        self.bytes.clear();
        match ip {
            IpAddr::V4(ip) => self.bytes.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => self.bytes.extend_from_slice(&ip.octets()),
        }
    }

    /// A network: its length, then its address.
    pub(super) fn set_net(&mut self, net: IpNet) {
        self.tag = tag::NET;
        self.bytes.clear();
        self.bytes.push(net.prefix_len());
        match net.addr() {
            IpAddr::V4(ip) => self.bytes.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => self.bytes.extend_from_slice(&ip.octets()),
        }
    }

    pub(super) fn set_text(&mut self, tag: u8, text: &str) {
        self.tag = tag;
        self.bytes.clear();
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Whether the text is an even number of hex digits.
    pub(super) fn set_hash(&mut self, hex: &str) -> bool {
        self.tag = tag::HASH;
        self.bytes.clear();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        for [high, low] in pairs {
            let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                return false;
            };
            self.bytes.push(high << 4 | low);
        }
        rest.is_empty()
    }
}

/// The kind of indicator behind a key.
pub(super) fn kind(tag: u8, length: usize) -> IndicatorType {
    match (tag, length) {
        (tag::IP | tag::NET, _) => IndicatorType::Ip,
        (tag::URL, _) => IndicatorType::Url,
        (tag::EMAIL, _) => IndicatorType::Email,
        (tag::HASH, 16) => IndicatorType::Md5,
        (tag::HASH, 20) => IndicatorType::Sha1,
        (tag::HASH, _) => IndicatorType::Sha256,
        _ => IndicatorType::Domain,
    }
}

/// The canonical value behind a key.
pub(super) fn value(tag: u8, bytes: &[u8]) -> String {
    let address = |bytes: &[u8]| -> Option<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return Some(IpAddr::from(v4));
        }
        <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
    };
    match tag {
        tag::IP => address(bytes).map(|ip| ip.to_string()).unwrap_or_default(),
        tag::NET => bytes
            .split_first()
            .and_then(|(length, rest)| IpNet::new(address(rest)?, *length).ok())
            .map(|net| net.to_string())
            .unwrap_or_default(),
        tag::HASH => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Seeded anew in each process, so that nobody can choose values that collide.
#[derive(Clone, Debug, Default)]
pub(super) struct Hashing(RandomState);

impl Hashing {
    pub(super) fn hash(&self, tag: u8, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(bytes);
        hasher.write_u8(tag);
        hasher.finish()
    }
}
