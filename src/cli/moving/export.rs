//! `strata export`: a bucket is read over S3 and written to one file.
//!
//! Small objects are read several at once, in order; a large one is read while it is written. The file has another name until it
//! is whole and on the disk, so what has the name asked for is never half of an export.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use strata_storage::{Clock as _, SystemClock};

use super::archive::Writer;
use super::document::{self, BucketDocument, FORM, Manifest, Properties, Seal};
use super::listing::{Listed, Listing, Which};
use super::place::Place;
use super::report::Report;
use super::source::{Found, Opened, Source};
use super::{ExportArgs, SMALL_BYTES_MAX, TOGETHER, configuration, name, source};
use crate::cli::CliError;
use crate::cli::connection::Connection;
use crate::time;

/// What is written next.
enum Fetched {
    /// A version that needs no more reading.
    Ready(Box<Properties>, bytes::Bytes),
    /// A version that is read as it is written.
    Large(Listed),
    /// It was removed since it was listed.
    Gone,
}

/// Runs the command.
pub async fn run(args: &ExportArgs, out: &mut impl Write) -> Result<(), CliError> {
    let place = Place::new(Connection::find(&args.ask)?, &args.bucket)?;
    if args.file.as_os_str() == "-" {
        let mut terminal = std::io::stderr();
        let mut report = Report::new(&mut terminal, args.ask.json, None);
        write(args, &place, &mut report, BufWriter::new(&mut *out)).await?;
        return report.finish("exported", &args.bucket);
    }
    let mut report = Report::new(out, args.ask.json, None);
    let partial = Partial::create(&args.file)?;
    let file = write(args, &place, &mut report, BufWriter::with_capacity(1 << 20, &partial.file)).await?;
    drop(file);
    partial.keep()?;
    report.finish("exported", &args.bucket)
}

/// A file that is removed unless it is kept.
struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    is_kept: bool,
}

impl Partial {
    fn create(target: &Path) -> Result<Partial, CliError> {
        let mut path = target.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        let failed = |error: std::io::Error| CliError::NotDone(format!("cannot write {}: {error}", path.display()));
        // What is in it may be nobody else's business.
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(failed)?;
        Ok(Partial { file, path: path.clone(), target: target.to_owned(), is_kept: false })
    }

    /// Gives the file its name, when it is on the disk.
    fn keep(mut self) -> Result<(), CliError> {
        let failed =
            |error: std::io::Error| CliError::NotDone(format!("cannot write {}: {error}", self.target.display()));
        self.file.sync_all().map_err(failed)?;
        std::fs::rename(&self.path, &self.target).map_err(failed)?;
        let directory = self.target.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            // What is left of it is named as what it is.
            let _removed = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes all of a bucket.
async fn write<W: Write>(args: &ExportArgs, place: &Place, report: &mut Report<'_>, out: W) -> Result<W, CliError> {
    let Some(strata) = place.is_strata().await? else {
        return Err(CliError::NotDone(format!("there is no bucket {}", args.bucket)));
    };
    let now = SystemClock.now();
    let configuration = configuration::of_bucket(place, report).await?;
    let ownership = configuration::named(&configuration, configuration::OWNERSHIP);
    let with_acls = ownership.is_none_or(|controls| !controls.document.contains("BucketOwnerEnforced"));
    let with_locks = configuration::named(&configuration, configuration::OBJECT_LOCK).is_some();
    let bucket = BucketDocument {
        strata_export: FORM,
        bucket: args.bucket.clone(),
        exported: time::iso8601(now),
        strata,
        prefix: args.prefix.clone(),
        current_only: args.current,
        configuration,
    };
    let mut export = Export {
        source: Source { place, with_acls, with_locks },
        archive: Writer::new(out),
        manifest: Manifest::default(),
        report,
    };
    export.archive.document(name::BUCKET, &document::write(&bucket), now.as_secs())?;
    let which = if args.current { Which::Current } else { Which::Versions };
    let mut listing = Listing::new(place, &args.prefix, which);
    export.versions(&mut listing).await?;
    let Export { archive, manifest, .. } = export;
    Ok(archive.finish(manifest, now.as_secs())?)
}

/// An export under way.
struct Export<'a, 'r, W> {
    source: Source<'a>,
    archive: Writer<W>,
    manifest: Manifest,
    report: &'a mut Report<'r>,
}

impl<W: Write> Export<'_, '_, W> {
    async fn versions(&mut self, listing: &mut Listing<'_>) -> Result<(), CliError> {
        let source = self.source;
        let keys = stream::try_unfold(listing, async |listing: &mut Listing<'_>| {
            let versions = listing.next_key().await?;
            Ok::<_, CliError>((!versions.is_empty()).then_some((versions, listing)))
        });
        let versions = keys.map(|versions| match versions {
            Ok(versions) => stream::iter(versions.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        });
        let mut fetched =
            std::pin::pin!(versions.flatten().map(async |listed| fetch(source, listed?).await).buffered(TOGETHER));
        while let Some(fetched) = fetched.next().await {
            match fetched? {
                Fetched::Ready(properties, content) => self.small(*properties, &content)?,
                Fetched::Large(listed) => self.large(&listed).await?,
                Fetched::Gone => {}
            }
            self.report.at(self.manifest.bytes);
        }
        Ok(())
    }

    /// Writes a version whose content is here.
    fn small(&mut self, properties: Properties, content: &[u8]) -> Result<(), CliError> {
        let (name, seconds, hash) = self.begin(&properties)?;
        let mut seal = Seal::Whole { properties: hash, content: None };
        if !properties.delete_marker && properties.left_out.is_none() {
            self.archive.document(&name, content, seconds)?;
            if let Seal::Whole { content: hash, .. } = &mut seal {
                *hash = Some(document::hash(content));
            }
        }
        self.archive.document(&name::seal(&name), seal.text(&name).as_bytes(), seconds)?;
        self.count(&properties)
    }

    /// Writes a version as it is read.
    async fn large(&mut self, listed: &Listed) -> Result<(), CliError> {
        let (properties, mut content) = match self.source.open(listed).await? {
            Found::Open(opened) => (opened.properties, opened.content),
            Found::Closed(reason) => return self.small(left_out(listed, reason), &[]),
            Found::Gone => return Ok(()),
        };
        let (name, seconds, hash) = self.begin(&properties)?;
        self.archive.begin(&name, properties.size, seconds)?;
        let mut hasher = Sha256::new();
        let broken = loop {
            match content.next(self.source.place, &properties).await? {
                Ok(Some(bytes)) => {
                    hasher.update(&bytes);
                    self.archive.write(&bytes)?;
                    self.report.at(self.manifest.bytes + properties.size - self.archive.left());
                }
                Ok(None) => break None,
                Err(reason) => break Some(reason),
            }
        };
        let seal = match &broken {
            None => Seal::Whole { properties: hash, content: Some(hex::encode(hasher.finalize())) },
            Some(reason) => {
                self.fill()?;
                Seal::Broken(reason.clone())
            }
        };
        self.archive.document(&name::seal(&name), seal.text(&name).as_bytes(), seconds)?;
        self.count(&Properties { left_out: broken, ..properties })
    }

    /// Writes what a version is, and gives the name of its content, its time, and the hash of what was written.
    fn begin(&mut self, properties: &Properties) -> Result<(String, u64, String), CliError> {
        let name = name::content(&properties.key, &properties.version_id);
        let seconds = time::parse_iso8601(&properties.modified).map_or(0, |modified| modified.as_secs());
        let document = document::write(properties);
        self.archive.document(&name::properties(&name), &document, seconds)?;
        Ok((name, seconds, document::hash(&document)))
    }

    /// The size of a member cannot be taken back: zeros stand for what could not be read.
    fn fill(&mut self) -> Result<(), CliError> {
        let zeros = [0; 64 << 10];
        while self.archive.left() > 0 {
            let length = usize::try_from(self.archive.left()).unwrap_or(usize::MAX).min(zeros.len());
            self.archive.write(&zeros[..length])?;
        }
        Ok(())
    }

    fn count(&mut self, properties: &Properties) -> Result<(), CliError> {
        let Properties { key, version_id, size, left_out, incomplete, delete_marker, .. } = properties;
        let (manifest, counts) = (&mut self.manifest, &mut self.report.counts);
        match left_out {
            Some(_) => manifest.left_out += 1,
            None if *delete_marker => {
                (manifest.delete_markers, counts.delete_markers) =
                    (manifest.delete_markers + 1, counts.delete_markers + 1)
            }
            None => {
                (manifest.objects, counts.objects) = (manifest.objects + 1, counts.objects + 1);
                (manifest.bytes, counts.bytes) = (manifest.bytes + size, counts.bytes + size);
            }
        }
        for reason in left_out.iter().chain(incomplete) {
            self.report.version(key, version_id, reason)?;
        }
        Ok(())
    }
}

/// Reads a version, unless it is large.
async fn fetch(source: Source<'_>, listed: Listed) -> Result<Fetched, CliError> {
    if listed.etag.is_none() {
        return Ok(Fetched::Ready(Box::new(source::listed(&listed)), bytes::Bytes::new()));
    }
    if listed.size > SMALL_BYTES_MAX {
        return Ok(Fetched::Large(listed));
    }
    let (properties, mut content) = match source.open(&listed).await? {
        // It was replaced by a large one since it was listed.
        Found::Open(opened) if opened.properties.size > SMALL_BYTES_MAX => return Ok(Fetched::Large(listed)),
        Found::Open(opened) => {
            let Opened { properties, content } = *opened;
            (properties, content)
        }
        Found::Closed(reason) => {
            return Ok(Fetched::Ready(Box::new(left_out(&listed, reason)), bytes::Bytes::new()));
        }
        Found::Gone => return Ok(Fetched::Gone),
    };
    let mut bytes = BytesMut::new();
    loop {
        match content.next(source.place, &properties).await? {
            Ok(Some(more)) => bytes.extend_from_slice(&more),
            Ok(None) => return Ok(Fetched::Ready(Box::new(properties), bytes.freeze())),
            Err(reason) => {
                return Ok(Fetched::Ready(Box::new(left_out(&listed, reason)), bytes::Bytes::new()));
            }
        }
    }
}

fn left_out(listed: &Listed, reason: String) -> Properties {
    Properties { left_out: Some(reason), ..source::listed(listed) }
}
