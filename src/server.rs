//! stub
/// A server.
pub struct Server {}
/// Why a server could not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {}
