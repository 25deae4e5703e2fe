//! `GET key`, `POST key/rotate`: the keys that the store is encrypted with. Both answer with what is known of them then.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::admin::AdminRequest;
use crate::error::S3Error;
use crate::master_key::{MasterKeySource, NextKey};
use crate::request::Context;

/// Held while a key file is replaced: of two at once, one would put a key in place that the store was not told of.
static ROTATING: Mutex<()> = Mutex::const_new(());

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDocument {
    /// Where the master key comes from.
    pub source: String,
    /// What tells the master key from others.
    pub master_key_id: String,
    /// How many data keys it wraps; the newest one encrypts what is written.
    pub data_keys: u32,
    /// Whether the master key before still opens the store: until the server is started with the present one.
    pub rotating: bool,
}

/// Answers `key`.
pub fn get(ctx: &Context) -> Result<KeyDocument, S3Error> {
    let status = ctx.store.key_status().ok_or_else(|| S3Error::internal("the store has no master key"))?;
    Ok(KeyDocument {
        source: MasterKeySource::of(&ctx.config).name(),
        master_key_id: status.master_key_id,
        data_keys: status.data_keys,
        rotating: status.rotating,
    })
}

/// Answers `key/rotate`: a master key that is kept in a file is replaced.
pub async fn rotate(ctx: &Context, _request: AdminRequest) -> Result<KeyDocument, S3Error> {
    let source = MasterKeySource::of(&ctx.config);
    let MasterKeySource::File(path) = source else {
        return Err(S3Error::invalid_request(format!(
            "The master key comes from {}. Change it there, set previous_master_key to the present one, and start the \
             server anew.",
            source.name()
        )));
    };
    let (store, entropy) = (ctx.store.clone(), Arc::clone(&ctx.entropy));
    // To its end even if the client goes away: in between, the file would keep a key that is about to be of no use.
    let rotation = tokio::spawn(async move {
        let _only_one = ROTATING.lock().await;
        let next = blocking(move || NextKey::prepare(&path, &*entropy)).await?.map_err(S3Error::internal)?;
        store.rotate_master_key(next.key.clone()).await?;
        blocking(move || next.settle()).await?.map_err(S3Error::internal)
    });
    rotation.await.map_err(S3Error::internal)??;
    tracing::info!("the master key was replaced");
    get(ctx)
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, S3Error> {
    spawn_blocking(call).await.map_err(S3Error::internal)
}
