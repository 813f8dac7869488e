//! `picket rules lint`: mistakes in rule files, by place.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use sigma::RuleError;

use super::files;
use crate::table::{Style, counted, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files and directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Warnings make the command fail too
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Error,
    Warning,
}

#[derive(Debug, Serialize)]
struct Finding {
    path: String,
    line: Option<usize>,
    column: Option<usize>,
    severity: Severity,
    field: String,
    message: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = files::collect(&args.paths)?;
    let mut parsed = found.parse();
    let count = parsed.len();
    parsed.compile();
    let mut findings: Vec<Finding> = parsed.errors.into_iter().map(error).collect();
    findings.sort_by(|left, right| (&left.path, left.line).cmp(&(&right.path, right.line)));
    let total = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (total(Severity::Error), total(Severity::Warning));
    if args.json {
        let report = json!({
            "files": found.files.len(), "documents": count, "errors": errors, "warnings": warnings, "findings": findings,
        });
        println!("{report}");
    } else {
        let style = Style::stdout();
        for finding in &findings {
            println!("{}", line(finding, style));
        }
        let files: BTreeSet<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
        let verdict = if findings.is_empty() {
            style.green("no mistakes found")
        } else {
            format!(
                "{} and {} in {}",
                counted(errors, "error"),
                counted(warnings, "warning"),
                counted(files.len(), "file")
            )
        };
        println!(
            "{} in {}: {verdict}",
            counted(count, "document"),
            counted(found.files.len(), "file")
        );
    }
    let failed = errors > 0 || (args.strict && warnings > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn error(error: RuleError) -> Finding {
    Finding {
        path: error.path,
        line: error.line,
        column: error.column,
        severity: Severity::Error,
        field: error.field,
        message: error.reason,
    }
}

/// As compilers write it, so that editors find the place.
fn line(finding: &Finding, style: Style) -> String {
    let mut place = printable(&finding.path);
    for number in [finding.line, finding.column].into_iter().flatten() {
        place.push_str(&format!(":{number}"));
    }
    let severity = match finding.severity {
        Severity::Error => style.red("error"),
        Severity::Warning => style.yellow("warning"),
    };
    format!(
        "{}: {severity}: {}: {}",
        style.bold(&place),
        printable(&finding.field),
        printable(&finding.message)
    )
}
