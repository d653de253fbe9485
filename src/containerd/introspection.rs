//! Introspection service: what the daemon has loaded.

use super::api::Empty;
use super::api::introspection::{Plugin, PluginsRequest, PluginsResponse, ServerResponse};
use super::{CallResult, Client};
use crate::rpc::grpc::Method;

macro_rules! method {
    ($name:literal) => {
        Method::unary(concat!("/containerd.services.introspection.v1.Introspection/", $name))
    };
}

/// See [`Client::introspection`].
#[derive(Debug)]
pub struct Introspection<'c>(&'c mut Client);

impl<'c> Introspection<'c> {
    pub(super) fn new(client: &'c mut Client) -> Self {
        Introspection(client)
    }

    /// Plugins that match a filter such as `type==io.containerd.snapshotter.v1,id==overlayfs`, or all. One that could
    /// not be loaded has an `init_err`.
    pub fn plugins(&mut self, filters: &[String]) -> CallResult<Vec<Plugin>> {
        let answer: PluginsResponse =
            self.0.unary(method!("Plugins"), &PluginsRequest { filters: filters.to_vec() })?;
        Ok(answer.plugins)
    }

    /// Identity of the daemon, and what it finds outdated in its use.
    pub fn server(&mut self) -> CallResult<ServerResponse> {
        self.0.unary(method!("Server"), &Empty {})
    }
}
