//! What an agent delivered can be proved, and whoever changes what is stored is found out.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bson::{Binary, Bson, Document, doc};
use futures_util::TryStreamExt as _;
use model::Tenant;
use mongodb::{Client, Collection, Database};
use serde_json::Value;
use tests::system::{Options, System};
use tests::until::until;

use super::numbered::Numbered;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_delivery_is_proved_and_every_change_to_it_is_found() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let mut lines = Numbered::new(&system.try_file());
    lines.write_steadily(1500).await?;
    lines.all_arrived_once(&system).await?;
    let agents = storage::agents::list(&system.store().await?, &Tenant::default(), 10).await?;
    let agent = agents.first().context("no agent")?.id.to_string();

    let report = until("the receipt for everything is on record", SOON, async || {
        let (output, report) = verify(&system, &agent)?;
        ensure!(output.status.success() && report["holds"] == true, "{report}");
        ensure!(report["epochs"][0]["receipt"]["next_seq"] == 1500, "{report}");
        Ok(Some(report))
    })
    .await?;
    ensure!(
        report["events"] == 1500 && report["problems"] == serde_json::json!([]),
        "{report}"
    );
    ensure!(report["epochs"][0]["receipt"]["valid"] == true, "{report}");
    let spans = serde_json::json!([{ "first_seq": 0, "count": 1500 }]);
    ensure!(report["epochs"][0]["stored"] == spans, "{report}");
    let asked = system.get(&format!("/agents/{agent}/delivery")).await?;
    ensure!(asked["holds"] == true && asked["blocks_read"] == false, "{asked}");
    let shown = system.picket(&["agent", "delivery", &agent])?;
    ensure!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));

    let database = Client::with_uri_str(&system.up.mongodb_uri).await?.database("picket");
    let blocks = blocks(&database).await?;
    let all: Vec<Document> = blocks
        .find(doc! {})
        .sort(doc! { "batches.seq": 1 })
        .await?
        .try_collect()
        .await?;
    let whole = all.get(all.len() / 2).context("no block")?;
    let first_seq = whole
        .get_array("batches")?
        .iter()
        .filter_map(|batch| batch.as_document()?.get_i64("seq").ok())
        .min()
        .context("a block without batches")?;
    let id = doc! { "_id": whole.get_object_id("_id")? };

    // A byte of what is known of the events, of the token filter that search relies on, of each field of the events, of a
    // batch's hash; the time; a batch less.
    for field in ["head", "tf"] {
        let changed = with_flipped_bit(whole, field)?;
        blocks.replace_one(id.clone(), changed).await?;
        expect_broken(&system, &agent, first_seq, field)?;
    }
    let columns = whole.get_document("cols")?;
    ensure!(
        columns.contains_key("message"),
        "{:?}",
        columns.keys().collect::<Vec<_>>()
    );
    for column in columns.keys() {
        let mut changed = whole.clone();
        changed.insert("cols", with_flipped_bit(columns, column)?);
        blocks.replace_one(id.clone(), changed).await?;
        expect_broken(&system, &agent, first_seq, column)?;
    }
    let mut changed = whole.clone();
    let batch = changed.get_array_mut("batches")?.first_mut().context("no batch")?;
    let batch = batch.as_document_mut().context("no batch")?;
    let flipped = with_flipped_bit(batch, "hash")?;
    *batch = flipped;
    blocks.replace_one(id.clone(), changed).await?;
    expect_broken(&system, &agent, first_seq, "hash")?;
    let mut changed = whole.clone();
    changed.insert("max", bson::DateTime::from_millis(0));
    blocks.replace_one(id.clone(), changed).await?;
    expect_broken(&system, &agent, first_seq, "max")?;
    let mut changed = whole.clone();
    changed.remove("proof");
    blocks.replace_one(id.clone(), changed).await?;
    expect_broken(&system, &agent, first_seq, "proof")?;
    blocks.delete_one(id.clone()).await?;
    let (output, report) = verify(&system, &agent)?;
    ensure!(
        !output.status.success() && report["problems"][0]["first_seq"] == first_seq,
        "{report}"
    );
    let asked = system.get(&format!("/agents/{agent}/delivery")).await?;
    ensure!(asked["holds"] == false, "a gap is seen without reading blocks: {asked}");
    blocks.insert_one(whole).await?;
    let (output, report) = verify(&system, &agent)?;
    ensure!(output.status.success(), "put back as it was: {report}");

    // What a detector does to a block is no change.
    blocks.update_one(id, doc! { "$set": { "pending": true } }).await?;
    ensure!(
        verify(&system, &agent)?.0.status.success(),
        "detection may look at a block again"
    );

    let deliveries: Collection<Document> = database.collection("deliveries");
    deliveries
        .update_one(
            doc! { "receipt": { "$exists": true } },
            doc! { "$set": { "receipt.next_seq": 1400_i64 } },
        )
        .await?;
    let (output, report) = verify(&system, &agent)?;
    ensure!(
        !output.status.success() && report["epochs"][0]["receipt"]["valid"] == false,
        "a changed receipt: {report}"
    );
    let unknown = system.picket(&["agent", "delivery", "00000000-0000-4000-8000-000000000000", "--verify"])?;
    ensure!(!unknown.status.success(), "there is no such agent");
    system.stop().await
}

fn verify(system: &System, agent: &str) -> anyhow::Result<(Output, Value)> {
    let output = system.picket(&["agent", "delivery", agent, "--verify", "--json"])?;
    let report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output, report))
}

fn expect_broken(system: &System, agent: &str, first_seq: i64, what: &str) -> anyhow::Result<()> {
    let (output, report) = verify(system, agent)?;
    ensure!(!output.status.success(), "changed {what}: {report}");
    ensure!(
        report["problems"][0]["first_seq"] == first_seq,
        "changed {what}: {report}"
    );
    Ok(())
}

async fn blocks(database: &Database) -> anyhow::Result<Collection<Document>> {
    let names = database.list_collection_names().await?;
    let name = names.iter().find(|name| name.starts_with("blocks_"));
    Ok(database.collection(name.context("no blocks")?))
}

fn with_flipped_bit(document: &Document, field: &str) -> anyhow::Result<Document> {
    let Some(Bson::Binary(binary)) = document.get(field) else {
        anyhow::bail!("{field} is no binary");
    };
    let mut bytes = binary.bytes.clone();
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("no bytes")? ^= 1;
    let mut changed = document.clone();
    let subtype = binary.subtype;
    changed.insert(field, Binary { subtype, bytes });
    Ok(changed)
}
