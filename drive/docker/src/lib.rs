//! `docker_server`: a container of Docker or Podman as a server, through the API that both answer (the Docker Engine API,
//! <https://docs.docker.com/reference/api/engine/>).
//!
//! A container carries the identity of its object as a label, given when it is made, so that whoever is killed at any
//! instruction leaves nothing that [`Docker::resolve`] or [`Docker::delete`] would not find.
//!
//! Not here: how a role gets into a container (another driver enters its first process), and images, which are the
//! engine's own.

mod api;
mod engine;
mod pull;
mod schema;
mod spec;

pub use engine::{Docker, Found};
