//! `picket rules enable`, `disable` and `delete`.

use std::process::ExitCode;

use proto::rules::v1::{DeleteRulesRequest, RuleChange, SetRulesEnabledRequest};
use serde_json::json;

use crate::client::{Connection, grpc_error};
use crate::table::{Style, printable};

#[derive(clap::Args)]
pub(crate) struct EnableArgs {
    /// Ids of rules
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Why; kept in the audit log and shown with the rule
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct DeleteArgs {
    /// Ids of rules
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn switch(args: EnableArgs, enabled: bool) -> anyhow::Result<ExitCode> {
    let request = SetRulesEnabledRequest {
        ids: args.ids,
        enabled,
        note: args.note,
        ..SetRulesEnabledRequest::default()
    };
    let mut client = args.connection.target()?.rules().await?;
    let answer = client.set_rules_enabled(request).await.map_err(grpc_error)?;
    let (done, already) = if enabled {
        ("enabled", "was enabled already")
    } else {
        ("disabled", "was disabled already")
    };
    Ok(report(&answer.into_inner().changes, done, already, args.json))
}

pub(crate) async fn delete(args: DeleteArgs) -> anyhow::Result<ExitCode> {
    let request = DeleteRulesRequest {
        ids: args.ids,
        ..DeleteRulesRequest::default()
    };
    let mut client = args.connection.target()?.rules().await?;
    let answer = client.delete_rules(request).await.map_err(grpc_error)?;
    Ok(report(
        &answer.into_inner().changes,
        "deleted",
        "is not there",
        args.json,
    ))
}

fn report(changes: &[RuleChange], done: &str, already: &str, as_json: bool) -> ExitCode {
    if as_json {
        let rows: Vec<_> = changes
            .iter()
            .map(|change| json!({ "id": change.id, "changed": change.changed, "error": change.error }))
            .collect();
        println!("{}", json!({ "changes": rows }));
    } else {
        let style = Style::stdout();
        for change in changes {
            let id = printable(&change.id);
            match (change.error.as_str(), change.changed) {
                ("", true) => println!("{} {id}", style.green(done)),
                ("", false) => println!("{id} {already}"),
                (error, _) => println!("{} {id}: {}", style.red("not done"), printable(error)),
            }
        }
    }
    if changes.iter().all(|change| change.error.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
