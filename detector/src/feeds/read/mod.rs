//! Driving the parsers over what is fetched.

mod misp;
mod one_body;
mod taxii;

use feeds::{Gunzip, Kind};
use model::feed::FeedSpec;

use super::error::Error;
use super::fetch::{Body, Limits, Origin, Validators};
use super::sink::Sink;

/// Packed bytes looked at between two hand-overs: what they unpack to is held in memory.
const STEP: usize = 4096;

/// How a reading ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The publisher has what we have.
    Unchanged,
    /// All of it was given to the sink.
    Whole(Validators),
    /// What there is was given to the sink, and some of it should be asked for again.
    Partly,
}

/// Counts what a run reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    used: u64,
    most: u64,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            used: 0,
            most: limits.max_bytes,
        }
    }

    /// Bytes so far, unpacked.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    fn add(&mut self, bytes: usize) -> bool {
        self.used = self.used.saturating_add(bytes as u64);
        self.used <= self.most
    }

    fn check(&self) -> Result<(), Error> {
        if self.used <= self.most {
            Ok(())
        } else {
            let most = self.most / (1024 * 1024);
            Err(Error::failed(format!(
                "expected at most {most} MiB, unpacked, in one run"
            )))
        }
    }
}

/// Reads a feed into the sink. `added_after` is where an earlier reading of a TAXII collection came to.
pub(crate) async fn read(
    spec: &FeedSpec,
    origin: &Origin,
    had: &Validators,
    added_after: Option<&str>,
    meter: &mut Meter,
    sink: &mut impl Sink,
) -> Result<Reading, Error> {
    match spec.kind {
        Kind::Misp => misp::read(spec, origin, had, meter, sink).await,
        Kind::Taxii => taxii::read(spec, origin, added_after, meter, sink).await,
        Kind::Feodo | Kind::Urlhaus | Kind::ThreatFox | Kind::MalwareBazaar | Kind::List | Kind::Stix => {
            one_body::read(spec, origin, had, meter, sink).await
        }
    }
}

/// A whole body in memory.
async fn whole(mut body: Body, meter: &mut Meter, most: usize) -> Result<Vec<u8>, Error> {
    let mut gunzip = Gunzip::default();
    let mut bytes = Vec::new();
    let mut is_too_long = false;
    let mut each = |piece: &[u8]| {
        is_too_long |= bytes.len() + piece.len() > most;
        if !is_too_long {
            bytes.extend_from_slice(piece);
        }
        meter.add(piece.len()) && !is_too_long
    };
    while let Some(packed) = body.next().await? {
        for step in packed.chunks(STEP) {
            gunzip.push(step, &mut each).map_err(told)?;
        }
    }
    gunzip.finish(&mut each).map_err(told)?;
    if is_too_long {
        let most = most / (1024 * 1024);
        return Err(Error::failed(format!("expected a file of at most {most} MiB")));
    }
    meter.check()?;
    Ok(bytes)
}

fn told(error: feeds::GunzipError) -> Error {
    Error::failed(error.to_string())
}
