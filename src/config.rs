//! stub
/// Settings.
pub struct Config {}
