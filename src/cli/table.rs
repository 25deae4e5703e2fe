//! Tables for people: aligned columns, sizes and amounts in short.

/// A table with a head. Columns of numbers are aligned to the right.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns.
    pub fn new(columns: &[&str]) -> Table {
        Table { rows: vec![columns.iter().map(|column| (*column).to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// The text, each row with its line end.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let width = |column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let right: Vec<bool> = (0..columns).map(|column| cells(column).skip(1).all(|cell| is_number(cell))).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let (width, gap) = (widths[column], if column == 0 { "" } else { "  " });
                match right[column] {
                    true => line.push_str(&format!("{gap}{cell:>width$}")),
                    false => line.push_str(&format!("{gap}{cell:<width$}")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A text as a terminal may show it. Keys, paths and messages may hold anything, and a control character could move the
/// cursor or forge a line, so each is escaped.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => printable.extend(character.escape_debug()),
            false => printable.push(character),
        }
    }
    printable
}

/// Counts, sizes, amounts; no dates and no sentences.
fn is_number(cell: &str) -> bool {
    let digits = cell.trim_start_matches('-').starts_with(|letter: char| letter.is_ascii_digit());
    cell.is_empty() || cell == "-" || (digits && !cell.contains([':', ';']))
}

/// `1.5 GiB`
pub fn bytes(count: i64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count.unsigned_abs() < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// As [`bytes`], for what is never negative.
pub fn size(count: u64) -> String {
    bytes(i64::try_from(count).unwrap_or(i64::MAX))
}

/// An amount of money: more digits for what is small.
pub fn amount(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        magnitude if magnitude < 0.01 => format!("{value:.6}"),
        magnitude if magnitude < 100.0 => format!("{value:.4}"),
        _ => format!("{value:.2}"),
    }
}

/// `2.41x`, or a dash.
pub fn ratio(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}x"))
}

#[cfg(test)]
mod tests {
    use super::{Table, amount, bytes, printable, ratio};

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["CLASS", "OBJECTS", "SIZE"]);
        table.row(vec!["STANDARD".to_owned(), "7".to_owned(), "1.5 GiB".to_owned()]);
        table.row(vec!["GLACIER".to_owned(), "12345".to_owned(), "-".to_owned()]);
        let expected = "CLASS     OBJECTS     SIZE\nSTANDARD        7  1.5 GiB\nGLACIER     12345        -\n";
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn control_characters_are_escaped() {
        fn check(text: &str, expected: &str) {
            assert_eq!(printable(text), expected);
            let mut table = Table::new(&["NAME"]);
            table.row(vec![text.to_owned()]);
            assert_eq!(table.text(), format!("NAME\n{expected}\n"));
        }
        check("a/\u{fc} \"b\" \\", "a/\u{fc} \"b\" \\");
        check("a\nb\t", "a\\nb\\t");
        check("\u{1b}[2J\u{9b}2J\u{7f}", "\\u{1b}[2J\\u{9b}2J\\u{7f}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 1023, 1024, -2048].map(bytes), ["0 B", "1023 B", "1.0 KiB", "-2.0 KiB"]);
        assert_eq!([3 << 29, i64::MAX].map(bytes), ["1.5 GiB", "8.0 EiB"]);
        assert_eq!(
            [0.0, 0.000_002, 0.023, 12.5, -1234.567].map(amount),
            ["0", "0.000002", "0.0230", "12.5000", "-1234.57"]
        );
        assert_eq!([None, Some(2.414)].map(ratio), ["-", "2.41x"]);
    }
}
