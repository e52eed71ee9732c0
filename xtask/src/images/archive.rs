//! Writes an image as an OCI image layout (image-spec 1.1) in one tar. The tag is the start of the manifest's digest,
//! so equal content has an equal name and nothing else has it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType};
use tempfile::NamedTempFile;

use super::ImageArchive;
use super::layer::{Layer, ROOT, header};

/// Digits of the digest that go into the tag and the file name.
pub(crate) const TAG_DIGITS: usize = 12;

/// How the processes of an image start, where the pod does not say otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// `uid:gid`.
    pub(crate) user: &'static str,
    /// Program and fixed arguments; empty if the image has none of its own.
    pub(crate) entrypoint: Vec<&'static str>,
    /// `NAME=value`.
    pub(crate) environment: Vec<&'static str>,
}

/// All that an archive is made of.
#[derive(Debug)]
pub(crate) struct Image {
    /// Reference without a tag.
    pub(crate) name: &'static str,
    /// From the bottom up.
    pub(crate) layers: Vec<Layer>,
    pub(crate) settings: Settings,
    /// Whether layers are gzip'd.
    pub(crate) compress: bool,
}

/// A blob of the layout. `diff` is the digest of a layer before compression.
struct Blob {
    digest: String,
    diff: String,
    size: u64,
    content: NamedTempFile,
}

/// Writes the archive of `image` into `folder`, as `<name>-<digest>.tar`.
pub(crate) fn write(image: &Image, folder: &Path) -> anyhow::Result<ImageArchive> {
    let layers: Vec<Blob> =
        image.layers.iter().map(|layer| layer_blob(layer, image.compress, folder)).collect::<Result<_, _>>()?;
    let config = bytes_blob(&serde_json::to_vec(&config(image, &layers))?, folder)?;
    let manifest = bytes_blob(&serde_json::to_vec(&manifest(image, &config, &layers))?, folder)?;

    let short: String = manifest.digest.chars().take(TAG_DIGITS).collect();
    let reference = format!("{}:dev-{short}", image.name);
    let path = folder.join(format!("{}-{short}.tar", file_stem(image.name)));
    let index = serde_json::to_vec(&index(&reference, &manifest))?;

    let mut blobs = layers;
    blobs.extend([config, manifest]);
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    // Two layers of the same content are one blob.
    blobs.dedup_by(|a, b| a.digest == b.digest);

    let archive = NamedTempFile::new_in(folder)?;
    layout(&mut Builder::new(BufWriter::new(archive.as_file())), &index, &blobs)
        .with_context(|| format!("cannot write the archive of {reference}"))?;
    // In place only when complete: whoever finds it may use it.
    archive.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(ImageArchive { reference, path })
}

/// `portico.dev/node/pause` is kept as `node-pause`.
pub(crate) fn file_stem(name: &str) -> String {
    name.split_once('/').map_or(name, |(_registry, rest)| rest).replace('/', "-")
}

fn layout(tar: &mut Builder<impl Write>, index: &[u8], blobs: &[Blob]) -> anyhow::Result<()> {
    add(tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add(tar, "index.json", index)?;
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(0o755, ROOT);
        header.set_entry_type(EntryType::Directory);
        tar.append_data(&mut header, folder, io::empty())?;
    }
    for blob in blobs {
        let mut header = header(0o644, ROOT);
        header.set_size(blob.size);
        tar.append_data(&mut header, format!("blobs/sha256/{}", blob.digest), File::open(blob.content.path())?)?;
    }
    tar.finish()?;
    tar.get_mut().flush()?;
    Ok(())
}

fn add(tar: &mut Builder<impl Write>, path: &str, content: &[u8]) -> io::Result<()> {
    let mut header = header(0o644, ROOT);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn config(image: &Image, layers: &[Blob]) -> Value {
    let settings = &image.settings;
    let diffs: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.diff)).collect();
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": settings.user,
            "Env": settings.environment,
            "Entrypoint": settings.entrypoint,
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": diffs },
    })
}

fn manifest(image: &Image, config: &Blob, layers: &[Blob]) -> Value {
    let media_type = if image.compress {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    } else {
        "application/vnd.oci.image.layer.v1.tar"
    };
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(media_type, layer)).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": layers,
    })
}

fn index(reference: &str, manifest: &Blob) -> Value {
    let mut descriptor = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
    // The first is read by containerd, the second by everything that follows the specification.
    descriptor["annotations"] = json!({
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference,
    });
    descriptor["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    })
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", blob.digest), "size": blob.size })
}

/// The machine's architecture as OCI (and Go) names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn layer_blob(layer: &Layer, compress: bool, folder: &Path) -> anyhow::Result<Blob> {
    let content = NamedTempFile::new_in(folder)?;
    let mut stored = Hashing::new(BufWriter::new(content.as_file()));
    let diff = if compress {
        let mut plain = Hashing::new(GzBuilder::new().mtime(0).write(&mut stored, Compression::default()));
        layer.write(&mut plain)?;
        let (gzip, diff, _) = plain.finish();
        gzip.finish()?;
        Some(diff)
    } else {
        layer.write(&mut stored)?;
        None
    };
    stored.flush()?;
    let (_, digest, size) = stored.finish();
    Ok(Blob { diff: diff.unwrap_or_else(|| digest.clone()), digest, size, content })
}

fn bytes_blob(bytes: &[u8], folder: &Path) -> anyhow::Result<Blob> {
    let mut content = NamedTempFile::new_in(folder)?;
    content.write_all(bytes)?;
    let digest = hex(&Sha256::digest(bytes));
    Ok(Blob { diff: digest.clone(), digest, size: bytes.len() as u64, content })
}

/// Lower-case hexadecimal, as digests are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Passes everything on, and knows digest and size of what went through.
struct Hashing<W> {
    inner: W,
    digest: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, digest: Sha256::new(), size: 0 }
    }

    fn finish(self) -> (W, String, u64) {
        (self.inner, hex(&self.digest.finalize()), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        let (passed, _) = bytes.split_at(written);
        self.digest.update(passed);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
