//! Where backups are kept, as people name it: a directory, or `s3://bucket/prefix` in another store.

mod bucket;

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use strata_storage::{BucketName, DirectoryRepository, Repository};

use crate::replication::Regions;
use bucket::BucketRepository;

const SCHEME: &str = "s3://";

/// The repository of that name. A bucket is looked for in the stores of `[[regions]]`: in the one called `site`, or in the
/// first that may hold it. `Err` says what is wrong with the name, or with the settings.
pub fn open(place: &str, site: Option<&str>, regions: &Regions) -> Result<Arc<dyn Repository>, String> {
    let Some(address) = place.strip_prefix(SCHEME) else {
        return match (Path::new(place).is_absolute(), site) {
            (true, None) => Ok(Arc::new(DirectoryRepository::new(place))),
            (true, Some(_)) => Err("a site is for backups in a bucket, s3://BUCKET/PREFIX".to_owned()),
            (false, _) => Err(format!("{place:?} is neither an absolute path nor of the form s3://BUCKET/PREFIX")),
        };
    };
    let (name, prefix) = address.split_once('/').unwrap_or((address, ""));
    let bucket = BucketName::parse(name).map_err(|error| format!("{name:?} is no bucket's name: {error}"))?;
    let prefix = prefix.trim_matches('/');
    let is_plain = prefix.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !prefix.is_empty() && !is_plain {
        return Err(format!("the prefix {prefix:?} has an empty part, or one of dots"));
    }
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let region = regions.of_bucket(&bucket).find(|region| site.is_none_or(|site| region.name == site));
    let region = region.cloned().ok_or_else(|| match site {
        Some(site) => {
            format!("no [[regions]] of the configuration is called {site:?} and may hold the bucket {name:?}")
        }
        None => format!(
            "no [[regions]] of the configuration may hold the bucket {name:?}: that is where the endpoint and the keys \
             of another store are"
        ),
    })?;
    Ok(Arc::new(BucketRepository::new(region, bucket, prefix)))
}

/// Says so if a repository in a directory would be within one of these, or the reverse, whatever links lead there.
/// Blocking.
pub fn refuse_within(place: &str, directories: &[PathBuf]) -> Result<(), String> {
    if place.starts_with(SCHEME) {
        return Ok(());
    }
    let named = Path::new(place);
    let path = resolved(named)?;
    let overlap = |one: &Path, other: &Path| one.starts_with(other) || other.starts_with(one);
    for directory in directories {
        // Of a zone whose disk fails there is nothing but its name.
        if resolved(directory).map_or_else(|_| overlap(named, directory), |it| overlap(&path, &it)) {
            return Err(format!("{place} overlaps with {}, which the store uses", directory.display()));
        }
    }
    Ok(())
}

/// Where a path leads: what is there of it without links and `..`, and the rest as it is named.
fn resolved(path: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{} cannot be looked at: {error}", path.display());
    let mut there = path;
    // A link that leads nowhere is there too, and refused.
    while let Err(error) = there.symlink_metadata() {
        there = match there.parent() {
            Some(parent) if error.kind() == ErrorKind::NotFound => parent,
            _ => return Err(failed(error)),
        };
    }
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    if !rest.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!("{} leads back from what is not there (..)", path.display()));
    }
    Ok(there.canonicalize().map_err(failed)?.join(rest))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{open, refuse_within};
    use crate::replication::Regions;

    #[test]
    fn places() {
        fn check(place: &str, site: Option<&str>, expected: Result<&str, &str>) {
            match (open(place, site, &Regions::default()).map(|repository| repository.place()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, _) => panic!("{place}: {found:?}"),
            }
        }
        check("/backups", None, Ok("/backups"));
        check("backups", None, Err("absolute"));
        check("/backups", Some("b"), Err("site"));
        check("s3://A/x", None, Err("no bucket's name"));
        check("s3://backups/a//b", None, Err("prefix"));
        check("s3://backups/a/../b", None, Err("prefix"));
        check("s3://backups/a", None, Err("no [[regions]]"));
        check("s3://backups/a", Some("b"), Err("called \"b\""));
    }

    #[test]
    fn the_store_is_not_backed_up_into_itself() {
        let used = ["/data".into(), "/disks/a".into()];
        assert!(refuse_within("/data/backups", &used).is_err());
        assert!(refuse_within("/disks", &used).is_err());
        assert!(refuse_within("/backups", &used).is_ok());
        assert!(refuse_within("s3://data/x", &used).is_ok());
    }

    #[test]
    fn links_and_dots_do_not_lead_into_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["data/index", "elsewhere", "disks"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        for (link, to) in [("to-data", "data"), ("to-index", "data/index"), ("elsewhere/up", ".."), ("lost", "gone")] {
            symlink(to, at(link)).unwrap();
        }
        // A zone that is reached by a link, and one whose disk is gone.
        symlink(at("disks"), at("zone")).unwrap();
        let used = [at("data"), at("zone"), at("gone-zone")];
        let refused = [
            "data/backups/x",
            "to-data",
            "to-data/new/er",
            "to-index/x",
            "elsewhere/up/data/x",
            "elsewhere/../data/x",
            "elsewhere/up",
            "disks",
            "disks/backups",
            "zone/backups",
            "gone-zone/x",
            "new/../data/x",
            "lost",
            "lost/x",
        ];
        for place in refused {
            assert!(refuse_within(at(place).to_str().unwrap(), &used).is_err(), "{place}");
        }
        for place in ["backups", "elsewhere", "elsewhere/../backups/x", "elsewhere/up/backups", "data-2", "new/er"] {
            assert_eq!(refuse_within(at(place).to_str().unwrap(), &used), Ok(()), "{place}");
        }
    }
}
