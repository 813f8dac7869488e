//! The kinds of findings.

use super::Severity::{self, Error, Info, Warning};

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Its name.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What to do about it.
    pub hint: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $severity:ident, $hint:literal;)*) => {
        $(pub(super) const $constant: Code = Code { name: $name, severity: $severity, hint: $hint };)*

        /// Every kind of finding.
        pub const CODES: &[Code] = &[$($constant),*];
    };
}

codes! {
    REFUSED = "refused", Error, "correct it: the rule is not used as it is";
    DUPLICATE_ID = "duplicate_id", Error, "give every rule an id of its own, such as a new UUID";
    DUPLICATE_NAME = "duplicate_name", Warning, "references by this name are ambiguous: choose another";
    DUPLICATE_TITLE = "duplicate_title", Warning, "alerts show the title: say what tells the two rules apart";
    FILE_NAME = "file_name", Info, "name rule files with a-z, 0-9, `_` and `-`, and `.yml` at the end";
    MISSING_ID = "missing_id", Warning, "give the rule a UUID: without one it is another rule when its title changes";
    ID_FORM = "id_form", Warning, "use a UUID, as other tools require it";
    TITLE_FORM = "title_form", Info, "keep the title below 110 characters and without a full stop";
    MISSING_DESCRIPTION = "missing_description", Warning, "say what is detected and why it matters";
    MISSING_LEVEL = "missing_level", Warning, "say how bad a match is: informational, low, medium, high or critical";
    MISSING_STATUS = "missing_status", Warning, "say how mature the rule is: experimental, test or stable";
    MISSING_AUTHOR = "missing_author", Info, "say whom to ask";
    MISSING_DATE = "missing_date", Info, "say when the rule was written";
    MISSING_TAGS = "missing_tags", Info, "tag the ATT&CK techniques, so that coverage can count them";
    MISSING_REFERENCES = "missing_references", Info, "link what explains the technique";
    MISSING_FALSEPOSITIVES = "missing_falsepositives", Info, "say what else could match, or `Unknown`";
    STATUS_UNSUPPORTED = "status_unsupported", Info, "do not deploy rules their author has given up";
    DATE_FORM = "date_form", Warning, "write dates as YYYY-MM-DD";
    DATE_ORDER = "date_order", Warning, "`modified` cannot be before `date`";
    TAG_FORM = "tag_form", Warning, "write tags as namespace.name in lower case";
    TAG_NAMESPACE = "tag_namespace", Info, "use one of attack, car, cve, d3fend, detection, stp, tlp, or your own on purpose";
    TAG_ATTACK = "tag_attack", Warning, "write a tactic, or t1234, t1234.001, g1234, s1234";
    LICENSE_FORM = "license_form", Info, "use an SPDX identifier such as DRL-1.1 or MIT";
    MISSPELLED_KEY = "misspelled_key", Warning, "the key is kept as a custom attribute and has no effect";
    LOGSOURCE_CASE = "logsource_case", Warning, "write category, product and service in lower case";
    LOGSOURCE_UNKNOWN = "logsource_unknown", Warning, "only events that name this logsource themselves are seen: add logsource_events in a pipeline, or correct it";
    LOGSOURCE_KEY = "logsource_key", Info, "only category, product and service decide which events are seen";
    UNUSED_SEARCH = "unused_search", Warning, "use it in the condition or remove it";
    OF_ONE = "of_one", Info, "name the search itself";
    ONLY_NEGATED = "only_negated", Warning, "name what must be there as well: almost every event matches";
    NEGATED_SEARCH_OR = "negated_or", Warning, "`or not` makes almost every event match: did you mean `and not`?";
    REDUNDANT_WILDCARD = "redundant_wildcard", Info, "the modifier already stands for the wildcard at the end";
    WILDCARD_FOR_MODIFIER = "wildcard_for_modifier", Info, "use contains, startswith or endswith";
    ANY_VALUE = "any_value", Info, "use `field|exists: true`";
    DUPLICATE_VALUE = "duplicate_value", Warning, "remove it: text is compared without regard to case";
    REGEX_LITERAL = "regex_literal", Info, "use contains, startswith, endswith or no modifier: it is faster and easier to read";
    REGEX_UNANCHORED = "regex_wildcard_end", Info, "leave out `.*` at the ends: the expression is searched anywhere";
    SHORT_KEYWORD = "short_keyword", Warning, "it is found in many unrelated events: search a field, or for more";
    SHORT_VALUE = "short_value", Warning, "it is found in many unrelated values: search for more";
    WINDASH_WITHOUT_DASH = "windash_without_dash", Info, "no value has a dash or slash that begins a word: remove `windash`";
    CASED_WITHOUT_LETTERS = "cased_without_letters", Info, "no value has letters: remove `cased`";
}
