//! Encryption: nothing that is stored can be read from the disk, and keys are what opens it.

mod at_rest;
mod sealed;
mod support;
