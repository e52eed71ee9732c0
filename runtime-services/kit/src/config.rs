//! Reading a configuration file. What is wrong with it is said with file, line, column and field.

use std::{fs, io, path::Path, path::PathBuf};

use portico_service_config::{AuthServiceConfig, ConfigProblems};
use serde::de::DeserializeOwned;

/// A configuration that can say what is wrong with its values.
pub trait Validate {
    /// All values that cannot be used.
    fn validate(&self) -> Result<(), ConfigProblems>;
}

impl Validate for AuthServiceConfig {
    fn validate(&self) -> Result<(), ConfigProblems> {
        Self::validate(self)
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not YAML, or has a field that does not exist, is missing or is of the wrong kind.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 when it is not known.
        line: u64,
        /// The column, from 1; 0 when it is not known.
        column: u64,
        /// What is wrong; names the field.
        message: String,
    },
    /// Values out of their range.
    #[error("{}: {problems}", path.display())]
    Values {
        /// The file.
        path: PathBuf,
        /// Each with the path of its field.
        problems: ConfigProblems,
    },
}

/// Reads and validates a YAML file.
pub fn load<T: DeserializeOwned + Validate>(path: &Path) -> Result<T, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let config: T = serde_saphyr::from_str(&text).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let message = error.without_snippet().to_string();
        ConfigError::Parse { path: path.to_owned(), line, column, message }
    })?;
    config.validate().map_err(|problems| ConfigError::Values { path: path.to_owned(), problems })?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "database: {bindingPath: /b/database}
cache: {bindingPath: /b/cache}
tokens:
  issuer: https://id.example
  audience: portico
  signingKeysPath: /b/keys
";

    fn load_text(text: &str) -> Result<AuthServiceConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        fs::write(&path, text).unwrap();
        load(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_good_file_is_read() {
        assert_eq!(load_text(GOOD).unwrap().tokens.audience, "portico");
    }

    #[test]
    fn a_mistake_is_reported_with_file_line_and_field() {
        let unknown = load_text(&format!("{GOOD}  leeway: 3\n")).unwrap_err();
        assert!(unknown.contains("config.yaml:7:3") && unknown.contains("leeway"), "{unknown}");
        let kind = load_text(&GOOD.replace("audience: portico", "accessTokenSeconds: many")).unwrap_err();
        assert!(kind.contains("config.yaml:5:"), "{kind}");
        let missing = load_text(&GOOD.replace("  audience: portico\n", "")).unwrap_err();
        assert!(missing.contains("config.yaml:") && missing.contains("audience"), "{missing}");
        let value = load_text(&GOOD.replace("https://id.example", "nowhere")).unwrap_err();
        assert!(value.contains("config.yaml: tokens.issuer: "), "{value}");
        let absent = load::<AuthServiceConfig>(Path::new("/does/not/exist.yaml")).unwrap_err().to_string();
        assert!(absent.contains("/does/not/exist.yaml"), "{absent}");
    }
}
