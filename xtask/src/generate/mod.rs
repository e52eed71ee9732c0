//! `cargo xtask gen`: writes every committed file that follows from the code, or checks that none is stale.
//!
//! Each submodule computes contents and touches no file of the repository; only this one writes.

mod crds;
mod install;
mod openapi;
mod queries;
mod rbac;
mod reference;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::{paths, ui};

/// Folders that hold nothing but generated files: what is not generated any more is removed from them. A folder for
/// which nothing was generated at all is left alone: its source failed.
const OWNED_FOLDERS: &[&str] = &[crds::GENERATED, crds::CHART, reference::FOLDER, queries::FOLDER];

/// Contents by path below the repository's root.
type Files = BTreeMap<PathBuf, String>;

/// What is in the way between the repository and what it should be.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    /// To be written.
    stale: Vec<PathBuf>,
    /// To be removed.
    orphaned: Vec<PathBuf>,
}

/// Writes all generated files; with `check` only says which ones are stale, and fails if any is.
///
/// What needs a program that does not work yet fails last, so that it keeps nothing else from being written.
pub(crate) fn command(check: bool) -> anyhow::Result<()> {
    let mut files = ui::step("definitions, reference and access rights", definitions)?;
    let manifest = ui::step("the manifest, by Helm", || install::manifest(&files));
    let document = ui::step("the OpenAPI document, by the auth service", openapi::document);
    let queries = ui::step("query data, by a database", queries::data);

    let mut failures = Vec::new();
    for (file, content) in [(install::FILE, manifest), (openapi::FILE, document)] {
        match content {
            Ok(content) => drop(files.insert(file.into(), content)),
            Err(error) => failures.push(format!("{file}: {error:#}")),
        }
    }
    match queries {
        Ok(data) => files.extend(data),
        Err(error) => failures.push(format!("{}: {error:#}", queries::FOLDER)),
    }
    let root = paths::repository();
    let difference = difference(root, &files)?;
    let outcome = if check { report(&difference) } else { write(root, &files, &difference) };
    if failures.is_empty() { outcome } else { bail!("cannot generate\n  {}", failures.join("\n  ")) }
}

/// What follows from the types alone, without running any program.
fn definitions() -> anyhow::Result<Files> {
    let definitions = portico_crds::all();
    let mut files = Files::new();
    files.extend(crds::files(&definitions)?);
    files.extend(reference::files(&definitions)?);
    files.extend(rbac::files()?);
    Ok(files)
}

fn difference(root: &Path, files: &Files) -> anyhow::Result<Difference> {
    let stale = files
        .iter()
        .filter(|(path, content)| std::fs::read(root.join(path)).ok().as_deref() != Some(content.as_bytes()))
        .map(|(path, _)| path.clone())
        .collect();
    let mut orphaned = Vec::new();
    for folder in OWNED_FOLDERS.iter().filter(|folder| files.keys().any(|path| path.starts_with(folder))) {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        for entry in entries {
            let path = Path::new(folder).join(entry?.file_name());
            if !files.contains_key(&path) {
                orphaned.push(path);
            }
        }
    }
    orphaned.sort();
    Ok(Difference { stale, orphaned })
}

fn report(difference: &Difference) -> anyhow::Result<()> {
    let names: Vec<String> = difference
        .stale
        .iter()
        .map(|path| format!("  {} is stale", path.display()))
        .chain(difference.orphaned.iter().map(|path| format!("  {} is generated no more", path.display())))
        .collect();
    if names.is_empty() {
        ui::say("    generated files are up to date");
        return Ok(());
    }
    bail!(
        "generated files differ from the code:\n{}\nRun `cargo xtask gen` and commit what it writes.",
        names.join("\n")
    )
}

fn write(root: &Path, files: &Files, difference: &Difference) -> anyhow::Result<()> {
    for path in &difference.stale {
        let target = root.join(path);
        let folder = target.parent().unwrap_or(root);
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&target, &files[path]).with_context(|| format!("cannot write {}", target.display()))?;
        ui::say(format_args!("    wrote {}", path.display()));
    }
    for path in &difference.orphaned {
        std::fs::remove_file(root.join(path)).with_context(|| format!("cannot remove {}", path.display()))?;
        ui::say(format_args!("    removed {}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|&(path, content)| (path.into(), content.to_owned())).collect()
    }

    #[test]
    fn changed_missing_and_surplus_files_are_found_and_mended() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(crds::GENERATED);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("old.yaml"), "old").unwrap();
        std::fs::write(folder.join("changed.yaml"), "before").unwrap();
        std::fs::write(folder.join("same.yaml"), "same").unwrap();
        let at = |name: &str| format!("{}/{name}", crds::GENERATED);
        let wanted = files(&[(&at("changed.yaml"), "after"), (&at("same.yaml"), "same"), ("new/folder/file", "new")]);

        let found = difference(root.path(), &wanted).unwrap();
        assert_eq!(found.stale, [PathBuf::from(at("changed.yaml")), "new/folder/file".into()]);
        assert_eq!(found.orphaned, [PathBuf::from(at("old.yaml"))]);

        write(root.path(), &wanted, &found).unwrap();
        let mended = difference(root.path(), &wanted).unwrap();
        assert_eq!(mended, Difference { stale: Vec::new(), orphaned: Vec::new() });
    }

    #[test]
    fn a_folder_whose_source_failed_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(queries::FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("query-1.json"), "{}").unwrap();
        assert_eq!(difference(root.path(), &files(&[])).unwrap().orphaned, Vec::<PathBuf>::new());
        let other = format!("{}/query-2.json", queries::FOLDER);
        assert_eq!(difference(root.path(), &files(&[(&other, "{}")])).unwrap().orphaned.len(), 1);
    }

    #[test]
    fn the_report_names_the_files_and_the_command() {
        let difference = Difference { stale: vec!["a.yaml".into()], orphaned: vec!["b.yaml".into()] };
        let text = report(&difference).unwrap_err().to_string();
        for part in ["a.yaml is stale", "b.yaml is generated no more", "cargo xtask gen"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn definitions_roles_and_reference_are_up_to_date() {
        let wanted = definitions().unwrap();
        let found = difference(paths::repository(), &wanted).unwrap();
        report(&Difference { stale: found.stale, orphaned: Vec::new() }).unwrap();
    }
}
