//! Files hold one idea and functions fit a screen. Relies on rustfmt: a function ends at the first line that is a brace
//! with the indentation of its beginning.

use std::process::Command;

use anyhow::Context as _;

use crate::{paths, shell};

/// Lines of a file.
const FILE: usize = 400;
/// Lines of a function, from its signature to its brace.
const FUNCTION: usize = 60;

pub(super) fn complaints() -> anyhow::Result<Vec<String>> {
    let root = paths::repository();
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]).current_dir(root);
    let mut complaints = Vec::new();
    for path in shell::capture(&mut command)?.lines() {
        let file = root.join(path);
        // Git still lists what was removed and not yet committed.
        if file.is_file() {
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {path}"))?;
            complaints.extend(judge(path, &text));
        }
    }
    Ok(complaints)
}

fn judge(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut complaints = Vec::new();
    if lines.len() > FILE {
        complaints.push(format!("{path} has {} lines: split it, {FILE} is the limit", lines.len()));
    }
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let length = length(&lines[start..]);
        if length > FUNCTION {
            let number = start + 1;
            complaints.push(format!(
                "{path}:{number}: function {name} has {length} lines: split it, {FUNCTION} is the limit"
            ));
        }
    }
    complaints
}

/// The name of the function that begins at this line.
fn function(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || word.ends_with(')') || ["async", "const", "unsafe", "in", "default"].contains(word)
    });
    (words.next() == Some("fn")).then_some(())?;
    words.next()?.split(['(', '<']).next()
}

/// Lines of the function that `lines` begins with.
fn length(lines: &[&str]) -> usize {
    let head = lines.iter().position(|line| line.ends_with(['{', ';', '}'])).unwrap_or_default();
    // Without a body, or with one on the same line.
    if !lines[head].ends_with('{') {
        return head + 1;
    }
    let indentation = &lines[0][..lines[0].len() - lines[0].trim_start().len()];
    let end = format!("{indentation}}}");
    lines.iter().position(|line| *line == end).map_or(lines.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(lines: usize) -> String {
        format!(
            "    pub(crate) async fn long(\n        &self,\n    ) {{\n{}    }}\n",
            "        work();\n".repeat(lines - 4)
        )
    }

    #[test]
    fn a_long_function_is_named_with_its_line() {
        let text = format!("impl A {{\n{}}}\n", function_of(FUNCTION + 1));
        assert_eq!(judge("a.rs", &text), ["a.rs:2: function long has 61 lines: split it, 60 is the limit"]);
        assert!(judge("a.rs", &format!("impl A {{\n{}}}\n", function_of(FUNCTION))).is_empty());
    }

    #[test]
    fn a_long_file_is_named() {
        assert!(judge("a.rs", &"// x\n".repeat(FILE)).is_empty());
        assert_eq!(judge("a.rs", &"// x\n".repeat(FILE + 1)), ["a.rs has 401 lines: split it, 400 is the limit"]);
    }

    #[test]
    fn functions_without_a_body_end_at_once() {
        let text = format!("trait A {{\n    fn a(&self);\n    fn b();\n{}}}\n", "    // x\n".repeat(80));
        assert!(judge("a.rs", &text).is_empty());
        let text = format!("fn one() -> u8 {{ 1 }}\n{}", "const A: u8 = 1;\n".repeat(80));
        assert!(judge("a.rs", &text).is_empty(), "{:?}", judge("a.rs", &text));
    }

    #[test]
    fn names_of_functions() {
        assert_eq!(function("pub(crate) const fn a<T>(x: T) {"), Some("a"));
        assert_eq!(function("    fn b() -> impl Fn() {"), Some("b"));
        assert_eq!(function("    let fn_name = 1;"), None);
        assert_eq!(function("// fn c() {"), None);
    }
}
