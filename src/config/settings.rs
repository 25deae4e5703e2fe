//! The table of settings: name, default, what it is for, and how its text is read.

use std::time::Duration;

use strata_storage::ObjectOwnership;

use super::value::{self, Allowed};
use super::{Config, LogFormat, TlsVersion};
use crate::credentials::Secret;

/// One setting.
pub struct Setting {
    /// The dotted name: `limits.idle_seconds` is `idle_seconds` under `[limits]`, and `STRATA_LIMITS_IDLE_SECONDS`.
    pub name: &'static str,
    /// The default, as TOML.
    pub default: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Reads the text and stores the value; the error says what is allowed.
    pub set: fn(&mut Config, &str) -> Result<(), Allowed>,
}

impl Setting {
    /// The environment variable of this setting.
    pub fn variable(&self) -> String {
        format!("STRATA_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

const fn setting(
    name: &'static str,
    default: &'static str,
    doc: &'static str,
    set: fn(&mut Config, &str) -> Result<(), Allowed>,
) -> Setting {
    Setting { name, default, doc, secret: false, set }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const HOUR_SECONDS: u64 = 3_600;
const DAY_SECONDS: u64 = 86_400;
/// Ten times what S3 takes at most.
const RESTORE_SCALE_MAX: f64 = 10.0;

/// Every setting, in the order of the example file: first those of no section, then section by section.
pub const SETTINGS: &[Setting] = &[
    setting(
        "data",
        r#""./strata-data""#,
        "The directory that holds everything stored; made if it is missing.",
        |config, text| value::path(text).map(|path| config.data = path),
    ),
    setting(
        "listen",
        r#""127.0.0.1:9000""#,
        "The IP address and port to listen on; port 0 takes any free port.",
        |config, text| value::address(text).map(|address| config.listen = address),
    ),
    setting(
        "region",
        r#""us-east-1""#,
        "The region that clients must sign for and that buckets report.",
        |config, text| value::region(text).map(|region| config.region = region),
    ),
    setting(
        "domains",
        "[]",
        "Domains whose subdomains name buckets, besides localhost; separated by commas in the environment.",
        |config, text| value::domains(text).map(|domains| config.domains = domains),
    ),
    setting(
        "zones",
        "[]",
        "Directories, each on a disk of its own, that object data is spread over: \"name=/path\"; none for only the data \
         directory, or for those last used.",
        |config, text| value::zones(text).map(|zones| config.zones = zones),
    ),
    setting(
        "networks",
        "[]",
        "Addresses that count as virtual private clouds or, as vpce-ID, endpoints, for access points and policies: \"vpc-ID=10.0.0.0/8\"; several \
         entries may name one id.",
        |config, text| value::virtual_networks(text).map(|networks| config.networks = networks),
    ),
    Setting {
        name: "master_key",
        default: r#""""#,
        doc: "The master key, 32 bytes in hex or base64; empty for the one of [encryption].",
        secret: true,
        set: |config, text| value::master_key(text).map(|key| config.master_key = key.map(Secret::new)),
    },
    Setting {
        name: "previous_master_key",
        default: r#""""#,
        doc: "The master key before, for the first start with another one; a store that has this one takes the other.",
        secret: true,
        set: |config, text| value::master_key(text).map(|key| config.previous_master_key = key.map(Secret::new)),
    },
    setting(
        "server.trusted_proxies",
        "[]",
        "Networks of proxies that are believed about a client's address and encryption (Forwarded, X-Forwarded-For and \
         -Proto), which they must set themselves: \"10.0.0.0/8\".",
        |config, text| value::networks(text).map(|networks| config.server.trusted_proxies = networks),
    ),
    setting(
        "server.core_dumps",
        "false",
        "Whether a crash may leave the memory, keys included, in a core file, and debuggers may attach.",
        |config, text| value::flag(text).map(|dumps| config.server.core_dumps = dumps),
    ),
    setting(
        "tls.certificate",
        r#""""#,
        "The file of the certificate and of those that sign it, in PEM form, for HTTPS; empty for plain HTTP. Changed files \
         are taken within 10 s, or on SIGHUP.",
        |config, text| value::optional_path(text).map(|path| config.tls.certificate = path),
    ),
    setting(
        "tls.private_key",
        r#""""#,
        "The file of the certificate's private key, in PEM form; it must not be readable by other users.",
        |config, text| value::optional_path(text).map(|path| config.tls.private_key = path),
    ),
    setting(
        "tls.minimum_version",
        r#""1.2""#,
        "The least TLS version that clients may speak: 1.2 or 1.3.",
        |config, text| {
            value::choice(text, &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)])
                .map(|version| config.tls.minimum_version = version)
        },
    ),
    setting("log.format", r#""text""#, "How log lines look: text or json.", |config, text| {
        value::choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
            .map(|format| config.log.format = format)
    }),
    setting(
        "log.level",
        r#""info""#,
        "The least level that is logged: error, warn, info, debug or trace; or directives such as warn,strata=debug.",
        |config, text| value::log_level(text).map(|level| config.log.level = level),
    ),
    setting(
        "log.requests",
        "false",
        "Whether every request is logged at level info; otherwise at level debug.",
        |config, text| value::flag(text).map(|requests| config.log.requests = requests),
    ),
    setting(
        "root.access_key",
        r#""""#,
        "The root access key id, 3 to 128 characters; empty to have one generated and kept in the data directory.",
        |config, text| value::access_key(text).map(|key| config.root.access_key = key),
    ),
    Setting {
        name: "root.secret_key",
        default: r#""""#,
        doc: "The root secret key, at least 8 characters; set it together with root.access_key.",
        secret: true,
        set: |config, text| value::secret_key(text).map(|key| config.root.secret_key = key.map(Secret::new)),
    },
    setting(
        "encryption.require_tls",
        "true",
        "Whether SSE-C and SSE-KMS are refused on connections without TLS, as S3 does; false only for trials.",
        |config, text| flag(text).map(|require| config.encryption.require_tls = require),
    ),
    setting(
        "encryption.master_key_file",
        r#""""#,
        "The file that holds the master key; empty for master-key in the data directory. Generated if it is missing.",
        |config, text| {
            config.encryption.master_key_file = (!text.is_empty()).then(|| text.into());
            Ok(())
        },
    ),
    setting(
        "encryption.master_key_command",
        r#""""#,
        "A shell command that prints the master key, such as one that asks a vault; instead of a file.",
        |config, text| {
            config.encryption.master_key_command = (!text.is_empty()).then(|| text.to_owned());
            Ok(())
        },
    ),
    setting(
        "limits.connections",
        "4096",
        "Open connections; further clients wait in the listen queue until one closes.",
        |config, text| value::count(text, 1, 1_000_000).map(|count| config.limits.connections = count),
    ),
    setting(
        "limits.idle_seconds",
        "60",
        "How long a connection may wait for a request head, or for 1 KiB a second of it to be sent or taken.",
        |config, text| value::seconds(text, 1, DAY_SECONDS).map(|seconds| config.limits.idle_seconds = seconds),
    ),
    setting(
        "limits.uploads",
        "256",
        "Request bodies being stored at once, in 1 MiB of memory each; others wait up to 20 s, then get SlowDown.",
        |config, text| value::count(text, 1, 1_000_000).map(|count| config.limits.uploads = count),
    ),
    setting("limits.object_bytes", r#""5GiB""#, "The largest body of one PutObject or UploadPart.", |config, text| {
        value::size(text, MIB, 5 * TIB).map(|bytes| config.limits.object_bytes = bytes)
    }),
    setting("limits.xml_bytes", r#""1MiB""#, "The largest XML request body.", |config, text| {
        value::size(text, KIB, 64 * MIB).map(|bytes| config.limits.xml_bytes = bytes_in_memory(bytes))
    }),
    setting(
        "limits.xml_list_bytes",
        r#""4MiB""#,
        "The largest XML body of CompleteMultipartUpload and DeleteObjects, which name thousands of things.",
        |config, text| {
            value::size(text, KIB, 64 * MIB).map(|bytes| config.limits.xml_list_bytes = bytes_in_memory(bytes))
        },
    ),
    setting(
        "limits.document_bytes",
        r#""64MiB""#,
        "The memory for XML bodies being read and lists being sent; others wait up to 20 s, then get SlowDown.",
        |config, text| {
            value::size(text, MIB, 64 * GIB).map(|bytes| config.limits.document_bytes = bytes_in_memory(bytes))
        },
    ),
    setting("limits.header_bytes", r#""32KiB""#, "The largest request line with headers.", |config, text| {
        value::size(text, 8 * KIB, MIB).map(|bytes| config.limits.header_bytes = bytes_in_memory(bytes))
    }),
    setting(
        "limits.shutdown_seconds",
        "30",
        "How long requests in flight may take to finish once the server stops.",
        |config, text| value::seconds(text, 0, DAY_SECONDS).map(|seconds| config.limits.shutdown_seconds = seconds),
    ),
    setting(
        "limits.failures_per_minute",
        "30",
        "Failed sign-ins of one address, and with one key from there, before further ones get SlowDown for a while; 0 for \
         no limit.",
        |config, text| value::count(text, 0, 1_000_000).map(|count| config.limits.failures_per_minute = count32(count)),
    ),
    setting(
        "limits.failure_seconds",
        "60",
        "How long they get SlowDown at most: 1 s at first, twice as long each time.",
        |config, text| value::seconds(text, 1, HOUR_SECONDS).map(|seconds| config.limits.failure_seconds = seconds),
    ),
    setting(
        "restore.expedited",
        r#""3m""#,
        "How long restores of the tier Expedited take from GLACIER and the Archive Access tier, from 1ms to 240h.",
        |config, text| restore_time(text).map(|time| config.restore.expedited = time),
    ),
    setting(
        "restore.standard",
        r#""4h""#,
        "How long restores of the tier Standard take from GLACIER and the Archive Access tier.",
        |config, text| restore_time(text).map(|time| config.restore.standard = time),
    ),
    setting(
        "restore.bulk",
        r#""8h""#,
        "How long restores of the tier Bulk take from GLACIER and the Archive Access tier.",
        |config, text| restore_time(text).map(|time| config.restore.bulk = time),
    ),
    setting(
        "restore.deep_standard",
        r#""12h""#,
        "How long restores of the tier Standard take from DEEP_ARCHIVE and the Deep Archive Access tier.",
        |config, text| restore_time(text).map(|time| config.restore.deep_standard = time),
    ),
    setting(
        "restore.deep_bulk",
        r#""48h""#,
        "How long restores of the tier Bulk take from DEEP_ARCHIVE and the Deep Archive Access tier.",
        |config, text| restore_time(text).map(|time| config.restore.deep_bulk = time),
    ),
    setting(
        "restore.scale",
        "1",
        "By what all these times are multiplied, above 0 and up to 10; less than 1 has restores done sooner than S3's.",
        |config, text| value::factor(text, RESTORE_SCALE_MAX).map(|scale| config.restore.scale = scale),
    ),
    setting(
        "restore.expedited_per_5_minutes",
        "1000",
        "Expedited restores that may begin within any 5 minutes; further ones are refused, and with 0 all are.",
        |config, text| value::count(text, 0, 1_000_000).map(|count| config.restore.expedited_max = count32(count)),
    ),
    setting(
        "background.bytes_per_second",
        r#""256MiB""#,
        "What moving, restoring and collecting may read and write a second; an eighth of it while requests are served.",
        |config, text| value::size(text, MIB, TIB).map(|bytes| config.background.bytes_per_second = bytes),
    ),
    setting(
        "storage.cache_bytes",
        r#""256MiB""#,
        "The memory for the index's block cache; reads are fastest while it holds the index, some 400 bytes for each small object.",
        |config, text| value::size(text, MIB, TIB).map(|bytes| config.storage.cache_bytes = bytes_in_memory(bytes)),
    ),
    setting(
        "storage.segment_bytes",
        r#""1GiB""#,
        "The size at which a file of object data is sealed and the next begun.",
        |config, text| value::size(text, MIB, 64 * GIB).map(|bytes| config.storage.segment_bytes = bytes),
    ),
    setting(
        "storage.collect_seconds",
        "30",
        "How often the bytes of deleted objects are freed; 0 for never.",
        |config, text| value::seconds(text, 0, DAY_SECONDS).map(|seconds| config.storage.collect_seconds = seconds),
    ),
    setting(
        "scrub.every",
        r#""30d""#,
        "How often everything at rest is read in all its zones, verified and repaired, from 1h to 3650d; 0 for only when asked.",
        |config, text| value::schedule(text).map(|every| config.scrub.every = every),
    ),
    setting(
        "lifecycle.day",
        r#""24h""#,
        "How long a day of lifecycle rules is, from 1ms to 24h; less than 24h only to try rules out.",
        |config, text| {
            value::duration(text, Duration::from_millis(1), Duration::from_secs(DAY_SECONDS))
                .map(|day| config.lifecycle.day = day)
        },
    ),
    setting(
        "kms.endpoint",
        r#""""#,
        "Another key management service with KMS's API, https://HOST; empty to keep the keys here.",
        |config, text| {
            config.kms.endpoint = (!text.is_empty()).then(|| text.to_owned());
            Ok(())
        },
    ),
    setting(
        "kms.region",
        r#""""#,
        "The region to sign for with that service; empty for this server's.",
        |config, text| {
            config.kms.region = (!text.is_empty()).then(|| text.to_owned());
            Ok(())
        },
    ),
    setting("kms.access_key", r#""""#, "The access key id for that service.", |config, text| {
        value::access_key(text).map(|key| config.kms.access_key = key)
    }),
    Setting {
        name: "kms.secret_key",
        default: r#""""#,
        doc: "The secret key for that service.",
        secret: true,
        set: |config, text| value::secret_key(text).map(|key| config.kms.secret_key = key.map(Secret::new)),
    },
    setting(
        "access_log.flush_seconds",
        "300",
        "How often server access logs are written to their target buckets, from 10ms to 24h; a bare number is in seconds.",
        |config, text| {
            value::duration(text, Duration::from_millis(10), Duration::from_secs(DAY_SECONDS))
                .map(|every| config.access_log.flush = every)
        },
    ),
    setting(
        "audit.file",
        r#""""#,
        "The file that changes of configuration, identities and policies are appended to, one JSON object a line; opened \
         anew at SIGHUP; empty for the log only.",
        |config, text| value::optional_path(text).map(|file| config.audit.file = file),
    ),
    setting("replication.concurrency", "64", "How many versions are sent to other buckets at once.", |config, text| {
        value::count(text, 1, 10_000).map(|count| config.replication.concurrency = count)
    }),
    setting(
        "replication.bytes_per_second",
        "0",
        "What is sent to other buckets a second at most, 64KiB or more; 0 for no limit.",
        |config, text| match text {
            "0" => {
                config.replication.bytes_per_second = None;
                Ok(())
            }
            text => value::size(text, 64 << 10, TIB)
                .map(|bytes| config.replication.bytes_per_second = Some(bytes))
                .map_err(|allowed| format!("0 for no limit, or {allowed}")),
        },
    ),
    setting(
        "replication.part_bytes",
        r#""16MiB""#,
        "The size of the parts in which larger objects are sent to other stores.",
        |config, text| value::size(text, 5 * MIB, 5 * GIB).map(|bytes| config.replication.part_bytes = bytes),
    ),
    setting(
        "replication.read_only",
        "false",
        "Whether this store is a replica: objects change by replication from other stores only, and clients' changes are \
         refused.",
        |config, text| flag(text).map(|read_only| config.replication.read_only = read_only),
    ),
    setting(
        "new_buckets.block_public_access",
        "true",
        "Whether new buckets begin with all four switches of Block Public Access on.",
        |config, text| {
            value::choice(text, &[("true", true), ("false", false)])
                .map(|block| config.new_buckets.block_public_access = block)
        },
    ),
    setting(
        "new_buckets.block_sse_c",
        "true",
        "Whether new buckets refuse objects that are encrypted with customers' keys, as S3's do since 2026.",
        |config, text| flag(text).map(|block| config.new_buckets.block_sse_c = block),
    ),
    setting(
        "new_buckets.object_ownership",
        r#""BucketOwnerEnforced""#,
        "Who owns the objects in new buckets that do not say: BucketOwnerEnforced, BucketOwnerPreferred or ObjectWriter; \
         with the first, access control lists are off.",
        |config, text| {
            value::choice(
                text,
                &[
                    ("BucketOwnerEnforced", ObjectOwnership::BucketOwnerEnforced),
                    ("BucketOwnerPreferred", ObjectOwnership::BucketOwnerPreferred),
                    ("ObjectWriter", ObjectOwnership::ObjectWriter),
                ],
            )
            .map(|ownership| config.new_buckets.object_ownership = ownership)
        },
    ),
    setting(
        "new_buckets.encryption",
        r#""AES256""#,
        "How objects in new buckets are encrypted whose writers do not say it: AES256, aws:kms for the default key of the \
         writer's account, or the ARN of a KMS key; with bucket keys.",
        |config, text| value::new_bucket_encryption(text).map(|encryption| config.new_buckets.encryption = encryption),
    ),
];

fn flag(text: &str) -> Result<bool, Allowed> {
    value::choice(text, &[("true", true), ("false", false)])
}

/// From next to nothing to the times of a slow tape library.
fn restore_time(text: &str) -> Result<Duration, Allowed> {
    value::duration(text, Duration::from_millis(1), Duration::from_secs(10 * DAY_SECONDS))
}

fn count32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn bytes_in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The setting of that dotted name.
pub fn by_name(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The setting of that environment variable.
pub fn by_variable(variable: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.variable() == variable)
}
