//! `picket rules test`: the events beside rules and correlations, and what those make of them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use sigma::ruletest::{Pool, RuleTest, SequenceTest};
use sigma::{Correlation, Document, RuleError, parse_documents};

use super::events;
use super::files::{self, RuleFile};
use super::junit::{self, Case, Suite};
use crate::table::{Style, counted, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files and directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where else the rules are that correlations are over
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
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
    let others = files::collect(&args.rules)?.parse();
    let mut pool = found.parse();
    pool.rules.extend(others.rules);
    pool.correlations.extend(others.correlations);
    pool.filters.extend(others.filters);
    let documents = Pool {
        rules: &pool.rules,
        correlations: &pool.correlations,
        filters: &pool.filters,
    };
    let mut outcomes: Vec<Outcome> = found
        .files
        .iter()
        .filter_map(|file| test_file(file, documents))
        .collect();
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
        counted(cases, "case"),
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

/// The cases of a test file, of rules or of correlations.
struct Cases {
    /// Name, line and whether it is positive.
    given: Vec<(String, usize, bool)>,
    failures: Vec<RuleError>,
}

fn test_file(file: &RuleFile, pool: Pool<'_>) -> Option<Outcome> {
    if file.is_pipeline() {
        return None;
    }
    let name = file.path.to_string_lossy().into_owned();
    let documents: Result<Vec<Document>, RuleError> = parse_documents(&name, &file.text).into_iter().collect();
    let documents = match documents {
        Ok(documents) => documents,
        Err(error) => return Some(failed(&name, error)),
    };
    if documents.iter().all(|document| matches!(document, Document::Filter(_))) {
        return None;
    }
    let beside = file.path.with_extension("test.yml");
    if !beside.exists() {
        let suite = Suite {
            name,
            cases: Vec::new(),
        };
        return Some(Outcome {
            suite,
            failures: Vec::new(),
            untested: true,
        });
    }
    let shown = beside.to_string_lossy().into_owned();
    let text = files::read(&beside).map_err(|error| RuleError {
        path: shown.clone(),
        line: None,
        column: None,
        field: "file".to_owned(),
        reason: format!("{error:#}"),
    });
    let cases = match text.and_then(|text| run_cases(&shown, &text, &documents, pool)) {
        Ok(cases) => cases,
        Err(error) => return Some(failed(&name, error)),
    };
    let mut outcome = Outcome::default();
    outcome.suite.name = name;
    for (number, (name, line, positive)) in cases.given.into_iter().enumerate() {
        let failure = cases.failures.iter().find(|failure| failure.line == Some(line));
        let kind = if positive { "positive" } else { "negative" };
        outcome.suite.cases.push(Case {
            name: format!("{kind} {} {name}", number + 1).trim_end().to_owned(),
            failure: failure.map(ToString::to_string),
        });
    }
    outcome.failures = cases.failures;
    Some(outcome)
}

/// A file with a correlation is tested by sequences of events, any other by single events.
fn run_cases(path: &str, text: &str, documents: &[Document], pool: Pool<'_>) -> Result<Cases, RuleError> {
    let correlations: Vec<&Correlation> = documents
        .iter()
        .filter_map(|document| match document {
            Document::Correlation(correlation) => Some(correlation),
            Document::Rule(_) | Document::Filter(_) => None,
        })
        .collect();
    let mut cases = Cases {
        given: Vec::new(),
        failures: Vec::new(),
    };
    if correlations.is_empty() {
        let test = RuleTest::parse(path, text)?;
        for document in documents {
            if let Document::Rule(rule) = document {
                cases.failures.extend(test.run(rule, Some(&events::from_line)).failures);
            }
        }
        let given = test.cases.into_iter();
        cases.given = given.map(|case| (case.name, case.file_line, case.positive)).collect();
    } else {
        let test = SequenceTest::parse(path, text)?;
        for correlation in correlations {
            let report = test.run(correlation, pool, Some(&events::from_line));
            cases.failures.extend(report.failures);
        }
        let given = test.cases.into_iter();
        cases.given = given.map(|case| (case.name, case.file_line, case.positive)).collect();
    }
    Ok(cases)
}
