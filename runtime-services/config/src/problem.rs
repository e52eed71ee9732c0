//! What is wrong with a configuration: a list, so that one run reports every mistake.

use std::fmt;

/// One value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where the value stands, as in the file: `tokens.accessTokenSeconds`.
    pub path: &'static str,
    /// What is wrong with it and which values are good.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Every value of a configuration that cannot be used; never empty when it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl ConfigProblems {
    /// Notes a problem unless `good`.
    pub(crate) fn check(&mut self, good: bool, path: &'static str, message: impl FnOnce() -> String) {
        if !good {
            self.0.push(ConfigProblem { path, message: message() });
        }
    }

    /// `Ok` when nothing was noted.
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}
