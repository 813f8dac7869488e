//! `signers`: the certificates with whose keys collectors sign receipts and blocks, so that both can be checked when the
//! collector is long gone. Each collector adds its own; nothing is ever changed. That a certificate is here proves
//! nothing: it must be issued by the authority, whose certificate does not come from the database.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use model::NodeId;

use crate::{Error, Store};

const COLLECTION: &str = "signers";

/// A collector's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Its serial number, lower-case hex.
    pub serial: String,
    /// Whose it is.
    pub node: NodeId,
    /// The certificate and those between it and the authority's, in DER.
    pub chain: Vec<Vec<u8>>,
}

/// Adds a certificate. Adding it again changes nothing.
///
/// # Errors
/// When the database is away.
pub async fn record(store: &Store, signer: &Signer) -> Result<(), Error> {
    let chain: Vec<Bson> = signer
        .chain
        .iter()
        .map(|der| {
            Bson::Binary(Binary {
                subtype: BinarySubtype::Generic,
                bytes: der.clone(),
            })
        })
        .collect();
    store
        .collection::<Document>(COLLECTION)
        .update_one(
            doc! { "_id": &signer.serial },
            doc! { "$setOnInsert": { "node": signer.node.as_str(), "chain": chain } },
        )
        .upsert(true)
        .await?;
    Ok(())
}

/// A certificate by its serial number.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, serial: &str) -> Result<Option<Signer>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": serial })
        .await?;
    let Some(found) = found else { return Ok(None) };
    let wrong = |field: &str, expected: &str| Error::invalid(format!("signers.{field}"), expected);
    let node = found.get_str("node").map_err(|_| wrong("node", "text"))?;
    let chain = found.get_array("chain").map_err(|_| wrong("chain", "a list"))?;
    let der = |value: &Bson| {
        let Bson::Binary(der) = value else { return None };
        Some(der.bytes.clone())
    };
    Ok(Some(Signer {
        serial: serial.to_owned(),
        node: node.parse().map_err(|_| wrong("node", "a node's name"))?,
        chain: chain
            .iter()
            .map(der)
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("chain", "certificates"))?,
    }))
}
