//! Behaviour of the chunk store on real files.
