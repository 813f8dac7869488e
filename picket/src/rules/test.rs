//! `picket rules test`: the events beside rules, and what the rules make of them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use sigma::ruletest::RuleTest;
use sigma::{Rule, RuleError, parse_rules};

use super::events;
use super::files::{self, RuleFile};
use super::junit::{self, Case, Suite};
use crate::table::{Style, counted, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files and directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Rules without tests make the command fail too
    #[arg(long)]
    strict: bool,
}

/// How the tests of one rule file went.
#[derive(Debug, Default)]
struct Outcome {
    suite: Suite,
    failures: Vec<RuleError>,
    untested: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = files::collect(&args.paths)?;
    let mut outcomes: Vec<Outcome> = found.files.iter().map(test_file).collect();
    outcomes.extend(found.unreadable.iter().map(|error| failed(&error.path, error.clone())));
    let suites: Vec<Suite> = outcomes
        .iter_mut()
        .map(|outcome| std::mem::take(&mut outcome.suite))
        .collect();
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::document(&suites)).with_context(|| format!("write {}", path.display()))?;
    }
    let failures: Vec<&RuleError> = outcomes.iter().flat_map(|outcome| &outcome.failures).collect();
    let untested: Vec<&str> = outcomes
        .iter()
        .zip(&suites)
        .filter(|(outcome, _)| outcome.untested)
        .map(|(_, suite)| suite.name.as_str())
        .collect();
    let cases: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let tested = suites.len() - untested.len();
    if args.json {
        let failures: Vec<_> = failures
            .iter()
            .map(|failure| json!({ "path": failure.path, "line": failure.line, "field": failure.field, "message": failure.reason }))
            .collect();
        let report = json!({
            "files": suites.len(), "cases": cases, "failed": failures.len(), "failures": failures, "untested": untested,
        });
        println!("{report}");
    } else {
        report(&failures, &untested, cases, tested);
    }
    let failed = !failures.is_empty() || (args.strict && !untested.is_empty());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report(failures: &[&RuleError], untested: &[&str], cases: usize, tested: usize) {
    let style = Style::stdout();
    for failure in failures {
        println!("{} {}", style.red("FAILED"), printable(&failure.to_string()));
    }
    for name in untested {
        println!("{} {}", style.yellow("no tests"), printable(name));
    }
    let verdict = if failures.is_empty() {
        style.green("all as expected")
    } else {
        style.red(&format!("{} failed", failures.len()))
    };
    let mut line = format!(
        "{} of {}: {verdict}",
        counted(cases, "event"),
        counted(tested, "rule file")
    );
    if !untested.is_empty() {
        line.push_str(&format!("; {} without tests", counted(untested.len(), "rule file")));
    }
    println!("{line}");
}

fn failed(name: &str, error: RuleError) -> Outcome {
    Outcome {
        suite: Suite {
            name: name.to_owned(),
            cases: vec![Case {
                name: "loads".to_owned(),
                failure: Some(error.to_string()),
            }],
        },
        failures: vec![error],
        untested: false,
    }
}

fn test_file(file: &RuleFile) -> Outcome {
    let name = file.path.to_string_lossy().into_owned();
    let rules: Result<Vec<Rule>, RuleError> = parse_rules(&name, &file.text).into_iter().collect();
    let rules = match rules {
        Ok(rules) => rules,
        Err(error) => return failed(&name, error),
    };
    let beside = file.path.with_extension("test.yml");
    if !beside.exists() {
        return Outcome {
            suite: Suite {
                name,
                cases: Vec::new(),
            },
            failures: Vec::new(),
            untested: true,
        };
    }
    let shown = beside.to_string_lossy().into_owned();
    let text = files::read(&beside).map_err(|error| RuleError {
        path: shown.clone(),
        line: None,
        column: None,
        field: "file".to_owned(),
        reason: format!("{error:#}"),
    });
    let test = match text.and_then(|text| RuleTest::parse(&shown, &text)) {
        Ok(test) => test,
        Err(error) => return failed(&name, error),
    };
    let mut outcome = Outcome::default();
    outcome.suite.name = name;
    for rule in &rules {
        let report = test.run(rule, Some(&events::from_line));
        for (number, case) in test.cases.iter().enumerate() {
            let failure = report
                .failures
                .iter()
                .find(|failure| failure.line == Some(case.file_line));
            let kind = if case.positive { "positive" } else { "negative" };
            outcome.suite.cases.push(Case {
                name: format!("{kind} {} {}", number + 1, case.name).trim_end().to_owned(),
                failure: failure.map(ToString::to_string),
            });
        }
        outcome.failures.extend(report.failures);
    }
    outcome
}
