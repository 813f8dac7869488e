//! Value modifiers: what `field|contains|all` says about a field's values.

use crate::ast::{Comparison, Relation, TimePart};
use crate::value::RegexFlags;

/// How text is turned into bytes before it is compared or encoded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf16Le,
    Utf16Be,
    Utf16,
    Base64,
    Base64Offset,
}

/// What the values of an item are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ValueKind {
    #[default]
    Text,
    Regex(RegexFlags),
    Cidr,
    Exists,
    FieldRef,
    Number,
}

/// The modifiers of one item, checked for fitting together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modifiers {
    pub(crate) kind: ValueKind,
    pub(crate) relation: Option<Relation>,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) windash: bool,
    pub(crate) expand: bool,
    pub(crate) cased: bool,
    pub(crate) all: bool,
    pub(crate) neq: bool,
    pub(crate) comparison: Option<Comparison>,
    pub(crate) time: Option<TimePart>,
}

impl Modifiers {
    /// Reads the names behind the field, in order. The error says what was expected.
    pub(crate) fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut modifiers = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if seen.contains(&name) {
                return Err(format!("expected modifier `{name}` once"));
            }
            modifiers.apply(name, seen.last().copied())?;
            seen.push(name);
        }
        modifiers.check()?;
        Ok(modifiers)
    }

    fn apply(&mut self, name: &str, previous: Option<&str>) -> Result<(), String> {
        match name {
            "contains" => self.set_relation(Relation::Contains),
            "startswith" => self.set_relation(Relation::StartsWith),
            "endswith" => self.set_relation(Relation::EndsWith),
            "all" => {
                self.all = true;
                Ok(())
            }
            "neq" => {
                self.neq = true;
                Ok(())
            }
            "cased" => {
                self.cased = true;
                Ok(())
            }
            "windash" => {
                self.windash = true;
                Ok(())
            }
            "expand" => {
                self.expand = true;
                Ok(())
            }
            "wide" | "utf16le" => self.encode(name, Encoding::Utf16Le),
            "utf16be" => self.encode(name, Encoding::Utf16Be),
            "utf16" => self.encode(name, Encoding::Utf16),
            "base64" => self.encode(name, Encoding::Base64),
            "base64offset" => self.encode(name, Encoding::Base64Offset),
            "re" => self.set_kind(ValueKind::Regex(RegexFlags::default())),
            "i" | "ignorecase" | "m" | "multiline" | "s" | "dotall" => self.regex_flag(name, previous),
            "cidr" => self.set_kind(ValueKind::Cidr),
            "exists" => self.set_kind(ValueKind::Exists),
            "fieldref" => self.set_kind(ValueKind::FieldRef),
            "lt" => self.compare(Comparison::Less),
            "lte" => self.compare(Comparison::LessOrEqual),
            "gt" => self.compare(Comparison::Greater),
            "gte" => self.compare(Comparison::GreaterOrEqual),
            "minute" => self.time_part(TimePart::Minute),
            "hour" => self.time_part(TimePart::Hour),
            "day" => self.time_part(TimePart::Day),
            "week" => self.time_part(TimePart::Week),
            "month" => self.time_part(TimePart::Month),
            "year" => self.time_part(TimePart::Year),
            "" => Err("expected a modifier after `|`".to_owned()),
            unknown => Err(format!("expected a modifier of Sigma 2, got `{unknown}`")),
        }
    }

    fn set_kind(&mut self, kind: ValueKind) -> Result<(), String> {
        let fits = self.kind == ValueKind::Text || (self.kind == ValueKind::Number && kind == ValueKind::Number);
        if !fits {
            return Err("expected only one of re, cidr, exists, fieldref, and number or time comparisons".to_owned());
        }
        self.kind = kind;
        Ok(())
    }

    fn set_relation(&mut self, relation: Relation) -> Result<(), String> {
        if self.relation.replace(relation).is_some() {
            return Err("expected only one of contains, startswith and endswith".to_owned());
        }
        Ok(())
    }

    fn encode(&mut self, name: &str, encoding: Encoding) -> Result<(), String> {
        if self.relation.is_some() {
            return Err(format!("expected `{name}` before contains, startswith or endswith"));
        }
        let is_base64 = |encoding: &Encoding| matches!(encoding, Encoding::Base64 | Encoding::Base64Offset);
        if self.encodings.last().is_some_and(is_base64) || (!self.encodings.is_empty() && !is_base64(&encoding)) {
            return Err(format!(
                "expected at most one of wide, utf16le, utf16be, utf16 and then one of base64, base64offset, got `{name}`"
            ));
        }
        self.encodings.push(encoding);
        Ok(())
    }

    fn regex_flag(&mut self, name: &str, previous: Option<&str>) -> Result<(), String> {
        let ValueKind::Regex(flags) = &mut self.kind else {
            return Err(format!("expected `{name}` only after `re`"));
        };
        if !previous
            .is_some_and(|previous| ["re", "i", "ignorecase", "m", "multiline", "s", "dotall"].contains(&previous))
        {
            return Err(format!("expected `{name}` directly after `re` or another of its flags"));
        }
        match name {
            "i" | "ignorecase" => flags.ignore_case = true,
            "m" | "multiline" => flags.multi_line = true,
            _ => flags.dot_all = true,
        }
        Ok(())
    }

    fn compare(&mut self, comparison: Comparison) -> Result<(), String> {
        self.set_kind(ValueKind::Number)?;
        if self.comparison.replace(comparison).is_some() {
            return Err("expected only one of lt, lte, gt and gte".to_owned());
        }
        Ok(())
    }

    fn time_part(&mut self, part: TimePart) -> Result<(), String> {
        self.set_kind(ValueKind::Number)?;
        if self.time.replace(part).is_some() {
            return Err("expected only one of minute, hour, day, week, month and year".to_owned());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let is_text = self.kind == ValueKind::Text;
        let takes_relation = is_text || self.kind == ValueKind::FieldRef;
        if self.relation.is_some() && !takes_relation {
            return Err("expected contains, startswith and endswith only on text and fieldref".to_owned());
        }
        if self.cased && !takes_relation {
            return Err("expected `cased` only on text and fieldref".to_owned());
        }
        if self.windash && !is_text {
            return Err("expected `windash` only on text".to_owned());
        }
        if !self.encodings.is_empty() && (!is_text || self.windash) {
            return Err("expected encodings only on text without windash".to_owned());
        }
        if self.expand && !(is_text || self.kind == ValueKind::Cidr || matches!(self.kind, ValueKind::Regex(_))) {
            return Err("expected `expand` only on text, re and cidr".to_owned());
        }
        if self.kind == ValueKind::Exists && (self.all || self.neq) {
            return Err("expected `exists` without all and neq".to_owned());
        }
        Ok(())
    }
}
