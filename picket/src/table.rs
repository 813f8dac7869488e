//! What commands print: aligned columns, and colours where somebody looks.

use std::io::IsTerminal as _;

/// Colours, or none: only on a terminal, and not against `NO_COLOR`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    color: bool,
}

impl Style {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self {
            color: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }
}

/// How a cell is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Warning,
    Bad,
    Quiet,
}

/// Text of a cell and its tone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: printable(&text.into()),
            tone,
        }
    }

    fn shown(&self, style: Style) -> String {
        match self.tone {
            Tone::Plain => self.text.clone(),
            Tone::Good => style.green(&self.text),
            Tone::Warning => style.yellow(&self.text),
            Tone::Bad => style.red(&self.text),
            Tone::Quiet => style.dim(&self.text),
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Rows under a header.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    right: Vec<usize>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            right: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Aligns these columns, counted from 0, to the right.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// All lines, each ended.
    pub(crate) fn render(&self, style: Style) -> String {
        let header: Vec<Cell> = self.header.iter().map(|title| Cell::from(*title)).collect();
        let mut widths: Vec<usize> = header.iter().map(Cell::width).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let mut text = style.bold(&self.line(&header, &widths, Style::default()));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &widths, style));
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[Cell], widths: &[usize], style: Style) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            let is_last = column + 1 == cells.len();
            if self.right.contains(&column) {
                line.push_str(&padding);
                line.push_str(&cell.shown(style));
            } else {
                line.push_str(&cell.shown(style));
                if !is_last {
                    line.push_str(&padding);
                }
            }
        }
        line
    }
}

/// Text that somebody else chose may neither steer the terminal nor turn round what stands beside it.
pub(crate) fn printable(text: &str) -> String {
    let is_direction =
        |c: char| matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| {
            if c.is_control() || is_direction(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// `1 rule`, `2 rules`.
pub(crate) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(count))
}

/// `1,234,567`.
pub(crate) fn thousands(number: impl TryInto<u64>) -> String {
    indicatif::HumanCount(number.try_into().unwrap_or(u64::MAX)).to_string()
}

/// The first `max` characters, and whether there were more.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_their_tone() {
        let mut table = Table::new(&["NAME", "HITS", "WHY"]).right(&[1]);
        table.row(["é".into(), Cell::new("12", Tone::Bad), "x".into()]);
        table.row(["longer".into(), "7".into(), "a\u{1b}[2J".into()]);
        let plain = table.render(Style::default());
        assert_eq!(
            plain,
            "NAME    HITS  WHY\né         12  x\nlonger     7  a\u{fffd}[2J\n"
        );
        let colored = table.render(Style { color: true });
        assert!(colored.contains("  \x1b[31m12\x1b[0m  x"), "{colored:?}");
        assert_eq!(counted(1, "rule"), "1 rule");
        assert_eq!(counted(1234, "rule"), "1,234 rules");
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(
            printable("a\u{202e}b\u{2069}\u{2028}é\u{64b}"),
            "a\u{fffd}b\u{fffd}\u{fffd}é\u{64b}"
        );
    }
}
