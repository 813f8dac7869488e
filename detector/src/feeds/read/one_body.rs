//! Feeds that are one body: parsed as it arrives, never held.

use feeds::{Gunzip, Options, Parser};
use model::feed::FeedSpec;

use super::{Meter, Reading, STEP, told};
use crate::feeds::error::Error;
use crate::feeds::fetch::{Answer, Origin, Validators};
use crate::feeds::sink::Sink;

pub(super) async fn read(
    spec: &FeedSpec,
    origin: &Origin,
    had: &Validators,
    meter: &mut Meter,
    sink: &mut impl Sink,
) -> Result<Reading, Error> {
    let Answer::Content(content) = origin.open(had).await? else {
        return Ok(Reading::Unchanged);
    };
    let options = Options {
        kind: spec.options.kind,
    };
    let mut parser =
        Parser::new(spec.kind, options).ok_or_else(|| Error::failed("kind: expected one that is one body"))?;
    let mut gunzip = Gunzip::default();
    let mut items = Vec::new();
    let mut body = content.body;
    let before = meter.used();
    while let Some(packed) = body.next().await? {
        for step in packed.chunks(STEP) {
            let mut each = |piece: &[u8]| {
                parser.push(piece, &mut items);
                meter.add(piece.len())
            };
            gunzip.push(step, &mut each).map_err(told)?;
            meter.check()?;
            sink.take(&mut items).await?;
            if sink.is_full() {
                return Ok(Reading::Partly);
            }
        }
    }
    let mut each = |piece: &[u8]| {
        parser.push(piece, &mut items);
        meter.add(piece.len())
    };
    gunzip.finish(&mut each).map_err(told)?;
    meter.check()?;
    if meter.used() == before {
        return Err(Error::failed("expected content, got an empty body"));
    }
    parser.finish(&mut items);
    sink.take(&mut items).await?;
    Ok(Reading::Whole(content.validators))
}
