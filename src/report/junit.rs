// SPDX-License-Identifier: Apache-2.0
//! Results as JUnit XML, which CI servers display.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// A test case: a shard of a campaign, a scenario or a file.
#[derive(Clone, Debug)]
pub struct Case {
    /// The kind of the case, with dots as in a class name.
    pub class: String,
    /// The name of the case.
    pub name: String,
    /// The time that it took; none if it did not run here.
    pub time: Option<Duration>,
    /// The result.
    pub result: CaseResult,
    /// The output about the case.
    pub output: String,
}

/// The result of a case.
#[derive(Clone, Debug)]
pub enum CaseResult {
    /// Everything agrees.
    Passed,
    /// A failure.
    Failed {
        /// The kind of the failure, in one word.
        kind: String,
        /// The failure in one line.
        message: String,
        /// The whole report, as on the terminal.
        text: String,
    },
    /// The case did not run to its end, for this reason.
    Unfinished(String),
}

/// Replaces the characters that XML 1.0 cannot contain, even escaped (section 2.2, production 2).
fn legal(text: &str) -> String {
    let is_legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    text.chars()
        .map(|c| {
            if is_legal(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// Renders a file with these cases as one suite.
pub fn report(suite: &str, cases: Vec<Case>) -> String {
    let mut test_suite = TestSuite::new(legal(suite));
    let mut total = Duration::ZERO;
    for case in cases {
        let status = match &case.result {
            CaseResult::Passed => TestCaseStatus::success(),
            CaseResult::Failed {
                kind,
                message,
                text,
            } => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status
                    .set_type(legal(kind))
                    .set_message(legal(message))
                    .set_description(legal(text));
                status
            }
            CaseResult::Unfinished(why) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_type("unfinished").set_message(legal(why));
                status
            }
        };
        let mut test_case = TestCase::new(legal(&case.name), status);
        test_case.set_classname(legal(&case.class));
        if let Some(time) = case.time {
            total += time;
            test_case.set_time(time);
        }
        if !case.output.is_empty() {
            test_case.set_system_out(legal(&case.output));
        }
        test_suite.add_test_case(test_case);
    }
    test_suite.set_time(total);
    let mut report = Report::new("nestwalk");
    report.set_time(total).add_test_suite(test_suite);
    let xml = report
        .to_string()
        .expect("XML of text without illegal characters");
    // The schema of Jenkins' xUnit plugin (junit-10.xsd) allows this attribute for a suite, but not
    // for the root element.
    xml.replacen(" skipped=\"0\"", "", 1)
}
