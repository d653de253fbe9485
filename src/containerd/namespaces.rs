//! Namespaces service.

use super::api::Map;
use super::api::namespaces::{
    CreateNamespaceRequest, GetNamespaceRequest, ListNamespacesRequest, ListNamespacesResponse, Namespace as Info,
    NamespaceResponse,
};
use super::{CallResult, Client, Namespace};
use crate::rpc::grpc::Method;

macro_rules! method {
    ($name:literal) => {
        Method::unary(concat!("/containerd.services.namespaces.v1.Namespaces/", $name))
    };
}

/// See [`Client::namespaces`].
#[derive(Debug)]
pub struct Namespaces<'c>(&'c mut Client);

impl<'c> Namespaces<'c> {
    pub(super) fn new(client: &'c mut Client) -> Self {
        Namespaces(client)
    }

    /// One namespace. A name that was never used is answered too, without labels; [`Self::list`] tells them apart.
    pub fn get(&mut self, name: &Namespace) -> CallResult<Info> {
        let answer: NamespaceResponse =
            self.0.unary(method!("Get"), &GetNamespaceRequest { name: name.as_str().to_owned() })?;
        Ok(answer.namespace.unwrap_or_default())
    }

    /// All namespaces.
    pub fn list(&mut self) -> CallResult<Vec<Info>> {
        let answer: ListNamespacesResponse = self.0.unary(method!("List"), &ListNamespacesRequest::default())?;
        Ok(answer.namespaces)
    }

    /// A new namespace. The first write to one makes it too, so this is seldom needed.
    pub fn create(&mut self, name: &Namespace, labels: Map) -> CallResult<Info> {
        let namespace = Info { name: name.as_str().to_owned(), labels };
        let answer: NamespaceResponse = self.0.unary(method!("Create"), &CreateNamespaceRequest { namespace })?;
        Ok(answer.namespace.unwrap_or_default())
    }
}
