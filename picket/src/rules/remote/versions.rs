//! `picket rules versions`: what a rule was before, who changed it and how.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::client::{Connection, encoded};
use crate::rules::diff::{self, Version};
use crate::table::{Style, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of the rule
    id: String,
    /// Show the text of this revision
    #[arg(long, value_name = "REVISION")]
    text: Option<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Revision {
    revision: String,
    at: String,
    by: String,
    yaml: String,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let mut answer = rest.get(&format!("/rules/{}/versions", encoded(&args.id))).await?;
    if args.json && args.text.is_none() {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    let revisions: Vec<Revision> =
        serde_json::from_value(answer["items"].take()).context("read the gateway's answer")?;
    if let Some(wanted) = &args.text {
        let Some(found) = revisions.iter().find(|revision| revision.revision == *wanted) else {
            bail!("rule {} has no revision {wanted}", args.id);
        };
        println!("{}", found.yaml.trim_matches('\n'));
        return Ok(ExitCode::SUCCESS);
    }
    let style = Style::stdout();
    for (position, revision) in revisions.iter().enumerate() {
        let when = revision.at.get(..19).unwrap_or(&revision.at).replace('T', " ");
        println!(
            "{}  {when}  {}",
            style.bold(&revision.revision),
            printable(&revision.by)
        );
        match revisions.get(position + 1) {
            Some(before) => {
                for line in changes(before, revision)? {
                    println!("    {line}");
                }
            }
            None => println!("    first seen"),
        }
    }
    if revisions.is_empty() {
        println!("no revisions were kept");
    }
    Ok(ExitCode::SUCCESS)
}

fn changes(before: &Revision, after: &Revision) -> anyhow::Result<Vec<String>> {
    let set = |revision: &Revision| {
        let version = Version {
            title: String::new(),
            path: revision.revision.clone(),
            revision: revision.revision.clone(),
            yaml: revision.yaml.clone(),
        };
        BTreeMap::from([(String::new(), version)])
    };
    let told = diff::compare(set(before), set(after))?.told();
    Ok(if told.is_empty() {
        vec!["the same meaning, written another way".to_owned()]
    } else {
        told
    })
}
