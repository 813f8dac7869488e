//! `picket rules lint`: mistakes in rule files, by place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use sigma::{Lint, Linter, RuleError, Severity};

use super::files;
use crate::table::{Style, counted, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files and directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Show infos, too: what could be better and is not wrong
    #[arg(long)]
    all: bool,
    /// Warnings make the command fail, too
    #[arg(long)]
    strict: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = files::collect(&args.paths)?;
    let mut parsed = found.parse();
    let (documents, catalog) = (parsed.len(), parsed.catalog());
    let mut linter = Linter::new(&catalog);
    // What is wrong with rules the linter says itself.
    let mut findings: Vec<Lint> = parsed.other_errors.into_iter().map(refused).collect();
    for file in found.files.iter().filter(|file| !file.is_pipeline()) {
        findings.extend(linter.file(&file.path.to_string_lossy(), &file.text));
    }
    let total = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, infos) = (total(Severity::Error), total(Severity::Warning), total(Severity::Info));
    findings.retain(|finding| args.all || finding.severity != Severity::Info);
    findings.sort_by(|left, right| (&left.path, left.line, left.column).cmp(&(&right.path, right.line, right.column)));
    if args.json {
        let rows: Vec<Value> = findings.iter().map(to_json).collect();
        let report = json!({
            "files": found.files.len(), "documents": documents, "errors": errors, "warnings": warnings,
            "infos": infos, "findings": rows,
        });
        println!("{report}");
    } else {
        report(&findings, Style::stdout());
        let hidden = if args.all || infos == 0 {
            String::new()
        } else {
            format!(" (--all shows {} more)", counted(infos, "info"))
        };
        println!(
            "{} in {}: {}, {}{hidden}",
            counted(documents, "document"),
            counted(found.files.len(), "file"),
            counted(errors, "error"),
            counted(warnings, "warning"),
        );
    }
    let failed = errors > 0 || (args.strict && warnings > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn refused(error: RuleError) -> Lint {
    Lint {
        path: error.path,
        line: error.line,
        column: error.column,
        code: "refused",
        severity: Severity::Error,
        field: error.field,
        message: error.reason,
        hint: "Correct it: the document is not used as it is",
    }
}

fn to_json(finding: &Lint) -> Value {
    json!({
        "path": finding.path, "line": finding.line, "column": finding.column, "code": finding.code,
        "severity": finding.severity.as_str(), "field": finding.field, "message": finding.message,
        "hint": finding.hint,
    })
}

fn report(findings: &[Lint], style: Style) {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings {
        println!("{}", line(finding, style));
        // Once is enough to learn what to do.
        if told.insert(finding.code) {
            println!("  {}", style.dim(finding.hint));
        }
        *codes.entry(finding.code).or_default() += 1;
    }
    if findings.len() > 20 {
        let mut counts: Vec<(&str, usize)> = codes.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let counts: Vec<String> = counts.iter().map(|(code, count)| format!("{count} {code}")).collect();
        println!("{}", counts.join(", "));
    }
}

/// As compilers write it, so that editors find the place.
fn line(finding: &Lint, style: Style) -> String {
    let mut place = printable(&finding.path);
    for number in [finding.line, finding.column].into_iter().flatten() {
        place.push_str(&format!(":{number}"));
    }
    let severity = match finding.severity {
        Severity::Error => style.red("error"),
        Severity::Warning => style.yellow("warning"),
        Severity::Info => style.dim("info"),
    };
    let field = if finding.field.is_empty() {
        String::new()
    } else {
        format!("{}: ", printable(&finding.field))
    };
    format!(
        "{}: {severity}[{}]: {field}{}",
        style.bold(&place),
        finding.code,
        printable(&finding.message)
    )
}
