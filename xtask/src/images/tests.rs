use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::archive::{self, Image, Settings, hex};
use super::layer::{Layer, ROOT};
use super::store::{Key, Store};
use super::{ImageArchive, base};
use crate::shell;

fn image(layers: Vec<Layer>, compress: bool) -> Image {
    let settings = Settings { user: "65532:65532", entrypoint: vec!["/usr/bin/it"], environment: vec!["A=b"] };
    Image { name: "portico.dev/test/it", layers, settings, compress }
}

/// A folder with a file, a link, a setuid program and a name too long for a plain tar header.
fn tree() -> TempDir {
    let folder = TempDir::new().unwrap();
    let deep = folder.path().join("a".repeat(80)).join("b".repeat(80));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("text"), "deep").unwrap();
    fs::write(folder.path().join("su"), "program").unwrap();
    fs::set_permissions(folder.path().join("su"), Permissions::from_mode(0o6755)).unwrap();
    symlink("/nowhere", folder.path().join("link")).unwrap();
    folder
}

fn layers(tree: &Path) -> Vec<Layer> {
    let (mut lower, mut upper) = (Layer::default(), Layer::default());
    lower.tree(tree).unwrap();
    upper.text("etc/passwd", "root").directory("tmp", 0o1777, ROOT).link("lib", "usr/lib");
    vec![lower, upper]
}

fn write(tree: &Path, compress: bool) -> (ImageArchive, Vec<u8>) {
    let folder = TempDir::new().unwrap();
    let archive = archive::write(&image(layers(tree), compress), folder.path()).unwrap();
    let bytes = fs::read(&archive.path).unwrap();
    (archive, bytes)
}

/// The files of a tar by path.
fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), content);
    }
    files
}

fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let content = &files[&format!("blobs/sha256/{digest}")];
    assert_eq!(descriptor["size"].as_u64().unwrap(), content.len() as u64);
    assert_eq!(hex(&Sha256::digest(content)), digest);
    content
}

#[test]
fn the_same_content_gives_the_same_bytes_and_another_gives_another_name() {
    // Two trees of the same content with other times and places.
    let (first, second) = (tree(), tree());
    for compress in [false, true] {
        let ((one, one_bytes), (other, other_bytes)) = (write(first.path(), compress), write(second.path(), compress));
        assert_eq!(one.reference, other.reference);
        assert!(one_bytes == other_bytes, "the archives of equal content differ");
    }
    let (before, _) = write(first.path(), false);
    fs::write(first.path().join("su"), "another").unwrap();
    assert_ne!(write(first.path(), false).0.reference, before.reference);
}

#[test]
fn the_archive_is_an_oci_layout_whose_digests_hold() {
    let tree = tree();
    for compress in [false, true] {
        let (archive, bytes) = write(tree.path(), compress);
        let files = files(&bytes);
        assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let descriptor = &index["manifests"][0];
        assert_eq!(descriptor["annotations"]["io.containerd.image.name"], archive.reference);
        assert!(descriptor["digest"].as_str().unwrap()["sha256:".len()..].starts_with(tag(&archive)));
        let manifest: Value = serde_json::from_slice(blob(&files, descriptor)).unwrap();
        let config: Value = serde_json::from_slice(blob(&files, &manifest["config"])).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        for (layer, diff) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
            let plain = unpacked(blob(&files, layer), compress);
            assert_eq!(diff.as_str().unwrap(), format!("sha256:{}", hex(&Sha256::digest(&plain))));
        }
    }
}

fn tag(archive: &ImageArchive) -> &str {
    archive.reference.rsplit_once(":dev-").unwrap().1
}

fn unpacked(layer: &[u8], compressed: bool) -> Vec<u8> {
    let mut plain = Vec::new();
    if compressed {
        flate2::read::GzDecoder::new(layer).read_to_end(&mut plain).unwrap();
    } else {
        plain.extend_from_slice(layer);
    }
    plain
}

#[test]
fn a_layer_names_every_folder_before_its_content_and_has_no_setuid_program() {
    let tree = tree();
    let mut bytes = Vec::new();
    let mut layer = Layer::default();
    layer.tree(tree.path()).unwrap().program("usr/bin/it", &tree.path().join("su"));
    layer.write(&mut bytes).unwrap();
    let mut seen: Vec<String> = Vec::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string().trim_end_matches('/').to_owned();
        assert_eq!(entry.header().mode().unwrap() & 0o6000, 0, "{path} has a setuid or setgid bit");
        assert_eq!(entry.header().mtime().unwrap(), 0, "{path} has a time");
        if let Some((parent, _)) = path.rsplit_once('/') {
            assert!(seen.iter().any(|earlier| earlier == parent), "{path} comes before {parent}");
        }
        seen.push(path);
    }
    assert!(seen.iter().any(|path| path == "usr/bin/it") && seen.iter().any(|path| path.len() > 160), "{seen:?}");
}

#[test]
fn an_image_is_made_once_from_the_same_inputs_and_again_when_its_archive_is_gone() {
    let folder = TempDir::new().unwrap();
    let store = Store::at(folder.path()).unwrap();
    let mut made = 0;
    let mut get = |input: &str| {
        let image = || {
            made += 1;
            let mut layer = Layer::default();
            layer.text("input", input);
            Ok(image(vec![layer], false))
        };
        let archive = store.image("portico.dev/test/it", Key::new(input), image).unwrap();
        (archive, made)
    };
    let (first, _) = get("a");
    assert_eq!(get("a"), (first.clone(), 1));
    assert_eq!(get("b").1, 2);
    fs::remove_file(&first.path).unwrap();
    assert_eq!(get("a"), (first.clone(), 3));
    // Old archives go, the newest stays.
    for input in ["c", "d", "e", "f"] {
        get(input);
    }
    assert!(!first.path.exists() && get("f").1 == 7);
}

#[test]
fn parts_of_a_key_do_not_run_into_each_other() {
    assert_ne!(Key::new("ab").text("c").finish(), Key::new("a").text("bc").finish());
}

#[test]
fn a_program_of_ours_starts_on_the_base_layer_and_has_certificates() {
    let root = TempDir::new().unwrap();
    let (mut layer, _) = base::layer().unwrap();
    // A Rust program with all that ours are linked with: this one.
    layer.program("usr/bin/it", &std::env::current_exe().unwrap());
    let mut bytes = Vec::new();
    layer.write(&mut bytes).unwrap();
    tar::Archive::new(bytes.as_slice()).unpack(root.path()).unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    let mut chroot = Command::new("chroot");
    chroot.arg("--userspec=65532:65532").arg(root.path()).args(["/usr/bin/it", "--list"]);
    assert!(shell::capture(&mut chroot).unwrap().contains("a_program_of_ours_starts"));
    let certificates = fs::read_to_string(root.path().join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(certificates.matches("BEGIN CERTIFICATE").count() > 100);
}
