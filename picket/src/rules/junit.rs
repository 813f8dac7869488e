//! Test results as JUnit XML, which CI systems show.

use std::fmt::Write as _;

/// The cases of one file.
#[derive(Debug, Default)]
pub(crate) struct Suite {
    pub name: String,
    pub cases: Vec<Case>,
}

/// One case; `failure` says why it failed.
#[derive(Debug)]
pub(crate) struct Case {
    pub name: String,
    pub failure: Option<String>,
}

/// The document.
pub(crate) fn document(suites: &[Suite]) -> String {
    let failed = |suite: &Suite| suite.cases.iter().filter(|case| case.failure.is_some()).count();
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(failed).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String does not fail.
    let _ = writeln!(
        xml,
        "<testsuites name=\"picket rules\" tests=\"{tests}\" failures=\"{failures}\">"
    );
    for suite in suites {
        let name = escaped(&suite.name);
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\">",
            suite.cases.len(),
            failed(suite)
        );
        for case in &suite.cases {
            let _ = write!(
                xml,
                "    <testcase classname=\"{name}\" name=\"{}\"",
                escaped(&case.name)
            );
            let _ = match &case.failure {
                Some(failure) => writeln!(
                    xml,
                    ">\n      <failure message=\"{}\"/>\n    </testcase>",
                    escaped(failure)
                ),
                None => writeln!(xml, "/>"),
            };
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            // XML has no way to write these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_text_is_escaped() {
        let suite = Suite {
            name: "a<b>.yml".to_owned(),
            cases: vec![
                Case {
                    name: "positive 1".to_owned(),
                    failure: None,
                },
                Case {
                    name: "negative \"x\"".to_owned(),
                    failure: Some("a & b\u{0}".to_owned()),
                },
            ],
        };
        let xml = document(&[suite]);
        assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
        assert!(
            xml.contains("<testcase classname=\"a&lt;b&gt;.yml\" name=\"positive 1\"/>"),
            "{xml}"
        );
        assert!(xml.contains("<failure message=\"a &amp; b\u{fffd}\"/>"), "{xml}");
    }
}
