//! Where backups are kept, as people name it: a directory, or `s3://bucket/prefix` in another store.

mod bucket;

use std::path::{Path, PathBuf};
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

/// Says so if a repository in a directory would be within one of these, or the reverse.
pub fn refuse_within(place: &str, directories: &[PathBuf]) -> Result<(), String> {
    let path = Path::new(place);
    let overlaps = |directory: &&PathBuf| path.starts_with(directory) || directory.starts_with(path);
    match directories.iter().find(overlaps).filter(|_| !place.starts_with(SCHEME)) {
        Some(directory) => Err(format!("{place} overlaps with {}, which the store uses", directory.display())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
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
}
