//! `picket parsers import|list|show|remove`: the parsers of a running system.

use std::process::ExitCode;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ImportArgs, ListArgs, RemoveArgs, ShowArgs, files};
use crate::client::encoded;
use crate::table::{Style, Table, counted, printable};

pub(super) async fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let (mut stored, mut unchanged, mut refused) = (0, 0, 0);
    for file in files::collect(&args.paths)? {
        let shown = file.display();
        let text = files::read(&file)?;
        // First asked for where it is wrong, so that one bad file costs only itself.
        let body = json!({ "text": text });
        let verdict = rest.post("/parsers/validate", &body).await?;
        if verdict["valid"] != true {
            refused += 1;
            for mistake in verdict["errors"].as_array().into_iter().flatten() {
                println!("{}", printable(&format!("{shown}{}", told(mistake))));
            }
            continue;
        }
        let name = verdict["name"].as_str().unwrap_or_default().to_owned();
        if args.dry_run {
            println!("{shown}: {} can be stored", printable(&name));
            stored += 1;
            continue;
        }
        let outcome = rest
            .send(Method::PUT, &format!("/parsers/{}", encoded(&name)), Some(&body))
            .await?;
        let is_new = outcome["unchanged"] != true;
        stored += usize::from(is_new);
        unchanged += usize::from(!is_new);
        let what = if is_new { "stored" } else { "unchanged" };
        println!("{shown}: {} revision {} {what}", printable(&name), outcome["revision"]);
    }
    let done = if args.dry_run { "usable" } else { "stored" };
    println!(
        "{} {done}, {unchanged} unchanged, {refused} refused",
        counted(stored, "parser")
    );
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `:LINE:COLUMN: FIELD: REASON`, as far as they are known.
fn told(mistake: &Value) -> String {
    let mut text = String::new();
    if let (Some(line), Some(column)) = (mistake["line"].as_u64(), mistake["column"].as_u64()) {
        text.push_str(&format!(":{line}:{column}"));
    }
    let field = mistake["field"].as_str().unwrap_or_default();
    if !field.is_empty() {
        text.push_str(&format!(": {field}"));
    }
    text + ": " + mistake["reason"].as_str().unwrap_or_default()
}

pub(super) async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let answer = rest.get("/parsers").await?;
    if args.json {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    let count = table(&answer)?;
    println!("{}", counted(count, "parser"));
    Ok(ExitCode::SUCCESS)
}

/// Prints parsers or versions; how many they are.
fn table(answer: &Value) -> anyhow::Result<usize> {
    let items = answer["items"].as_array().context("read the gateway's answer")?;
    let mut table = Table::new(&["NAME", "DATASET", "REVISION", "AT", "BY"]);
    for item in items {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let at = text("at");
        table.row([
            text("name").into(),
            text("dataset").into(),
            item["revision"].to_string().into(),
            at.get(..19).unwrap_or(&at).replace('T', " ").into(),
            text("by").into(),
        ]);
    }
    if !items.is_empty() {
        print!("{}", table.render(Style::stdout()));
    }
    Ok(items.len())
}

pub(super) async fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let path = format!("/parsers/{}", encoded(&args.name));
    if args.versions {
        let answer = rest.get(&format!("{path}/versions")).await?;
        if args.json {
            println!("{answer}");
        } else {
            table(&answer)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let answer = rest.get(&path).await?;
    if args.json {
        println!("{answer}");
    } else {
        print!("{}", answer["text"].as_str().unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn remove(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    for name in &args.names {
        rest.delete(&format!("/parsers/{}", encoded(name))).await?;
        println!("removed parser {}", printable(name));
    }
    Ok(ExitCode::SUCCESS)
}
