//! The index's families (RocksDB column families): what each one maps, and how it is tuned.

use rocksdb::{BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, Options};

/// The filter of a write buffer's keys, as a share of its size: some 30 bits for each of its small rows.
const BUFFER_FILTER_SHARE: f64 = 0.02;

/// One family. The comments give key -> value; `index::key` and `index::record` hold the encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    /// fixed names -> format, store id, counters of ids; `analysis`, bucket id, configuration id -> what it found;
    /// `queue`, queue id -> its name
    Meta,
    /// bucket name -> bucket
    Bucket,
    /// bucket id -> bucket name
    BucketName,
    /// bucket id -> the bucket's configurations that may be large
    BucketRules,
    /// bucket id, key -> the visible object's listing row; ListObjects reads nothing else
    Current,
    /// bucket id, esc(key), inverted time, random -> version or delete marker, in ListObjectVersions order
    Version,
    /// bucket id, key -> stamp of the `null` version, where that is not the visible object
    Null,
    /// content id -> bytes of a small object
    Inline,
    /// content id, page -> chunk references, or parts of a multipart object
    Manifest,
    /// bucket id, esc(key), time, random -> open upload, in listing order
    Upload,
    /// upload stamp, part number -> part
    Part,
    /// upload stamp -> result of a finished upload, kept for repeated requests
    Completed,
    /// blob id, pool -> placement
    Blob,
    /// blob id, pool, content id -> nothing: the content uses the blob in that pool
    Reference,
    /// segment id, offset -> blob id, pool
    Placement,
    /// segment id -> live bytes, a counter
    Segment,
    /// stamp -> what a removed version, upload or bucket leaves behind, to be released
    Garbage,
    /// kind, time, bucket id, esc(key), time, random -> which older versions are to be looked at as well: the version
    /// or upload is to be looked at then
    Due,
    /// bucket id -> where setting its timers anew for new rules goes on, see `worker::reindex`
    Reindex,
    /// version stamp -> when the version was last read, or since when it counts as not read, for INTELLIGENT_TIERING
    Access,
    /// version stamp -> nothing: it was told that the version is lost
    Lost,
    /// bucket id, class, tier -> what they hold, counters
    Usage,
    /// bucket id, month, class, kind -> requests, retrievals and early deletions, counters
    Meter,
    /// name -> a document of those who embed the engine
    Document,
    /// account, bucket name -> nothing: the account owns the bucket
    AccountBucket,
    /// queue id, state, stamp -> what is to be done elsewhere; the upload that was begun there for it
    Task,
    /// queue id, then nothing or a rule's id -> how much of it is held and was done, counters
    Queue,
}

impl Family {
    pub(crate) const ALL: [Family; 27] = [
        Family::Meta,
        Family::Bucket,
        Family::BucketName,
        Family::BucketRules,
        Family::Current,
        Family::Version,
        Family::Null,
        Family::Inline,
        Family::Manifest,
        Family::Upload,
        Family::Part,
        Family::Completed,
        Family::Blob,
        Family::Reference,
        Family::Placement,
        Family::Segment,
        Family::Garbage,
        Family::Due,
        Family::Reindex,
        Family::Access,
        Family::Lost,
        Family::Usage,
        Family::Meter,
        Family::Document,
        Family::AccountBucket,
        Family::Task,
        Family::Queue,
    ];

    /// The column family's name on disk.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Family::Meta => "default",
            Family::Bucket => "bucket",
            Family::BucketName => "bucket_name",
            Family::BucketRules => "bucket_rules",
            Family::Current => "current",
            Family::Version => "version",
            Family::Null => "null",
            Family::Inline => "inline",
            Family::Manifest => "manifest",
            Family::Upload => "upload",
            Family::Part => "part",
            Family::Completed => "completed",
            Family::Blob => "blob",
            Family::Reference => "reference",
            Family::Placement => "placement",
            Family::Segment => "segment",
            Family::Garbage => "garbage",
            Family::Due => "due",
            Family::Reindex => "reindex",
            Family::Access => "access",
            Family::Lost => "lost",
            Family::Usage => "usage",
            Family::Meter => "meter",
            Family::Document => "document",
            Family::AccountBucket => "account_bucket",
            Family::Task => "task",
            Family::Queue => "queue",
        }
    }

    /// The family's options, all sharing one block cache.
    pub(crate) fn descriptor(self, cache: &Cache) -> ColumnFamilyDescriptor {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(cache);
        table.set_block_size(16 << 10);
        table.set_bloom_filter(10.0, false);
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_format_version(6);

        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_write_buffer_size(32 << 20);
        // Writes go on while two are flushed; with fewer, a disk that is slow for a moment stops them.
        options.set_max_write_buffer_number(4);
        // Keys, ids and hashes hardly yield: zstd on the bottom, as older stores have it, takes 3 % less space and a tenth of
        // the reads that miss.
        options.set_compression_type(DBCompressionType::Lz4);
        // A scan that meets many tombstones pays for each; files full of them are compacted early.
        options.add_compact_on_deletion_collector_factory(4096, 2048, 0.5);
        if matches!(self, Family::Current | Family::Version | Family::Inline) {
            // What a GET looks up is mostly in files: a filter tells so without a walk through every write buffer.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(BUFFER_FILTER_SHARE);
        }
        match self {
            Family::Segment | Family::Usage | Family::Meter | Family::Queue => {
                options.set_merge_operator_associative("add_i64s", add_i64s)
            }
            Family::Inline => {
                // Values of 1 to 4 KiB are kept out of the tree, so that compaction does not copy them.
                options.set_enable_blob_files(true);
                options.set_min_blob_size(1024);
                options.set_blob_file_size(64 << 20);
                options.set_enable_blob_gc(true);
                options.set_blob_cache(cache);
            }
            _ => {}
        }
        ColumnFamilyDescriptor::new(self.name(), options)
    }
}

/// Adds rows of little-endian 64-bit integers; rows of different lengths are taken as corrupt and fail the merge.
fn add_i64s(_key: &[u8], existing: Option<&[u8]>, operands: &rocksdb::MergeOperands) -> Option<Vec<u8>> {
    let mut sums: Option<Vec<i64>> = None;
    for row in existing.into_iter().chain(operands) {
        let (numbers, []) = row.as_chunks::<8>() else { return None };
        let numbers = numbers.iter().map(|bytes| i64::from_le_bytes(*bytes));
        match &mut sums {
            None => sums = Some(numbers.collect()),
            Some(sums) if sums.len() != numbers.len() => return None,
            Some(sums) => sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum = sum.wrapping_add(number)),
        }
    }
    Some(sums.unwrap_or_default().into_iter().flat_map(i64::to_le_bytes).collect())
}
