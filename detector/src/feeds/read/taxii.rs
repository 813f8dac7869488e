//! TAXII 2.1: find the collection, then read page after page of what was added since.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use feeds::taxii::{self, Collection, Envelope, MEDIA_TYPE, Page};
use feeds::{Gunzip, Item};
use model::feed::FeedSpec;
use reqwest::Url;
use serde_json::Value;

use super::{Meter, Reading, STEP, told, whole};
use crate::feeds::error::Error;
use crate::feeds::fetch::{Answer, Content, Http, Origin, Validators};
use crate::feeds::sink::Sink;

/// Longest discovery document and list of collections, in bytes.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;
/// Objects asked for at a time; servers may give fewer.
const PAGE: &str = "1000";
/// Most pages of a run.
const MAX_PAGES: usize = 100_000;
/// Times that a server may forget where a listing was.
const MAX_RESTARTS: usize = 3;

pub(super) async fn read(
    spec: &FeedSpec,
    origin: &Origin,
    added_after: Option<&str>,
    meter: &mut Meter,
    sink: &mut impl Sink,
) -> Result<Reading, Error> {
    let Origin::Http(http, url) = origin else {
        return Err(Error::failed("path: expected a url, TAXII is a service"));
    };
    let wanted = spec.options.collection.as_deref().unwrap_or_default();
    let objects = find(http, url, wanted, meter).await?;
    let mut listing = Listing {
        objects,
        after: added_after.map(str::to_owned),
        next: None,
        resume: None,
    };
    let mut restarts = 0;
    for number in 0..MAX_PAGES {
        let content = match http.get(&listing.url(), &Validators::default(), MEDIA_TYPE).await {
            Ok(Answer::Content(content)) => content,
            Ok(Answer::Unchanged) => return Ok(Reading::Unchanged),
            // A server keeps a listing for a while only; what was read up to here is noted.
            Err(Error::Status(400 | 404 | 410)) if listing.next.is_some() && restarts < MAX_RESTARTS => {
                restarts += 1;
                listing.next = None;
                listing.after = listing.resume.take().or(listing.after);
                continue;
            }
            Err(error) => return Err(error),
        };
        let added_last = content.added_last.clone();
        let (page, objects) = take_page(content, meter, sink).await?;
        if sink.is_full() {
            return Ok(Reading::Partly);
        }
        let before = (listing.after.clone(), listing.next.clone());
        if let Some(last) = added_last {
            // Objects that were added in one go share a time, and a page may end between them: a reading that begins
            // anew has to begin just before.
            let cursor = if page.more { just_before(&last) } else { last };
            sink.added_up_to(cursor.clone()).await?;
            if page.next.is_none() || !page.more {
                listing.after = Some(cursor);
            } else {
                listing.resume = Some(cursor);
            }
        }
        if !page.more {
            let is_nothing = number == 0 && objects == 0;
            return Ok(if is_nothing {
                Reading::Unchanged
            } else {
                Reading::Whole(Validators::default())
            });
        }
        listing.next = page.next;
        // Some servers name every page of a listing alike, so that only an empty page shows that it does not go on.
        let is_same = (listing.after.clone(), listing.next.clone()) == before;
        if is_same && (listing.next.is_none() || objects == 0) {
            return Err(Error::failed("expected the server's next page to differ from this one"));
        }
    }
    Err(Error::failed(format!("expected at most {MAX_PAGES} pages")))
}

/// Where in a collection we are.
struct Listing {
    objects: Url,
    after: Option<String>,
    next: Option<String>,
    /// Where to begin when the server has forgotten `next`.
    resume: Option<String>,
}

impl Listing {
    fn url(&self) -> Url {
        let mut url = self.objects.clone();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", PAGE);
            query.append_pair("match[type]", "indicator,marking-definition");
            if let Some(after) = &self.after {
                query.append_pair("added_after", after);
            }
            if let Some(next) = &self.next {
                query.append_pair("next", next);
            }
        }
        url
    }
}

/// Reads a page into the sink; says what comes after it and how many objects it had.
async fn take_page(content: Box<Content>, meter: &mut Meter, sink: &mut impl Sink) -> Result<(Page, usize), Error> {
    let mut body = content.body;
    let mut gunzip = Gunzip::default();
    let mut envelope = Envelope::default();
    let mut items: Vec<Item> = Vec::new();
    let mut objects = 0;
    while let Some(packed) = body.next().await? {
        for step in packed.chunks(STEP) {
            let mut each = |piece: &[u8]| {
                envelope.push(piece, &mut items);
                meter.add(piece.len())
            };
            gunzip.push(step, &mut each).map_err(told)?;
            meter.check()?;
            objects += items.len();
            sink.take(&mut items).await?;
        }
    }
    let mut each = |piece: &[u8]| {
        envelope.push(piece, &mut items);
        meter.add(piece.len())
    };
    gunzip.finish(&mut each).map_err(told)?;
    meter.check()?;
    objects += items.len();
    sink.take(&mut items).await?;
    let page = envelope.finish().map_err(|error| Error::failed(error.to_string()))?;
    Ok((page, objects))
}

/// The objects of the collection that is meant. The feed's URL may be the server's discovery document, an API root, its
/// list of collections or the collection itself.
async fn find(http: &Http, url: &Url, wanted: &str, meter: &mut Meter) -> Result<Url, Error> {
    let document = get(http, url, meter).await?;
    if document.get("collections").is_some() {
        return among(url, &document, wanted);
    }
    if document.get("can_read").is_some() {
        return below(url, &["objects"]);
    }
    let mut roots = Vec::new();
    if document.get("api_roots").is_some() || document.get("default").is_some() {
        let found =
            taxii::discovery(document.to_string().as_bytes()).map_err(|error| Error::failed(error.to_string()))?;
        for root in found.default.iter().chain(&found.api_roots) {
            let root = url
                .join(root)
                .map_err(|_| Error::failed("discovery: expected API roots to be URLs"))?;
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
    } else {
        roots.push(url.clone());
    }
    let mut last = Error::failed("discovery: expected an API root");
    for root in roots {
        if !http.is_home(&root) {
            let at = root.origin().ascii_serialization();
            last = Error::failed(format!(
                "discovery: the API root is on another server, {at}; give its address as the feed's url"
            ));
            continue;
        }
        let list = below(&root, &["collections"])?;
        match get(http, &list, meter).await {
            Ok(document) => match among(&list, &document, wanted) {
                Ok(objects) => return Ok(objects),
                Err(error) => last = error,
            },
            Err(error @ Error::Status(_)) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The objects of the collection of that id, alias or title.
fn among(list: &Url, document: &Value, wanted: &str) -> Result<Url, Error> {
    let collections: Vec<Collection> =
        taxii::collections(document.to_string().as_bytes()).map_err(|error| Error::failed(error.to_string()))?;
    let is_wanted = |collection: &&Collection| {
        collection.id.eq_ignore_ascii_case(wanted)
            || collection.alias.as_deref() == Some(wanted)
            || collection.title == wanted
    };
    let Some(found) = collections.iter().find(is_wanted) else {
        let titles: Vec<&str> = collections
            .iter()
            .take(10)
            .map(|collection| collection.title.as_str())
            .collect();
        return Err(Error::failed(format!(
            "options.collection: the server has no {wanted:?}; it has {titles:?}"
        )));
    };
    if !found.can_read {
        return Err(Error::failed(format!(
            "options.collection: the server does not let us read {wanted:?}"
        )));
    }
    below(list, &[&found.id, "objects"])
}

/// The URL with further parts and a slash at the end, which TAXII wants.
fn below(url: &Url, parts: &[&str]) -> Result<Url, Error> {
    let mut url = url.clone();
    url.set_query(None);
    url.path_segments_mut()
        .map_err(|()| Error::failed("url: expected a URL with a path"))?
        .pop_if_empty()
        .extend(parts)
        .push("");
    Ok(url)
}

async fn get(http: &Http, url: &Url, meter: &mut Meter) -> Result<Value, Error> {
    let Answer::Content(content) = http.get(url, &Validators::default(), MEDIA_TYPE).await? else {
        return Err(Error::failed("expected a TAXII 2.1 answer, got that nothing changed"));
    };
    let body = whole(content.body, meter, MAX_DOCUMENT).await?;
    serde_json::from_slice(&body).map_err(|_| Error::failed("url: expected a TAXII 2.1 server, the answer is no JSON"))
}

/// A millisecond earlier; the same when it is no time.
fn just_before(time: &str) -> String {
    match DateTime::parse_from_rfc3339(time) {
        Ok(time) => {
            let before = time.with_timezone(&Utc) - TimeDelta::milliseconds(1);
            before.to_rfc3339_opts(SecondsFormat::Micros, true)
        }
        Err(_) => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_begins_anew_begins_just_before_its_end() {
        assert_eq!(
            just_before("2026-01-01T00:00:00.000000Z"),
            "2025-12-31T23:59:59.999000Z"
        );
        assert_eq!(just_before("not a time"), "not a time");
    }

    #[test]
    fn collections_are_found_by_id_alias_and_title() {
        let list = Url::parse("https://x.example/api/collections/").unwrap();
        let document = serde_json::json!({"collections": [
            {"id": "9cfa669c", "title": "Phishing", "alias": "phish", "can_read": true},
            {"id": "a/b?c", "title": "Secret", "can_read": false},
            {"id": "d e/f", "title": "Odd", "can_read": true},
        ]});
        for wanted in ["9CFA669C", "phish", "Phishing"] {
            let found = among(&list, &document, wanted).unwrap();
            assert_eq!(found.as_str(), "https://x.example/api/collections/9cfa669c/objects/");
        }
        let odd = among(&list, &document, "Odd").unwrap();
        assert_eq!(odd.as_str(), "https://x.example/api/collections/d%20e%2Ff/objects/");
        assert!(
            among(&list, &document, "Secret")
                .unwrap_err()
                .to_string()
                .contains("does not let us read")
        );
        assert!(
            among(&list, &document, "None")
                .unwrap_err()
                .to_string()
                .contains("Phishing")
        );
    }
}
