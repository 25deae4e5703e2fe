//! A table on the disk for work that would not fit into memory. It is not durable: whoever made it begins anew after a
//! crash, with an empty directory.

use std::path::Path;

use rocksdb::{BlockBasedOptions, DB, Options, WriteBatch, WriteOptions};

use crate::error::{Error, Result};

/// What is held in memory before it is written, in bytes.
const BUFFER_BYTES: usize = 16 << 20;

/// Rows by key.
pub(crate) struct Scratch {
    db: DB,
}

impl Scratch {
    /// Makes one in a directory that must not exist. Blocking.
    pub(crate) fn make(directory: &Path) -> Result<Scratch> {
        let mut table = BlockBasedOptions::default();
        table.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_error_if_exists(true);
        options.set_block_based_table_factory(&table);
        options.set_write_buffer_size(BUFFER_BYTES);
        options.set_max_background_jobs(2);
        options.set_max_open_files(64);
        options.set_keep_log_file_num(1);
        let db = DB::open(&options, directory).map_err(|source| Error::Index { action: "make a table", source })?;
        Ok(Scratch { db })
    }

    /// Adds rows, or replaces them. Blocking.
    pub(crate) fn put<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, rows: impl IntoIterator<Item = (K, V)>) -> Result<()> {
        let mut batch = WriteBatch::default();
        rows.into_iter().for_each(|(key, value)| batch.put(key, value));
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(|source| Error::Index { action: "write to a table", source })
    }

    /// Reads a row. Blocking.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get(key).map_err(|source| Error::Index { action: "read a table", source })
    }
}
