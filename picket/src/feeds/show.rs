//! Showing feeds.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::Value;

use super::{ListArgs, OneArgs, path_of};

pub(super) async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let answer = rest.send(Method::GET, "/ti/feeds", None).await?;
    let feeds = answer["items"].as_array().cloned().unwrap_or_default();
    if args.json {
        for feed in &feeds {
            println!("{feed}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if feeds.is_empty() {
        println!("no feeds; begin with `picket feeds add --preset feodo`");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{:<24} {:<14} {:<10} {:>9} {:>7} {:>7} {:>7}  {:<20} ERROR",
        "NAME", "KIND", "STATE", "SEEN", "NEW", "REMOVED", "REFUSED", "LAST RUN"
    );
    for feed in &feeds {
        let status = &feed["status"];
        let counts = &status["counts"];
        println!(
            "{:<24} {:<14} {:<10} {:>9} {:>7} {:>7} {:>7}  {:<20} {}",
            text(&feed["name"]),
            text(&feed["kind"]),
            state(feed),
            counts["seen"],
            counts["new"],
            counts["removed"],
            refused(counts),
            time(&status["last_run"]),
            text(&status["error"]),
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn one(args: &OneArgs) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let feed = rest.send(Method::GET, &path_of(&args.name), None).await?;
    if args.json {
        println!("{feed}");
    } else {
        print(&feed);
    }
    Ok(ExitCode::SUCCESS)
}

/// A feed for people.
pub(super) fn print(feed: &Value) {
    let status = &feed["status"];
    let counts = &status["counts"];
    let place = if feed["url"].is_null() {
        &feed["path"]
    } else {
        &feed["url"]
    };
    println!("feed       {} ({})", text(&feed["name"]), text(&feed["kind"]));
    println!("from       {}", text(place));
    println!("every      {} s", feed["interval_secs"]);
    println!("state      {}", state(feed));
    if !status["error"].is_null() {
        println!(
            "error      {} ({} in a row)",
            text(&status["error"]),
            status["failures"]
        );
    }
    println!("last run   {}", time(&status["last_run"]));
    println!("success    {}", time(&status["last_success"]));
    println!("next run   {}", time(&status["next_run"]));
    println!(
        "found      {} seen, {} new, {} removed, {} skipped, {} refused; {} bytes in {} ms",
        counts["seen"],
        counts["new"],
        counts["removed"],
        counts["skipped"],
        refused(counts),
        status["bytes"],
        status["duration_ms"],
    );
    for (reason, count) in counts["refused"].as_object().into_iter().flatten() {
        println!("refused    {reason}: {count}");
    }
    for reason in status["reasons"].as_array().into_iter().flatten() {
        println!("  {}", text(reason));
    }
}

fn state(feed: &Value) -> String {
    if feed["enabled"] == false {
        return "disabled".to_owned();
    }
    text(&feed["status"]["state"])
}

fn refused(counts: &Value) -> u64 {
    counts["refused"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

/// Without what could move a terminal's cursor.
fn text(value: &Value) -> String {
    let plain = value.as_str().unwrap_or_default();
    plain.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// To the second.
fn time(value: &Value) -> String {
    match value.as_str() {
        Some(time) => time.split('.').next().unwrap_or(time).replace('T', " "),
        None => "never".to_owned(),
    }
}
